// SPDX-License-Identifier: GPL-2.0
//! One consumer's tracing: clauses enabled, buffers taken, events handed out.
//!
//! ```text
//!  enable -> go -> { check | consume | aggregate }* -> stop
//! ```
//! Who calls decides when: a session has no clock.

use crate::aggregation::{Shape, Table};
use crate::device::{Buffer, Device, Probe, Snapshot};
use crate::event::{Damage, DropKind, Drops, Enabled, Event, Fault, Item, Printed, Record};
use crate::format::{Format, Function, Wants};
use crate::name::ProbeName;
use crate::options::Options;
use crate::program::{self, Clause, Printf};
use crate::record::{Layout, Value};
use crate::suggest;
use crate::walk::Walk;
use anyhow::{anyhow, bail, Context, Result};
use dtrace_interface::action::ActionKind;
use dtrace_interface::options::{BufferPolicy, OptionId};
use dtrace_interface::record::RecordDescription;
use dtrace_interface::status::Status;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::rc::Rc;

/// More CPUs than any kernel has.
const MOST_CPUS: u32 = 1 << 16;

/// Gets each event; an error ends the tracing.
pub type Sink<'s> = dyn FnMut(Event<'_>) -> Result<()> + 's;

/// One consumer's tracing.
pub struct Session<'d> {
    device: &'d dyn Device,
    clauses: Vec<Clause>,
    options: Options,
    cpus: u32,
    /// Where BEGIN fired: that CPU's buffer is read first; once stopped, where END fired: last.
    first: Option<u32>,
    last: Option<u32>,
    probes: HashMap<u32, Rc<Probe>>,
    enabled: HashMap<u32, Rc<Enabled>>,
    shapes: HashMap<u32, Rc<Shape>>,
    /// By the number that the program gives an aggregation, the same at all its probes.
    tables: BTreeMap<u64, Table>,
    /// Which of them a program printed.
    printed: BTreeSet<u64>,
    told: Status,
    full: bool,
    room: Vec<u8>,
}

/// How tracing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It goes on.
    Tracing,
    /// An action asked to end it, or all buffers are full.
    Exiting,
    /// The kernel has ended it.
    Killed,
}

impl<'d> Session<'d> {
    /// One without clauses. Options are told to the kernel here, since records depend on some.
    ///
    /// # Errors
    /// If the kernel refuses them.
    pub fn new(device: &'d dyn Device, options: Options) -> Result<Self> {
        let conf = device.configuration().context("asking the module")?;
        if conf.buffers == 0 || conf.buffers > MOST_CPUS {
            bail!(
                "the module says that it has buffers for {} CPUs",
                conf.buffers
            );
        }
        let session = Self {
            device,
            clauses: Vec::new(),
            options,
            cpus: conf.buffers,
            first: None,
            last: None,
            probes: HashMap::new(),
            enabled: HashMap::new(),
            shapes: HashMap::new(),
            tables: BTreeMap::new(),
            printed: BTreeSet::new(),
            told: device.status().context("asking the module's status")?,
            full: false,
            room: Vec::new(),
        };
        session.set_options()?;
        session.load(&program::error_clause()?, "errors")?;
        Ok(session)
    }

    /// Tells the kernel all options at once; if it refuses, one by one, to learn which.
    fn set_options(&self) -> Result<()> {
        let Err(refused) = self.load(&program::options(self.options.iter())?, "the options") else {
            return Ok(());
        };
        for (option, value) in self.options.iter() {
            let one = program::options([(option, value)])?;
            if let Err(error) = self.load(&one, "it") {
                let name = option.name();
                return Err(error.context(format!("option {name}={value} is refused")));
            }
        }
        Err(refused)
    }

    /// Enables a clause. Returns how many probes it matched.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn enable(&mut self, clause: Clause) -> Result<u32> {
        let number = self.clauses.len();
        let dof = program::clause(number, &clause, &self.options)?;
        let matched = self.load(&dof, &clause.name.to_string())?;
        self.clauses.push(clause);
        Ok(matched)
    }

    fn load(&self, dof: &[u8], what: &str) -> Result<u32> {
        self.device.enable(dof).map_err(|error| {
            let said = self.device.refusal().ok().flatten();
            match said {
                Some(said) => anyhow!("could not enable {what}: {said}"),
                None => anyhow!(error).context(format!("could not enable {what}")),
            }
        })
    }

    /// Starts tracing.
    ///
    /// # Errors
    /// ENOMEM and the like if there is no memory for buffers.
    pub fn go(&mut self) -> Result<()> {
        let begun = self.device.go().map_err(|error| {
            let hint = match error.raw_os_error() {
                Some(libc::ENOMEM | libc::ENOSPC | libc::E2BIG) => {
                    "\nhint: no memory for so large buffers: try -b 1m"
                }
                _ => "",
            };
            anyhow!("could not start tracing: {error}{hint}")
        })?;
        self.first = Some(begun);
        // The sizes that the kernel settled on.
        for (option, value) in self.device.options().context("asking for the options")? {
            self.options.set(option, value);
        }
        let size = |option| self.options.get(option).unwrap_or(0);
        let most = size(OptionId::BufferSize).max(size(OptionId::AggregationSize));
        // As the kernel rounds them.
        let most = most.checked_next_multiple_of(8).unwrap_or(u64::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.room
            .try_reserve_exact(most)
            .context("no memory for a buffer")?;
        self.room.resize(most, 0);
        Ok(())
    }

    /// Ends tracing and takes all that is left.
    ///
    /// # Errors
    /// The kernel's, or the sink's.
    pub fn stop(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        self.last = match self.device.stop() {
            Ok(cpu) => Some(cpu),
            Err(error) => {
                // It may be that the kernel was first: then this is why.
                self.check(sink)?;
                return Err(error).context("could not stop tracing");
            }
        };
        // First, as END may print them.
        self.aggregate(sink)?;
        self.take_records(sink)?;
        self.check(sink)?;
        Ok(())
    }

    /// Asks how it stands, and tells of drops since the last time.
    ///
    /// # Errors
    /// The kernel's, or the sink's.
    pub fn check(&mut self, sink: &mut Sink<'_>) -> Result<Standing> {
        let now = self.device.status().context("asking the module's status")?;
        let before = std::mem::replace(&mut self.told, now);
        for (kind, before, now) in counts(&before, &now) {
            let count = now.saturating_sub(before);
            if count != 0 {
                let cpu = None;
                sink(Event::Drops(Drops { kind, cpu, count }))?;
            }
        }
        // One is enough, as in DTrace's guide.
        self.full = self.policy() == BufferPolicy::Fill && now.filled > 0;
        Ok(match now.killed != 0 {
            true => Standing::Killed,
            false if now.exiting != 0 || self.full => Standing::Exiting,
            false => Standing::Tracing,
        })
    }

    /// Whether the kernel had ended the tracing when it was last asked.
    pub fn was_killed(&self) -> bool {
        self.told.killed != 0
    }

    /// Whether a buffer that is to be filled was full when it was last asked.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Takes what CPUs have recorded, if the policy of buffers allows it while tracing.
    ///
    /// # Errors
    /// The kernel's, or the sink's.
    pub fn consume(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        match self.policy() {
            BufferPolicy::Switch => {
                if self.clauses.iter().any(|clause| clause.printa.is_some()) {
                    self.aggregate(sink)?;
                }
                self.take_records(sink)
            }
            BufferPolicy::Ring | BufferPolicy::Fill => Ok(()),
        }
    }

    /// Takes what CPUs have aggregated, and puts it together.
    ///
    /// # Errors
    /// The kernel's, or the sink's.
    pub fn aggregate(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        if self.clauses.iter().all(|clause| clause.aggregate.is_none()) {
            return Ok(());
        }
        self.each_cpu(Buffer::Aggregation, sink)
    }

    /// The aggregations so far that no program printed, by their clause; None: by another program's.
    pub fn tables(&self) -> impl Iterator<Item = (Option<&Clause>, &Table)> {
        let printed = &self.printed;
        let tables = self
            .tables
            .iter()
            .filter(|(number, _)| !printed.contains(number));
        tables.map(|(_, table)| {
            let clause = table.clause;
            (clause.and_then(|number| self.clauses.get(number)), table)
        })
    }

    /// The options in force.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// CPUs that may have buffers: their numbers are below it.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    fn policy(&self) -> BufferPolicy {
        let said = self.options.get(OptionId::BufferPolicy);
        said.and_then(BufferPolicy::from_raw)
            .unwrap_or(BufferPolicy::Switch)
    }

    fn take_records(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        self.each_cpu(Buffer::Principal, sink)
    }

    fn each_cpu(&mut self, buffer: Buffer, sink: &mut Sink<'_>) -> Result<()> {
        let mut order: Vec<u32> = (0..self.cpus).collect();
        let first = match buffer {
            Buffer::Principal => self.first.take(),
            Buffer::Aggregation => None,
        };
        let last = self.last;
        order.sort_by_key(|cpu| match Some(*cpu) {
            cpu if cpu == last => 2,
            cpu if cpu == first => 0,
            _ => 1,
        });
        for cpu in order {
            self.one_cpu(buffer, cpu, sink)?;
        }
        Ok(())
    }

    fn one_cpu(&mut self, buffer: Buffer, cpu: u32, sink: &mut Sink<'_>) -> Result<()> {
        // Taken, so that looking up records does not borrow it.
        let mut room = std::mem::take(&mut self.room);
        let taken = self.device.snapshot(buffer, cpu, &mut room);
        let result = match taken {
            Ok(None) => Ok(()),
            Ok(Some(snapshot)) => self.read(buffer, cpu, &room, &snapshot, sink),
            Err(error) => Err(error).with_context(|| format!("taking the buffer of CPU {cpu}")),
        };
        self.room = room;
        result
    }

    fn read(
        &mut self,
        buffer: Buffer,
        cpu: u32,
        room: &[u8],
        snapshot: &Snapshot,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let size = usize::try_from(snapshot.size).ok();
        let filled = size.and_then(|size| room.get(..size));
        let walked = match filled {
            Some(bytes) => match buffer {
                Buffer::Principal => self.walk(cpu, bytes, snapshot.oldest, sink)?,
                Buffer::Aggregation => self.merge(bytes)?,
            },
            None => {
                let (size, room) = (snapshot.size, room.len());
                Err(format!(
                    "{size} bytes are said to be in it, where {room} fit"
                ))
            }
        };
        if let Err(why) = walked {
            sink(Event::Damage(Damage { cpu, buffer, why }))?;
        }
        if snapshot.drops != 0 {
            let kind = match buffer {
                Buffer::Principal => DropKind::Principal,
                Buffer::Aggregation => DropKind::Aggregation,
            };
            sink(Event::Drops(Drops {
                kind,
                cpu: Some(cpu),
                count: snapshot.drops,
            }))?;
        }
        Ok(())
    }

    /// Hands out the records of a buffer. The inner error says why its bytes make no sense.
    fn walk(
        &mut self,
        cpu: u32,
        bytes: &[u8],
        oldest: u64,
        sink: &mut Sink<'_>,
    ) -> Result<Result<(), String>> {
        let mut walk = match Walk::new(bytes, oldest) {
            Ok(walk) => walk,
            Err(damaged) => return Ok(Err(damaged.to_string())),
        };
        loop {
            let epid = match walk.number() {
                Ok(Some(epid)) => epid,
                Ok(None) => return Ok(Ok(())),
                Err(damaged) => return Ok(Err(damaged.to_string())),
            };
            let enabled = match self.enabled(epid)? {
                Ok(enabled) => enabled,
                Err(why) => return Ok(Err(why)),
            };
            let bytes = match walk.record(enabled.layout.size()) {
                Ok(bytes) => bytes,
                Err(damaged) => return Ok(Err(damaged.to_string())),
            };
            let enabled = &*enabled;
            let record = Record {
                cpu,
                enabled,
                bytes,
            };
            if enabled.clause == Some(program::ERROR_CLAUSE) {
                sink(Event::Fault(self.fault(&record)?))?;
                continue;
            }
            sink(Event::Record(record))?;
            for item in &enabled.items {
                let Item::Printa(format, number) = item else {
                    continue;
                };
                let part = enabled.layout.split(record.bytes).nth(*number);
                let variable =
                    part.and_then(|(part, bytes)| Value::read(part, bytes, None).number());
                let variable = variable.unwrap_or(0) as u64;
                self.printed.insert(variable);
                if let Some(table) = self.tables.get(&variable) {
                    let format = format.as_deref();
                    sink(Event::Printed(Printed { table, format }))?;
                }
            }
            for (part, bytes) in enabled.layout.split(record.bytes) {
                if part.action == ActionKind::Exit.raw() {
                    let status = Value::read(part, bytes, None).number().unwrap_or(0);
                    sink(Event::Exit(status as i32))?;
                }
            }
        }
    }

    /// Puts the records of an aggregation buffer together.
    fn merge(&mut self, bytes: &[u8]) -> Result<Result<(), String>> {
        let mut walk = match Walk::new(bytes, 0) {
            Ok(walk) => walk,
            Err(damaged) => return Ok(Err(damaged.to_string())),
        };
        loop {
            let id = match walk.number() {
                Ok(Some(id)) => id,
                Ok(None) => return Ok(Ok(())),
                Err(damaged) => return Ok(Err(damaged.to_string())),
            };
            let shape = match self.shape(id)? {
                Ok(shape) => shape,
                Err(why) => return Ok(Err(why)),
            };
            let record = match walk.record(shape.layout.size()) {
                Ok(record) => record,
                Err(damaged) => return Ok(Err(damaged.to_string())),
            };
            let table = self.table(&shape);
            if table.function != shape.function {
                return Ok(Err(format!("aggregation {id} has two functions")));
            }
            table.add(&shape, record);
        }
    }

    /// What a record's number stands for. The inner error: nothing that makes sense.
    fn enabled(&mut self, epid: u32) -> Result<Result<Rc<Enabled>, String>> {
        if let Some(enabled) = self.enabled.get(&epid) {
            return Ok(Ok(enabled.clone()));
        }
        let said = match known(self.device.enabled(epid)) {
            Ok(said) => said,
            Err(error) => return Err(error).context(format!("asking for enabled probe {epid}")),
        };
        let Some(said) = said else {
            return Ok(Err(format!("there is no enabled probe {epid}")));
        };
        let layout = match Layout::check(epid, &said) {
            Ok(layout) => layout,
            Err(bad) => return Ok(Err(format!("enabled probe {epid}: {bad}"))),
        };
        let clause = program::clause_of(said.user_argument);
        let fields = clause.and_then(|number| self.clauses.get(number));
        let fields = fields.map_or_else(Vec::new, |clause| {
            let recorded = clause.record.iter().map(Some);
            let printed = clause.printf.iter().flat_map(Printf::parts);
            recorded
                .chain(printed)
                .map(|field| field.cloned())
                .collect()
        });
        let items = match self.items(layout.parts())? {
            Ok(items) => items,
            Err(why) => return Ok(Err(format!("enabled probe {epid}: {why}"))),
        };
        let enabled = Rc::new(Enabled {
            epid,
            probe: self.probe(said.probe)?,
            clause,
            layout,
            fields,
            items,
        });
        self.enabled.insert(epid, enabled.clone());
        Ok(Ok(enabled))
    }

    /// Which parts of a record belong together. The inner error: nothing that makes sense.
    fn items(&self, parts: &[RecordDescription]) -> Result<Result<Vec<Item>, String>> {
        let mut items = Vec::new();
        // What the last format still takes.
        let mut missing = 0;
        for (number, part) in parts.iter().enumerate() {
            if let (1.., Some(Item::Printf(_, taken))) = (missing, items.last_mut()) {
                taken.end = number + 1;
                missing -= 1;
                continue;
            }
            let function = match ActionKind::from_raw(part.action) {
                Some(ActionKind::Printf) if part.format != 0 => Function::Printf,
                Some(ActionKind::Printa) => Function::Printa,
                _ => {
                    items.push(Item::Value(number));
                    continue;
                }
            };
            let format = match part.format {
                0 => None,
                number => match self.format(number, function)? {
                    Ok(format) => Some(Rc::new(format)),
                    Err(why) => return Ok(Err(why)),
                },
            };
            items.push(match (function, format) {
                (Function::Printf, Some(format)) => {
                    // A part that goes with the format, and is none of its values?
                    let first = format.wants().next();
                    let own = first.is_some_and(|(wants, _)| wants != Wants::Stack);
                    missing = format.wants().count() - usize::from(own);
                    let from = number + usize::from(!own);
                    Item::Printf(format, from..number + 1)
                }
                (_, format) => Item::Printa(format, number),
            });
        }
        Ok(Ok(items))
    }

    /// The format of that number. The inner error: there is none, or it makes no sense.
    fn format(&self, number: u16, function: Function) -> Result<Result<Format, String>> {
        let said = known(self.device.format(number));
        let said = said.with_context(|| format!("asking for format {number}"))?;
        let Some(said) = said else {
            return Ok(Err(format!("there is no format {number}")));
        };
        let format = Format::parse(&said, function);
        Ok(format.map_err(|why| format!("format {number}: {why}")))
    }

    /// What an aggregation's number stands for. The inner error: nothing that makes sense.
    fn shape(&mut self, id: u32) -> Result<Result<Rc<Shape>, String>> {
        if let Some(shape) = self.shapes.get(&id) {
            return Ok(Ok(shape.clone()));
        }
        let said = match known(self.device.aggregation(id)) {
            Ok(said) => said,
            Err(error) => return Err(error).context(format!("asking for aggregation {id}")),
        };
        let Some(said) = said else {
            return Ok(Err(format!("there is no aggregation {id}")));
        };
        let layout = match Layout::of(said.size, &said.records) {
            Ok(layout) => layout,
            Err(bad) => return Ok(Err(format!("aggregation {id}: {bad}"))),
        };
        let shape = match Shape::check(layout) {
            Ok(shape) => Rc::new(shape),
            Err(bad) => return Ok(Err(format!("aggregation {id}: {bad}"))),
        };
        self.shapes.insert(id, shape.clone());
        Ok(Ok(shape))
    }

    /// Where records of that shape are put together.
    fn table(&mut self, shape: &Shape) -> &mut Table {
        let clauses = &self.clauses;
        self.tables.entry(shape.variable).or_insert_with(|| {
            let number = program::clause_of(shape.variable);
            let clause = number.and_then(|number| clauses.get(number));
            let aggregate = clause.and_then(|clause| clause.aggregate.as_ref());
            let key = aggregate.map_or_else(Vec::new, |aggregate| aggregate.by.clone());
            Table::new(number, key, shape.function)
        })
    }

    fn probe(&mut self, id: u32) -> Result<Rc<Probe>> {
        if let Some(probe) = self.probes.get(&id) {
            return Ok(probe.clone());
        }
        let found = self.device.probe(id, &ProbeName::default());
        let found = found.with_context(|| format!("asking for probe {id}"))?;
        // It may be gone meanwhile.
        let found = found.filter(|probe| probe.id == id);
        let probe = Rc::new(found.unwrap_or_else(|| Probe {
            id,
            name: ProbeName::default(),
        }));
        self.probes.insert(id, probe.clone());
        Ok(probe)
    }

    /// What a record of ERROR tells.
    fn fault(&mut self, record: &Record<'_>) -> Result<Fault> {
        let values: Vec<i64> = record.values().filter_map(|(_, v)| v.number()).collect();
        let value = |number: usize| values.get(number).copied().unwrap_or(0);
        let epid = value(0) as u32;
        let probe = match self.enabled(epid)? {
            Ok(enabled) => Some(enabled.probe.clone()),
            Err(_) => None,
        };
        Ok(Fault {
            cpu: record.cpu,
            epid,
            probe,
            action: u32::try_from(value(1)).unwrap_or(0),
            offset: u32::try_from(value(2)).ok(),
            kind: value(3) as u32,
            address: value(4) as u64,
        })
    }
}

/// ESRCH, EINVAL and ENOENT as an answer: there is none.
fn known<T>(asked: io::Result<T>) -> io::Result<Option<T>> {
    match asked {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.raw_os_error() {
            Some(libc::ESRCH | libc::EINVAL | libc::ENOENT) => Ok(None),
            _ => Err(error),
        },
    }
}

/// What a status counts that is told of, before and now.
fn counts(before: &Status, now: &Status) -> [(DropKind, u64, u64); 8] {
    let of = |kind, count: fn(&Status) -> u64| (kind, count(before), count(now));
    [
        of(DropKind::Dynamic, |s| s.dynamic_drops),
        of(DropKind::DynamicRinse, |s| s.dynamic_rinsing_drops),
        of(DropKind::DynamicDirty, |s| s.dynamic_dirty_drops),
        of(DropKind::Speculation, |s| s.speculative_drops),
        of(DropKind::SpeculationBusy, |s| s.speculative_busy_drops),
        of(DropKind::SpeculationUnavailable, |s| {
            s.speculative_unavailable_drops
        }),
        of(DropKind::StackString, |s| s.stack_string_overflows),
        of(DropKind::DoubleError, |s| s.double_errors),
    ]
}

/// All probes that a name matches, in the order of their numbers.
///
/// # Errors
/// The kernel's.
pub fn matching(device: &dyn Device, name: &ProbeName) -> Result<Vec<Probe>> {
    let mut found: Vec<Probe> = Vec::new();
    let mut from = 0;
    loop {
        let probe = device.probe(from, name).context("asking for probes")?;
        let Some(probe) = probe else {
            return Ok(found);
        };
        let Some(next) = probe.id.checked_add(1).filter(|next| *next > from) else {
            bail!(
                "the module's list of probes goes backwards at probe {}",
                probe.id
            );
        };
        from = next;
        found.push(probe);
    }
}

/// The error for a name that matches nothing, with what may have been meant.
pub fn no_match(device: &dyn Device, name: &ProbeName) -> anyhow::Error {
    // The kernel says why there is none where it knows.
    let asked = device.probe(0, name);
    if let (Ok(None), Ok(Some(said))) = (asked, device.refusal()) {
        return anyhow!("{said}");
    }
    let all = matching(device, &ProbeName::default()).unwrap_or_default();
    let names: Vec<ProbeName> = all.into_iter().map(|probe| probe.name).collect();
    let hint = match suggest::probe(name, &names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("dtrace -l lists all {} probes", names.len()),
    };
    anyhow!("probe description {name} does not match any probes\nhint: {hint}")
}
