// SPDX-License-Identifier: GPL-2.0
//! Arithmetic: wrapping, as DTrace's.

use crate::fault::FaultKind;
use crate::instruction::Binary;

/// Shifts take their count modulo 64. The smallest number divided by -1 stays what it is.
#[inline]
pub(crate) fn binary(op: Binary, one: u64, other: u64) -> Result<u64, FaultKind> {
    let zero = FaultKind::DivideByZero;
    Ok(match op {
        Binary::Or => one | other,
        Binary::Xor => one ^ other,
        Binary::And => one & other,
        Binary::ShiftLeft => one.wrapping_shl(other as u32),
        Binary::ShiftRight => one.wrapping_shr(other as u32),
        Binary::ShiftRightSigned => (one as i64).wrapping_shr(other as u32) as u64,
        Binary::Subtract => one.wrapping_sub(other),
        Binary::Add => one.wrapping_add(other),
        Binary::Multiply => one.wrapping_mul(other),
        Binary::DivideUnsigned => one.checked_div(other).ok_or(zero)?,
        Binary::RemainderUnsigned => one.checked_rem(other).ok_or(zero)?,
        Binary::DivideSigned if other == 0 => return Err(zero),
        Binary::DivideSigned => match (one as i64).checked_div(other as i64) {
            Some(quotient) => quotient as u64,
            None => one,
        },
        Binary::RemainderSigned if other == 0 => return Err(zero),
        Binary::RemainderSigned => match (one as i64).checked_rem(other as i64) {
            Some(rest) => rest as u64,
            None => 0,
        },
    })
}

/// The number of so many bytes as a signed one.
#[inline]
pub(crate) fn sign_extended(value: u64, bytes: usize) -> u64 {
    let unused = 64u32.saturating_sub(bytes as u32 * 8);
    (value.wrapping_shl(unused) as i64).wrapping_shr(unused) as u64
}
