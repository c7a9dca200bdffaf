// SPDX-License-Identifier: GPL-2.0
//! How the price grows with the number of CPUs, beside that of an N x N table of descriptors.

use crate::machine::{Bench, Machine};
use crate::step::{self, Count};
use crate::transports::work;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::*};
use xcall::{CpuId, Engine, Lane};

/// Numbers of CPUs.
pub const CPUS: &[u32] = &[2, 4, 8, 16, 64, 448, 1024, 4096];

/// Calls that wait for one CPU at once.
const PENDING: &[u32] = &[1, 8, 64, 448];

/// A descriptor of such a table: state, function, argument, sender.
#[repr(C, align(32))]
struct Descriptor {
    state: AtomicU64,
    _rest: [u64; 3],
}

/// What a machine of that size pays.
#[derive(Debug, Serialize)]
pub struct Size {
    /// How many CPUs.
    pub cpus: u32,
    /// The engine's memory, in bytes.
    pub memory: usize,
    /// That of a table of CPUs x CPUs descriptors of 32 bytes.
    pub table_memory: usize,
    /// A waiting call to one CPU: the sender's part.
    pub call: Count,
    /// A broadcast to all other CPUs: the sender's part.
    pub broadcast: Count,
    /// An answer that finds nothing.
    pub idle_drain: Count,
    /// A look at all of a CPU's descriptors in the table that finds nothing.
    pub table_idle_drain: Count,
    /// Answers that find calls.
    pub drains: Vec<Drain>,
}

/// An answer.
#[derive(Debug, Serialize)]
pub struct Drain {
    /// Calls pending, each from another CPU.
    pub pending: u32,
    /// What it cost.
    pub count: Count,
}

/// Counts one size.
pub fn size(cpus: u32) -> Size {
    let bench = Bench::new(cpus);
    let engine = bench.engine();
    Size {
        cpus,
        memory: Engine::<Machine>::memory_for(cpus),
        table_memory: cpus as usize * cpus as usize * size_of::<Descriptor>(),
        call: call(&bench),
        broadcast: broadcast(&bench),
        idle_drain: steady(&mut || {
            engine.answer(&[Lane::NmiSafe]);
        }),
        table_idle_drain: table_idle_drain(cpus),
        drains: PENDING
            .iter()
            .filter(|pending| **pending < cpus)
            .map(|pending| drain(&bench, cpus, *pending))
            .collect(),
    }
}

/// What the sender pays from the second time on.
fn steady(f: &mut dyn FnMut()) -> Count {
    f();
    step::count(f)[0]
}

fn call(bench: &Bench) -> Count {
    bench.answer_rings(true);
    steady(&mut || {
        let result = bench.engine().call(CpuId(1), work());
        debug_assert!(result.is_ok());
    })
}

fn broadcast(bench: &Bench) -> Count {
    bench.answer_rings(true);
    steady(&mut || {
        let result = bench.engine().call_all(work());
        debug_assert!(result.is_ok());
    })
}

/// CPU 0 answers `pending` calls, from CPUs spread over the machine.
fn drain(bench: &Bench, cpus: u32, pending: u32) -> Drain {
    bench.answer_rings(false);
    let send = || {
        for i in 0..pending {
            let sender =
                CpuId(1 + (u64::from(i) * u64::from(cpus - 1) / u64::from(pending)) as u32);
            let result = bench.on(sender, || bench.engine().post(CpuId(0), work()));
            assert!(result.is_ok(), "{sender}");
        }
    };
    let mut ran = 0;
    let mut answer = || ran = bench.engine().answer(&[Lane::NmiSafe]);
    send();
    answer();
    send();
    let [count, _] = step::count(&mut answer);
    assert_eq!(ran, pending);
    Drain { pending, count }
}

fn table_idle_drain(cpus: u32) -> Count {
    let row: Vec<Descriptor> = (0..cpus)
        .map(|_| Descriptor {
            state: AtomicU64::new(0),
            _rest: [0; 3],
        })
        .collect();
    let mut found = 0;
    let count = steady(&mut || {
        for descriptor in &row {
            if descriptor.state.load(Acquire) != 0 {
                found += 1;
            }
        }
    });
    assert_eq!(std::hint::black_box(found), 0);
    count
}
