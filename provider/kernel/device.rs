// SPDX-License-Identifier: GPL-2.0
//! `/dev/dtrace/dtrace`: root's alone, by its mode and by CAP_SYS_ADMIN. An open file is a consumer.

use crate::deadman::Watched;
use crate::refusal::Text;
use crate::{held, live, requests, shim};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use dtrace_interface::ioctl;
use dtrace_provider::ConsumerId;
use kernel::fs::File;
use kernel::miscdevice::{MiscDevice, MiscDeviceRegistration};
use kernel::prelude::*;

/// An open file.
pub(crate) struct Session {
    pub(crate) consumer: ConsumerId,
    /// Why the last ENABLE, PROBES or PROBEMATCH was refused.
    pub(crate) refusal: Text,
    _watched: Watched,
}

/// The process that this is.
pub(crate) fn process() -> u32 {
    // SAFETY: any context.
    unsafe { shim::dtrace_shim_tgid() }
}

/// Whether a signal has come that ends this process.
pub(crate) fn is_killed() -> bool {
    // SAFETY: a task.
    unsafe { shim::dtrace_shim_is_killed() }
}

/// Kernel lockdown: EPERM where nobody is to read kernel memory, as for a BPF program. It may come while files
/// are open, so it is asked again before anything is enabled or begins. A task.
fn unlocked() -> Result {
    static SAID: AtomicBool = AtomicBool::new(false);
    // SAFETY: a task.
    let answer = kernel::error::to_result(unsafe { shim::dtrace_shim_locked_down() });
    // Relaxed: whoever is first.
    if answer.is_err() && !SAID.swap(true, Relaxed) {
        pr_notice!("refused by kernel lockdown, which lets nobody read kernel memory: see kernel_lockdown(7)\n");
    }
    answer
}

#[vtable]
impl MiscDevice for Session {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        // SAFETY: a task.
        if !unsafe { shim::dtrace_shim_capable() } {
            return Err(EPERM);
        }
        unlocked()?;
        let consumer = live::control(|control| control.open(process()).map_err(requests::errno))?;
        let session = Self {
            consumer,
            refusal: Text::new(),
            _watched: Watched::new(),
        };
        KBox::new(session, GFP_KERNEL).map_err(|none| {
            close(consumer);
            none.into()
        })
    }

    fn ioctl(session: &Session, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        // Structures of 32-bit programs hold other addresses.
        // SAFETY: a task.
        if unsafe { shim::dtrace_shim_in_compat_syscall() } {
            return Err(ENOTTY);
        }
        if matches!(cmd, ioctl::ENABLE | ioctl::GO) {
            unlocked()?;
        }
        requests::answer(session, cmd, arg)
    }

    fn release(session: KBox<Self>, _file: &File) {
        close(session.consumer);
    }
}

fn close(consumer: ConsumerId) {
    // There is a control side: the file holds the module in place.
    let _ = live::control(|control| {
        control.close(consumer);
        held::check(control);
        Ok(())
    });
}
