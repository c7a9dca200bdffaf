// SPDX-License-Identifier: GPL-2.0
//! The memory a clause's programs use, and every access of theirs to it or beyond.

use crate::address::Window;
use crate::fault::{FaultKind, Trouble};
use crate::instruction::Space;
use crate::store::Store;
use crate::validate::MAX_STRSIZE;
use crate::variables::Declarations;
use crate::Environment;
use crate::Word;
use xcall_primitive::Ordering;

/// Bytes that are read at once from memory that is not the program's: never across a multiple of
/// this, so never across a page.
pub(crate) const LINE: usize = 64;

/// Bytes that all programs of a firing may read, write, clear and search, together: many long copies would
/// hold up their CPU else. What asks for more is an illegal operation.
pub const MAX_TOUCHED: u32 = 1 << 20;

/// What a clause's programs may use in one firing, lent by the caller.
#[derive(Debug)]
pub struct Memory<'a> {
    /// This CPU's scratch.
    pub scratch: &'a mut [u8],
    /// Clause-local variables: as many words as their declarations took, all 0 at first.
    pub locals: &'a mut [u64],
    /// The state's global variables: as many words as their declarations took, all 0 at first.
    pub globals: &'a [Word],
    /// The state's store; None: variables that need one are dropped, uncounted.
    pub store: Option<Store<'a>>,
    /// What the variables are.
    pub declared: Declarations<'a>,
    /// The option: bytes of a string where no size is said, its NUL among them.
    pub strsize: u32,
    /// This CPU, for the store.
    pub cpu: u32,
}

/// Memory with a program's strings and the environment: all that an address can lead to.
pub(crate) struct Access<'m, 'a, E> {
    pub(crate) memory: &'m mut Memory<'a>,
    /// Bytes of scratch in use.
    pub(crate) used: &'m mut usize,
    /// Bytes this firing may still touch.
    pub(crate) left: &'m mut u32,
    pub(crate) strings: &'m [u8],
    pub(crate) environment: &'m mut E,
}

/// An end of a range within a slice.
fn range(start: u32, length: usize) -> Option<core::ops::Range<usize>> {
    let start = start as usize;
    Some(start..start.checked_add(length)?)
}

/// Words of a window that are shared: each byte of `into` in turn from the words at `offset`.
fn read_words(word: impl Fn(u32) -> Option<u64>, offset: u32, into: &mut [u8]) -> Option<()> {
    let mut offset = offset;
    let mut rest = into;
    while !rest.is_empty() {
        let bytes = word(offset / 8)?.to_ne_bytes();
        let bytes = bytes.get(offset as usize % 8..)?;
        let length = bytes.len().min(rest.len());
        let (now, later) = rest.split_at_mut_checked(length)?;
        now.copy_from_slice(bytes.get(..length)?);
        rest = later;
        offset = offset.checked_add(length as u32)?;
    }
    Some(())
}

/// The reverse of [`read_words`]. A word of which only some bytes are written is read and written
/// back: a CPU that writes its other bytes meanwhile loses them, as it may with any variable that
/// two CPUs write.
fn write_words(
    word: impl Fn(u32) -> Option<u64>,
    mut put: impl FnMut(u32, u64) -> Option<()>,
    offset: u32,
    from: &[u8],
) -> Option<()> {
    let mut offset = offset;
    let mut rest = from;
    while !rest.is_empty() {
        let mut bytes = word(offset / 8)?.to_ne_bytes();
        let into = bytes.get_mut(offset as usize % 8..)?;
        let length = into.len().min(rest.len());
        let (now, later) = rest.split_at_checked(length)?;
        into.get_mut(..length)?.copy_from_slice(now);
        put(offset / 8, u64::from_ne_bytes(bytes))?;
        rest = later;
        offset = offset.checked_add(length as u32)?;
    }
    Some(())
}

impl<E: Environment> Access<'_, '_, E> {
    pub(crate) fn strsize(&self) -> usize {
        self.memory.strsize.clamp(1, MAX_STRSIZE) as usize
    }

    /// Counts bytes that are read, written or cleared: see [`MAX_TOUCHED`].
    pub(crate) fn spend(&mut self, bytes: u64) -> Result<(), Trouble> {
        let left = u64::from(*self.left).checked_sub(bytes);
        *self.left = left.ok_or(FaultKind::IllegalOperation)? as u32;
        Ok(())
    }

    /// Reads `into.len()` bytes at `address`.
    pub(crate) fn read(
        &mut self,
        space: Space,
        address: u64,
        into: &mut [u8],
    ) -> Result<(), Trouble> {
        let bad = || Trouble::at(FaultKind::BadAddress, address);
        self.spend(into.len() as u64)?;
        if space == Space::User {
            let read = self.environment.user(address, into);
            return read.map_err(|kind| Trouble::at(kind, address));
        }
        let Some((window, offset)) = Window::of(address) else {
            return self.read_kernel(address, into);
        };
        let read = match window {
            Window::Scratch => {
                let used = self.memory.scratch.get(..*self.used);
                copy(used.unwrap_or_default(), offset, into)
            }
            Window::Strings => copy(self.strings, offset, into),
            Window::Locals => {
                let locals = &self.memory.locals;
                read_words(|index| locals.get(index as usize).copied(), offset, into)
            }
            Window::Globals => read_words(|index| self.global(index), offset, into),
            Window::Dynamic => match &self.memory.store {
                Some(store) => read_words(|index| store.read(index), offset, into),
                None => None,
            },
        };
        read.ok_or_else(bad)
    }

    fn global(&self, index: u32) -> Option<u64> {
        // Relaxed: variables order nothing.
        Some(
            self.memory
                .globals
                .get(index as usize)?
                .load(Ordering::Relaxed),
        )
    }

    fn read_kernel(&mut self, address: u64, into: &mut [u8]) -> Result<(), Trouble> {
        let mut address = address;
        let mut rest = into;
        while !rest.is_empty() {
            let length = to_line_end(address).min(rest.len());
            let (now, later) = rest
                .split_at_mut_checked(length)
                .ok_or(Trouble::at(FaultKind::BadAddress, address))?;
            let read = self.environment.kernel(address, now);
            read.map_err(|kind| Trouble::at(kind, address))?;
            rest = later;
            address = address.wrapping_add(length as u64);
        }
        Ok(())
    }

    /// Writes `from` at `address`, which must be the program's own.
    pub(crate) fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Trouble> {
        let bad = || Trouble::at(FaultKind::BadAddress, address);
        let (window, offset) = Window::of(address).ok_or_else(bad)?;
        self.spend(from.len() as u64)?;
        let written = match window {
            Window::Scratch => {
                let used = self.memory.scratch.get_mut(..*self.used);
                (|| {
                    let into = used?.get_mut(range(offset, from.len())?)?;
                    into.copy_from_slice(from);
                    Some(())
                })()
            }
            Window::Strings => None,
            Window::Locals => {
                let locals = core::cell::Cell::from_mut(&mut *self.memory.locals);
                let locals = locals.as_slice_of_cells();
                write_words(
                    |index| Some(locals.get(index as usize)?.get()),
                    |index, value| {
                        locals.get(index as usize)?.set(value);
                        Some(())
                    },
                    offset,
                    from,
                )
            }
            Window::Globals => {
                let globals = self.memory.globals;
                // Relaxed: variables order nothing.
                write_words(
                    |index| Some(globals.get(index as usize)?.load(Ordering::Relaxed)),
                    |index, value| {
                        let word = globals.get(index as usize)?;
                        word.store(value, Ordering::Relaxed);
                        Some(())
                    },
                    offset,
                    from,
                )
            }
            Window::Dynamic => match &self.memory.store {
                Some(store) => write_words(
                    |index| store.read(index),
                    |index, value| store.write(index, value),
                    offset,
                    from,
                ),
                None => None,
            },
        };
        written.ok_or_else(bad)
    }

    /// Copies `length` bytes; the target must be the program's own. At most as many as there are in
    /// the largest of its windows: a longer copy faults where that ends.
    pub(crate) fn copy(
        &mut self,
        space: Space,
        from: u64,
        to: u64,
        length: u64,
    ) -> Result<(), Trouble> {
        let mut line = [0; LINE];
        let mut done = 0;
        while done < length {
            let at = from.wrapping_add(done);
            let part = (to_line_end(at) as u64).min(length - done);
            let buffer = line.get_mut(..part as usize).unwrap_or_default();
            self.read(space, at, buffer)?;
            self.write(to.wrapping_add(done), buffer)?;
            done = done.saturating_add(part.max(1));
        }
        Ok(())
    }

    /// Copies a string and a NUL into `size` bytes at `to`, cut if it is longer.
    pub(crate) fn copy_string(&mut self, from: u64, to: u64, size: u32) -> Result<(), Trouble> {
        let mut bytes = Bytes::new(Space::Kernel, from);
        let mut line = [0; LINE];
        let mut done: u64 = 0;
        let last = u64::from(size).saturating_sub(1);
        loop {
            let mut filled = 0;
            let mut ended = false;
            for slot in &mut line {
                let at = done.saturating_add(filled as u64);
                *slot = match at < last {
                    true => bytes.next(self)?,
                    false => 0,
                };
                filled += 1;
                if *slot == 0 {
                    ended = true;
                    break;
                }
            }
            self.write(
                to.wrapping_add(done),
                line.get(..filled).unwrap_or_default(),
            )?;
            if ended {
                return Ok(());
            }
            done = done.saturating_add(filled as u64);
        }
    }

    /// Length of a string, its NUL not counted; at most `most`.
    pub(crate) fn string_length(
        &mut self,
        space: Space,
        address: u64,
        most: usize,
    ) -> Result<usize, Trouble> {
        let mut bytes = Bytes::new(space, address);
        for length in 0..most {
            if bytes.next(self)? == 0 {
                return Ok(length);
            }
        }
        Ok(most)
    }

    /// Takes `size` bytes of scratch, all 0, at an address that 8 divides.
    pub(crate) fn allocate(&mut self, size: u64) -> Result<u64, Trouble> {
        let start = self.free_start();
        let end = usize::try_from(size)
            .ok()
            .and_then(|size| start.checked_add(size));
        let fresh = end.and_then(|end| self.memory.scratch.get_mut(start..end));
        fresh.ok_or(FaultKind::NoScratch)?.fill(0);
        self.spend(size)?;
        *self.used = end.unwrap_or(start);
        Ok(Window::Scratch.address(start as u32))
    }

    /// Where free scratch begins, rounded up to what 8 divides.
    pub(crate) fn free_start(&self) -> usize {
        self.used.saturating_add(7) & !7
    }

    /// Scratch that is free, for what is not known in size or not to stay. Offset 0 is
    /// [`Access::free_start`].
    pub(crate) fn free(&mut self) -> &mut [u8] {
        let start = self.free_start();
        self.memory.scratch.get_mut(start..).unwrap_or_default()
    }

    /// Keeps `length` bytes of what [`Access::free`] gave; their address.
    pub(crate) fn keep(&mut self, length: usize) -> u64 {
        let start = self.free_start();
        let end = start.saturating_add(length);
        *self.used = end.min(self.memory.scratch.len());
        Window::Scratch.address(start as u32)
    }
}

fn copy(from: &[u8], offset: u32, into: &mut [u8]) -> Option<()> {
    into.copy_from_slice(from.get(range(offset, into.len())?)?);
    Some(())
}

/// Bytes from `address` to the next multiple of [`LINE`]: 1 to [`LINE`].
fn to_line_end(address: u64) -> usize {
    LINE - (address % LINE as u64) as usize
}

/// Reads memory byte by byte, a line at a time where it can.
pub(crate) struct Bytes {
    space: Space,
    address: u64,
    line: [u8; LINE],
    /// What of `line` is still to come: up to its end.
    from: usize,
}

impl Bytes {
    pub(crate) fn new(space: Space, address: u64) -> Self {
        Self {
            space,
            address,
            line: [0; LINE],
            from: LINE,
        }
    }

    pub(crate) fn next<E: Environment>(
        &mut self,
        access: &mut Access<'_, '_, E>,
    ) -> Result<u8, Trouble> {
        let byte = match self.line.get(self.from) {
            Some(byte) => *byte,
            None => self.fill(access)?,
        };
        self.from += 1;
        self.address = self.address.wrapping_add(1);
        Ok(byte)
    }

    /// Reads up to the line's end, so that memory which ends there is not overrun; of the program's
    /// own windows, which may end anywhere, a byte if the whole cannot be had.
    fn fill<E: Environment>(&mut self, access: &mut Access<'_, '_, E>) -> Result<u8, Trouble> {
        let length = to_line_end(self.address);
        self.from = LINE.saturating_sub(length);
        let line = self.line.get_mut(self.from..).unwrap_or_default();
        let whole = access.read(self.space, self.address, line);
        if whole.is_err() {
            self.from = LINE - 1;
            let last = self.line.get_mut(self.from..).unwrap_or_default();
            access.read(self.space, self.address, last)?;
        }
        self.line
            .get(self.from)
            .copied()
            .ok_or(Trouble::at(FaultKind::BadAddress, self.address))
    }
}
