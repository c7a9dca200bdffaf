// SPDX-License-Identifier: GPL-2.0
//! Keys of thread-local variables and associative arrays: words in free scratch.

use crate::fault::{FaultKind, Trouble};
use crate::instruction::{Scope, Space};
use crate::memory::{Access, Bytes};
use crate::tuple::{Entry, Tuple};
use crate::Environment;

/// Which variable is meant.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    name: u64,
    of_thread: bool,
    of_tuple: bool,
}

impl Key {
    pub(crate) fn thread_scalar(variable: u16) -> Self {
        Self {
            name: u64::from(variable) | (1 << 16),
            of_thread: true,
            of_tuple: false,
        }
    }

    pub(crate) fn element(scope: Scope, variable: u16) -> Self {
        let of_thread = scope == Scope::Thread;
        Self {
            name: u64::from(variable) | (2 << 16) | (u64::from(of_thread) << 18),
            of_thread,
            of_tuple: true,
        }
    }

    /// Writes it into free scratch; its bytes, a multiple of 8.
    pub(crate) fn build<E: Environment>(
        self,
        access: &mut Access<'_, '_, E>,
        tuple: &Tuple,
    ) -> Result<usize, Trouble> {
        let thread = match self.of_thread {
            true => access.environment.thread(),
            false => 0,
        };
        let mut builder = KeyBuilder { length: 0 };
        builder.word(access, self.name)?;
        builder.word(access, thread)?;
        if self.of_tuple {
            for entry in tuple.entries() {
                builder.entry(access, entry)?;
            }
        }
        Ok(builder.length)
    }
}

/// Writes a key into free scratch: words; of references the size and then the bytes, filled up with
/// zeros.
struct KeyBuilder {
    length: usize,
}

impl KeyBuilder {
    fn room<'s, E: Environment>(
        &mut self,
        access: &'s mut Access<'_, '_, E>,
        bytes: usize,
    ) -> Result<&'s mut [u8], FaultKind> {
        let end = self.length.checked_add(bytes);
        let room = end.and_then(|end| access.free().get_mut(self.length..end));
        let room = room.ok_or(FaultKind::NoScratch)?;
        self.length = self.length.saturating_add(bytes);
        Ok(room)
    }

    fn word<E: Environment>(
        &mut self,
        access: &mut Access<'_, '_, E>,
        word: u64,
    ) -> Result<(), Trouble> {
        access.spend(8)?;
        self.room(access, 8)?.copy_from_slice(&word.to_ne_bytes());
        Ok(())
    }

    fn entry<E: Environment>(
        &mut self,
        access: &mut Access<'_, '_, E>,
        entry: &Entry,
    ) -> Result<(), Trouble> {
        if !entry.by_ref {
            self.word(access, u64::MAX)?;
            self.word(access, entry.value)?;
            return Ok(());
        }
        let size = match entry.string {
            true => access.string_length(Space::Kernel, entry.value, entry.size as usize)?,
            false => entry.size as usize,
        };
        self.word(access, size as u64)?;
        let mut bytes = Bytes::new(Space::Kernel, entry.value);
        let mut left = size;
        while left > 0 {
            let mut word = [0; 8];
            for byte in word.iter_mut().take(left) {
                *byte = bytes.next(access)?;
            }
            left = left.saturating_sub(8);
            self.word(access, u64::from_ne_bytes(word))?;
        }
        Ok(())
    }
}
