// SPDX-License-Identifier: GPL-2.0
//! ioctl numbers, as `include/uapi/asm-generic/ioctl.h` builds them.
#![allow(non_snake_case)]

const NRBITS: u32 = 8;
const TYPEBITS: u32 = 8;
const SIZEBITS: u32 = 14;
const DIRBITS: u32 = 2;

const TYPESHIFT: u32 = NRBITS;
const SIZESHIFT: u32 = TYPESHIFT + TYPEBITS;
const DIRSHIFT: u32 = SIZESHIFT + SIZEBITS;

const NONE: u32 = 0;
const WRITE: u32 = 1;
const READ: u32 = 2;

const fn mask(bits: u32) -> u32 {
    (1 << bits) - 1
}

const fn _IOC(dir: u32, ty: u32, nr: u32, size: usize) -> u32 {
    assert!(ty <= mask(TYPEBITS), "ioctl type does not fit");
    assert!(nr <= mask(NRBITS), "ioctl number does not fit");
    assert!(
        size <= mask(SIZEBITS) as usize,
        "ioctl argument is too large"
    );
    (dir << DIRSHIFT) | ((size as u32) << SIZESHIFT) | (ty << TYPESHIFT) | nr
}

/// The number of an ioctl without an argument.
pub const fn _IO(ty: u32, nr: u32) -> u32 {
    _IOC(NONE, ty, nr, 0)
}

/// The number of an ioctl whose argument user space reads.
pub const fn _IOR<T>(ty: u32, nr: u32) -> u32 {
    _IOC(READ, ty, nr, size_of::<T>())
}

/// The number of an ioctl whose argument user space writes.
pub const fn _IOW<T>(ty: u32, nr: u32) -> u32 {
    _IOC(WRITE, ty, nr, size_of::<T>())
}

/// The number of an ioctl whose argument goes both ways.
pub const fn _IOWR<T>(ty: u32, nr: u32) -> u32 {
    _IOC(READ | WRITE, ty, nr, size_of::<T>())
}

/// The direction in an ioctl number.
pub const fn _IOC_DIR(nr: u32) -> u32 {
    (nr >> DIRSHIFT) & mask(DIRBITS)
}

/// The type in an ioctl number.
pub const fn _IOC_TYPE(nr: u32) -> u32 {
    (nr >> TYPESHIFT) & mask(TYPEBITS)
}

/// The number in an ioctl number.
pub const fn _IOC_NR(nr: u32) -> u32 {
    nr & mask(NRBITS)
}

/// The argument's size in an ioctl number, in bytes.
pub const fn _IOC_SIZE(nr: u32) -> usize {
    ((nr >> SIZESHIFT) & mask(SIZEBITS)) as usize
}
