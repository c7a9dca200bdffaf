// SPDX-License-Identifier: GPL-2.0
//! Numbers that are at hand when a probe fires: a clause that leaves no others takes no interpreter.

#![forbid(unsafe_code)]

/// A number of the arguments and the process alone: it needs no environment and cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtHand {
    /// An argument of the probe, by index below 10.
    Argument(u8),
    /// The process.
    Process,
    /// Itself.
    Integer(u64),
}

impl AtHand {
    /// The number. Any context.
    #[inline(always)]
    pub fn number(self, args: &[u64; 10], process: u32) -> u64 {
        match self {
            Self::Argument(index) => args.get(usize::from(index)).copied().unwrap_or_default(),
            Self::Process => process.into(),
            Self::Integer(number) => number,
        }
    }
}

/// A number that a clause leaves, and where in its record area.
pub(crate) struct Value {
    number: AtHand,
    /// So small that its end is no overflow.
    offset: u32,
    /// In 8 bytes; else in 4.
    is_long: bool,
}

impl Value {
    /// None: such a number does not have so many bytes.
    pub(crate) fn new(number: AtHand, offset: usize, size: usize) -> Option<Self> {
        let is_long = match size {
            8 => true,
            4 => false,
            _ => return None,
        };
        Some(Self {
            number,
            offset: u32::try_from(offset).ok()?,
            is_long,
        })
    }

    /// Leaves it: little-endian, as the kernel is. Probe context.
    #[inline(always)]
    pub(crate) fn leave(&self, args: &[u64; 10], process: u32, area: &mut [u8]) {
        let number = self.number.number(args, process);
        let offset = self.offset as usize;
        if self.is_long {
            if let Some(place) = area.get_mut(offset..offset.wrapping_add(8)) {
                place.copy_from_slice(&number.to_le_bytes());
            }
        } else if let Some(place) = area.get_mut(offset..offset.wrapping_add(4)) {
            place.copy_from_slice(&(number as u32).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_where_it_belongs_and_nowhere_else() {
        let args = core::array::from_fn(|n| 0x1_0000_0000 + n as u64);
        let mut area = [0xee; 24];
        let all = [
            (AtHand::Argument(2), 8, 8),
            (AtHand::Process, 4, 4),
            (AtHand::Integer(u64::MAX), 16, 4),
            (AtHand::Argument(9), 20, 8),
            (AtHand::Process, 40, 4),
        ];
        for (number, offset, size) in all {
            let value = Value::new(number, offset, size).unwrap();
            value.leave(&args, 7, &mut area);
        }
        let mut expected = [0xee; 24];
        expected[4..8].copy_from_slice(&7_u32.to_le_bytes());
        expected[8..16].copy_from_slice(&0x1_0000_0002_u64.to_le_bytes());
        expected[16..20].copy_from_slice(&[0xff; 4]);
        assert_eq!(area, expected, "what does not fit is not there");
        assert!(Value::new(AtHand::Process, 8, 2).is_none());
    }
}
