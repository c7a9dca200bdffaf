// SPDX-License-Identifier: GPL-2.0
//! Subroutines on strings.

use crate::address::Window;
use crate::fault::{FaultKind, Trouble};
use crate::instruction::Space;
use crate::memory::{Access, Bytes};
use crate::progress::Tokens;
use crate::Environment;

/// A string that is being made in free scratch. Nothing else may take scratch meanwhile.
pub(crate) struct Builder {
    length: usize,
    /// Most bytes, NUL not counted.
    most: usize,
}

impl Builder {
    /// For `size` bytes at most, NUL included.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            length: 0,
            most: size.saturating_sub(1),
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.length < self.most
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// What there is so far.
    pub(crate) fn bytes<'s, E: Environment>(&self, access: &'s mut Access<'_, '_, E>) -> &'s [u8] {
        access.free().get(..self.length).unwrap_or_default()
    }

    /// Appends a byte, unless the string is full.
    pub(crate) fn push<E: Environment>(
        &mut self,
        access: &mut Access<'_, '_, E>,
        byte: u8,
    ) -> Result<(), FaultKind> {
        if self.has_room() {
            let slot = access.free().get_mut(self.length);
            *slot.ok_or(FaultKind::NoScratch)? = byte;
            self.length += 1;
        }
        Ok(())
    }

    /// Appends `length` bytes of memory.
    pub(crate) fn copy<E: Environment>(
        &mut self,
        access: &mut Access<'_, '_, E>,
        from: u64,
        length: usize,
    ) -> Result<(), Trouble> {
        let mut bytes = Bytes::new(Space::Kernel, from);
        for _ in 0..length.min(self.most.saturating_sub(self.length)) {
            let byte = bytes.next(access)?;
            self.push(access, byte)?;
        }
        Ok(())
    }

    /// Cuts it.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Ends it; its address.
    pub(crate) fn finish<E: Environment>(
        self,
        access: &mut Access<'_, '_, E>,
    ) -> Result<u64, Trouble> {
        let slot = access.free().get_mut(self.length);
        *slot.ok_or(FaultKind::NoScratch)? = 0;
        Ok(access.keep(self.length.saturating_add(1)))
    }
}

/// A copy of `length` bytes at `from`, as a string.
pub(crate) fn copied<E: Environment>(
    access: &mut Access<'_, '_, E>,
    from: u64,
    length: usize,
) -> Result<u64, Trouble> {
    let mut string = Builder::new(access.strsize());
    string.copy(access, from, length)?;
    string.finish(access)
}

fn length<E: Environment>(access: &mut Access<'_, '_, E>, of: u64) -> Result<usize, Trouble> {
    let most = access.strsize();
    access.string_length(Space::Kernel, of, most)
}

/// `strjoin`
pub(crate) fn join<E: Environment>(
    access: &mut Access<'_, '_, E>,
    one: u64,
    other: u64,
) -> Result<u64, Trouble> {
    let mut string = Builder::new(access.strsize());
    for part in [one, other] {
        let mut bytes = Bytes::new(Space::Kernel, part);
        while string.has_room() {
            match bytes.next(access)? {
                0 => break,
                byte => string.push(access, byte)?,
            }
        }
    }
    string.finish(access)
}

/// `lltostr`: signed in base 10, else unsigned, with `0x` in base 16 and `0` in base 8.
pub(crate) fn number<E: Environment>(
    access: &mut Access<'_, '_, E>,
    value: u64,
    base: u64,
) -> Result<u64, Trouble> {
    if !(2..=36).contains(&base) {
        return Err(FaultKind::IllegalOperation.into());
    }
    let negative = base == 10 && (value as i64) < 0;
    let mut rest = match negative {
        true => (value as i64).unsigned_abs(),
        false => value,
    };
    // 64 digits in base 2.
    let mut digits = [0; 64];
    let mut from = digits.len();
    loop {
        let digit = rest.checked_rem(base).unwrap_or_default() as u8;
        from = from.saturating_sub(1);
        if let Some(slot) = digits.get_mut(from) {
            *slot = match digit {
                0..=9 => b'0'.wrapping_add(digit),
                _ => b'a'.wrapping_add(digit.wrapping_sub(10)),
            };
        }
        rest = rest.checked_div(base).unwrap_or_default();
        if rest == 0 || from == 0 {
            break;
        }
    }
    let prefix: &[u8] = match base {
        10 if negative => b"-",
        16 => b"0x",
        8 if value != 0 => b"0",
        _ => b"",
    };
    let mut string = Builder::new(access.strsize());
    for byte in prefix.iter().chain(digits.get(from..).unwrap_or_default()) {
        string.push(access, *byte)?;
    }
    string.finish(access)
}

/// `strchr`: the address, or 0. A NUL is found at the string's end.
pub(crate) fn first_byte<E: Environment>(
    access: &mut Access<'_, '_, E>,
    string: u64,
    byte: u8,
) -> Result<u64, Trouble> {
    let mut bytes = Bytes::new(Space::Kernel, string);
    for at in 0..access.strsize() as u64 {
        match bytes.next(access)? {
            found if found == byte => return Ok(string.wrapping_add(at)),
            0 => break,
            _ => {}
        }
    }
    Ok(0)
}

/// `strrchr`
pub(crate) fn last_byte<E: Environment>(
    access: &mut Access<'_, '_, E>,
    string: u64,
    byte: u8,
) -> Result<u64, Trouble> {
    let mut bytes = Bytes::new(Space::Kernel, string);
    let mut last = 0;
    for at in 0..access.strsize() as u64 {
        let next = bytes.next(access)?;
        if next == byte {
            last = string.wrapping_add(at);
        }
        if next == 0 {
            break;
        }
    }
    Ok(last)
}

/// Where `part` begins first in `string`, at `from` or later; a negative `from` is 0.
pub(crate) fn first<E: Environment>(
    access: &mut Access<'_, '_, E>,
    string: u64,
    part: u64,
    from: i64,
) -> Result<Option<usize>, Trouble> {
    let from = usize::try_from(from.max(0)).unwrap_or(usize::MAX);
    let part_length = length(access, part)?;
    if part_length == 0 {
        // An empty string is everywhere, and at the end for what lies beyond.
        return Ok(Some(from.min(length(access, string)?)));
    }
    let mut found = None;
    matches(access, string, part, part_length, |at| {
        if at >= from {
            found = Some(at);
        }
        found.is_none()
    })?;
    Ok(found)
}

/// Where `part` begins last in `string`, at `from` or earlier.
pub(crate) fn last<E: Environment>(
    access: &mut Access<'_, '_, E>,
    string: u64,
    part: u64,
    from: i64,
) -> Result<Option<usize>, Trouble> {
    let part_length = length(access, part)?;
    let Ok(from) = usize::try_from(from) else {
        // Only the empty string is before the beginning.
        return Ok((part_length == 0).then_some(0));
    };
    if part_length == 0 {
        return Ok(Some(from.min(length(access, string)?)));
    }
    let mut found = None;
    matches(access, string, part, part_length, |at| {
        if at <= from {
            found = Some(at);
        }
        at < from
    })?;
    Ok(found)
}

/// Tells where `part` begins in `string`, in order, as long as `more` wants to hear of it. Knuth,
/// Morris and Pratt's search, so that its time is linear: a copy of `part` and, for each of its
/// beginnings, the longest end of it that is a beginning too (2 bytes) lie in free scratch.
fn matches<E: Environment>(
    access: &mut Access<'_, '_, E>,
    string: u64,
    part: u64,
    part_length: usize,
    mut more: impl FnMut(usize) -> bool,
) -> Result<(), Trouble> {
    if access.free().len() < part_length.saturating_mul(3) {
        return Err(FaultKind::NoScratch.into());
    }
    let mut bytes = Bytes::new(Space::Kernel, part);
    for at in 0..part_length {
        let byte = bytes.next(access)?;
        if let Some(slot) = access.free().get_mut(at) {
            *slot = byte;
        }
    }
    // `overlap(n)`: of the beginning of n + 1 bytes.
    fn overlap(free: &[u8], part_length: usize, n: usize) -> usize {
        let at = part_length.saturating_add(n.saturating_mul(2));
        let number = free.get(at..).and_then(|rest| rest.first_chunk());
        usize::from(number.map_or(0, |number| u16::from_ne_bytes(*number)))
    }
    // How much of `part` the text ends with, once `byte` is appended. Each turn of the loop undoes a
    // byte that an earlier call added, and there are at most `part_length` of them.
    fn advanced(free: &[u8], part_length: usize, matched: usize, byte: u8) -> usize {
        let mut matched = matched;
        for _ in 0..=part_length {
            if matched < part_length && free.get(matched) == Some(&byte) {
                return matched.saturating_add(1);
            }
            match matched.checked_sub(1) {
                Some(n) => matched = overlap(free, part_length, n),
                None => return 0,
            }
        }
        0
    }
    let mut matched = 0;
    for at in 0..part_length {
        let free = access.free();
        if at > 0 {
            let byte = free.get(at).copied().unwrap_or_default();
            matched = advanced(free, part_length, matched, byte);
        }
        let slot = part_length.saturating_add(at.saturating_mul(2));
        let slot = free.get_mut(slot..).and_then(|rest| rest.first_chunk_mut());
        *slot.ok_or(FaultKind::NoScratch)? = (matched as u16).to_ne_bytes();
    }
    let mut matched = 0;
    let mut bytes = Bytes::new(Space::Kernel, string);
    for at in 0..access.strsize() {
        let byte = bytes.next(access)?;
        if byte == 0 {
            break;
        }
        matched = advanced(access.free(), part_length, matched, byte);
        let begins = at.saturating_add(1).saturating_sub(part_length);
        if matched == part_length && !more(begins) {
            break;
        }
    }
    Ok(())
}

/// `substr`: a negative index counts from the end, a negative length leaves so many off the end.
pub(crate) fn part<E: Environment>(
    access: &mut Access<'_, '_, E>,
    string: u64,
    index: i64,
    wanted: Option<i64>,
) -> Result<u64, Trouble> {
    let whole = length(access, string)? as i64;
    let begin = match index < 0 {
        true => whole.saturating_add(index),
        false => index,
    };
    let end = match wanted {
        None => whole,
        Some(wanted) if wanted < 0 => whole.saturating_add(wanted),
        // What lies before the string counts.
        Some(wanted) => begin.saturating_add(wanted),
    };
    let begin = begin.clamp(0, whole);
    let end = end.clamp(begin, whole);
    let from = string.wrapping_add(begin as u64);
    copied(access, from, end.saturating_sub(begin) as usize)
}

/// `strtok`: a string of 0 goes on with the last one. The string is not changed: tokens are copies.
pub(crate) fn token<E: Environment>(
    access: &mut Access<'_, '_, E>,
    tokens: &mut Tokens,
    string: u64,
    separators: u64,
) -> Result<u64, Trouble> {
    // A bit a byte.
    let mut separates = [0u64; 4];
    let mut bytes = Bytes::new(Space::Kernel, separators);
    for _ in 0..access.strsize() {
        let byte = bytes.next(access)?;
        // A NUL separates too.
        if let Some(word) = separates.get_mut(usize::from(byte / 64)) {
            *word |= 1 << (byte % 64);
        }
        if byte == 0 {
            break;
        }
    }
    let is_separator = |byte: u8| {
        let word = separates.get(usize::from(byte / 64)).copied();
        (word.unwrap_or_default() >> (byte % 64)) & 1 != 0
    };
    if string != 0 {
        let length = length(access, string)?;
        // A string of this program's own is another one in the next program: that goes on with a copy.
        let rest = match Window::of(string) {
            Some((Window::Strings, _)) => copied(access, string, length)?,
            _ => string,
        };
        *tokens = Tokens { rest, length };
    }
    let Tokens { rest, length } = *tokens;
    if rest == 0 {
        return Ok(0);
    }
    let mut bytes = Bytes::new(Space::Kernel, rest);
    let mut begin = None;
    let mut end = length;
    for at in 0..length {
        match (is_separator(bytes.next(access)?), begin) {
            (false, None) => begin = Some(at),
            (true, Some(_)) => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let Some(begin) = begin else {
        *tokens = Tokens::default();
        return Ok(0);
    };
    let token = copied(
        access,
        rest.wrapping_add(begin as u64),
        end.saturating_sub(begin),
    )?;
    let after = end.saturating_add(1);
    *tokens = match after < length {
        true => Tokens {
            rest: rest.wrapping_add(after as u64),
            length: length.saturating_sub(after),
        },
        false => Tokens::default(),
    };
    Ok(token)
}
