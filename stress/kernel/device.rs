// SPDX-License-Identifier: GPL-2.0
//! `/dev/xcall-stress`: root's alone, by its mode and by CAP_SYS_ADMIN.

use crate::{hold, one_call, running, selection, shim};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use kernel::fs::File;
use kernel::miscdevice::{MiscDevice, MiscDeviceRegistration};
use kernel::prelude::*;
use kernel::transmute::{AsBytes, FromBytes};
use kernel::uaccess::{UserPtr, UserSlice};
use xcall_stress_protocol::{
    ioctl, Doorbells, Hold, Latency, OneCall, Progress, Request, Row, Totals,
};

/// An open file, by number.
pub(crate) struct Session(u64);

/// A structure of the protocol, on its way from or to user space.
#[repr(transparent)]
struct Wire<T>(T);

/// # Safety
///
/// Integers and arrays of them only, no padding; its first field is its size, a `u32`.
unsafe trait Message {}

// SAFETY: the protocol crate asserts that they have no padding.
unsafe impl Message for Request {}
// SAFETY: as above.
unsafe impl Message for Doorbells {}
// SAFETY: as above.
unsafe impl Message for Progress {}
// SAFETY: as above.
unsafe impl Message for Totals {}
// SAFETY: as above.
unsafe impl Message for OneCall {}
// SAFETY: as above.
unsafe impl Message for Hold {}

// SAFETY: as above.
unsafe impl Message for Row {}
// SAFETY: as above.
unsafe impl Message for Latency {}

// SAFETY: integers take any bits.
unsafe impl<T: Message> FromBytes for Wire<T> {}
// SAFETY: no padding.
unsafe impl<T: Message> AsBytes for Wire<T> {}

#[vtable]
impl MiscDevice for Session {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        static OPENED: AtomicU64 = AtomicU64::new(0);
        // SAFETY: a task.
        if !unsafe { shim::xcall_stress_shim_capable() } {
            return Err(EPERM);
        }
        // Relaxed: only to be different each time.
        let number = OPENED.fetch_add(1, Relaxed) + 1;
        Ok(KBox::new(Self(number), GFP_KERNEL)?)
    }

    fn ioctl(session: &Session, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            ioctl::DOORBELLS => answer(arg, selection::list)?,
            ioctl::START => running::start(&receive(arg)?, session.0)?,
            ioctl::STOP => running::stop()?,
            ioctl::PROGRESS => answer(arg, running::progress)?,
            ioctl::ROW => exchange(arg, running::row)?,
            ioctl::LATENCY => exchange(arg, running::latency)?,
            ioctl::RESULT => answer(arg, running::result)?,
            ioctl::ONE_CALL => {
                let wanted: OneCall = receive(arg)?;
                answer(arg, || Ok(one_call::make(wanted.cpu)))?
            }
            ioctl::HOLD => exchange(arg, |asked: &Hold| hold::hold(asked.limit_ms))?,
            ioctl::HELD => answer(arg, || Ok(hold::held()))?,
            ioctl::RELEASE => answer(arg, || Ok(hold::release()))?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    fn release(session: KBox<Self>, _file: &File) {
        running::end_of(session.0);
    }
}

/// Reads a structure and checks that its size is the one we know.
fn receive<T: Message>(arg: usize) -> Result<T> {
    let slice = UserSlice::new(UserPtr::from_addr(arg), size_of::<T>());
    let Wire(message) = slice.reader().read::<Wire<T>>()?;
    // SAFETY: a message begins with its size.
    let size = unsafe { *core::ptr::from_ref(&message).cast::<u32>() };
    if size as usize != size_of::<T>() {
        return Err(EINVAL);
    }
    Ok(message)
}

/// Checks the size that user space expects, then writes what `of` gives.
fn answer<T: Message>(arg: usize, of: impl FnOnce() -> Result<T>) -> Result {
    exchange(arg, |_: &T| of())
}

/// As [`answer`], by what the structure asks.
fn exchange<T: Message>(arg: usize, of: impl FnOnce(&T) -> Result<T>) -> Result {
    let asked = receive::<T>(arg)?;
    let slice = UserSlice::new(UserPtr::from_addr(arg), size_of::<T>());
    slice.writer().write(&Wire(of(&asked)?))
}
