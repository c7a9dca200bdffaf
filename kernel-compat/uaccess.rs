// SPDX-License-Identifier: GPL-2.0
//! Memory of user space: read once, front to back, bounds checked. Task context, may sleep.

use crate::alloc::{Allocator, Flags, Vec};
use crate::error::{code::EFAULT, Result};
use crate::ffi::c_void;
use crate::transmute::{AsBytes, FromBytes};
use core::mem::MaybeUninit;

/// A pointer into user space. It is only a number here: the kernel checks it at each copy.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct UserPtr(*mut c_void);

impl UserPtr {
    /// The user pointer with this address.
    pub fn from_addr(addr: usize) -> Self {
        Self(addr as *mut c_void)
    }

    /// The pointer as C has it.
    pub fn as_const_ptr(self) -> *const c_void {
        self.0
    }

    /// The pointer as C has it.
    pub fn as_mut_ptr(self) -> *mut c_void {
        self.0
    }

    /// The pointer `add` bytes further on.
    pub fn wrapping_byte_add(self, add: usize) -> UserPtr {
        UserPtr(self.0.wrapping_byte_add(add))
    }
}

/// A stretch of user memory.
pub struct UserSlice {
    ptr: UserPtr,
    length: usize,
}

impl UserSlice {
    /// `length` bytes from `ptr` on. Checks nothing yet.
    pub fn new(ptr: UserPtr, length: usize) -> Self {
        UserSlice { ptr, length }
    }

    /// Reads it all, appending to `buf`. `EFAULT` on a bad address.
    pub fn read_all<A: Allocator>(self, buf: &mut Vec<u8, A>, flags: Flags) -> Result {
        self.reader().read_all(buf, flags)
    }

    /// For reading.
    pub fn reader(self) -> UserSliceReader {
        UserSliceReader {
            ptr: self.ptr,
            length: self.length,
        }
    }

    /// For writing.
    pub fn writer(self) -> UserSliceWriter {
        UserSliceWriter {
            ptr: self.ptr,
            length: self.length,
        }
    }

    /// For reading and then writing over it.
    pub fn reader_writer(self) -> (UserSliceReader, UserSliceWriter) {
        (
            UserSliceReader {
                ptr: self.ptr,
                length: self.length,
            },
            UserSliceWriter {
                ptr: self.ptr,
                length: self.length,
            },
        )
    }
}

/// Reads a [`UserSlice`] front to back.
pub struct UserSliceReader {
    ptr: UserPtr,
    length: usize,
}

impl UserSliceReader {
    /// Passes over `num_skip` bytes. `EFAULT` past the end.
    pub fn skip(&mut self, num_skip: usize) -> Result {
        self.length = self.length.checked_sub(num_skip).ok_or(EFAULT)?;
        self.ptr = self.ptr.wrapping_byte_add(num_skip);
        Ok(())
    }

    /// Bytes left.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Fills `out`, wholly on success. `EFAULT` on a bad address or past the end.
    pub fn read_raw(&mut self, out: &mut [MaybeUninit<u8>]) -> Result {
        let len = out.len();
        if len > self.length {
            return Err(EFAULT);
        }
        // SAFETY: `out` is writable for `len` bytes; the kernel checks the user address.
        let left = unsafe {
            crate::glue::kernel_compat_copy_from_user(
                out.as_mut_ptr().cast(),
                self.ptr.as_const_ptr(),
                len,
            )
        };
        if left != 0 {
            return Err(EFAULT);
        }
        self.ptr = self.ptr.wrapping_byte_add(len);
        self.length -= len;
        Ok(())
    }

    /// Fills `out`. `EFAULT` on a bad address or past the end.
    pub fn read_slice(&mut self, out: &mut [u8]) -> Result {
        // SAFETY: Same layout, and read_raw never writes uninitialised bytes.
        let out = unsafe { &mut *(core::ptr::from_mut(out) as *mut [MaybeUninit<u8>]) };
        self.read_raw(out)
    }

    /// Reads one value. `EFAULT` on a bad address or past the end.
    pub fn read<T: FromBytes>(&mut self) -> Result<T> {
        let mut out = MaybeUninit::<T>::uninit();
        // SAFETY: The bytes of `out`, as bytes that need not be initialised.
        let bytes = unsafe {
            core::slice::from_raw_parts_mut(
                out.as_mut_ptr().cast::<MaybeUninit<u8>>(),
                size_of::<T>(),
            )
        };
        self.read_raw(bytes)?;
        // SAFETY: read_raw filled all of it, and `FromBytes` accepts any bytes.
        Ok(unsafe { out.assume_init() })
    }

    /// Reads all that is left, appending to `buf`. `EFAULT` on a bad address.
    pub fn read_all<A: Allocator>(mut self, buf: &mut Vec<u8, A>, flags: Flags) -> Result {
        let start = buf.len();
        for _ in 0..self.length {
            buf.push(0, flags)?;
        }
        self.read_slice(&mut buf[start..])
    }
}

/// Writes a [`UserSlice`] front to back.
pub struct UserSliceWriter {
    ptr: UserPtr,
    length: usize,
}

impl UserSliceWriter {
    /// Bytes left.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Writes all of `data`. `EFAULT` on a bad address or past the end.
    pub fn write_slice(&mut self, data: &[u8]) -> Result {
        let len = data.len();
        if len > self.length {
            return Err(EFAULT);
        }
        // SAFETY: `data` is readable for `len` bytes; the kernel checks the user address.
        let left = unsafe {
            crate::glue::kernel_compat_copy_to_user(
                self.ptr.as_mut_ptr(),
                data.as_ptr().cast(),
                len,
            )
        };
        if left != 0 {
            return Err(EFAULT);
        }
        self.ptr = self.ptr.wrapping_byte_add(len);
        self.length -= len;
        Ok(())
    }

    /// Writes one value. `EFAULT` on a bad address or past the end.
    pub fn write<T: AsBytes>(&mut self, value: &T) -> Result {
        self.write_slice(value.as_bytes())
    }
}
