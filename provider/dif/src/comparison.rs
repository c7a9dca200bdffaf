// SPDX-License-Identifier: GPL-2.0
//! Comparisons, and the branches that look at them.

use crate::fault::Trouble;
use crate::instruction::{Condition, Space};
use crate::memory::{Access, Bytes};
use crate::Environment;
use core::cmp::Ordering;

/// What the last comparison found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    pub(crate) signed: Ordering,
    pub(crate) unsigned: Ordering,
}

impl Comparison {
    /// Before any comparison. As DTrace, which has all its flags down then: not equal, not less.
    pub(crate) const NONE: Self = Self {
        signed: Ordering::Greater,
        unsigned: Ordering::Greater,
    };

    pub(crate) fn of(one: u64, other: u64) -> Self {
        Self {
            signed: (one as i64).cmp(&(other as i64)),
            unsigned: one.cmp(&other),
        }
    }

    pub(crate) fn holds(self, condition: Condition) -> bool {
        match condition {
            Condition::Always => true,
            Condition::Equal => self.signed.is_eq(),
            Condition::NotEqual => self.signed.is_ne(),
            Condition::Greater => self.signed.is_gt(),
            Condition::GreaterEqual => self.signed.is_ge(),
            Condition::Less => self.signed.is_lt(),
            Condition::LessEqual => self.signed.is_le(),
            Condition::GreaterUnsigned => self.unsigned.is_gt(),
            Condition::GreaterEqualUnsigned => self.unsigned.is_ge(),
            Condition::LessUnsigned => self.unsigned.is_lt(),
            Condition::LessEqualUnsigned => self.unsigned.is_le(),
        }
    }
}

/// Compares up to `strsize` bytes.
pub(crate) fn compare_strings<E: Environment>(
    access: &mut Access<'_, '_, E>,
    one: u64,
    other: u64,
) -> Result<Ordering, Trouble> {
    // The same address need not be read: a null string equals itself only.
    if one == other {
        return Ok(Ordering::Equal);
    }
    if one == 0 || other == 0 {
        return Ok(one.cmp(&other));
    }
    let (mut ones, mut others) = (
        Bytes::new(Space::Kernel, one),
        Bytes::new(Space::Kernel, other),
    );
    for _ in 0..access.strsize() {
        let (one, other) = (ones.next(access)?, others.next(access)?);
        match one.cmp(&other) {
            Ordering::Equal if one == 0 => break,
            Ordering::Equal => {}
            unequal => return Ok(unequal),
        }
    }
    Ok(Ordering::Equal)
}
