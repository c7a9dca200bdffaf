// SPDX-License-Identifier: GPL-2.0
//! The cross-call engine on threads: a thread plays a CPU, a signal plays an NMI.
//!
//! | in a kernel | here |
//! |---|---|
//! | a CPU | a thread inside [`act_as`]; one thread may play several CPUs in turn |
//! | interrupts off | a flag of the CPU: [`Cpu::irqs_off`] |
//! | NMI doorbell | [`Signal`]: a real signal, at any instruction of the thread |
//! | maskable doorbell | [`MaskedSignal`]: a real signal; while the flag says off it stays pending |
//! | a timer that tends posted calls | the CPU's next [`Cpu::poll`] |
//! | a broken machine | [`Faulty`]: drops, delays and duplicates the rings of another doorbell |
//!
//! Signal handlers run called functions. These must be async-signal-safe: no allocation, no lock.
//!
//! ```
//! use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
//! use xcall::{Config, CpuId, Work};
//! use xcall_host::{act_as, engine, Bell, Cpus, Signal};
//!
//! let cpus = Cpus::new(2);
//! let engine = engine(&cpus, Config::new(2), [Bell::new(Signal::new(&cpus))]).unwrap();
//! let (up, done, runs) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU32::new(0));
//! std::thread::scope(|s| {
//!     s.spawn(|| act_as(&engine, CpuId(1), |_cpu| {
//!         engine.open();
//!         up.store(true, Ordering::Release);
//!         while !done.load(Ordering::Acquire) { std::thread::yield_now(); }
//!     }));
//!     act_as(&engine, CpuId(0), |_cpu| {
//!         while !up.load(Ordering::Acquire) { std::thread::yield_now(); }
//!         let count = || { runs.fetch_add(1, Ordering::Relaxed); };
//!         // SAFETY: `count` takes no lock, and one atomic addition may come inside another.
//!         engine.call(CpuId(1), unsafe { Work::nmi_safe(&count) }).unwrap();
//!         done.store(true, Ordering::Release);
//!     });
//! });
//! assert_eq!(runs.into_inner(), 1);
//! ```

mod bell;
mod cpus;
mod doorbells;
mod faulty;
mod platform;
mod signals;

pub use bell::Bell;
pub use cpus::{act_as, current_cpu, in_nmi, irqs_on, with_played, Cpu, Cpus};
pub use doorbells::{MaskedSignal, Polled, Signal};
pub use faulty::{Faults, Faulty};
pub use platform::{engine, monotonic_ns, Host, HostEngine};
