// SPDX-License-Identifier: GPL-2.0
//! Aggregating functions: what a value looks like and how another joins it.

#![forbid(unsafe_code)]

use crate::error::Error;
use crate::half::write;
use dtrace_interface::action::ActionKind;
use dtrace_interface::aggregation::{quantize_bucket, Linear, LogLinear, QUANTIZE_BUCKETS};
use llquantize::Magnitudes;

#[cfg(test)]
mod against_reference;
mod llquantize;

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
}
