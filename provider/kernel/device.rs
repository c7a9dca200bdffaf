// SPDX-License-Identifier: GPL-2.0
//! `/dev/dtrace/dtrace`: root's alone, by its mode and by CAP_SYS_ADMIN.

use crate::shim;
use kernel::fs::File;
use kernel::miscdevice::{MiscDevice, MiscDeviceRegistration};
use kernel::prelude::*;

/// An open file.
pub(crate) struct Session(());

#[vtable]
impl MiscDevice for Session {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        // SAFETY: a task.
        if !unsafe { shim::dtrace_shim_capable() } {
            return Err(EPERM);
        }
        // SAFETY: a task.
        kernel::error::to_result(unsafe { shim::dtrace_shim_locked_down() })?;
        Ok(KBox::new(Self(()), GFP_KERNEL)?)
    }

    fn ioctl(_session: &Session, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        // SAFETY: a task.
        if unsafe { shim::dtrace_shim_in_compat_syscall() } {
            return Err(ENOTTY);
        }
        Err(ENOTTY)
    }
}
