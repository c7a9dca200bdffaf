// SPDX-License-Identifier: GPL-2.0
//! What the framework knows of a compiled expression: DIF, or a test's.

use crate::error::Error;
use crate::options::Options;
use crate::registry::ProbeName;
use crate::value::AtHand;
use dtrace_interface::dif::DifType;
use dtrace_interface::fault;

/// A compiled, checked expression. Its functions run in probe context but for [`result`](Self::result).
pub trait Expression: Send + Sync + Sized + 'static {
    /// A CPU's environment: machine state, scratch, how to load memory.
    type Environment;
    /// A consumer's variables.
    type Variables: Variables;

    /// The type of its value.
    fn result(&self) -> DifType;

    /// Whether a consumer's expressions agree on its variables. Task context.
    ///
    /// # Errors
    ///
    /// `Variable`, `TooMany`: what they do not agree on. No memory.
    fn agree(options: &Options, expressions: &mut dyn Iterator<Item = &Self>) -> Result<(), Error> {
        let _ = (options, expressions);
        Ok(())
    }

    /// Its value, if that is a number which is at hand. Any context.
    fn at_hand(&self) -> Option<AtHand> {
        None
    }

    /// What it does in a firing beside the memory it touches, in words as those of records. Any context.
    fn words(&self) -> usize {
        0
    }

    /// The first clause that is not plain begins in a firing: what they may do together is bounded from here.
    fn begin_firing(environment: &mut Self::Environment);

    /// The clauses of a consumer at one firing begin: clause-local variables are as if never written. They
    /// stay from clause to clause.
    fn begin(environment: &mut Self::Environment);

    /// One clause begins: all scratch memory is free.
    fn begin_clause(environment: &mut Self::Environment);

    /// Its value, or the address of it if that is by reference.
    ///
    /// # Errors
    ///
    /// What the expression failed of.
    fn value(
        &self,
        site: &Site<'_, Self::Variables>,
        environment: &mut Self::Environment,
    ) -> Result<u64, Fault>;

    /// Puts its value into `to`, which is as large as the record: an integer's low bytes, which fill it, or
    /// the data that it refers to (a string up to its NUL), of which `to` holds zeros before.
    ///
    /// # Errors
    ///
    /// What the expression failed of; `to` may be half filled.
    fn store(
        &self,
        site: &Site<'_, Self::Variables>,
        environment: &mut Self::Environment,
        to: &mut [u8],
    ) -> Result<(), Fault>;
}

/// A consumer's variables: written by probes on all CPUs at a time.
pub trait Variables: Send + Sync + 'static {
    /// Dynamic variables dropped so far, on one CPU or (None) on all.
    fn drops(&self, cpu: Option<usize>) -> DynamicDrops;

    /// Called from time to time by the control side: what probes gave up may be used again. `sync`
    /// returns when every firing that was on is over; it is not called where nothing was given up. False:
    /// these variables never need it.
    fn clean(&self, sync: &dyn Fn()) -> bool;
}

/// Dynamic variables that were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DynamicDrops {
    /// No room.
    pub full: u64,
    /// All free ones were being rinsed.
    pub rinsing: u64,
    /// All free ones were dirty.
    pub dirty: u64,
}

/// The firing that an expression runs in.
pub struct Site<'a, V> {
    /// Which CPU.
    pub cpu: usize,
    /// Which probe.
    pub probe: u32,
    /// Its name.
    pub name: &'a ProbeName,
    /// The enabled probe.
    pub epid: u32,
    /// The probe's arguments.
    pub args: &'a [u64; 10],
    /// The consumer's variables.
    pub variables: &'a V,
}

/// What an expression failed of, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kind.
    pub kind: fault::Fault,
    /// The instruction's index, or u32::MAX.
    pub offset: u32,
    /// The address that could not be read, or another value the kind defines.
    pub value: u64,
}

/// No variables.
impl Variables for () {
    fn drops(&self, _: Option<usize>) -> DynamicDrops {
        DynamicDrops::default()
    }

    fn clean(&self, _: &dyn Fn()) -> bool {
        false
    }
}

/// Whether a type's size makes sense in a record; its bytes there.
pub(crate) fn record_size(of: DifType, string_size: u32) -> Result<u32, Error> {
    const MAX_RECORD: u32 = 1 << 20;
    let size = match of.kind {
        dtrace_interface::dif::TYPE_STRING if of.size == 0 => string_size,
        _ => of.size,
    };
    let fits = match of.is_by_ref() {
        true => size <= MAX_RECORD,
        false => matches!(size, 0 | 1 | 2 | 4 | 8),
    };
    if fits {
        Ok(size)
    } else {
        Err(Error::TooMany("bytes of a record"))
    }
}
