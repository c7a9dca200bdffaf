// SPDX-License-Identifier: GPL-2.0
//! The kernel, with xcall.ko in it, as a storm's machine.

use crate::selection::Selection;
use crate::{carrier, faults, shim};
use core::sync::atomic::AtomicU64;
use kernel::prelude::*;
use xcall_interface as xcall;
use xcall_storm::{EngineCounters, Entry, Failure, Job, Lane, Machine, Silence, Ticket};
use xcall_stress_protocol::{FUNCTION, LATENCY_BUCKETS, NAME};

/// This kernel.
pub(crate) struct Guest {
    pub(crate) selection: Selection,
    pub(crate) _spoiler: Option<faults::Spoiler>,
    pub(crate) _handler: Option<carrier::Handler>,
}

/// Any context.
pub(crate) fn now_ns() -> u64 {
    // SAFETY: any context.
    unsafe { xcall::xcall_now_ns() }
}

/// Any context in which the CPU does not change.
pub(crate) fn this_cpu() -> u32 {
    // SAFETY: any context.
    unsafe { shim::xcall_stress_shim_smp_processor_id() }
}

fn work(job: &Job) -> xcall::Work {
    xcall::Work {
        function: Some(job.entry()),
        arg: job.arg(),
        lane: match job.lane() {
            Lane::NmiSafe => xcall::NMI_SAFE,
            Lane::Ordinary => xcall::ORDINARY,
        },
        reserved: 0,
        within_ns: job.within_ns(),
    }
}

/// What an errno of xcall says.
fn outcome(errno: i32, report: &xcall::Report) -> Result<u32, Failure> {
    const ENXIO: i32 = -6;
    const EBUSY: i32 = -16;
    const ETIMEDOUT: i32 = -110;
    match errno {
        0.. => Ok(report.ran),
        ENXIO => Err(Failure::Offline),
        EBUSY => Err(Failure::Busy),
        ETIMEDOUT => Err(Failure::Timeout(Silence {
            count: report.silent.count,
            first: report.silent.named[0],
            ran: report.ran,
            age_ns: report.age_ns,
            last_doorbell: report.last_doorbell,
        })),
        _ => Err(Failure::Refused),
    }
}

impl Machine for Guest {
    type Words = KVVec<AtomicU64>;
    type Tickets = KVVec<Ticket>;

    const ENTRY: Entry = xcall_stress_called;

    fn now_ns(&self) -> u64 {
        now_ns()
    }

    fn this_cpu(&self) -> u32 {
        this_cpu()
    }

    fn in_nmi(&self) -> bool {
        // SAFETY: any context.
        unsafe { shim::xcall_stress_shim_in_nmi() }
    }

    fn call(&self, cpu: u32, job: Job) -> Result<(), Failure> {
        let mut report = xcall::Report::default();
        // SAFETY: a `Job` is sound to call and its ticket outlives its storm's calls; the other
        // pointers are to this stack.
        let errno = unsafe { xcall::xcall_call(cpu, &work(&job), &mut report) };
        outcome(errno, &report).map(|_| ())
    }

    fn call_many(&self, targets: &[u64], job: Job, missed: &mut [u64]) -> Result<u32, Failure> {
        let mut report = xcall::Report::default();
        // SAFETY: as in `call`. A storm's sets have a bit for each of 4,096 CPUs, and xcall.ko
        // does not load on a machine with more.
        let errno = unsafe {
            xcall::xcall_call_many(
                targets.as_ptr(),
                &work(&job),
                missed.as_mut_ptr(),
                &mut report,
            )
        };
        outcome(errno, &report)
    }

    fn call_all(&self, job: Job) -> Result<u32, Failure> {
        let mut report = xcall::Report::default();
        // SAFETY: as in `call`.
        let errno = unsafe { xcall::xcall_call_all(&work(&job), &mut report) };
        outcome(errno, &report)
    }

    fn post(&self, cpu: u32, job: Job) -> Result<(), Failure> {
        // SAFETY: as in `call`; a storm's tickets live until its flush.
        let errno = unsafe { xcall::xcall_post(cpu, &work(&job)) };
        outcome(errno, &xcall::Report::default()).map(|_| ())
    }

    fn post_many(&self, targets: &[u64], job: Job, missed: &mut [u64]) -> Result<u32, Failure> {
        // SAFETY: as in `call_many` and `post`.
        let sent =
            unsafe { xcall::xcall_post_many(targets.as_ptr(), &work(&job), missed.as_mut_ptr()) };
        outcome(sent, &xcall::Report::default()).map(|_| sent as u32)
    }

    fn flush(&self, within_ns: u64) -> bool {
        // SAFETY: a task.
        unsafe { xcall::xcall_flush(within_ns) == 0 }
    }

    fn irqs_off(&self, f: impl FnOnce()) {
        // SAFETY: restored below, by the same task on the same CPU.
        let flags = unsafe { shim::xcall_stress_shim_local_irq_save() };
        f();
        // SAFETY: saved above.
        unsafe { shim::xcall_stress_shim_local_irq_restore(flags) };
    }

    fn nmi(&self, f: &(dyn Fn() + Sync)) -> bool {
        carrier::carry(f)
    }

    fn breathe(&self) {
        // SAFETY: a task that holds nothing.
        unsafe { shim::xcall_stress_shim_breathe() };
    }

    fn is_called_away(&self) -> bool {
        // SAFETY: a worker, which is one of the shim's threads.
        unsafe { shim::xcall_stress_shim_should_park() }
    }

    fn relax(&self) {
        // SAFETY: any context.
        unsafe { shim::xcall_stress_shim_cpu_relax() };
    }

    fn strongest_doorbell_only(&self, only: bool) {
        if self.selection.select(only).is_err() {
            pr_warn!("a doorbell is gone\n");
        }
    }

    fn engine_counters(&self) -> EngineCounters {
        let mut stats = xcall::Stats {
            made: 0,
            run: 0,
            withdrawn: 0,
            rings: 0,
            rings_saved: 0,
            rerings: 0,
            escalations: 0,
            timeouts: 0,
            busy: 0,
            deepest: 0,
            latency: [0; xcall::LATENCY_BUCKETS],
        };
        // SAFETY: `stats` is valid for writes.
        unsafe { xcall::xcall_total_stats(&mut stats) };
        EngineCounters {
            made: stats.made,
            run: stats.run,
            withdrawn: stats.withdrawn,
            rings: stats.rings,
            rings_saved: stats.rings_saved,
            rerings: stats.rerings,
            escalations: stats.escalations,
            deepest: stats.deepest,
        }
    }

    fn doorbell_latency(
        &self,
        number: usize,
        buckets: &mut [u64; LATENCY_BUCKETS],
    ) -> Option<[u8; NAME]> {
        let mut bell = xcall::Doorbell::default();
        // SAFETY: `bell` is valid for writes.
        let known = unsafe { xcall::xcall_doorbell(number as u32, &mut bell) } == 0;
        // SAFETY: there is room for as many buckets as there are.
        let filled = unsafe { xcall::xcall_latency(number as u32, buckets.as_mut_ptr()) } == 0;
        (known && filled).then_some(bell.name)
    }

    fn faults(&self) -> u64 {
        faults::hits()
    }

    fn entry_name(&self, name: &mut [u8; FUNCTION]) {
        let entry = xcall_stress_called as *const c_void;
        // SAFETY: `name` is valid for writes of its length.
        unsafe { shim::xcall_stress_shim_symbol(name.as_mut_ptr(), name.len(), entry) };
    }
}

/// What targets run.
///
/// # Safety
///
/// As [`xcall_storm::called`].
#[no_mangle]
unsafe extern "C" fn xcall_stress_called(arg: *mut c_void) {
    // SAFETY: promised by the caller.
    unsafe { xcall_storm::called::<Guest>(arg) }
}

const _: () = assert!(LATENCY_BUCKETS == xcall::LATENCY_BUCKETS && NAME == xcall::DOORBELL_NAME);
