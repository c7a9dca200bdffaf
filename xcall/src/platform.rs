// SPDX-License-Identifier: GPL-2.0
//! What the engine asks of the machine it runs on.

use crate::context::Here;
use crate::cpu::CpuId;
use crate::doorbell::Doorbell;
use core::alloc::Layout;
use core::ptr::NonNull;

/// The machine: a kernel, threads that play CPUs, or a model.
///
/// Every function may be called from any context, NMI included, unless it says otherwise.
///
/// # Safety
///
/// 1. [`pin`](Self::pin) tells the truth (see [`Here::new`]) until the matching [`unpin`](Self::unpin).
/// 2. Between [`irqs_off`](Self::irqs_off) and [`irqs_restore`](Self::irqs_restore) nothing but an
///    NMI interrupts this CPU.
/// 3. [`allocate`](Self::allocate) returns memory of that layout, not in use and not freed before
///    [`free`](Self::free), which an NMI may touch.
pub unsafe trait Platform: Sync + Sized {
    /// The doorbells of this machine.
    type Doorbell: Doorbell;
    /// What `irqs_off` saves.
    type IrqState;

    /// Keeps the caller on its CPU and says where it stands.
    fn pin(&self) -> Here;

    /// Ends the matching `pin`.
    fn unpin(&self, here: Here);

    /// Turns maskable interrupts off on this CPU.
    fn irqs_off(&self) -> Self::IrqState;

    /// Sets maskable interrupts to what they were.
    fn irqs_restore(&self, state: Self::IrqState);

    /// Nanoseconds of a clock that never goes back on one CPU.
    fn now_ns(&self) -> u64;

    /// Called once a turn of a waiting loop; `turn` counts from 0. A virtual CPU may yield here.
    fn relax(&self, here: &Here, turn: u64);

    /// Called once a turn of a flush, outside `pin`, in a task that may sleep: other tasks may run.
    fn resched(&self);

    /// `caller`'s call has just ended on one target. Only a platform whose `relax` sleeps acts on it.
    fn completed(&self, caller: CpuId);

    /// A posted call of this CPU may need a second ring: call [`Engine::tend`](crate::Engine::tend) on
    /// this CPU soon, outside NMI.
    fn watch_posts(&self, here: &Here);

    /// Memory for the engine's tables, or None. Called in a task, while an engine is made.
    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>>;

    /// Gives memory back. Called in a task, when an engine is dropped.
    ///
    /// # Safety
    ///
    /// `memory` came from `allocate` with the same layout and nobody uses it any more.
    unsafe fn free(&self, memory: NonNull<u8>, layout: Layout);
}
