// SPDX-License-Identifier: GPL-2.0
//! How structures and numbered sets are declared.

/// A `repr(C)` structure of known size whose fields stand at known offsets, and its [`Plain`].
///
/// [`Plain`]: crate::Plain
macro_rules! plain {
    ($(#[$meta:meta])* pub struct $name:ident: $size:literal {
        $($(#[$field_meta:meta])* $offset:literal $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        const _: () = {
            assert!(size_of::<$name>() == $size);
            assert!(<$name as $crate::Plain>::SIZE == $size, "it has padding");
            $(assert!(core::mem::offset_of!($name, $field) == $offset);)*
        };

        impl $crate::Plain for $name {
            const SIZE: usize = 0 $(+ <$type as $crate::Plain>::SIZE)*;
            const ZERO: Self = Self { $($field: <$type as $crate::Plain>::ZERO,)* };

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let bytes = bytes.get(..Self::SIZE)?;
                Some(Self { $($field: <$type as $crate::Plain>::from_bytes(bytes.get($offset..)?)?,)* })
            }

            fn to_bytes(&self, bytes: &mut [u8]) -> Option<()> {
                let bytes = bytes.get_mut(..Self::SIZE)?;
                $(self.$field.to_bytes(bytes.get_mut($offset..)?)?;)*
                Some(())
            }
        }
    };
}

/// A set of numbers with names: an enum, from and to its number, and each one's name.
macro_rules! numbered {
    ($(#[$meta:meta])* pub enum $name:ident: $raw:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $number:literal, $text:literal;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr($raw)]
        pub enum $name {
            $(
                #[doc = concat!("`", $text, "`")]
                $(#[$variant_meta])*
                $variant = $number,
            )*
        }

        impl $name {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The one of this number, if there is one.
            pub const fn from_raw(raw: $raw) -> Option<Self> {
                match raw {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its number.
            pub const fn raw(self) -> $raw {
                self as $raw
            }

            /// Its name in D or in DIF listings.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The one of this name, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}
