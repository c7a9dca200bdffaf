// SPDX-License-Identifier: GPL-2.0
//! Arithmetic of aggregating actions: what their values are and how one more is added.
//!
//! Layouts are those consumers of DTrace know, see [`dtrace_interface::aggregation`]. Any context;
//! time does not depend on the data.

use core::fmt;
use dtrace_interface::action::ActionKind;
use dtrace_interface::aggregation::{quantize_bucket, Linear, QUANTIZE_BUCKETS};

/// An aggregating action with its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Aggregate {
    Count,
    Minimum,
    Maximum,
    Average,
    Sum,
    StandardDeviation,
    Quantize,
    LinearQuantize { argument: u64 },
}

/// Why an aggregation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAggregate {
    /// Not an aggregating action, or one that is not offered.
    Unsupported(ActionKind),
    /// lquantize() with a step or levels of 0.
    Linear,
}

impl fmt::Display for BadAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(kind) => write!(f, "{}() is not supported", kind.name()),
            Self::Linear => f.write_str("lquantize() with a step or levels of 0"),
        }
    }
}

impl Aggregate {
    /// The aggregation of an action.
    pub fn new(kind: ActionKind, argument: u64) -> Result<Self, BadAggregate> {
        Ok(match kind {
            ActionKind::Count => Self::Count,
            ActionKind::Min => Self::Minimum,
            ActionKind::Max => Self::Maximum,
            ActionKind::Avg => Self::Average,
            ActionKind::Sum => Self::Sum,
            ActionKind::Stddev => Self::StandardDeviation,
            ActionKind::Quantize => Self::Quantize,
            ActionKind::Lquantize => {
                let linear = Linear::from_argument(argument);
                if linear.step == 0 || linear.levels == 0 {
                    return Err(BadAggregate::Linear);
                }
                Self::LinearQuantize { argument }
            }
            other => return Err(BadAggregate::Unsupported(other)),
        })
    }

    /// Words of its value.
    pub fn words(self) -> usize {
        match self {
            Self::Count | Self::Minimum | Self::Maximum | Self::Sum => 1,
            Self::Average => 2,
            Self::StandardDeviation => 4,
            Self::Quantize => QUANTIZE_BUCKETS,
            Self::LinearQuantize { argument } => 1 + Linear::from_argument(argument).buckets(),
        }
    }

    /// Bytes of its value.
    pub fn size(self) -> usize {
        self.words() * 8
    }

    /// Writes the value of no data at all. `data`: [`Aggregate::words`] words; if there are fewer, what
    /// does not fit is left out.
    pub fn begin(self, data: &mut [u64]) {
        data.fill(0);
        let first = match self {
            Self::Minimum => i64::MAX as u64,
            Self::Maximum => i64::MIN as u64,
            Self::LinearQuantize { argument } => argument,
            _ => return,
        };
        if let Some(word) = data.first_mut() {
            *word = first;
        }
    }

    /// Adds `value`, signed. `weight`: how often, for quantize() and lquantize(), which take it as
    /// an argument (1 if they do not); others do not look at it.
    pub fn add(self, data: &mut [u64], value: u64, weight: u64) {
        let signed = value as i64;
        match (self, data) {
            (Self::Count, [count, ..]) => *count = count.wrapping_add(1),
            (Self::Minimum, [least, ..]) => *least = (*least as i64).min(signed) as u64,
            (Self::Maximum, [most, ..]) => *most = (*most as i64).max(signed) as u64,
            (Self::Sum, [sum, ..]) => *sum = sum.wrapping_add(value),
            (Self::Average, [count, sum, ..]) => {
                *count = count.wrapping_add(1);
                *sum = sum.wrapping_add(value);
            }
            (Self::StandardDeviation, [count, sum, low, high, ..]) => {
                *count = count.wrapping_add(1);
                *sum = sum.wrapping_add(value);
                let squares = (u128::from(*high) << 64) | u128::from(*low);
                let square = u128::from(signed.unsigned_abs());
                let squares = squares.wrapping_add(square.wrapping_mul(square));
                *low = squares as u64;
                *high = (squares >> 64) as u64;
            }
            (Self::Quantize, buckets) => grow(buckets, quantize_bucket(signed), weight),
            (Self::LinearQuantize { argument }, [_, buckets @ ..]) => {
                let bucket = Linear::from_argument(argument).bucket(signed);
                grow(buckets, bucket, weight);
            }
            // Too few words.
            _ => {}
        }
    }
}

fn grow(buckets: &mut [u64], bucket: usize, weight: u64) {
    if let Some(bucket) = buckets.get_mut(bucket) {
        *bucket = bucket.wrapping_add(weight);
    }
}
