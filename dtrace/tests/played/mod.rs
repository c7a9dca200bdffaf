// SPDX-License-Identifier: GPL-2.0
//! A kernel that tests play: it reads the programs it is given, and writes records as they say.

use dof::{Action, Object};
use dtrace::device::{Aggregation, Buffer, Device, EnabledProbe, Probe, Snapshot};
use dtrace::name::ProbeName;
use dtrace::run::{End, World};
use dtrace_interface::accounting::Accounting;
use dtrace_interface::action::ActionKind;
use dtrace_interface::conf::Configuration;
use dtrace_interface::dif::{DifType, Instruction};
use dtrace_interface::opcode::Opcode;
use dtrace_interface::options::OptionId;
use dtrace_interface::record::RecordDescription;
use dtrace_interface::status::Status;
use dtrace_interface::variable::BuiltIn;
use dtrace_interface::Plain;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// A variable's value.
#[derive(Clone, Copy)]
pub enum Is {
    Number(i64),
    Text(&'static str),
}

/// What a firing knows.
pub type Variables<'a> = &'a [(BuiltIn, Is)];

struct Enabling {
    probe: u32,
    user_argument: u64,
    size: u32,
    /// Parts of a record, and what makes them.
    parts: Vec<(RecordDescription, Option<Object>)>,
    aggregation: Option<usize>,
}

struct Aggregating {
    epid: u32,
    size: u32,
    parts: Vec<(RecordDescription, Option<Object>)>,
}

/// The kernel.
pub struct Played {
    pub probes: Vec<Probe>,
    pub cpus: u32,
    pub status: RefCell<Status>,
    pub refusal: RefCell<Option<String>>,
    pub accounting: Vec<Accounting>,
    /// What options are in force, whatever a program sets.
    pub forced: Vec<(OptionId, u64)>,
    pub drops: RefCell<Vec<u64>>,
    pub stopped: Cell<bool>,
    /// A name of a timer makes its probe when it is enabled.
    pub timers: Cell<bool>,
    made: RefCell<Vec<Probe>>,
    options: RefCell<Vec<(OptionId, u64)>>,
    formats: RefCell<Vec<String>>,
    enablings: RefCell<Vec<Enabling>>,
    aggregations: RefCell<Vec<Aggregating>>,
    principal: RefCell<Vec<Vec<u8>>>,
    aggregated: RefCell<Vec<Vec<u8>>>,
}

impl Played {
    /// One with these probes, and BEGIN, END and ERROR before them.
    pub fn new(cpus: u32, names: &[&str]) -> Self {
        let own = ["dtrace:::BEGIN", "dtrace:::END", "dtrace:::ERROR"];
        let all = own.iter().chain(names).zip(1..);
        let probes = all.map(|(name, id)| Probe {
            id,
            name: name.parse().unwrap(),
        });
        Self {
            probes: probes.collect(),
            cpus,
            drops: vec![0; cpus as usize].into(),
            principal: vec![Vec::new(); cpus as usize].into(),
            aggregated: vec![Vec::new(); cpus as usize].into(),
            status: Status::ZERO.into(),
            refusal: None.into(),
            accounting: Vec::new(),
            forced: Vec::new(),
            stopped: false.into(),
            timers: false.into(),
            made: Vec::new().into(),
            options: Vec::new().into(),
            formats: Vec::new().into(),
            enablings: Vec::new().into(),
            aggregations: Vec::new().into(),
        }
    }

    /// A probe fires.
    pub fn fire(&self, cpu: u32, name: &str, variables: Variables<'_>) {
        let name: ProbeName = name.parse().unwrap();
        let probe = self.probes.iter().find(|probe| probe.name == name).unwrap();
        let enablings = self.enablings.borrow();
        let fired = (1..)
            .zip(enablings.iter())
            .filter(|(_, e)| e.probe == probe.id);
        for (epid, enabling) in fired {
            let mut buffers = self.principal.borrow_mut();
            // One that only aggregates records nothing.
            if enabling.aggregation.is_none() || !enabling.parts.is_empty() {
                let buffer = &mut buffers[cpu as usize];
                write(epid, enabling.size, &enabling.parts, variables, buffer);
            }
            if let Some(number) = enabling.aggregation {
                let aggregation = &self.aggregations.borrow()[number];
                let buffer = &mut self.aggregated.borrow_mut()[cpu as usize];
                let id = number as u32 + 1;
                write(id, aggregation.size, &aggregation.parts, variables, buffer);
            }
        }
    }

    /// Bytes that no probe wrote.
    pub fn spoil(&self, cpu: u32, bytes: &[u8]) {
        self.principal.borrow_mut()[cpu as usize].extend(bytes);
    }
}

/// Writes a record at the next multiple of 8.
fn write(
    number: u32,
    size: u32,
    parts: &[(RecordDescription, Option<Object>)],
    variables: Variables<'_>,
    buffer: &mut Vec<u8>,
) {
    buffer.resize(buffer.len().next_multiple_of(8), 0);
    let mut record = vec![0; size as usize];
    record[..4].copy_from_slice(&number.to_ne_bytes());
    for (part, object) in parts {
        let from = part.offset as usize;
        let room = &mut record[from..from + part.size as usize];
        let value = object.as_ref().map(|object| evaluate(object, variables));
        let bytes = match (ActionKind::from_raw(part.action), value) {
            (Some(ActionKind::Count), _) => 1_u64.to_ne_bytes().to_vec(),
            (Some(ActionKind::Quantize), Some(Is::Number(number))) => {
                let bucket = dtrace_interface::aggregation::quantize_bucket(number);
                room[bucket * 8] = 1;
                continue;
            }
            (Some(ActionKind::Avg), Some(Is::Number(number))) => {
                let words = [1, number as u64];
                words.iter().flat_map(|word| word.to_ne_bytes()).collect()
            }
            (_, Some(Is::Number(number))) => number.to_ne_bytes().to_vec(),
            (_, Some(Is::Text(text))) => text.as_bytes().to_vec(),
            (_, None) => Vec::new(),
        };
        let length = bytes.len().min(room.len());
        room[..length].copy_from_slice(&bytes[..length]);
    }
    buffer.extend(record);
}

/// What the short programs of the command compute: a variable, or a constant.
fn evaluate(object: &Object, variables: Variables<'_>) -> Is {
    let first = Instruction(object.instructions[0]);
    match first.opcode() {
        Some(Opcode::Setx) => Is::Number(object.integers[first.index() as usize] as i64),
        Some(Opcode::Ldgs) => {
            let wanted = BuiltIn::from_raw(first.index());
            let found = variables.iter().find(|(name, _)| Some(*name) == wanted);
            found.map_or(Is::Number(0), |(_, value)| *value)
        }
        other => panic!("{other:?} is not played"),
    }
}

/// Places parts one after the other, from byte `from`.
fn place(
    actions: &[Action<'_>],
    from: u32,
    formats: &mut Vec<String>,
) -> (u32, Vec<(RecordDescription, Option<Object>)>) {
    let mut at = from;
    let mut parts = Vec::new();
    for action in actions {
        let returns = action.difo.map_or(DifType::INT64, |difo| difo.return_type);
        let size = match action.kind {
            ActionKind::Quantize => 127 * 8,
            ActionKind::Avg => 16,
            ActionKind::Count => 8,
            ActionKind::Stack => 8 * action.argument as u32,
            _ => returns.size,
        };
        let alignment = if returns.is_by_ref() { 1 } else { size.min(8) };
        at = at.next_multiple_of(alignment);
        if let Some(format) = action.format {
            formats.push(String::from_utf8(format.to_vec()).unwrap());
        }
        let format = action.format.map_or(0, |_| formats.len());
        let part = RecordDescription {
            format: format as u16,
            action: action.kind.raw(),
            size,
            offset: at,
            alignment: alignment as u16,
            argument: action.argument,
            user_argument: action.user_argument,
            ..RecordDescription::ZERO
        };
        parts.push((part, action.difo.map(Object::from)));
        at += size;
    }
    (at, parts)
}

fn descriptions(parts: &[(RecordDescription, Option<Object>)]) -> Vec<RecordDescription> {
    parts.iter().map(|(part, _)| *part).collect()
}

fn no_such() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

impl Device for Played {
    fn configuration(&self) -> io::Result<Configuration> {
        Ok(Configuration {
            dif_version: 2,
            buffers: self.cpus,
            ..Configuration::ZERO
        })
    }

    fn probe(&self, from: u32, name: &ProbeName) -> io::Result<Option<Probe>> {
        let made = self.made.borrow();
        let mut probes = self.probes.iter().chain(made.iter());
        let found = probes.find(|probe| probe.id >= from && name.matches(&probe.name));
        Ok(found.cloned())
    }

    fn enable(&self, dof: &[u8]) -> io::Result<u32> {
        if self.refusal.borrow().is_some() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let program = dof::load(dof).expect("the command writes programs that hold");
        let mut options = self.options.borrow_mut();
        options.extend(
            program
                .options()
                .filter_map(|o| OptionId::from_raw(o.option.raw()).map(|id| (id, o.value))),
        );
        let mut formats = self.formats.borrow_mut();
        let mut count = 0;
        for ecb in program.ecbs() {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let name = ProbeName {
                provider: text(ecb.probe.provider),
                module: text(ecb.probe.module),
                function: text(ecb.probe.function),
                name: text(ecb.probe.name),
            };
            if self.timers.get() && name.name.starts_with("tick-") {
                let (id, name) = (self.probes.len() as u32 + 1, name.clone());
                self.made.borrow_mut().push(Probe { id, name });
            }
            let actions: Vec<Action<'_>> = ecb.actions.iter().collect();
            let aggregating = actions
                .iter()
                .position(|action| action.kind.is_aggregation());
            let key = aggregating.map_or(0, |at| actions[at].tuple as usize);
            let records = aggregating.map_or(actions.len(), |at| at - key);
            let matched = self.probes.iter().filter(|probe| match ecb.probe.id {
                0 => name.matches(&probe.name),
                id => probe.id == id,
            });
            for probe in matched {
                let mut enablings = self.enablings.borrow_mut();
                let (size, parts) = place(&actions[..records], 4, &mut formats);
                let aggregation = aggregating.map(|at| {
                    let mut all = self.aggregations.borrow_mut();
                    let (size, parts) = place(&actions[records..=at], 4, &mut formats);
                    let epid = enablings.len() as u32 + 1;
                    all.push(Aggregating { epid, size, parts });
                    all.len() - 1
                });
                enablings.push(Enabling {
                    probe: probe.id,
                    user_argument: ecb.user_argument,
                    size,
                    parts,
                    aggregation,
                });
                count += 1;
            }
        }
        Ok(count)
    }

    fn refusal(&self) -> io::Result<Option<String>> {
        Ok(self.refusal.borrow().clone())
    }

    fn go(&self) -> io::Result<u32> {
        let cpu = self.cpus - 1;
        self.fire(cpu, "dtrace:::BEGIN", &[]);
        Ok(cpu)
    }

    fn stop(&self) -> io::Result<u32> {
        self.fire(0, "dtrace:::END", &[]);
        self.stopped.set(true);
        Ok(0)
    }

    fn status(&self) -> io::Result<Status> {
        Ok(*self.status.borrow())
    }

    fn enabled(&self, epid: u32) -> io::Result<EnabledProbe> {
        let enablings = self.enablings.borrow();
        let found = enablings.get(epid as usize - 1).ok_or_else(no_such)?;
        Ok(EnabledProbe {
            epid,
            probe: found.probe,
            user_argument: found.user_argument,
            size: found.size,
            records: descriptions(&found.parts),
        })
    }

    fn aggregation(&self, id: u32) -> io::Result<Aggregation> {
        let all = self.aggregations.borrow();
        let found = all.get(id as usize - 1).ok_or_else(no_such)?;
        Ok(Aggregation {
            id,
            epid: found.epid,
            size: found.size,
            records: descriptions(&found.parts),
        })
    }

    fn format(&self, number: u16) -> io::Result<String> {
        let formats = self.formats.borrow();
        let found = formats.get(usize::from(number).wrapping_sub(1));
        found.cloned().ok_or_else(no_such)
    }

    fn options(&self) -> io::Result<Vec<(OptionId, u64)>> {
        let set = self.options.borrow();
        Ok(set.iter().chain(&self.forced).copied().collect())
    }

    fn snapshot(&self, buffer: Buffer, cpu: u32, room: &mut [u8]) -> io::Result<Option<Snapshot>> {
        let mut buffers = match buffer {
            Buffer::Principal => self.principal.borrow_mut(),
            Buffer::Aggregation => self.aggregated.borrow_mut(),
        };
        let bytes = std::mem::take(&mut buffers[cpu as usize]);
        room[..bytes.len()].copy_from_slice(&bytes);
        let mut snapshot = Snapshot {
            size: bytes.len() as u64,
            ..Snapshot::default()
        };
        if buffer == Buffer::Principal {
            snapshot.drops = std::mem::take(&mut self.drops.borrow_mut()[cpu as usize]);
        }
        Ok(Some(snapshot))
    }

    fn accounting(&self, cpu: u32, _epid: u32) -> io::Result<Accounting> {
        let mut all = self.accounting.iter();
        all.find(|accounting| accounting.cpu == cpu)
            .copied()
            .ok_or_else(no_such)
    }
}

/// What happens between two looks.
pub type Step<'a> = Box<dyn FnOnce() + 'a>;

/// Time that only passes when waited for; each wait takes a step, the last one ends the tracing.
pub struct Stage<'a> {
    now: Duration,
    steps: VecDeque<Step<'a>>,
    end: End,
    pub begun: bool,
}

impl<'a> Stage<'a> {
    pub fn new(steps: Vec<Step<'a>>) -> Self {
        Self {
            now: Duration::from_secs(5),
            steps: steps.into(),
            end: End::Interrupted,
            begun: false,
        }
    }

    pub fn ending(self, end: End) -> Self {
        Self { end, ..self }
    }
}

impl World for Stage<'_> {
    fn begin(&mut self) -> anyhow::Result<()> {
        self.begun = true;
        Ok(())
    }

    fn now(&self) -> Duration {
        self.now
    }

    fn wait(&mut self, until: Duration) -> Option<End> {
        self.now = self.now.max(until);
        match self.steps.pop_front() {
            Some(step) => {
                step();
                None
            }
            None => Some(self.end.clone()),
        }
    }
}
