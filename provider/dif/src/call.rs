// SPDX-License-Identifier: GPL-2.0
//! Subroutines. Each takes time linear in `strsize` or in the size it is given; strings they make
//! lie in scratch, have `strsize` bytes at most, NUL included, and are cut where longer.

use crate::address::Window;
use crate::fault::{FaultKind, Trouble};
use crate::instruction::Space;
use crate::memory::{Access, Bytes};
use crate::progress::Tokens;
use crate::tuple::Tuple;
use crate::{path, text, Environment};
use dtrace_interface::subroutine::Subroutine;

/// Runs subroutine `number` with the tuple stack as its arguments; its value. An argument that was
/// not pushed is an illegal operation.
pub(crate) fn call<E: Environment>(
    access: &mut Access<'_, '_, E>,
    tuple: &Tuple,
    tokens: &mut Tokens,
    number: u16,
) -> Result<u64, Trouble> {
    let subroutine = Subroutine::from_raw(number).ok_or(FaultKind::IllegalOperation)?;
    let argument = |n| tuple.argument(n);
    let count = tuple.entries().len();
    match subroutine {
        Subroutine::Rand => Ok(access.environment.random()),
        Subroutine::Progenyof => {
            let progeny = access.environment.progeny_of(argument(0)?)?;
            Ok(u64::from(progeny))
        }
        Subroutine::Htons | Subroutine::Ntohs => Ok(u64::from((argument(0)? as u16).swap_bytes())),
        Subroutine::Htonl | Subroutine::Ntohl => Ok(u64::from((argument(0)? as u32).swap_bytes())),
        Subroutine::Htonll | Subroutine::Ntohll => Ok(argument(0)?.swap_bytes()),

        Subroutine::Alloca => access.allocate(argument(0)?),
        Subroutine::Bcopy => {
            let (from, to, length) = (argument(0)?, argument(1)?, argument(2)?);
            access.copy(Space::Kernel, from, to, length)?;
            Ok(0)
        }
        Subroutine::Copyin => {
            let (from, length) = (argument(0)?, argument(1)?);
            let to = access.allocate(length)?;
            copy_in(access, from, to, length)?;
            Ok(to)
        }
        Subroutine::Copyinto => {
            let (from, length, to) = (argument(0)?, argument(1)?, argument(2)?);
            copy_in(access, from, to, length)?;
            Ok(0)
        }
        Subroutine::Copyinstr => {
            let most = match count {
                0 | 1 => access.strsize(),
                _ => usize::try_from(argument(1)?)
                    .unwrap_or(usize::MAX)
                    .min(access.strsize()),
            };
            copy_in_string(access, argument(0)?, most)
        }

        Subroutine::Strlen => {
            let most = access.strsize();
            let length = access.string_length(Space::Kernel, argument(0)?, most)?;
            Ok(length as u64)
        }
        Subroutine::Strjoin => text::join(access, argument(0)?, argument(1)?),
        Subroutine::Lltostr => {
            let base = match count {
                0 | 1 => 10,
                _ => argument(1)?,
            };
            text::number(access, argument(0)?, base)
        }
        Subroutine::Strchr => text::first_byte(access, argument(0)?, argument(1)? as u8),
        Subroutine::Strrchr => text::last_byte(access, argument(0)?, argument(1)? as u8),
        Subroutine::Strstr => {
            let string = argument(0)?;
            let at = text::first(access, string, argument(1)?, 0)?;
            Ok(at.map_or(0, |at| string.wrapping_add(at as u64)))
        }
        Subroutine::Index => {
            let from = match count {
                0..=2 => 0,
                _ => argument(2)? as i64,
            };
            let at = text::first(access, argument(0)?, argument(1)?, from)?;
            Ok(at.map_or(u64::MAX, |at| at as u64))
        }
        Subroutine::Rindex => {
            let from = match count {
                0..=2 => i64::MAX,
                _ => argument(2)? as i64,
            };
            let at = text::last(access, argument(0)?, argument(1)?, from)?;
            Ok(at.map_or(u64::MAX, |at| at as u64))
        }
        Subroutine::Substr => {
            let length = match count {
                0..=2 => None,
                _ => Some(argument(2)? as i64),
            };
            text::part(access, argument(0)?, argument(1)? as i64, length)
        }
        Subroutine::Strtok => text::token(access, tokens, argument(0)?, argument(1)?),
        Subroutine::Basename => path::base(access, argument(0)?),
        Subroutine::Dirname => path::directory(access, argument(0)?),
        Subroutine::Cleanpath => path::clean(access, argument(0)?),

        // Refused by validation.
        Subroutine::MutexOwned
        | Subroutine::MutexOwner
        | Subroutine::MutexTypeAdaptive
        | Subroutine::MutexTypeSpin
        | Subroutine::RwReadHeld
        | Subroutine::RwWriteHeld
        | Subroutine::RwIsWriter
        | Subroutine::Speculation
        | Subroutine::Copyout
        | Subroutine::Copyoutstr
        | Subroutine::Msgdsize
        | Subroutine::Msgsize
        | Subroutine::Getmajor
        | Subroutine::Getminor
        | Subroutine::DdiPathname
        | Subroutine::InetNtop
        | Subroutine::InetNtoa
        | Subroutine::InetNtoa6
        | Subroutine::DPath
        | Subroutine::LinkNtop => Err(FaultKind::IllegalOperation.into()),
    }
}

/// Copies user memory: into scratch at once, into variables a line at a time.
fn copy_in<E: Environment>(
    access: &mut Access<'_, '_, E>,
    from: u64,
    to: u64,
    length: u64,
) -> Result<(), Trouble> {
    let bad = || Trouble::at(FaultKind::BadAddress, to);
    let Some((Window::Scratch, offset)) = Window::of(to) else {
        return access.copy(Space::User, from, to, length);
    };
    let used = *access.used;
    let start = offset as usize;
    let end = usize::try_from(length)
        .ok()
        .and_then(|length| start.checked_add(length))
        .filter(|end| *end <= used)
        .ok_or_else(bad)?;
    access.spend(length)?;
    let into = access.memory.scratch.get_mut(start..end).ok_or_else(bad)?;
    let read = access.environment.user(from, into);
    read.map_err(|kind| Trouble::at(kind, from))
}

/// Copies a string of user memory, of `size` bytes at most with its NUL.
fn copy_in_string<E: Environment>(
    access: &mut Access<'_, '_, E>,
    from: u64,
    size: usize,
) -> Result<u64, Trouble> {
    let mut bytes = Bytes::new(Space::User, from);
    let mut string = text::Builder::new(size);
    while string.has_room() {
        match bytes.next(access)? {
            0 => break,
            byte => string.push(access, byte)?,
        }
    }
    string.finish(access)
}
