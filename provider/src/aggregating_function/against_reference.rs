// SPDX-License-Identifier: GPL-2.0
//! Aggregations against a slow reference: all values kept, the result made of them at the end.

use super::{get, Function};
use crate::error::Error;
use dtrace_interface::action::ActionKind;
use dtrace_interface::aggregation::{quantize_value, Linear, QUANTIZE_BUCKETS};

/// Numbers that look random, extremes among them.
fn numbers(seed: u64) -> Vec<i64> {
    let mut state = seed;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> 11
    };
    let mut all = vec![0, 1, -1, 2, -2, i64::MAX, i64::MIN, i64::MIN + 1];
    for _ in 0..500 {
        let shift = next() % 64;
        all.push((next().wrapping_mul(next()) as i64) >> shift);
    }
    all
}

fn aggregated(kind: ActionKind, argument: u64, numbers: &[i64]) -> Vec<u64> {
    let function = Function::new(kind, argument).unwrap();
    let mut data = vec![0; function.size()];
    function.begin(&mut data);
    for number in numbers {
        function.join(&mut data, *number as u64);
    }
    (0..data.len() / 8).map(|word| get(&data, word)).collect()
}

#[test]
fn sums() {
    for seed in 0..20 {
        let numbers = numbers(seed);
        let count = numbers.len() as u64;
        let sum = numbers.iter().map(|n| i128::from(*n)).sum::<i128>() as u64;
        let squares = numbers.iter().fold(0u128, |sum, n| {
            let magnitude = u128::from(n.unsigned_abs());
            sum.wrapping_add(magnitude * magnitude)
        });
        let of = |kind| aggregated(kind, 0, &numbers);
        assert_eq!(of(ActionKind::Count), [count]);
        assert_eq!(of(ActionKind::Sum), [sum]);
        assert_eq!(of(ActionKind::Avg), [count, sum]);
        assert_eq!(
            of(ActionKind::Stddev),
            [count, sum, squares as u64, (squares >> 64) as u64]
        );
        assert_eq!(of(ActionKind::Min), [i64::MIN as u64]);
        assert_eq!(of(ActionKind::Max), [i64::MAX as u64]);
        let few = &numbers[8..11];
        let least = *few.iter().min().unwrap();
        let most = *few.iter().max().unwrap();
        assert_eq!(aggregated(ActionKind::Min, 0, few), [least as u64]);
        assert_eq!(aggregated(ActionKind::Max, 0, few), [most as u64]);
    }
}

/// Bucket by bucket, by its bounds.
#[test]
fn quantize() {
    let numbers = numbers(1);
    let data = aggregated(ActionKind::Quantize, 0, &numbers);
    assert_eq!(data.len(), QUANTIZE_BUCKETS);
    for (bucket, in_bucket) in data.iter().enumerate() {
        let value = i128::from(quantize_value(bucket));
        let next = i128::from(quantize_value(bucket + 1));
        let inside = |n: i128| match bucket {
            0 => n <= value,
            // Down to twice the value, where the next bucket begins.
            _ if value < 0 => n <= value && n > value * 2,
            _ if value == 0 => n == 0,
            _ if bucket == QUANTIZE_BUCKETS - 1 => n >= value,
            _ => n >= value && n < next,
        };
        let count = numbers.iter().filter(|n| inside(i128::from(**n))).count();
        assert_eq!(*in_bucket, count as u64, "bucket {bucket}");
    }
    assert_eq!(data.iter().sum::<u64>(), numbers.len() as u64);
}

#[test]
fn lquantize() {
    let numbers: Vec<i64> = numbers(2).into_iter().chain(-300..300).collect();
    for (base, step, levels) in [
        (0, 1, 10),
        (-100, 7, 30),
        (i32::MIN, 65_535, 3),
        (i32::MAX, 1, 1),
        (5, 100, 65_535),
    ] {
        let linear = Linear { base, step, levels };
        let argument = linear.to_argument();
        let data = aggregated(ActionKind::Lquantize, argument, &numbers);
        assert_eq!(data[0], argument);
        let mut expected = vec![0; usize::from(levels) + 2];
        for number in &numbers {
            let mut bucket = 0;
            while bucket <= usize::from(levels)
                && i128::from(*number) >= i128::from(base) + bucket as i128 * i128::from(step)
            {
                bucket += 1;
            }
            expected[bucket] += 1;
        }
        assert_eq!(data[1..], expected);
    }
}

#[test]
fn refused() {
    let linear = |step, levels| {
        let linear = Linear {
            base: 0,
            step,
            levels,
        };
        Function::new(ActionKind::Lquantize, linear.to_argument())
    };
    assert_eq!(linear(0, 5), Err(Error::Invalid));
    assert_eq!(linear(5, 0), Err(Error::Invalid));
    assert!(Function::new(ActionKind::Printf, 0).is_err());
}

/// Too few bytes: nothing is written outside, nothing panics.
#[test]
fn short_data() {
    for kind in [
        ActionKind::Count,
        ActionKind::Stddev,
        ActionKind::Quantize,
        ActionKind::Avg,
    ] {
        let function = Function::new(kind, 0).unwrap();
        for words in 0..function.size() / 8 {
            let mut data = vec![0; words * 8];
            function.begin(&mut data);
            function.join(&mut data, 5);
            function.join(&mut data, -5i64 as u64);
        }
    }
}
