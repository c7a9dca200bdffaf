// SPDX-License-Identifier: GPL-2.0
//! Types that are as good as their bytes.

/// Types of which any bit pattern is a value.
///
/// # Safety
///
/// Every bit pattern is a valid value, and the type has no interior mutability.
pub unsafe trait FromBytes {}

/// Types that have no padding.
///
/// # Safety
///
/// Values have no uninitialised bytes, and the type has no interior mutability.
pub unsafe trait AsBytes {
    /// The value's bytes.
    fn as_bytes(&self) -> &[u8] {
        let data = core::ptr::from_ref(self).cast::<u8>();
        // SAFETY: `self` is a reference to `size_of_val` bytes, all initialised by the trait's
        // promise and not changed while it is shared.
        unsafe { core::slice::from_raw_parts(data, core::mem::size_of_val(self)) }
    }
}

macro_rules! impl_bytes {
    ($trait:ident: $($({$($generics:tt)*})? $t:ty),* $(,)?) => {
        // SAFETY: Integers, and arrays and slices of such types: no padding, no invalid value.
        $(unsafe impl$($($generics)*)? $trait for $t {})*
    };
}

impl_bytes! { FromBytes:
    (), u8, u16, u32, u64, usize, i8, i16, i32, i64, isize,
    {<T: FromBytes, const N: usize>} [T; N],
}

impl_bytes! { AsBytes:
    (), u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, bool, char, str,
    {<T: AsBytes>} [T],
    {<T: AsBytes, const N: usize>} [T; N],
}
