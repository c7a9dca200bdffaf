// SPDX-License-Identifier: GPL-2.0
//! Values of aggregating actions and their arguments.
//!
//! Value sizes: count, min, max, sum: one u64; avg: count and sum; stddev: count, sum and a 128-bit
//! sum of squares (low word first); quantize: [`QUANTIZE_BUCKETS`] u64; lquantize: its argument, then
//! levels + 2 u64; llquantize: its argument, then 2 * (high - low + 1) * (steps - steps / factor) + 3 u64:
//! too negative, negative ones from the largest down, smaller ones, positive ones, too large.

/// Buckets of quantize(): one for 0, 63 on either side.
pub const QUANTIZE_BUCKETS: usize = 127;
/// The bucket of quantize() for 0.
pub const QUANTIZE_ZERO: usize = 63;

/// The lowest value of a bucket of quantize() if it is positive, the highest if it is negative; 0
/// for a bucket out of range.
pub const fn quantize_value(bucket: usize) -> i64 {
    if bucket < QUANTIZE_ZERO {
        -(1 << (QUANTIZE_ZERO - 1 - bucket))
    } else if bucket == QUANTIZE_ZERO || bucket >= QUANTIZE_BUCKETS {
        0
    } else {
        1 << (bucket - QUANTIZE_ZERO - 1)
    }
}

/// The bucket of quantize() that a value falls in.
pub const fn quantize_bucket(value: i64) -> usize {
    // One less than the bits of a magnitude is the power of two below it. i64::MIN shares the
    // bucket of its next power, the lowest.
    let magnitude = value.unsigned_abs();
    if magnitude == 0 {
        return QUANTIZE_ZERO;
    }
    let power = magnitude.ilog2() as usize;
    if value > 0 {
        QUANTIZE_ZERO + 1 + power
    } else {
        (QUANTIZE_ZERO - 1).saturating_sub(power)
    }
}

/// Argument of lquantize(): step and levels in the upper half, base in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// The lowest value that is not "below".
    pub base: i32,
    /// Width of a level; 0 makes no sense and is for the reader to refuse.
    pub step: u16,
    /// How many levels there are.
    pub levels: u16,
}

impl Linear {
    /// From an action's argument.
    pub const fn from_argument(argument: u64) -> Self {
        Self {
            base: argument as u32 as i32,
            step: (argument >> 48) as u16,
            levels: (argument >> 32) as u16,
        }
    }

    /// As an action's argument.
    pub const fn to_argument(self) -> u64 {
        ((self.step as u64) << 48) | ((self.levels as u64) << 32) | self.base as u32 as u64
    }

    /// Buckets: the levels, one below and one above.
    pub const fn buckets(self) -> usize {
        self.levels as usize + 2
    }

    /// The bucket that a value falls in. A step of 0 puts all from the base on into the last.
    pub const fn bucket(self, value: i64) -> usize {
        let base = self.base as i64;
        if value < base {
            return 0;
        }
        let above = value.abs_diff(base);
        let last = self.levels as usize + 1;
        match above.checked_div(self.step as u64) {
            Some(level) if level < self.levels as u64 => level as usize + 1,
            _ => last,
        }
    }
}

/// Argument of llquantize(): four numbers of 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLinear {
    /// The base of the magnitudes.
    pub factor: u16,
    /// The lowest magnitude.
    pub low: u16,
    /// The highest magnitude.
    pub high: u16,
    /// Steps in each magnitude.
    pub steps: u16,
}

impl LogLinear {
    /// From an action's argument.
    pub const fn from_argument(argument: u64) -> Self {
        Self {
            factor: argument as u16,
            low: (argument >> 16) as u16,
            high: (argument >> 32) as u16,
            steps: (argument >> 48) as u16,
        }
    }

    /// As an action's argument.
    pub const fn to_argument(self) -> u64 {
        ((self.steps as u64) << 48)
            | ((self.high as u64) << 32)
            | ((self.low as u64) << 16)
            | self.factor as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantize_buckets_hold_what_they_say() {
        for bucket in 0..QUANTIZE_BUCKETS {
            assert_eq!(quantize_bucket(quantize_value(bucket)), bucket);
        }
        for (value, lowest) in [
            (1, 1),
            (3, 2),
            (4, 4),
            (i64::MAX, 1 << 62),
            (-3, -2),
            (-4, -4),
        ] {
            assert_eq!(quantize_value(quantize_bucket(value)), lowest, "{value}");
        }
        assert_eq!(quantize_bucket(i64::MIN), 0);
    }

    #[test]
    fn arguments_survive() {
        let linear = Linear {
            base: -5,
            step: 10,
            levels: 7,
        };
        assert_eq!(Linear::from_argument(linear.to_argument()), linear);
        let log = LogLinear {
            factor: 10,
            low: 1,
            high: 6,
            steps: 20,
        };
        assert_eq!(LogLinear::from_argument(log.to_argument()), log);
    }

    #[test]
    fn linear_buckets() {
        let linear = Linear {
            base: -5,
            step: 10,
            levels: 2,
        };
        for (value, bucket) in [
            (i64::MIN, 0),
            (-6, 0),
            (-5, 1),
            (4, 1),
            (5, 2),
            (14, 2),
            (15, 3),
            (i64::MAX, 3),
        ] {
            assert_eq!(linear.bucket(value), bucket, "{value}");
        }
        assert_eq!(linear.buckets(), 4);
        assert_eq!(Linear { step: 0, ..linear }.bucket(100), 3);
    }
}
