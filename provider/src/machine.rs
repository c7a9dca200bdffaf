// SPDX-License-Identifier: GPL-2.0
//! What the framework asks of the machine it runs on: a kernel, threads of a test, a model.

use crate::error::Error;
use crate::expression::Expression;
use crate::options::Options;

/// How a cross-call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// The function ran on that CPU.
    Ran,
    /// The CPU is off line, and stays so while the CPUs are held.
    Offline,
    /// It did not run and will not: ask again. (A time limit, or no free call slot.)
    NotReached,
}

/// The machine.
///
/// # Safety
///
/// 1. Between [`irqs_off`](Self::irqs_off) and [`irqs_restore`](Self::irqs_restore) the caller stays on
///    its CPU and nothing but an NMI interrupts it; [`this_cpu`](Self::this_cpu) then tells which it is,
///    a number less than that given to `Framework::new`.
/// 2. [`call`](Self::call) runs the function on that CPU with interrupts off, in its program order (inside
///    whatever the CPU was doing, an NMI for one), after all that the caller did before, and all
///    that it did is seen by the caller after `Ran`. It answers `Offline` only for a CPU that runs
///    nothing and starts nothing until [`release_cpus`](Self::release_cpus).
pub unsafe trait Machine: Send + Sync + Sized + 'static {
    /// What `irqs_off` saves.
    type Irqs;
    /// One CPU's environment of actions and expressions; see [`Surroundings`].
    type Environment: Surroundings + Send + 'static;
    /// Compiled expressions.
    type Expression: Expression<Environment = Self::Environment>;

    /// Turns maskable interrupts off on this CPU. Any context.
    fn irqs_off(&self) -> Self::Irqs;

    /// Sets maskable interrupts to what they were.
    fn irqs_restore(&self, irqs: Self::Irqs);

    /// This CPU's number. Interrupts off.
    fn this_cpu(&self) -> usize;

    /// Runs `function` on `cpu`, this one included, and waits for it. Task, CPUs held.
    fn call(&self, cpu: usize, function: &(dyn Fn() + Sync)) -> Called;

    /// No CPU goes off or comes on line until `release_cpus`. Task; not nested. (cpus_read_lock)
    fn hold_cpus(&self);

    /// Ends `hold_cpus`.
    fn release_cpus(&self);

    /// Whether a CPU is on line. Task, CPUs held.
    fn is_online(&self, cpu: usize) -> bool;

    /// Sleeps for about a millisecond. Task.
    fn pause(&self);

    /// The control side has waited so long for `cpu`, and goes on: it takes no calls, or is in a firing that
    /// does not end. Once a wait. Task. Says nothing, unless a machine has a log.
    fn is_late(&self, _cpu: usize, _waited_ns: u64) {}

    /// Nanoseconds of a clock that never waits. Any context.
    fn now_ns(&self) -> u64;

    /// The environment of `cpu`. Task; called once for each CPU when a framework is made.
    ///
    /// # Errors
    ///
    /// No memory.
    fn environment(&self, cpu: usize) -> Result<Self::Environment, Error>;

    /// A consumer's variables. Task; called at GO, after its programs were declared.
    ///
    /// # Errors
    ///
    /// No memory, or a declaration that makes no sense.
    fn variables(
        &self,
        options: &Options,
        programs: &mut dyn Iterator<Item = &Self::Expression>,
    ) -> Result<<Self::Expression as Expression>::Variables, Error>;
}

/// What actions ask of the CPU they run on. Probe context: no lock, no fault, no sleep, bounded.
pub trait Surroundings {
    /// The process that runs, as a number in the initial namespace (tgid). 0 is the idle task.
    fn process(&self) -> u32;

    /// Addresses of the kernel's stack from the probe outwards, `frames` at most.
    fn kernel_stack(&mut self, frames: usize) -> &[u64];

    /// Addresses of the process' stack from the innermost outwards, `frames` at most.
    fn user_stack(&mut self, frames: usize) -> &[u64];
}
