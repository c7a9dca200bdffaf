// SPDX-License-Identifier: GPL-2.0
//! What programs and actions see of the kernel: the current task, memory, clocks. Probe context.

use crate::{cpus, shim};
use dif::{BuiltIn, Environment, FaultKind};
use dtrace_interface::variable::CpuInfo;
use dtrace_interface::Plain;
use dtrace_provider::{Surroundings, MAX_FRAMES};
use kernel::prelude::*;
use xcall_interface::xcall_now_ns;

/// The most ancestors of a task that are looked at.
const GENERATIONS: u32 = 64;

/// The first task of a CPU has no number of its own: its threads are told apart by this bit and the
/// CPU's number.
const IDLE: u64 = 1 << 63;

/// An interrupt counts as a thread of its CPU's.
const INTERRUPT: u64 = 1 << 62;

/// Frames of our own between a program and the kernel, at most: more would be missing at a stack's end.
const OWN_FRAMES: usize = 32;

const FRAMES: usize = MAX_FRAMES as usize + OWN_FRAMES;

/// One CPU's view of the kernel.
pub(crate) struct Kernel {
    random: u64,
    stack: [u64; FRAMES],
    /// What `curcpu` leads to.
    cpu: [u8; CpuInfo::SIZE],
}

impl Kernel {
    /// Of `cpu`.
    pub(crate) fn new(cpu: usize) -> Self {
        Self {
            // Any seed but 0; not the same on two CPUs.
            random: (now_ns() << 16) | cpu as u64 | 1,
            stack: [0; FRAMES],
            cpu: [0; CpuInfo::SIZE],
        }
    }
}

/// A clock that waits for nobody. Any context.
pub(crate) fn now_ns() -> u64 {
    // SAFETY: any context.
    unsafe { xcall_now_ns() }
}

impl Kernel {
    /// The address of what `curcpu` leads to.
    fn cpu_info(&mut self) -> u64 {
        // SAFETY: any context, interrupts off.
        let (chip, node) =
            unsafe { (shim::dtrace_shim_this_chip(), shim::dtrace_shim_this_node()) };
        let info = CpuInfo {
            cpu_id: cpus::this(),
            cpu_chip: chip,
            cpu_lgrp: node,
            ..CpuInfo::ZERO
        };
        // As much room as it writes.
        let _ = info.to_bytes(&mut self.cpu);
        self.cpu.as_ptr() as u64
    }
}

/// What a copy without faults answered.
fn copied(answer: c_long) -> Result<(), FaultKind> {
    match answer {
        0 => Ok(()),
        _ => Err(FaultKind::BadAddress),
    }
}

impl Environment for Kernel {
    fn kernel(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind> {
        let size = into.len() as c_ulong;
        // SAFETY: room for `size` bytes; the kernel judges the address.
        copied(unsafe {
            shim::dtrace_shim_copy_from_kernel(into.as_mut_ptr().cast(), address, size)
        })
    }

    fn user(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind> {
        let size = into.len() as c_ulong;
        // SAFETY: as above.
        copied(unsafe { shim::dtrace_shim_copy_from_user(into.as_mut_ptr().cast(), address, size) })
    }

    fn number(&mut self, builtin: BuiltIn, index: u64) -> Result<u64, FaultKind> {
        // SAFETY: all of them: any context, interrupts off.
        unsafe {
            Ok(match builtin {
                BuiltIn::Curthread => shim::dtrace_shim_current(),
                BuiltIn::Timestamp => now_ns(),
                BuiltIn::Vtimestamp => shim::dtrace_shim_runtime(),
                BuiltIn::Walltimestamp => shim::dtrace_shim_walltimestamp(),
                BuiltIn::Pid => shim::dtrace_shim_tgid().into(),
                BuiltIn::Tid => shim::dtrace_shim_pid().into(),
                BuiltIn::Ppid => shim::dtrace_shim_ppid().into(),
                BuiltIn::Uid => shim::dtrace_shim_uid().into(),
                BuiltIn::Gid => shim::dtrace_shim_gid().into(),
                BuiltIn::Ipl => shim::dtrace_shim_in_interrupt().into(),
                BuiltIn::Stackdepth => self.kernel_stack(MAX_FRAMES as usize).len() as u64,
                BuiltIn::Caller => self.kernel_stack(2).last().copied().unwrap_or(0),
                BuiltIn::Curcpu => self.cpu_info(),
                BuiltIn::Ucaller => self.user_stack(2).get(1).copied().unwrap_or(0),
                BuiltIn::Ustackdepth => self.user_stack(MAX_FRAMES as usize).len() as u64,
                BuiltIn::Uregs => {
                    let mut value = 0;
                    if !shim::dtrace_shim_user_register(index, &mut value) {
                        return Err(FaultKind::IllegalOperation);
                    }
                    value
                }
                _ => return Err(FaultKind::IllegalOperation),
            })
        }
    }

    fn text(&mut self, builtin: BuiltIn, into: &mut [u8]) -> Result<usize, FaultKind> {
        let mut comm = [0; shim::COMM];
        let text: &[u8] = match builtin {
            BuiltIn::Execname => {
                // SAFETY: any context; as much room as it writes.
                unsafe { shim::dtrace_shim_comm(comm.as_mut_ptr()) };
                comm.split(|byte| *byte == 0).next().unwrap_or(&[])
            }
            BuiltIn::Zonename => b"global",
            _ => return Err(FaultKind::IllegalOperation),
        };
        let size = text.len().min(into.len());
        for (to, from) in into.iter_mut().zip(text) {
            *to = *from;
        }
        Ok(size)
    }

    fn thread(&mut self) -> u64 {
        // SAFETY: any context, interrupts off.
        let (interrupt, pid) =
            unsafe { (shim::dtrace_shim_in_interrupt(), shim::dtrace_shim_pid()) };
        if interrupt {
            return INTERRUPT | u64::from(cpus::this());
        }
        if pid == 0 {
            return IDLE | u64::from(cpus::this());
        }
        // A number is used again after all others, and its next user began at another time.
        // SAFETY: as above.
        let began_us = unsafe { shim::dtrace_shim_start_time() } / 1024;
        u64::from(pid) | ((began_us << 32) & !(IDLE | INTERRUPT))
    }

    fn progeny_of(&mut self, pid: u64) -> Result<bool, FaultKind> {
        let Ok(pid) = u32::try_from(pid) else {
            return Ok(false);
        };
        // SAFETY: any context, interrupts off.
        Ok(unsafe { shim::dtrace_shim_is_progeny(pid, GENERATIONS) })
    }

    fn random(&mut self) -> u64 {
        // xorshift64 (Marsaglia): never 0 if it was not.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

impl Surroundings for Kernel {
    fn process(&self) -> u32 {
        // SAFETY: any context.
        unsafe { shim::dtrace_shim_tgid() }
    }

    /// From the function on that called dtrace.ko, or that was interrupted by what did.
    fn kernel_stack(&mut self, frames: usize) -> &[u64] {
        let wanted = frames.saturating_add(OWN_FRAMES).min(FRAMES);
        let room = self.stack.get_mut(..wanted).unwrap_or_default();
        // SAFETY: room for as many as it is told of.
        let found = unsafe { shim::dtrace_shim_stack(room.as_mut_ptr(), room.len() as c_uint) };
        let found = self.stack.get(..found as usize).unwrap_or_default();
        // SAFETY: any context, any number.
        let is_own = |address: &&u64| unsafe { shim::dtrace_shim_is_own(**address) };
        let own = found.iter().take_while(is_own).count();
        let rest = found.get(own..).unwrap_or_default();
        rest.get(..frames).unwrap_or(rest)
    }

    /// By frame pointers, of 64-bit code: where a program was built without, only its innermost frame
    /// is right.
    fn user_stack(&mut self, frames: usize) -> &[u64] {
        let (mut pc, mut frame) = (0, 0);
        // SAFETY: any context; two numbers to write.
        unsafe { shim::dtrace_shim_user_frame(&mut pc, &mut frame) };
        let mut found = 0;
        while pc != 0 && found < frames {
            let Some(place) = self.stack.get_mut(found) else {
                break;
            };
            *place = pc;
            found += 1;
            let mut next = [0; 16];
            if self.user(frame, &mut next).is_err() {
                break;
            }
            let word = |at: usize| next.get(at..).and_then(u64::from_bytes).unwrap_or(0);
            let (caller_frame, caller) = (word(0), word(8));
            // Frames lie ever further out: this ends.
            if caller_frame <= frame {
                break;
            }
            (frame, pc) = (caller_frame, caller);
        }
        self.stack.get(..found).unwrap_or_default()
    }
}
