// SPDX-License-Identifier: GPL-2.0
//! Aggregating functions: what a value looks like and how another joins it.

#![forbid(unsafe_code)]

use crate::error::Error;
use crate::half::write;
use dtrace_interface::action::ActionKind;
use dtrace_interface::aggregation::{quantize_bucket, Linear, LogLinear, QUANTIZE_BUCKETS};

/// An aggregating function with its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    Stddev,
    Quantize,
    /// With the argument as it came.
    Lquantize(Linear, u64),
    /// With the argument as it came.
    Llquantize(Magnitudes, u64),
}

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
    fn new(of: LogLinear) -> Result<Self, Error> {
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

    fn buckets(self) -> usize {
        self.side().saturating_mul(2).saturating_add(3)
    }

    /// The bucket that a value falls in; bounded by the magnitudes, 64 at most.
    fn bucket(self, value: i64) -> usize {
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

impl Function {
    pub(crate) fn new(kind: ActionKind, argument: u64) -> Result<Self, Error> {
        Ok(match kind {
            ActionKind::Count => Self::Count,
            ActionKind::Sum => Self::Sum,
            ActionKind::Min => Self::Min,
            ActionKind::Max => Self::Max,
            ActionKind::Avg => Self::Avg,
            ActionKind::Stddev => Self::Stddev,
            ActionKind::Quantize => Self::Quantize,
            ActionKind::Lquantize => {
                let linear = Linear::from_argument(argument);
                if linear.step == 0 || linear.levels == 0 {
                    return Err(Error::Invalid);
                }
                Self::Lquantize(linear, argument)
            }
            ActionKind::Llquantize => {
                let of = LogLinear::from_argument(argument);
                Self::Llquantize(Magnitudes::new(of)?, argument)
            }
            other => return Err(Error::Unsupported(other.name())),
        })
    }

    /// Bytes of a value.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Count | Self::Sum | Self::Min | Self::Max => 8,
            Self::Avg => 16,
            Self::Stddev => 32,
            Self::Quantize => QUANTIZE_BUCKETS * 8,
            Self::Lquantize(linear, _) => 8 + linear.buckets() * 8,
            Self::Llquantize(magnitudes, _) => {
                magnitudes.buckets().saturating_mul(8).saturating_add(8)
            }
        }
    }

    /// Whether it needs a value to join.
    pub(crate) fn needs_value(self) -> bool {
        self != Self::Count
    }

    /// A value that nothing has joined; `to` holds zeros.
    pub(crate) fn begin(self, to: &mut [u8]) {
        match self {
            Self::Min => put(to, 0, i64::MAX as u64),
            Self::Max => put(to, 0, i64::MIN as u64),
            Self::Lquantize(_, argument) | Self::Llquantize(_, argument) => put(to, 0, argument),
            _ => {}
        }
    }

    /// `value` joins. Probe context.
    pub(crate) fn join(self, to: &mut [u8], value: u64) {
        match self {
            Self::Count => add(to, 0, 1),
            Self::Sum => add(to, 0, value),
            Self::Min => put(to, 0, (get(to, 0) as i64).min(value as i64) as u64),
            Self::Max => put(to, 0, (get(to, 0) as i64).max(value as i64) as u64),
            Self::Avg => {
                add(to, 0, 1);
                add(to, 1, value);
            }
            Self::Stddev => {
                add(to, 0, 1);
                add(to, 1, value);
                let magnitude = u128::from((value as i64).unsigned_abs());
                let squares = u128::from(get(to, 2)) | (u128::from(get(to, 3)) << 64);
                // At most 2^126 a step, and modulo 2^128 as DTrace.
                let squares = squares.wrapping_add(magnitude.wrapping_mul(magnitude));
                put(to, 2, squares as u64);
                put(to, 3, (squares >> 64) as u64);
            }
            Self::Quantize => add(to, quantize_bucket(value as i64), 1),
            Self::Lquantize(linear, _) => add(to, 1 + linear.bucket(value as i64), 1),
            Self::Llquantize(magnitudes, _) => {
                add(to, magnitudes.bucket(value as i64).saturating_add(1), 1);
            }
        }
    }
}

fn get(bytes: &[u8], word: usize) -> u64 {
    let at = word.saturating_mul(8);
    let bytes = bytes.get(at..at.saturating_add(8));
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_ne_bytes)
}

fn put(bytes: &mut [u8], word: usize, value: u64) {
    write(bytes, word.saturating_mul(8), &value.to_ne_bytes());
}

fn add(bytes: &mut [u8], word: usize, value: u64) {
    put(bytes, word, get(bytes, word).wrapping_add(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(function: Function, values: &[i64]) -> Vec<u64> {
        let mut bytes = vec![0; function.size()];
        function.begin(&mut bytes);
        for value in values {
            function.join(&mut bytes, *value as u64);
        }
        (0..bytes.len() / 8).map(|word| get(&bytes, word)).collect()
    }

    #[test]
    fn simple_functions() {
        let values = [3, -5, 7];
        assert_eq!(joined(Function::Count, &values), [3]);
        assert_eq!(joined(Function::Sum, &values), [5]);
        assert_eq!(joined(Function::Min, &values), [-5_i64 as u64]);
        assert_eq!(joined(Function::Max, &values), [7]);
        assert_eq!(joined(Function::Avg, &values), [3, 5]);
        assert_eq!(joined(Function::Stddev, &values), [3, 5, 9 + 25 + 49, 0]);
    }

    #[test]
    fn squares_carry() {
        assert_eq!(
            joined(Function::Stddev, &[i64::MIN, i64::MIN]),
            [2, 0, 0, 1 << 63]
        );
    }

    #[test]
    fn distributions() {
        let buckets = joined(Function::Quantize, &[0, 1, 5, 5, -1]);
        let used: Vec<_> = (0..buckets.len()).filter(|b| buckets[*b] != 0).collect();
        assert_eq!(used, [62, 63, 64, 66]);
        assert_eq!(buckets[66], 2);

        let linear = Linear {
            base: 0,
            step: 10,
            levels: 2,
        };
        let function = Function::new(ActionKind::Lquantize, linear.to_argument()).unwrap();
        assert_eq!(
            joined(function, &[-1, 0, 9, 10, 20, 99]),
            [linear.to_argument(), 1, 2, 1, 2]
        );
    }

    #[test]
    fn what_is_refused() {
        let refused = Function::new(ActionKind::Printf, 0);
        assert_eq!(refused, Err(Error::Unsupported("printf")));
        assert_eq!(
            Function::new(ActionKind::Lquantize, 0),
            Err(Error::Invalid),
            "no step"
        );
    }

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
