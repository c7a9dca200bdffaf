// SPDX-License-Identifier: GPL-2.0
//! Data that is no more than its bytes.

/// Data without padding and references, of which every bit pattern is a value.
///
/// Callable from any context; nothing here panics.
pub trait Plain: Copy {
    /// Size in bytes.
    const SIZE: usize;
    /// The value whose bytes are all zero.
    const ZERO: Self;

    /// Reads the value from the first [`SIZE`](Self::SIZE) bytes; `None` if there are fewer.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;

    /// Writes the value into the first [`SIZE`](Self::SIZE) bytes; `None`, and nothing useful
    /// written, if there are fewer.
    fn to_bytes(&self, bytes: &mut [u8]) -> Option<()>;
}

macro_rules! integers {
    ($($type:ty)*) => {
        $(impl Plain for $type {
            const SIZE: usize = size_of::<$type>();
            const ZERO: Self = 0;

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().map(|chunk| Self::from_ne_bytes(*chunk))
            }

            fn to_bytes(&self, bytes: &mut [u8]) -> Option<()> {
                *bytes.first_chunk_mut()? = self.to_ne_bytes();
                Some(())
            }
        })*
    };
}

integers!(u8 u16 u32 u64 i32 i64);

impl<T: Plain, const N: usize> Plain for [T; N] {
    const SIZE: usize = T::SIZE * N;
    const ZERO: Self = [T::ZERO; N];

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..Self::SIZE)?;
        let mut all = Self::ZERO;
        for (one, chunk) in all.iter_mut().zip(bytes.chunks_exact(T::SIZE.max(1))) {
            *one = T::from_bytes(chunk)?;
        }
        Some(all)
    }

    fn to_bytes(&self, bytes: &mut [u8]) -> Option<()> {
        let bytes = bytes.get_mut(..Self::SIZE)?;
        for (one, chunk) in self.iter().zip(bytes.chunks_exact_mut(T::SIZE.max(1))) {
            one.to_bytes(chunk)?;
        }
        Some(())
    }
}

/// The text of a field that a NUL ends: what lies before it, or all of it if there is none.
pub fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or(field)
}

/// A field of `N` bytes that holds `text` and a NUL; `None` if it does not fit or has a NUL within.
pub fn field<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut field = [0; N];
    if text.len() >= N || text.contains(&0) {
        return None;
    }
    field.get_mut(..text.len())?.copy_from_slice(text);
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_with_a_nul() {
        assert_eq!(field::<4>(b"abc"), Some(*b"abc\0"));
        assert_eq!(field::<4>(b"abcd"), None);
        assert_eq!(field::<4>(b"a\0"), None);
        assert_eq!(until_nul(b"ab\0c"), b"ab");
        assert_eq!(until_nul(b"abc"), b"abc");
        assert_eq!(until_nul(b""), b"");
    }

    #[test]
    fn short_bytes_are_refused() {
        assert_eq!(u32::from_bytes(&[1, 0, 0]), None);
        assert_eq!(<[u16; 2]>::from_bytes(&[1, 0, 2]), None);
        assert_eq!(<[u16; 2]>::from_bytes(&[1, 0, 2, 0, 9]), Some([1, 2]));
        assert_eq!(7u32.to_bytes(&mut [0; 3]), None);
    }
}
