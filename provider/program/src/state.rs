// SPDX-License-Identifier: GPL-2.0
//! A consumer's variables, made when its programs are all known.

use crate::cpu::LOCALS;
use crate::program::Program;
use dif::variables::{declare, scope_of, slots_for, BadDeclaration, Slot};
use dif::{validate, Declarations, Limits, Needs, Scope, Shape, Store, Word};
use dtrace_interface::dif::{Variable, SCOPE_GLOBAL, SCOPE_LOCAL, SCOPE_THREAD};
use dtrace_interface::options::OptionId;
use dtrace_provider::memory::List;
use dtrace_provider::{DynamicDrops, Error, Options, Variables};

/// Slots of a scope, at most: each takes 16 bytes.
const MAX_SLOTS: usize = 4096;

/// Bytes of global variables, at most.
const MAX_GLOBALS: u32 = 1 << 20;

/// What the variables of some programs are.
#[derive(Default)]
pub(crate) struct Scopes {
    globals: List<Slot>,
    threads: List<Slot>,
    locals: List<Slot>,
    global_words: u32,
    local_words: u32,
    thread_words: u32,
}

impl Scopes {
    /// Takes the variables of a program in.
    pub(crate) fn add(&mut self, variables: &[Variable], strsize: u32) -> Result<(), Error> {
        for variable in variables {
            let refused = |bad: BadDeclaration| Error::Variable {
                scope: match variable.scope {
                    SCOPE_GLOBAL => "global",
                    SCOPE_THREAD => "thread-local",
                    SCOPE_LOCAL => "clause-local",
                    _ => "a",
                },
                number: variable.id,
                why: bad.why(),
            };
            let (slots, words) = match scope_of(variable).map_err(refused)? {
                Scope::Global => (&mut self.globals, &mut self.global_words),
                Scope::Thread => (&mut self.threads, &mut self.thread_words),
                Scope::Local => (&mut self.locals, &mut self.local_words),
            };
            let wanted = slots_for(variable);
            if wanted > MAX_SLOTS {
                return Err(Error::TooMany("variables"));
            }
            while slots.len() < wanted {
                slots.push(Slot::UNDECLARED)?;
            }
            declare(slots, words, variable, strsize).map_err(refused)?;
        }
        if self.local_words as usize > LOCALS {
            return Err(Error::TooMany("clause-local variables"));
        }
        if self.global_words > MAX_GLOBALS / 8 {
            return Err(Error::TooMany("global variables"));
        }
        Ok(())
    }

    pub(crate) fn declared(&self) -> Declarations<'_> {
        Declarations {
            globals: &self.globals,
            threads: &self.threads,
            locals: &self.locals,
        }
    }

    pub(crate) fn local_words(&self) -> usize {
        self.local_words as usize
    }
}

/// A consumer's variables. Probes on all CPUs read and write them.
pub struct State {
    pub(crate) scopes: Scopes,
    pub(crate) globals: List<Word>,
    dynamic: List<Word>,
    shape: Option<Shape>,
    pub(crate) strsize: u32,
    cpus: u32,
}

impl State {
    /// Of `programs`, on `cpus` CPUs. Task context.
    ///
    /// # Errors
    ///
    /// No memory; programs that do not agree on what a variable is.
    pub fn new<E>(
        options: &Options,
        programs: &mut dyn Iterator<Item = &Program<E>>,
        cpus: usize,
    ) -> Result<Self, Error> {
        let limits = Limits {
            strsize: options.string_size(),
            ..Limits::default()
        };
        let mut scopes = Scopes::default();
        let mut chunk_words = 0;
        for program in programs {
            scopes.add(program.object().variables, limits.strsize)?;
            let Needs { chunk_words: words } =
                validate(program.object(), &scopes.declared(), &limits)
                    .map_err(|_| Error::Invalid)?
                    .needs();
            chunk_words = chunk_words.max(words);
        }
        let zeros = |count: usize| List::try_made(count, |_| Ok::<_, Error>(Word::new(0)));
        let bytes = options.get(OptionId::DynamicVariableSize);
        let words = usize::try_from(bytes / 8).map_err(|_| Error::TooMany("bytes of variables"))?;
        let (dynamic, shape) = match chunk_words {
            0 => (List::new(), None),
            chunk_words => {
                let shape = Shape::new(words, cpus, chunk_words);
                (zeros(words)?, Some(shape.ok_or(Error::OutOfMemory)?))
            }
        };
        let state = Self {
            globals: zeros(scopes.global_words as usize)?,
            scopes,
            dynamic,
            shape,
            strsize: limits.strsize,
            cpus: u32::try_from(cpus).map_err(|_| Error::Invalid)?,
        };
        if let Some(store) = state.store() {
            store.format();
        }
        Ok(state)
    }

    /// Whether programs agree on what a variable is. Task context.
    pub(crate) fn agree<E>(
        options: &Options,
        programs: &mut dyn Iterator<Item = &Program<E>>,
    ) -> Result<(), Error> {
        let mut scopes = Scopes::default();
        for program in programs {
            scopes.add(program.object().variables, options.string_size())?;
        }
        Ok(())
    }

    /// Thread-local variables and associative arrays.
    pub(crate) fn store(&self) -> Option<Store<'_>> {
        Store::new(&self.dynamic, self.shape?)
    }
}

impl Variables for State {
    fn drops(&self, cpu: Option<usize>) -> DynamicDrops {
        let mut sum = DynamicDrops::default();
        let wanted = |at: &u32| cpu.is_none_or(|cpu| cpu == *at as usize);
        if let Some(store) = self.store() {
            for cpu in (0..self.cpus).filter(wanted) {
                let drops = store.drops(cpu);
                sum.full = sum.full.saturating_add(drops.dynamic);
                sum.rinsing = sum.rinsing.saturating_add(drops.rinsing);
                sum.dirty = sum.dirty.saturating_add(drops.dirty);
            }
        }
        sum
    }

    fn clean(&self, sync: &dyn Fn()) -> bool {
        let Some(store) = self.store() else {
            return false;
        };
        if store.needs_cleaning() {
            store.rinse();
            sync();
            store.reclaim();
        }
        true
    }
}
