// SPDX-License-Identifier: GPL-2.0
//! Histograms of times: a bucket for each power of two.

use core::ops::AddAssign;

/// Buckets of a [`Histogram`]: bucket `n` counts what took `2^n` to `2^(n+1) - 1` ns, bucket 0 also
/// what took none, the last one also everything longer (9 minutes and up).
pub const LATENCY_BUCKETS: usize = 40;

/// The bucket that counts what took `ns`.
#[inline]
pub(crate) fn bucket_of(ns: u64) -> usize {
    (ns.max(1).ilog2() as usize).min(LATENCY_BUCKETS - 1)
}

/// How many calls took how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Histogram(pub [u64; LATENCY_BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; LATENCY_BUCKETS])
    }
}

impl Histogram {
    /// How many calls.
    pub fn calls(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What `per_mille` in 1,000 calls took at most, in nanoseconds: the end of the bucket that the
    /// last of them is in, so twice the truth at worst. 0 if there were no calls.
    pub fn quantile_ns(&self, per_mille: u64) -> u64 {
        let calls = u128::from(self.calls());
        // No division: some kernels have none of that width.
        let wanted = calls * u128::from(per_mille.min(1000));
        let mut seen = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            seen += u128::from(*count);
            if *count != 0 && seen * 1000 >= wanted {
                return Self::end_ns(bucket);
            }
        }
        0
    }

    /// The longest time that bucket `bucket` counts.
    pub fn end_ns(bucket: usize) -> u64 {
        (2u64 << bucket.min(LATENCY_BUCKETS - 1)) - 1
    }

    /// What was counted since `earlier`, an older snapshot of the same counters.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(core::array::from_fn(|bucket| {
            self.0[bucket].saturating_sub(earlier.0[bucket])
        }))
    }
}

impl AddAssign<&Self> for Histogram {
    fn add_assign(&mut self, other: &Self) {
        for (sum, bucket) in self.0.iter_mut().zip(&other.0) {
            *sum += bucket;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn of(times: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for ns in times {
            histogram.0[bucket_of(*ns)] += 1;
        }
        histogram
    }

    #[test]
    fn a_bucket_is_a_power_of_two() {
        for (ns, bucket) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 1),
            (4, 2),
            (1023, 9),
            (1024, 10),
        ] {
            assert_eq!(bucket_of(ns), bucket, "{ns}");
            assert!(Histogram::end_ns(bucket) >= ns, "{ns}");
        }
        assert_eq!(bucket_of(u64::MAX), LATENCY_BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_bounds() {
        let even = of(&[1, 5, 9, 17, 33, 65, 129, 257, 513, 1025]);
        assert_eq!(even.calls(), 10);
        assert_eq!(even.quantile_ns(500), 63);
        assert_eq!(even.quantile_ns(501), 127);
        assert_eq!(even.quantile_ns(1000), 2047);
        assert_eq!(even.quantile_ns(0), 1);
        assert_eq!(Histogram::default().quantile_ns(500), 0);
        assert_eq!(of(&[100; 1000]).quantile_ns(999), 127);
    }

    #[test]
    fn since_an_earlier_one() {
        let earlier = of(&[4, 4]);
        let mut later = earlier;
        later += &of(&[8]);
        assert_eq!(later.since(&earlier), of(&[8]));
        assert_eq!(earlier.since(&later), Histogram::default());
    }
}
