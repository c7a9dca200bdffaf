// SPDX-License-Identifier: GPL-2.0
//! Structures of the interface, from and to user space. Task context; EFAULT on a bad address.
#![forbid(unsafe_code)]

use dtrace_interface::{dof, Plain};
use kernel::prelude::*;
use kernel::uaccess::UserSlice;

/// The largest structure that is copied by way of the stack.
const LARGEST: usize = 512;

/// Reads a `T`.
pub(crate) fn read<T: Plain>(address: usize) -> Result<T> {
    let mut bytes = [0; LARGEST];
    let bytes = bytes.get_mut(..T::SIZE).ok_or(EINVAL)?;
    let slice = UserSlice::new(UserPtr::from_addr(address), bytes.len());
    slice.reader().read_slice(bytes)?;
    T::from_bytes(bytes).ok_or(EINVAL)
}

/// Writes a `T`.
pub(crate) fn write<T: Plain>(address: usize, value: &T) -> Result {
    let mut bytes = [0; LARGEST];
    let bytes = bytes.get_mut(..T::SIZE).ok_or(EINVAL)?;
    value.to_bytes(bytes).ok_or(EINVAL)?;
    write_bytes(address, bytes)
}

/// Writes bytes.
pub(crate) fn write_bytes(address: usize, bytes: &[u8]) -> Result {
    let slice = UserSlice::new(UserPtr::from_addr(address), bytes.len());
    slice.writer().write_slice(bytes)
}

/// Where the structure ends that begins at `address`, for what follows it. EFAULT: nowhere.
pub(crate) fn after<T: Plain>(address: usize) -> Result<usize> {
    address.checked_add(T::SIZE).ok_or(EFAULT)
}

/// Reads DOF, as much as its header says. What it says is not looked at further.
pub(crate) fn read_dof(address: usize) -> Result<KVVec<u8>, Unread> {
    let mut head = [0; dof::Header::SIZE];
    let slice = |size| UserSlice::new(UserPtr::from_addr(address), size);
    slice(head.len()).reader().read_slice(&mut head)?;
    let size = ::dof::load_size(&head).map_err(Unread::Header)?;
    let mut bytes = KVVec::from_elem(0, size, GFP_KERNEL).map_err(Error::from)?;
    slice(size).reader().read_slice(&mut bytes)?;
    Ok(bytes)
}

/// Why there is no DOF.
pub(crate) enum Unread {
    /// Its header makes no sense.
    Header(::dof::Error),
    /// There is no memory, or it is not where the client says.
    Other(Error),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
