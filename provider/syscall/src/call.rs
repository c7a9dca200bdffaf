// SPDX-License-Identifier: GPL-2.0
//! A system call: ABI and number.

/// In which way a call was made. Each has its own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// 64-bit code: `syscall`.
    Native,
    /// 32-bit code: `int $0x80`, `sysenter`, 32-bit `syscall`. 64-bit code may use it too.
    Ia32,
    /// 64-bit code with 32-bit pointers: `syscall` with a bit set in the number.
    X32,
}

impl Abi {
    /// All of them, in the order of [`Abi::index`].
    pub const ALL: [Self; 3] = [Self::Native, Self::Ia32, Self::X32];

    /// The module in the names of its probes.
    pub const fn module(self) -> &'static str {
        match self {
            Self::Native => "vmlinux",
            Self::Ia32 => "ia32",
            Self::X32 => "x32",
        }
    }

    /// Its number in what the C side asks and is asked.
    pub const fn index(self) -> u32 {
        match self {
            Self::Native => 0,
            Self::Ia32 => 1,
            Self::X32 => 2,
        }
    }
}

/// Which end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before the kernel acts on it.
    Entry,
    /// When its result is known.
    Return,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Entry, Self::Return];

    /// The name of its probes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Return => "return",
        }
    }
}

/// Numbers below this have probes. Linux 7.3 ends at 547, in x32.
pub const CALLS: u32 = 1 << NUMBER_BITS;

/// How many different values [`Call::place`] has.
pub const PLACES: usize = 2 * Abi::ALL.len() * CALLS as usize;

const NUMBER_BITS: u32 = 10;

/// `__X32_SYSCALL_BIT`, arch/x86/include/uapi/asm/unistd.h.
const X32_BIT: u64 = 0x4000_0000;

/// A system call.
///
/// # Invariants
///
/// Its number is less than [`CALLS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    abi: Abi,
    number: u16,
}

impl Call {
    /// Call `number` of `abi`; None from [`CALLS`] on.
    #[inline]
    pub fn new(abi: Abi, number: u32) -> Option<Self> {
        let number = (number < CALLS).then_some(number)?;
        let number = u16::try_from(number).ok()?;
        Some(Self { abi, number })
    }

    /// As the kernel's tracepoint tells it: `id` with the x32 bit in it, and whether the task entered
    /// the kernel by a 32-bit way. None: no call has that number.
    #[inline]
    pub fn traced(id: i64, ia32: bool) -> Option<Self> {
        // The kernel takes 32 bits of it: -1 is what a tracer puts there to have it skipped.
        let id = u64::try_from(id).ok()?;
        // Most calls are these.
        if !ia32 && id < u64::from(CALLS) {
            return Self::new(Abi::Native, id as u32);
        }
        let (abi, number) = match (ia32, id & X32_BIT != 0) {
            (true, _) => (Abi::Ia32, id),
            (false, false) => return None,
            (false, true) => (Abi::X32, id & !X32_BIT),
        };
        Self::new(abi, u32::try_from(number).ok()?)
    }

    /// Its ABI.
    #[inline]
    pub fn abi(self) -> Abi {
        self.abi
    }

    /// Its number in its ABI.
    #[inline]
    pub fn number(self) -> u32 {
        self.number.into()
    }

    /// Whether it comes back: `exit` and `exit_group` do not (arch/x86/entry/syscalls/*.tbl).
    #[inline]
    pub fn returns(self) -> bool {
        let exits = match self.abi {
            Abi::Native | Abi::X32 => [60, 231],
            Abi::Ia32 => [1, 252],
        };
        !exits.contains(&self.number)
    }

    /// A number for an end of it, less than [`PLACES`].
    #[inline]
    pub fn place(self, side: Side) -> usize {
        let side = match side {
            Side::Entry => 0,
            Side::Return => 1,
        };
        ((self.pack() as usize) << 1) | side
    }

    /// Which end of which call has that place.
    pub fn at(place: u64) -> Option<(Self, Side)> {
        let side = match place & 1 {
            0 => Side::Entry,
            _ => Side::Return,
        };
        let call = Self::unpack(place >> 1)?;
        (call.place(side) as u64 == place).then_some((call, side))
    }

    /// As 12 bits.
    pub(crate) fn pack(self) -> u64 {
        (u64::from(self.abi.index()) << NUMBER_BITS) | u64::from(self.number)
    }

    /// What [`Call::pack`] packed.
    pub(crate) fn unpack(packed: u64) -> Option<Self> {
        let abi = match (packed >> NUMBER_BITS) & 3 {
            0 => Abi::Native,
            1 => Abi::Ia32,
            2 => Abi::X32,
            _ => return None,
        };
        let number = u16::try_from(packed & u64::from(CALLS - 1)).ok()?;
        Some(Self { abi, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_tracepoint_s_number_names_the_abi() {
        let call = |id, ia32| Call::traced(id, ia32).map(|call| (call.abi(), call.number()));
        assert_eq!(call(39, false), Some((Abi::Native, 39)));
        assert_eq!(call(39, true), Some((Abi::Ia32, 39)));
        assert_eq!(call(0x4000_0000 | 520, false), Some((Abi::X32, 520)));
        // A 32-bit task with that bit in its number makes no x32 call.
        assert_eq!(call(0x4000_0000 | 520, true), None);
    }

    #[test]
    fn numbers_that_no_call_has() {
        for id in [-1, -38, 1024, 0x7fff_ffff, i64::MAX, i64::MIN] {
            assert_eq!(Call::traced(id, false), None, "{id}");
            assert_eq!(Call::traced(id, true), None, "{id}");
        }
    }

    #[test]
    fn every_end_of_every_call_has_its_own_place() {
        let mut places = BTreeSet::new();
        for abi in Abi::ALL {
            for number in 0..CALLS {
                let call = Call::new(abi, number).unwrap();
                assert_eq!(Call::unpack(call.pack()), Some(call));
                assert!(call.pack() < 1 << 12);
                for side in Side::ALL {
                    let place = call.place(side);
                    assert!(places.insert(place));
                    assert_eq!(Call::at(place as u64), Some((call, side)));
                }
            }
        }
        assert_eq!(places.len(), PLACES);
        assert_eq!(places.last(), Some(&(PLACES - 1)));
        assert_eq!(Call::new(Abi::Native, CALLS), None);
        assert_eq!(Call::at(PLACES as u64), None);
        assert_eq!(Call::at(u64::MAX), None);
    }

    #[test]
    fn exits_do_not_return() {
        let returns = |abi, number| Call::new(abi, number).unwrap().returns();
        assert!(!returns(Abi::Native, 60) && !returns(Abi::Native, 231));
        assert!(!returns(Abi::Ia32, 1) && !returns(Abi::Ia32, 252));
        assert!(!returns(Abi::X32, 231));
        assert!(returns(Abi::Native, 1) && returns(Abi::Ia32, 60));
    }
}
