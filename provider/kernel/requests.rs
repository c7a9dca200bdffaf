// SPDX-License-Identifier: GPL-2.0
//! What an ioctl asks, answered. Nothing from user space is trusted; each errno is told in
//! docs/dtrace.md.
#![forbid(unsafe_code)]

use crate::device::{self, Session};
use crate::machine::Host;
use crate::user::{self, Unread};
use crate::{cleaner, cpus, idt, live, profile};
use dtrace_interface::accounting::Accounting;
use dtrace_interface::argument::{ArgumentDescription, INDEX_NONE};
use dtrace_interface::buffer::BufferDescription;
use dtrace_interface::conf::{Configuration, MODEL_LP64};
use dtrace_interface::options::UNSET;
use dtrace_interface::plain::{field, until_nul};
use dtrace_interface::probe::ProbeDescription;
use dtrace_interface::provider::{
    Attribute, Attributes, Class, ProviderDescription, Stability, PRIVILEGE_KERNEL,
};
use dtrace_interface::record::{
    AggregationDescription, EnabledProbeDescription, FormatDescription, RecordDescription,
};
use dtrace_interface::refusal::Refusal;
use dtrace_interface::{dif, dof, ioctl, Plain, CPU_ALL};
use dtrace_provider::{ConsumerId, Control, Error as Trouble, Pattern, Probe, Snapshot};
use kernel::prelude::*;

/// The framework's errors, by their numbers.
pub(crate) fn errno(trouble: Trouble) -> Error {
    match kernel::error::to_result(-trouble.errno()) {
        Err(error) => error,
        Ok(()) => EINVAL,
    }
}

/// Of a number that names nothing.
fn unknown(trouble: Trouble) -> Error {
    match trouble {
        Trouble::NotFound => EINVAL,
        other => errno(other),
    }
}

/// An ioctl.
pub(crate) fn answer(session: &Session, request: u32, at: usize) -> Result<isize> {
    let consumer = session.consumer;
    match request {
        ioctl::PROVIDER => provider(at)?,
        ioctl::PROBES => first_probe(session, at, false)?,
        ioctl::PROBEMATCH => first_probe(session, at, true)?,
        ioctl::PROBEARG => argument(at)?,
        ioctl::CONF => configuration(at)?,
        ioctl::ENABLE => return enable(session, at),
        ioctl::GO => {
            on_this_cpu(at, |control| {
                // Whoever opened the file may have handed it on.
                control.set_process(consumer, device::process())?;
                control.go(consumer)
            })?;
            cleaner::arm()
        }
        ioctl::STOP => on_this_cpu(at, |control| control.stop(consumer))?,
        ioctl::STATUS => {
            let status = live::control(|control| control.status(consumer).map_err(errno))?;
            user::write(at, &status)?
        }
        ioctl::BUFSNAP => snapshot(at, |control, cpu, room, copy| {
            control.has_room(consumer, (room, usize::MAX))?;
            control.snapshot(consumer, cpu, copy)
        })?,
        ioctl::AGGSNAP => snapshot(at, |control, cpu, room, copy| {
            control.has_room(consumer, (usize::MAX, room))?;
            control.aggregation_snapshot(consumer, cpu, copy)
        })?,
        ioctl::EPROBE => enabled_probe(consumer, at)?,
        ioctl::AGGDESC => aggregation(consumer, at)?,
        ioctl::FORMAT => format(consumer, at)?,
        ioctl::DOFGET => options(consumer, at)?,
        ioctl::ACCOUNTING => accounting(consumer, at)?,
        ioctl::REFUSAL => refusal(session, at)?,
        _ => return Err(ENOTTY),
    }
    Ok(0)
}

/// GO or STOP, which answer the CPU that they ran on.
fn on_this_cpu(
    at: usize,
    act: impl FnOnce(&mut Control<Host>) -> Result<usize, Trouble>,
) -> Result {
    // The answer can be written: who is told EFAULT takes it that nothing was done.
    let asked: i32 = user::read(at)?;
    user::write(at, &asked)?;
    let cpu = live::control(|control| act(control).map_err(errno))?;
    user::write(at, &(cpu as i32))
}

// ---- probes

fn provider(at: usize) -> Result {
    let asked: ProviderDescription = user::read(at)?;
    let name = until_nul(&asked.name);
    live::control(|control| control.provider_named(name).map(|_| ()).ok_or(ESRCH))?;
    let attribute = |stability: Stability, class: Class| Attribute {
        name: stability.raw(),
        data: stability.raw(),
        class: class.raw(),
    };
    let own = name == b"dtrace";
    let stable = match own {
        true => attribute(Stability::Stable, Class::Common),
        false => attribute(Stability::Evolving, Class::Common),
    };
    let private = attribute(Stability::Private, Class::Unknown);
    let answer = ProviderDescription {
        attributes: Attributes {
            provider: stable,
            module: private,
            function: match own {
                true => private,
                false => attribute(Stability::Unstable, Class::Isa),
            },
            name: stable,
            arguments: match own {
                true => stable,
                false => attribute(Stability::Private, Class::Isa),
            },
        },
        privilege_flags: PRIVILEGE_KERNEL,
        ..asked
    };
    user::write(at, &answer)
}

/// A probe as clients see it.
fn description(probe: &Probe) -> Result<ProbeDescription> {
    // The framework keeps no name that does not fit.
    Ok(ProbeDescription {
        id: probe.id,
        provider: field(probe.name.provider()).ok_or(EINVAL)?,
        module: field(probe.name.module()).ok_or(EINVAL)?,
        function: field(probe.name.function()).ok_or(EINVAL)?,
        name: field(probe.name.name()).ok_or(EINVAL)?,
    })
}

fn first_probe(session: &Session, at: usize, matching: bool) -> Result {
    session.refusal.clear();
    let asked: ProbeDescription = user::read(at)?;
    let pattern = match matching {
        true => Pattern {
            id: 0,
            provider: until_nul(&asked.provider),
            module: until_nul(&asked.module),
            function: until_nul(&asked.function),
            name: until_nul(&asked.name),
        },
        false => Pattern::default(),
    };
    if let Some(reason) = idt::refused(&pattern) {
        session.refusal.set(&reason);
        return Err(ESRCH);
    }
    let found = live::control(|control| {
        profile::provide(control, &pattern);
        let probe = control.first_match(asked.id, &pattern);
        description(probe.ok_or(ESRCH)?)
    })?;
    user::write(at, &found)
}

fn argument(at: usize) -> Result {
    let mut asked: ArgumentDescription = user::read(at)?;
    let index = u32::try_from(asked.index).map_err(|_| EINVAL)?;
    let kind = live::control(|control| {
        control.probe(asked.id).ok_or(EINVAL)?;
        Ok(control.argument_type(asked.id, index))
    })?;
    asked.native = [0; dtrace_interface::argument::TYPE_LEN];
    asked.translated = [0; dtrace_interface::argument::TYPE_LEN];
    match kind {
        Some(kind) => {
            asked.mapping = asked.index;
            asked.native = field(kind.as_bytes()).ok_or(EINVAL)?;
        }
        None => asked.index = INDEX_NONE,
    }
    user::write(at, &asked)
}

fn configuration(at: usize) -> Result {
    let answer = Configuration {
        dif_version: dif::VERSION,
        integer_registers: dif::INTEGER_REGISTERS as u32,
        tuple_registers: dif::TUPLE_REGISTERS as u32,
        data_model: MODEL_LP64,
        buffers: cpus::count(),
        ..Configuration::ZERO
    };
    user::write(at, &answer)
}

// ---- enabling

fn enable(session: &Session, at: usize) -> Result<isize> {
    session.refusal.clear();
    let refused = |what: &dyn core::fmt::Display| session.refusal.set(what);
    let bytes = match user::read_dof(at) {
        Ok(bytes) => bytes,
        Err(Unread::Header(error)) => {
            refused(&error);
            return Err(EINVAL);
        }
        Err(Unread::Other(error)) => return Err(error),
    };
    let program = ::dof::load(&bytes).map_err(|error| {
        refused(&error);
        EINVAL
    })?;
    live::control(|control| {
        control.all_or_nothing(session.consumer, |control| {
            enable_program(session.consumer, control, &program, &refused)
        })
    })
}

/// Sets the options of a file and enables its clauses; how many probes that were.
fn enable_program(
    consumer: ConsumerId,
    control: &mut Control<Host>,
    program: &::dof::Description<'_>,
    refused: &dyn Fn(&dyn core::fmt::Display),
) -> Result<isize> {
    let trouble = |trouble: Trouble| {
        refused(&trouble);
        errno(trouble)
    };
    for setting in program.options() {
        if setting.value != UNSET {
            let option = setting.option.raw();
            let set = control.set_option(consumer, option, setting.value);
            set.map_err(trouble)?;
        }
    }
    let strsize = control.options(consumer).map_err(errno)?.string_size();
    let clauses = dtrace_program::clauses(program, strsize);
    let mut clauses = clauses.map_err(|unfit| {
        refused(&unfit);
        match unfit {
            dtrace_program::Unfit::Dif(_) => EINVAL,
            dtrace_program::Unfit::Other(trouble) => errno(trouble),
        }
    })?;
    clauses.reverse();
    let mut count = 0_usize;
    while let Some(clause) = clauses.pop() {
        // Others wait for the lock that is held for all clauses.
        if device::is_killed() {
            return Err(EINTR);
        }
        if let Some(reason) = idt::refused(&clause.pattern) {
            refused(&reason);
            return Err(EOPNOTSUPP);
        }
        profile::provide(control, &clause.pattern);
        let more = control.enable(consumer, clause).map_err(trouble)?;
        count = count.saturating_add(more);
    }
    control.check_variables(consumer).map_err(trouble)?;
    isize::try_from(count).map_err(|_| E2BIG)
}

fn refusal(session: &Session, at: usize) -> Result {
    let asked: Refusal = user::read(at)?;
    if asked.size as usize != Refusal::SIZE {
        return Err(EINVAL);
    }
    let (length, text) = session.refusal.get();
    let answer = Refusal {
        length,
        text,
        ..asked
    };
    user::write(at, &answer)
}

// ---- buffers

/// Where a snapshot is copied to.
type Copy<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Trouble>;

fn snapshot(
    at: usize,
    take: impl FnOnce(&mut Control<Host>, usize, usize, Copy<'_>) -> Result<Snapshot, Trouble>,
) -> Result {
    let asked: BufferDescription = user::read(at)?;
    let to = usize::try_from(asked.data).map_err(|_| EFAULT)?;
    let cpu = asked.cpu as usize;
    let room = match asked.size {
        // Not said.
        0 => usize::MAX,
        size => usize::try_from(size).unwrap_or(usize::MAX),
    };
    // The answer can be written: what was taken over is gone if it cannot.
    user::write(at, &asked)?;
    let mut copy = |bytes: &[u8]| user::write_bytes(to, bytes).map_err(|_| Trouble::BadAddress);
    let taken = live::control(|control| take(control, cpu, room, &mut copy).map_err(unknown))?;
    let answer = BufferDescription {
        size: taken.size as u64,
        errors: u32::try_from(taken.errors).unwrap_or(u32::MAX),
        drops: taken.drops,
        oldest: taken.oldest as u64,
        ..asked
    };
    user::write(at, &answer)
}

// ---- descriptions

/// Writes records behind a head of type `T`, as many as there is room for; how many there are.
fn write_records<'a, T: Plain>(
    at: usize,
    room: u32,
    records: impl Iterator<Item = &'a RecordDescription>,
) -> Result<u32> {
    let mut place = user::after::<T>(at)?;
    let mut count = 0_u32;
    for record in records {
        if count < room {
            user::write(place, record)?;
            place = place.checked_add(RecordDescription::SIZE).ok_or(EFAULT)?;
        }
        count = count.saturating_add(1);
    }
    Ok(count)
}

fn enabled_probe(consumer: ConsumerId, at: usize) -> Result {
    let asked: EnabledProbeDescription = user::read(at)?;
    let answer = live::control(|control| {
        let found = control.enabled_probe(consumer, asked.epid);
        let found = found.map_err(unknown)?;
        let clause = found.clause;
        let records = clause.records();
        Ok(EnabledProbeDescription {
            probe: found.probe,
            user_argument: clause.user_argument(),
            size: u32::try_from(clause.size()).unwrap_or(u32::MAX),
            records: write_records::<EnabledProbeDescription>(at, asked.records, records)?,
            ..asked
        })
    })?;
    user::write(at, &answer)
}

fn aggregation(consumer: ConsumerId, at: usize) -> Result {
    let asked: AggregationDescription = user::read(at)?;
    let answer = live::control(|control| {
        let (epid, size, records) = control.aggregation(consumer, asked.id).map_err(unknown)?;
        Ok(AggregationDescription {
            epid,
            size,
            records: write_records::<AggregationDescription>(at, asked.records, records)?,
            pad: 0,
            ..asked
        })
    })?;
    user::write(at, &answer)
}

fn format(consumer: ConsumerId, at: usize) -> Result {
    let asked: FormatDescription = user::read(at)?;
    let to = usize::try_from(asked.string).map_err(|_| EFAULT)?;
    let length = live::control(|control| {
        let text = control.format(consumer, asked.format).map_err(unknown)?;
        let length = text.len().saturating_add(1);
        if asked.length as usize >= length {
            user::write_bytes(to, text)?;
            let end = to.checked_add(text.len()).ok_or(EFAULT)?;
            user::write_bytes(end, &[0])?;
        }
        u32::try_from(length).map_err(|_| E2BIG)
    })?;
    let answer = FormatDescription {
        length,
        pad: 0,
        ..asked
    };
    user::write(at, &answer)
}

fn options(consumer: ConsumerId, at: usize) -> Result {
    let asked: dof::Header = user::read(at)?;
    let image = live::control(|control| {
        let options = control.options(consumer).map_err(errno)?;
        Ok(::dof::options_image(options.values()))
    })?;
    let room = usize::try_from(asked.load_size).unwrap_or(usize::MAX);
    let part = image.get(..room.min(image.len())).unwrap_or_default();
    user::write_bytes(at, part)
}

// ---- our own

fn accounting(consumer: ConsumerId, at: usize) -> Result {
    let asked: Accounting = user::read(at)?;
    if asked.size as usize != Accounting::SIZE {
        return Err(EINVAL);
    }
    let cpu = match asked.cpu {
        CPU_ALL => None,
        cpu if cpu < cpus::count() => Some(cpu as usize),
        _ => return Err(EINVAL),
    };
    let answer = live::control(|control| {
        let counts = control.counts(consumer, asked.epid, cpu);
        let counts = counts.map_err(unknown)?;
        let (switches, aggregation_drops) = control.switches(consumer).map_err(errno)?;
        let dropped = control.dynamic_drops(consumer, cpu).map_err(errno)?;
        let nested = match cpu {
            Some(cpu) => control.framework().nested(cpu),
            None => (0..cpus::count() as usize)
                .map(|cpu| control.framework().nested(cpu))
                .fold(0, u64::saturating_add),
        };
        Ok(Accounting {
            pad: 0,
            hits: counts.hits,
            records: counts.records,
            drops: counts.drops,
            predicate_false: counts.predicate_false,
            self_filtered: counts.self_filtered,
            inactive: counts.inactive,
            errors: counts.errors,
            nested,
            aggregation_drops,
            dynamic_drops: dropped.full,
            dynamic_rinsing_drops: dropped.rinsing,
            dynamic_dirty_drops: dropped.dirty,
            switches,
            ..asked
        })
    })?;
    user::write(at, &answer)
}
