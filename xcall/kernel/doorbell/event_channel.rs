// SPDX-License-Identifier: GPL-2.0
//! Xen event channels: one per vCPU, from this domain to itself.
//!
//! An unbound port for ourselves, bound to a second port of ours: an interrupt handler on the one,
//! a ring is a send on the other. All of it by exported symbols, on both of Xen's event channel
//! ABIs (`bind_ipi_to_irqhandler` is not exported; `EVTCHNOP_bind_ipi` lands on vCPU 0 in the
//! two-level ABI). Maskable: Xen holds the event back while the vCPU has events masked.

use super::{answer, Kind, Without};
use crate::percpu::PerCpu;
use crate::platform::{engine, Engine};
use crate::{selection, shim};
use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use kernel::error::to_result;
use kernel::prelude::*;
use xcall::{CpuId, Lane};

/// Xen's name for the domain that asks (`include/xen/interface/xen.h`).
const DOMID_SELF: u16 = 0x7ff0;

// shim_xen.c says the same of Linux's structures.
static_assertions::assert_eq_size!(xen_sys::evtchn_alloc_unbound, [u32; 2]);
static_assertions::assert_eq_size!(xen_sys::evtchn_bind_interdomain, [u32; 3]);
static_assertions::assert_eq_size!(xen_sys::evtchn_send, u32);
static_assertions::assert_eq_size!(xen_sys::evtchn_status, [u32; 6]);
static_assertions::assert_eq_size!(xen_sys::evtchn_close, u32);

/// No port: Xen gives out none of this number.
const NO_PORT: u32 = 0;
const NO_IRQ: i32 = 0;

/// One vCPU's event channel. All accesses are Relaxed: whoever rings a port that is not there yet,
/// or not any more, only wastes a hypercall; the engine rings again.
struct Channel {
    /// The interrupt on the receiving port.
    irq: AtomicI32,
    /// That port.
    receive_port: AtomicU32,
    /// The port that rings it. None though there is an interrupt: Xen has forgotten both ports.
    send_port: AtomicU32,
}

pub(crate) struct EventChannel {
    channels: PerCpu<Channel>,
}

/// Makes an event channel hypercall. Any context.
///
/// # Safety
///
/// `T` is the argument structure of `EVTCHNOP_*` number `op`.
unsafe fn event_channel_op<T>(op: u32, arg: &mut T) -> Result {
    // SAFETY: The structure is the one Xen expects, says our caller, and valid for its writes.
    to_result(unsafe {
        shim::xcall_shim_HYPERVISOR_event_channel_op(op as c_int, ptr::from_mut(arg).cast())
    })
}

fn close(port: u32) {
    let mut close = xen_sys::evtchn_close { port };
    // SAFETY: The structure of EVTCHNOP_close. A port that is not open is refused; nothing is lost.
    let _ = unsafe { event_channel_op(xen_sys::EVTCHNOP_close, &mut close) };
}

impl Channel {
    /// Whether Xen still knows the two ports as ours. Once a guest was restored their numbers may be
    /// somebody else's. Any context.
    fn is_connected(&self) -> bool {
        let port = self.send_port.load(Ordering::Relaxed);
        if port == NO_PORT {
            return false;
        }
        // SAFETY: All zeros are a value: numbers only.
        let mut status: xen_sys::evtchn_status = unsafe { core::mem::zeroed() };
        status.dom = DOMID_SELF;
        status.port = port;
        // SAFETY: The structure of EVTCHNOP_status.
        let known = unsafe { event_channel_op(xen_sys::EVTCHNOP_status, &mut status) };
        // SAFETY: Every member of the union is numbers.
        let other = unsafe { status.u.interdomain.port };
        known.is_ok()
            && status.status == xen_sys::EVTCHNSTAT_interdomain
            && other == self.receive_port.load(Ordering::Relaxed)
    }
}

impl EventChannel {
    /// Not a channel yet: each CPU makes its own when it comes online.
    pub(super) fn new() -> core::result::Result<Self, Without> {
        // SAFETY: Reads a constant.
        if !unsafe { shim::xcall_shim_has_xen_event_channel() } {
            return Err(Without::Because("this kernel has no event channels"));
        }
        // SAFETY: Reads a variable.
        if !unsafe { shim::xcall_shim_xen_domain() } {
            return Err(Without::Because("not a Xen guest"));
        }
        let channels = PerCpu::new(|| Channel {
            irq: AtomicI32::new(NO_IRQ),
            receive_port: AtomicU32::new(NO_PORT),
            send_port: AtomicU32::new(NO_PORT),
        })?;
        let bell = Self { channels };
        // The first CPU's channel tells whether Xen lets us have them.
        bell.bind(CpuId(0))?;
        Ok(bell)
    }

    /// Makes `cpu`'s channel. Task context.
    fn bind(&self, cpu: CpuId) -> Result {
        let channel = self.channels.get(cpu).ok_or(EINVAL)?;
        let mut unbound = xen_sys::evtchn_alloc_unbound {
            dom: DOMID_SELF,
            remote_dom: DOMID_SELF,
            port: NO_PORT,
        };
        // SAFETY: The structure of EVTCHNOP_alloc_unbound.
        unsafe { event_channel_op(xen_sys::EVTCHNOP_alloc_unbound, &mut unbound)? };
        let mut pair = xen_sys::evtchn_bind_interdomain {
            remote_dom: DOMID_SELF,
            remote_port: unbound.port,
            local_port: NO_PORT,
        };
        // SAFETY: The structure of EVTCHNOP_bind_interdomain.
        let bound = unsafe { event_channel_op(xen_sys::EVTCHNOP_bind_interdomain, &mut pair) };
        if let Err(error) = bound {
            close(unbound.port);
            return Err(error);
        }
        // SAFETY: The port is ours and has no handler yet; task context.
        let irq = unsafe { shim::xcall_shim_bind_evtchn_to_irqhandler(unbound.port, cpu.0) };
        if irq < 0 {
            close(pair.local_port);
            close(unbound.port);
            return to_result(irq);
        }
        channel.irq.store(irq, Ordering::Relaxed);
        channel.receive_port.store(unbound.port, Ordering::Relaxed);
        // SAFETY: The interrupt is ours; task context.
        let errno = unsafe { shim::xcall_shim_irq_set_affinity(irq, cpu.0) };
        channel.send_port.store(pair.local_port, Ordering::Relaxed);
        to_result(errno)
    }

    /// Gives `cpu`'s channel back. Handlers have returned when this does. Task context.
    fn unbind(&self, cpu: CpuId) {
        let Some(channel) = self.channels.get(cpu) else {
            return;
        };
        // Asked before the other end is closed. A stranger's port must stay open.
        let connected = channel.is_connected();
        let send_port = channel.send_port.swap(NO_PORT, Ordering::Relaxed);
        let irq = channel.irq.swap(NO_IRQ, Ordering::Relaxed);
        if irq != NO_IRQ {
            // Closes the receiving port too.
            // SAFETY: The interrupt is ours, with this CPU's number; task context.
            unsafe { shim::xcall_shim_unbind_from_irqhandler(irq, cpu.0) };
        }
        if connected {
            close(send_port);
        }
    }

    /// Makes sure that `cpu` hears its channel. False: it will not. Task context; `cpu` is online.
    pub(super) fn cpu_online(&self, cpu: CpuId) -> bool {
        let irq = self
            .channels
            .get(cpu)
            .map(|c| c.irq.load(Ordering::Relaxed));
        let result = match irq {
            Some(NO_IRQ) | None => self.bind(cpu),
            // The two-level ABI forgets which CPU a channel is for when that goes offline
            // (`evtchn_2l_percpu_deinit`, drivers/xen/events/events_2l.c).
            // SAFETY: The interrupt is ours; task context.
            Some(irq) => to_result(unsafe { shim::xcall_shim_irq_set_affinity(irq, cpu.0) }),
        };
        if let Err(error) = result {
            pr_warn!(
                "{}\n",
                format_args!("no event channel for {}: error {}", cpu, error.to_errno())
            );
            self.unbind(cpu);
        }
        result.is_ok()
    }

    pub(super) fn ring_one(&self, cpu: CpuId) {
        let port = self
            .channels
            .get(cpu)
            .map_or(NO_PORT, |c| c.send_port.load(Ordering::Relaxed));
        if port == NO_PORT {
            return;
        }
        let mut send = xen_sys::evtchn_send { port };
        // A refusal is a lost ring: the engine rings again.
        // SAFETY: The structure of EVTCHNOP_send.
        let _ = unsafe { event_channel_op(xen_sys::EVTCHNOP_send, &mut send) };
    }

    /// No more rings on ports that Xen has forgotten. Any context; nobody else runs.
    fn forget_lost(&self) {
        for cpu in (0..crate::percpu::cpus()).map(CpuId) {
            if let Some(channel) = self.channels.get(cpu) {
                if !channel.is_connected() {
                    channel.send_port.store(NO_PORT, Ordering::Relaxed);
                }
            }
        }
    }

    /// Makes the channels anew that `forget_lost` has found, those of CPUs that are offline when
    /// they come online. False: a CPU will not hear its own. Task context; no CPU comes or goes.
    fn renew_lost(&self) -> bool {
        let mut all_heard = true;
        for cpu in (0..crate::percpu::cpus()).map(CpuId) {
            let Some(channel) = self.channels.get(cpu) else {
                continue;
            };
            let lost = channel.send_port.load(Ordering::Relaxed) == NO_PORT;
            if lost && channel.irq.load(Ordering::Relaxed) != NO_IRQ {
                self.unbind(cpu);
                // SAFETY: `cpu` is a possible one, and stays as it is, says our caller.
                let online = unsafe { shim::xcall_shim_cpu_online(cpu.0) };
                all_heard &= !online || self.cpu_online(cpu);
            }
        }
        all_heard
    }

    pub(super) fn retire(&self) {
        for cpu in (0..crate::percpu::cpus()).map(CpuId) {
            self.unbind(cpu);
        }
    }
}

impl Drop for EventChannel {
    fn drop(&mut self) {
        self.retire();
    }
}

/// An event of ours: a hard interrupt, interrupts off here, on in what it interrupted.
#[no_mangle]
extern "C" fn xcall_event_channel_rung() {
    if let Some(engine) = engine() {
        answer(engine, Kind::EventChannel, &Lane::ALL);
    }
}

/// The engine, and its event channels if it has them.
fn channels() -> Option<(&'static Engine, &'static EventChannel)> {
    let engine = engine()?;
    let channels = engine.doorbells().find_map(|bell| match bell {
        super::Bell::EventChannel(channels) => Some(channels),
        _ => None,
    })?;
    Some((engine, channels))
}

/// This machine was suspended; a guest of Xen's may have been saved and restored meanwhile.
/// Interrupts off, the other CPUs stopped.
#[no_mangle]
extern "C" fn xcall_xen_woken() {
    if let Some((_, channels)) = channels() {
        channels.forget_lost();
    }
}

/// This guest was restored. Task context.
#[no_mangle]
extern "C" fn xcall_xen_restored() {
    if let Some((engine, channels)) = channels() {
        if !channels.renew_lost() {
            selection::give_up(engine, super::Kind::EventChannel);
        }
    }
}

/// Has [`xcall_xen_woken`] and [`xcall_xen_restored`] called. Dropped, it does no more.
pub(crate) struct XenResume;

impl XenResume {
    /// None, and a line on the log unless the kernel has no such thing: it could not be done. Task
    /// context.
    pub(crate) fn register() -> Option<Self> {
        // SAFETY: Reads a constant.
        if !unsafe { shim::xcall_shim_has_xen_resume() } {
            return None;
        }
        // SAFETY: Task context, and not registered yet: the module is loaded once.
        let registered = to_result(unsafe { shim::xcall_shim_register_xen_resume() });
        registered
            .inspect_err(|error| {
                pr_warn!(
                    "{}\n",
                    format_args!(
                        "event channels will be silent once this guest is restored: error {}",
                        error.to_errno()
                    )
                )
            })
            .ok()
            .map(|()| Self)
    }
}

impl Drop for XenResume {
    fn drop(&mut self) {
        // SAFETY: Registered in `register`.
        unsafe { shim::xcall_shim_unregister_xen_resume() }
    }
}
