// SPDX-License-Identifier: GPL-2.0
//! A clause made ready to run: its actions as steps, and where each leaves its record.
//!
//! A record area begins with the u32 EPID. Each record lies at the next multiple of its alignment, and
//! the area ends at a multiple of 4. An aggregation's entry begins with the u32 number of the aggregation;
//! its key's records follow in the same way, then the value at a multiple of 8.

#![forbid(unsafe_code)]

use crate::aggregating_function::Function;
use crate::description::{ActionDescription, ClauseDescription};
use crate::error::Error;
use crate::expression::{record_size, Expression};
use crate::memory::List;
use crate::options::{Options, MAX_FRAMES};
use crate::value::Value;
use dtrace_interface::action::{stack_frames, ustack_string_bytes, ActionKind};
use dtrace_interface::dif::TYPE_STRING;
use dtrace_interface::options::OptionId;
use dtrace_interface::record::RecordDescription;
use dtrace_interface::Plain;

/// Bytes of all records of a clause, at most.
const MAX_CLAUSE: usize = 1 << 20;
/// Actions of a clause, at most.
const MAX_ACTIONS: usize = 1024;

/// What a step does.
pub(crate) enum Work<X> {
    /// Stores the value of an expression.
    Store(X),
    /// Stores it, and ends tracing.
    Exit(X),
    /// Stores the process and the value.
    ProcessAddress(X),
    Stack(usize),
    /// The process and its stack.
    UserStack(usize),
    /// Joins the value to the aggregation of this number within the clause.
    Aggregate {
        function: Function,
        expression: Option<X>,
        number: u32,
        keys: usize,
        key_size: usize,
    },
    Nothing,
}

/// One action.
pub(crate) struct Step<X> {
    pub(crate) work: Work<X>,
    /// A part of an aggregation's key: done by the aggregating step.
    pub(crate) is_key: bool,
    /// Where its record lies in the area or the entry.
    pub(crate) offset: usize,
    pub(crate) size: usize,
    /// `offset + size`.
    pub(crate) end: usize,
    record: RecordDescription,
}

/// How a record area begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// With the EPID in 8 bytes; the records fill the rest.
    Wide,
    /// With the EPID in 4 bytes; the records fill the rest.
    Narrow,
    /// With the EPID in 4 bytes, once all is zeros: the records leave gaps.
    Gaps,
}

/// A clause.
pub struct Clause<X> {
    pub(crate) predicate: Option<X>,
    pub(crate) steps: List<Step<X>>,
    /// Bytes of the record area, the EPID included; 0: it leaves none.
    pub(crate) size: usize,
    pub(crate) align: usize,
    /// All it does is to leave these: see [`Expression::at_hand`]. None: it does something else.
    pub(crate) values: Option<List<Value>>,
    pub(crate) head: Head,
    /// What it may do, in words of records and actions: 1 at least.
    pub(crate) words: usize,
    /// Aggregations in it.
    pub(crate) aggregations: u32,
    /// Bytes of the longest key.
    pub(crate) key_size: usize,
    user_argument: u64,
}

impl<X: Expression> Clause<X> {
    /// Checks a description and lays it out. `format` gives a format string its number.
    pub(crate) fn new(
        description: ClauseDescription<'_, X>,
        options: &Options,
        mut format: impl FnMut(List<u8>) -> Result<u16, Error>,
    ) -> Result<Self, Error> {
        let ClauseDescription {
            predicate,
            actions,
            user_argument,
            ..
        } = description;
        if predicate.as_ref().is_some_and(|x| x.result().is_by_ref()) {
            return Err(Error::Invalid);
        }
        if actions.len() > MAX_ACTIONS {
            return Err(Error::TooMany("actions of a clause"));
        }
        let mut clause = Self {
            predicate,
            steps: List::new(),
            size: 4,
            align: 4,
            values: None,
            head: Head::Gaps,
            words: 1,
            aggregations: 0,
            key_size: 0,
            user_argument,
        };
        let mut actions = actions;
        actions.reverse();
        while let Some(action) = actions.pop() {
            let keys = action.key_actions as usize;
            let step = clause.step(action, options, &mut format)?;
            clause.steps.push(step)?;
            clause.mark_keys(keys)?;
        }
        clause.lay_out()?;
        clause.values = clause.values_at_hand()?;
        clause.head = clause.head();
        clause.words = clause.words();
        Ok(clause)
    }

    fn step(
        &mut self,
        action: ActionDescription<X>,
        options: &Options,
        format: &mut impl FnMut(List<u8>) -> Result<u16, Error>,
    ) -> Result<Step<X>, Error> {
        let ActionDescription {
            kind,
            expression,
            argument,
            user_argument,
            key_actions,
            format: text,
        } = action;
        let mut record = RecordDescription {
            action: kind.raw(),
            alignment: 1,
            argument,
            user_argument,
            ..RecordDescription::ZERO
        };
        if let Some(text) = text {
            record.format = format(text)?;
        }
        let (work, size) = match kind {
            ActionKind::DifExpression
            | ActionKind::Printf
            | ActionKind::Library
            | ActionKind::Tracemem
            | ActionKind::Sym
            | ActionKind::Mod => {
                let expression = expression.ok_or(Error::Invalid)?;
                let size = value_size(&expression, options, &mut record)?;
                (Work::Store(expression), size)
            }
            ActionKind::Printa => match expression {
                Some(expression) => {
                    let size = value_size(&expression, options, &mut record)?;
                    (Work::Store(expression), size)
                }
                None => (Work::Nothing, 0),
            },
            ActionKind::Exit => {
                let expression = expression.ok_or(Error::Invalid)?;
                if expression.result().is_by_ref() {
                    return Err(Error::Invalid);
                }
                // An int, whatever the expression's type.
                record.alignment = 4;
                (Work::Exit(expression), 4)
            }
            ActionKind::Usym | ActionKind::Umod | ActionKind::Uaddr => {
                record.alignment = 8;
                (Work::ProcessAddress(expression.ok_or(Error::Invalid)?), 16)
            }
            ActionKind::Stack => {
                let frames = frames(argument, options.get(OptionId::StackFrames))?;
                record.argument = frames as u64;
                record.alignment = 8;
                (Work::Stack(frames), frames.saturating_mul(8))
            }
            ActionKind::Ustack => {
                let strings = ustack_string_bytes(argument) as usize;
                if strings > MAX_CLAUSE {
                    return Err(Error::TooMany("bytes of a record"));
                }
                let frames = frames(argument, options.get(OptionId::UserStackFrames))?;
                record.argument = (argument & !0xffff_ffff) | frames as u64;
                record.alignment = 8;
                let size = frames.saturating_add(1).saturating_mul(8);
                (Work::UserStack(frames), size.saturating_add(strings))
            }
            kind if kind.is_aggregation() => {
                let function = Function::new(kind, argument)?;
                if function.needs_value() && expression.is_none() {
                    return Err(Error::Invalid);
                }
                let number = self.aggregations;
                self.aggregations = number.saturating_add(1);
                record.alignment = 8;
                let work = Work::Aggregate {
                    function,
                    expression,
                    number,
                    keys: key_actions as usize,
                    key_size: 0,
                };
                (work, function.size())
            }
            other => return Err(Error::Unsupported(other.name())),
        };
        record.size = u32::try_from(size).map_err(|_| Error::Invalid)?;
        Ok(Step {
            work,
            is_key: false,
            offset: 0,
            size,
            end: 0,
            record,
        })
    }

    /// The last step is an aggregating one: the `keys` before it are its key.
    fn mark_keys(&mut self, keys: usize) -> Result<(), Error> {
        let Some((last, before)) = self.steps.split_last_mut() else {
            return Ok(());
        };
        if !matches!(last.work, Work::Aggregate { .. }) {
            return Ok(());
        }
        let from = before.len().checked_sub(keys).ok_or(Error::Invalid)?;
        for step in before.get_mut(from..).unwrap_or_default() {
            let fits = matches!(
                step.work,
                Work::Store(_) | Work::ProcessAddress(_) | Work::Stack(_) | Work::UserStack(_)
            );
            if !fits || step.is_key {
                return Err(Error::Invalid);
            }
            step.is_key = true;
        }
        Ok(())
    }

    fn lay_out(&mut self) -> Result<(), Error> {
        let mut has_records = self.steps.is_empty();
        let mut area = 4_usize;
        let mut entry = 4_usize;
        for step in &mut self.steps {
            let align = usize::from(step.record.alignment.max(1));
            let end = match step.work {
                Work::Aggregate { .. } => &mut entry,
                _ if step.is_key => &mut entry,
                _ => {
                    has_records = true;
                    self.align = self.align.max(align);
                    &mut area
                }
            };
            step.offset = end.checked_next_multiple_of(align).ok_or(Error::Invalid)?;
            step.end = step.offset.saturating_add(step.size);
            *end = step.end;
            step.record.offset = u32::try_from(step.offset).map_err(|_| Error::Invalid)?;
            if let Work::Aggregate { key_size, .. } = &mut step.work {
                *key_size = step.offset;
                self.key_size = self.key_size.max(step.offset);
                entry = 4;
            }
            if area > MAX_CLAUSE || entry > MAX_CLAUSE {
                return Err(Error::TooMany("bytes of a clause's records"));
            }
        }
        self.size = match has_records {
            true => area.next_multiple_of(4),
            false => 0,
        };
        Ok(())
    }

    fn values_at_hand(&self) -> Result<Option<List<Value>>, Error> {
        let mut values = List::new();
        for step in &self.steps {
            let Work::Store(x) = &step.work else {
                return Ok(None);
            };
            let number = x.at_hand().filter(|_| !step.is_key);
            let value = number.and_then(|number| Value::new(number, step.offset, step.size));
            match value {
                Some(value) => values.push(value)?,
                None => return Ok(None),
            }
        }
        Ok(self.predicate.is_none().then_some(values))
    }

    /// What it may do: its record, its keys, each hashed and compared, and its programs.
    fn words(&self) -> usize {
        let keys = self.steps.iter().map(|step| match step.work {
            Work::Aggregate { .. } => step.end / 8,
            _ => 0,
        });
        let programs = self.expressions().map(Expression::words);
        let own = (self.size / 8).saturating_add(self.steps.len());
        let all = keys.chain(programs);
        all.fold(own.saturating_add(1), usize::saturating_add)
    }

    fn head(&self) -> Head {
        let is_wide = self.steps.first().is_some_and(|step| step.offset == 8);
        match (self.is_filled_from(if is_wide { 8 } else { 4 }), is_wide) {
            (true, true) => Head::Wide,
            (true, false) => Head::Narrow,
            (false, _) => Head::Gaps,
        }
    }

    /// Whether its records lie one after the other, without a gap, and each is written whole.
    fn is_filled_from(&self, mut end: usize) -> bool {
        for step in &self.steps {
            let is_whole = match &step.work {
                Work::Store(x) => !x.result().is_by_ref(),
                Work::Exit(_) => true,
                _ => false,
            };
            if !is_whole || step.is_key || step.offset != end {
                return false;
            }
            end = step.end;
        }
        end == self.size
    }

    /// The client's argument.
    pub fn user_argument(&self) -> u64 {
        self.user_argument
    }

    /// Bytes of a firing, for EPROBE.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The records of a firing, for EPROBE.
    pub fn records(&self) -> impl Iterator<Item = &RecordDescription> {
        let records = self
            .steps
            .iter()
            .filter(|step| !step.is_key && !matches!(step.work, Work::Aggregate { .. }));
        records.map(|step| &step.record)
    }

    /// The aggregation of this number within the clause, for AGGDESC: its entry's size, and records.
    pub fn aggregation(
        &self,
        number: u32,
    ) -> Option<(u32, impl Iterator<Item = &RecordDescription>)> {
        let (at, keys, size) = self.steps.iter().enumerate().find_map(|(at, step)| {
            let Work::Aggregate {
                number: n, keys, ..
            } = step.work
            else {
                return None;
            };
            let end = step.offset.saturating_add(step.size).next_multiple_of(8);
            (n == number).then_some((at, keys, end))
        })?;
        let steps = self.steps.get(at.checked_sub(keys)?..=at)?;
        let size = u32::try_from(size).ok()?;
        Some((size, steps.iter().map(|step| &step.record)))
    }

    /// Every expression in it.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &X> {
        let of_steps = self.steps.iter().filter_map(|step| match &step.work {
            Work::Store(x) | Work::Exit(x) | Work::ProcessAddress(x) => Some(x),
            Work::Aggregate { expression, .. } => expression.as_ref(),
            _ => None,
        });
        self.predicate.iter().chain(of_steps)
    }
}

/// Bytes of an expression's value in a record; sets the record's alignment.
fn value_size<X: Expression>(
    expression: &X,
    options: &Options,
    record: &mut RecordDescription,
) -> Result<usize, Error> {
    let result = expression.result();
    let size = record_size(result, options.string_size())?;
    record.alignment = match (result.kind, size) {
        (TYPE_STRING, _) => 1,
        (_, 2) => 2,
        (_, 4) => 4,
        (_, size) if size != 0 && size % 8 == 0 => 8,
        _ => 1,
    };
    Ok(size as usize)
}

fn frames(argument: u64, option: u64) -> Result<usize, Error> {
    let frames = match stack_frames(argument) {
        0 => u32::try_from(option).map_err(|_| Error::Invalid)?,
        frames => frames,
    };
    if frames > MAX_FRAMES {
        return Err(Error::TooMany("frames of a stack"));
    }
    Ok(frames as usize)
}
