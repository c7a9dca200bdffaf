// SPDX-License-Identifier: GPL-2.0
//! Which bucket of llquantize() a value falls in.

use crate::error::Error;
use dtrace_interface::aggregation::LogLinear;

/// Buckets of llquantize(), checked: for each magnitude from `low` to `high`, the values from factor^m up
/// to factor^(m+1) in steps of factor^(m+1)/steps. Negative ones mirror them; between both is one
/// bucket for smaller values, and at either end one for larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Magnitudes {
    of: LogLinear,
    /// factor^(low + 1).
    first_end: u64,
    /// Steps in each magnitude that lie below it.
    below: u64,
}

impl Magnitudes {
    pub(super) fn new(of: LogLinear) -> Result<Self, Error> {
        let (factor, steps) = (u64::from(of.factor), u64::from(of.steps));
        if factor < 2 || of.low > of.high || steps.checked_rem(factor) != Some(0) || steps == 0 {
            return Err(Error::Invalid);
        }
        let below = steps.checked_div(factor).ok_or(Error::Invalid)?;
        let first_end = factor.checked_pow(u32::from(of.low) + 1);
        let first_end = first_end.ok_or(Error::Invalid)?;
        let mut end = first_end;
        for magnitude in of.low..=of.high {
            // A step is a whole number, or many steps share one.
            let divides = end.checked_rem(steps) == Some(0) || steps.checked_rem(end) == Some(0);
            if !divides || end > i64::MAX as u64 {
                return Err(Error::Invalid);
            }
            if magnitude < of.high {
                end = end.checked_mul(factor).ok_or(Error::Invalid)?;
            }
        }
        Ok(Self {
            of,
            first_end,
            below,
        })
    }

    /// Buckets of the values of one sign.
    fn side(self) -> usize {
        let magnitudes = usize::from(self.of.high.saturating_sub(self.of.low)) + 1;
        let each = u64::from(self.of.steps).saturating_sub(self.below) as usize;
        magnitudes.saturating_mul(each)
    }

    pub(super) fn buckets(self) -> usize {
        self.side().saturating_mul(2).saturating_add(3)
    }

    /// The bucket that a value falls in; bounded by the magnitudes, 64 at most.
    pub(super) fn bucket(self, value: i64) -> usize {
        let middle = self.side().saturating_add(1);
        let from_middle = self.distance(value.unsigned_abs());
        match value < 0 {
            true => middle.saturating_sub(from_middle),
            false => middle.saturating_add(from_middle),
        }
    }

    fn distance(self, size: u64) -> usize {
        let (factor, steps) = (u64::from(self.of.factor), u64::from(self.of.steps));
        let each = steps.saturating_sub(self.below);
        let mut end = self.first_end;
        if size < end.checked_div(factor).unwrap_or(0) {
            return 0;
        }
        let mut before = 0_u64;
        for _ in self.of.low..=self.of.high {
            if size < end {
                // Less than `steps` steps of this magnitude; `end` is less than 2^16 where a step is
                // less than one.
                let step = match end.checked_div(steps) {
                    Some(width) if width > 0 => size.checked_div(width),
                    _ => size.saturating_mul(steps).checked_div(end),
                };
                let step = step.unwrap_or(0).saturating_sub(self.below);
                return before.saturating_add(step).saturating_add(1) as usize;
            }
            before = before.saturating_add(each);
            end = end.saturating_mul(factor);
        }
        self.side().saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_linear([factor, low, high, steps]: [u16; 4]) -> Result<Magnitudes, Error> {
        Magnitudes::new(LogLinear {
            factor,
            low,
            high,
            steps,
        })
    }

    #[test]
    fn log_linear_buckets() {
        // As libdtrace labels them: for factor 10, magnitudes 0 and 1, 10 steps: 1..9, 10, 20..90, 100.
        let magnitudes = log_linear([10, 0, 1, 10]).unwrap();
        assert_eq!(magnitudes.buckets(), 9 * 2 * 2 + 3);
        let middle = 19;
        for (value, from_middle) in [
            (0, 0),
            (1, 1),
            (9, 9),
            (10, 10),
            (19, 10),
            (20, 11),
            (99, 18),
            (100, 19),
            (i64::MAX, 19),
        ] {
            assert_eq!(magnitudes.bucket(value), middle + from_middle, "{value}");
            assert_eq!(magnitudes.bucket(-value), middle - from_middle, "-{value}");
        }
        assert_eq!(magnitudes.bucket(i64::MIN), 0);

        // More steps than values in magnitude 0: buckets between are never used.
        let magnitudes = log_linear([10, 0, 1, 20]).unwrap();
        let middle = 1 + 2 * 18;
        for (value, from_middle) in [(1, 1), (2, 3), (9, 17), (10, 19), (14, 19), (15, 20)] {
            assert_eq!(magnitudes.bucket(value), middle + from_middle, "{value}");
        }

        let magnitudes = log_linear([10, 3, 5, 10]).unwrap();
        let middle = 1 + 3 * 9;
        for (value, from_middle) in [(999, 0), (1000, 1), (1999, 1), (2000, 2), (999_999, 27)] {
            assert_eq!(magnitudes.bucket(value), middle + from_middle, "{value}");
        }
    }

    #[test]
    fn log_linear_arguments_that_make_no_sense() {
        for wrong in [
            [0, 0, 1, 10],
            [1, 0, 1, 10],
            [10, 2, 1, 10],
            [10, 0, 1, 0],
            [10, 0, 1, 15],
            [10, 0, 1, 30],
            [10, 0, 19, 10],
            [10, 65535, 65535, 10],
        ] {
            assert_eq!(log_linear(wrong), Err(Error::Invalid), "{wrong:?}");
        }
    }
}
