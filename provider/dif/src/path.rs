// SPDX-License-Identifier: GPL-2.0
//! Subroutines on file names.

use crate::fault::Trouble;
use crate::instruction::Space;
use crate::memory::{Access, Bytes};
use crate::text::{copied, Builder};
use crate::Environment;

/// Where the parts of a path are: `directory / base /`.
struct Parts {
    /// Bytes of the directory, without the slashes behind it.
    directory: usize,
    /// Where the base begins and ends, slashes behind it left off.
    base: (usize, usize),
    length: usize,
}

/// One pass: what a slash, and what something else before or behind it, means for the parts.
fn parts<E: Environment>(access: &mut Access<'_, '_, E>, path: u64) -> Result<Parts, Trouble> {
    let mut bytes = Bytes::new(Space::Kernel, path);
    let mut parts = Parts {
        directory: 0,
        base: (0, 0),
        length: 0,
    };
    let mut after_slash = true;
    for at in 0..access.strsize() {
        let byte = bytes.next(access)?;
        if byte == 0 {
            break;
        }
        parts.length = at.saturating_add(1);
        if byte == b'/' {
            after_slash = true;
            continue;
        }
        if after_slash {
            parts.directory = parts.base.1;
            parts.base.0 = at;
        }
        parts.base.1 = at.saturating_add(1);
        after_slash = false;
    }
    Ok(parts)
}

fn literal<E: Environment>(access: &mut Access<'_, '_, E>, byte: u8) -> Result<u64, Trouble> {
    let mut string = Builder::new(access.strsize());
    string.push(access, byte)?;
    string.finish(access)
}

/// `basename`: the last component; `/` of slashes only, `.` of nothing.
pub(crate) fn base<E: Environment>(
    access: &mut Access<'_, '_, E>,
    path: u64,
) -> Result<u64, Trouble> {
    let Parts { base, length, .. } = parts(access, path)?;
    match (base.1, length) {
        (0, 0) => literal(access, b'.'),
        (0, _) => literal(access, b'/'),
        _ => copied(
            access,
            path.wrapping_add(base.0 as u64),
            base.1.saturating_sub(base.0),
        ),
    }
}

/// `dirname`: what lies before the last component; `/` or `.` if that is nothing.
pub(crate) fn directory<E: Environment>(
    access: &mut Access<'_, '_, E>,
    path: u64,
) -> Result<u64, Trouble> {
    let Parts {
        directory,
        base,
        length,
    } = parts(access, path)?;
    match (directory, base) {
        // Slashes only, or one component behind slashes.
        (0, (0, 0)) if length > 0 => literal(access, b'/'),
        (0, (begin, _)) if begin > 0 => literal(access, b'/'),
        (0, _) => literal(access, b'.'),
        (length, _) => copied(access, path, length),
    }
}

/// `cleanpath`: without empty components and `.`, and without each `..` that something comes before,
/// and that. The file system is not asked.
pub(crate) fn clean<E: Environment>(
    access: &mut Access<'_, '_, E>,
    path: u64,
) -> Result<u64, Trouble> {
    let mut bytes = Bytes::new(Space::Kernel, path);
    let mut clean = Builder::new(access.strsize());
    // Where the component that is being copied begins in `clean`.
    let mut begin = 0;
    let mut absolute = false;
    for at in 0..=access.strsize() {
        let byte = match at < access.strsize() {
            true => bytes.next(access)?,
            false => 0,
        };
        if byte != b'/' && byte != 0 {
            clean.push(access, byte)?;
            continue;
        }
        if at == 0 && byte == b'/' {
            absolute = true;
            clean.push(access, b'/')?;
            begin = clean.length();
            continue;
        }
        let all = clean.bytes(access);
        let component = all.get(begin..).unwrap_or_default();
        let before = all.get(..begin).unwrap_or_default();
        match component {
            b"" | b"." => clean.truncate(begin),
            b".." => {
                // `before` ends with a slash, if there is something.
                let trimmed = before.strip_suffix(b"/").unwrap_or_default();
                let parent = trimmed
                    .iter()
                    .rposition(|byte| *byte == b'/')
                    .map_or(0, |slash| slash.saturating_add(1));
                let can_go_up =
                    !trimmed.is_empty() && trimmed.get(parent..) != Some(b"..".as_slice());
                if can_go_up {
                    begin = parent;
                    clean.truncate(parent);
                } else if absolute {
                    // Nothing is above the root.
                    clean.truncate(begin);
                } else if byte == b'/' {
                    clean.push(access, b'/')?;
                    begin = clean.length();
                }
            }
            _ if byte == b'/' => {
                clean.push(access, b'/')?;
                begin = clean.length();
            }
            _ => {}
        }
        if byte == 0 {
            break;
        }
    }
    clean.finish(access)
}
