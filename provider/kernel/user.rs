// SPDX-License-Identifier: GPL-2.0
//! Structures of the interface, from and to user space. Task context; EFAULT on a bad address.
#![forbid(unsafe_code)]

use dtrace_interface::{dof, Plain};
use kernel::prelude::*;
use kernel::uaccess::UserSlice;

/// The largest structure that is copied by way of the stack.
const LARGEST: usize = 512;

/// The largest DOF that is looked at, in bytes.
const LARGEST_DOF: usize = 4 << 20;

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

/// Reads DOF, as much as its header says. What it says is not looked at further. E2BIG: too much;
/// EINVAL: less than a header.
pub(crate) fn read_dof(address: usize) -> Result<KVVec<u8>> {
    let header: dof::Header = read(address)?;
    let size = usize::try_from(header.load_size).map_err(|_| E2BIG)?;
    if size > LARGEST_DOF {
        return Err(E2BIG);
    }
    if size < dof::Header::SIZE {
        return Err(EINVAL);
    }
    let mut bytes = KVVec::from_elem(0, size, GFP_KERNEL)?;
    let slice = UserSlice::new(UserPtr::from_addr(address), size);
    slice.reader().read_slice(&mut bytes)?;
    Ok(bytes)
}
