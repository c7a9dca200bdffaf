// SPDX-License-Identifier: GPL-2.0
//! The control side: providers, consumers, what ioctls ask for. A module keeps it behind one lock.
//!
//! All of it is called in a task that may sleep, with that lock held and CPUs not held
//! ([`Machine::hold_cpus`]): functions here hold them themselves where they must.

#![forbid(unsafe_code)]

use crate::activity::{Activity, Role};
use crate::aggregation::AggregationHalf;
use crate::clause::Clause;
use crate::consumer::{Consumer, CpuBuffers, Ecb, Running};
use crate::counts::{EcbCounters, EcbCounts};
use crate::description::ClauseDescription;
use crate::error::Error;
use crate::expression::Variables;
use crate::framework::{Framework, Which, BEGIN, END, ERROR};
use crate::half::Half;
use crate::halves::Halves;
use crate::machine::Machine;
use crate::memory::{List, Published, Retired, Shared};
use crate::memory::{Node, Writer};
use crate::options::Options;
use crate::primitive::Counter;
use crate::registry::{Pattern, Probe, Provider, ProviderId, Registry};
use dtrace_interface::options::{BufferPolicy, BufferResize, OptionId};
use dtrace_interface::record::RecordDescription;
use dtrace_interface::status::Status;
use dtrace_interface::Plain;

/// Consumers at a time, at most.
const MAX_CONSUMERS: usize = 64;
/// ECBs of a consumer, at most.
const MAX_ECBS: usize = 1 << 20;
/// ECBs of a probe, of all consumers, at most: a firing walks them all.
const MAX_ECBS_OF_PROBE: usize = 4096;
/// Format strings of a consumer, at most: their numbers are 16 bits wide.
const MAX_FORMATS: usize = u16::MAX as usize;
/// A half of a buffer is not made smaller than this where memory is short.
const SMALLEST_BUFFER: usize = 4096;

/// A consumer's number. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId(u64);

/// A snapshot of one CPU's buffer: what BUFSNAP and AGGSNAP answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Bytes given to the copy.
    pub size: usize,
    /// Where the oldest record lies in them.
    pub oldest: usize,
    /// Firings dropped since the last snapshot.
    pub drops: u64,
    /// Firings failed since the last snapshot.
    pub errors: u64,
}

/// An enabled probe, for EPROBE and the accounting.
pub struct EnabledProbe<'a, X> {
    /// The probe's number.
    pub probe: u32,
    /// The clause: sizes and records.
    pub clause: &'a Clause<X>,
}

struct OwnEcb<M: Machine> {
    ecb: Shared<Node<Ecb<M>>>,
    retired: Option<Retired<Node<Ecb<M>>>>,
}

/// The control side's part of a consumer.
struct State<M: Machine> {
    id: u64,
    shared: Shared<Node<Consumer<M>>>,
    options: Options,
    formats: List<List<u8>>,
    ecbs: List<OwnEcb<M>>,
    /// Aggregation numbers given so far.
    aggregations: u32,
    /// Which EPID an aggregation is of, by number less one.
    aggregation_epids: List<u32>,
    running: Option<Shared<Running<M>>>,
    buffers: List<Option<Shared<CpuBuffers>>>,
    /// Of [`Running::unbuffered`], what snapshots told already.
    told_unbuffered: List<u64>,
    buffer_size: usize,
    aggregation_size: usize,
    /// The largest of both that a CPU has: one may have got its buffers before memory was short.
    largest: (usize, usize),
    key_size: usize,
    switches: u64,
    aggregation_drops: u64,
}

/// The control side.
pub struct Control<M: Machine> {
    framework: Shared<Framework<M>>,
    registry: Registry,
    states: List<State<M>>,
    next_consumer: u64,
    writer: Writer,
}

/// The provider `dtrace`: its probes are fired by the framework.
struct Own;

impl Provider for Own {
    fn enable(&self, _: u32, _: u64) -> Result<(), Error> {
        Ok(())
    }

    fn disable(&self, _: u32, _: u64) {}
}

static OWN: Own = Own;

impl<M: Machine> Control<M> {
    /// A framework for CPUs numbered below `cpus`, with the probes BEGIN, END and ERROR.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(machine: M, cpus: usize) -> Result<Self, Error> {
        let framework = Shared::new(Framework::new(machine, cpus)?)?;
        let mut control = Self {
            framework,
            registry: Registry::new(),
            states: List::new(),
            next_consumer: 1,
            writer: Writer(()),
        };
        let own = control.register(b"dtrace", &OWN)?;
        for (name, id) in [
            (b"BEGIN".as_slice(), BEGIN),
            (b"END", END),
            (b"ERROR", ERROR),
        ] {
            let made = control.create_probe(own, b"", b"", name, 0)?;
            if made != id {
                return Err(Error::Invalid);
            }
        }
        Ok(control)
    }

    /// What probes reach. A module keeps its own owner of it for its probes.
    pub fn framework(&self) -> &Shared<Framework<M>> {
        &self.framework
    }

    // ---- providers and probes

    /// A provider comes.
    ///
    /// # Errors
    ///
    /// `Busy`: the name is taken. `Invalid`: it is empty or too long. No memory.
    pub fn register(
        &mut self,
        name: &[u8],
        provider: &'static dyn Provider,
    ) -> Result<ProviderId, Error> {
        self.registry.register(name, provider)
    }

    /// A provider goes, with its probes. It must not fire them any more when it is gone itself.
    ///
    /// # Errors
    ///
    /// `Busy`: one of its probes is enabled. `NotFound`.
    pub fn unregister(&mut self, provider: ProviderId) -> Result<(), Error> {
        self.registry.unregister(provider)
    }

    /// A provider makes a probe; its number, by which it is fired. `argument` comes back in the
    /// provider's functions.
    ///
    /// # Errors
    ///
    /// `Invalid`: a part of the name is too long. `TooMany`. `NotFound`: no such provider. No memory.
    pub fn create_probe(
        &mut self,
        provider: ProviderId,
        module: &[u8],
        function: &[u8],
        name: &[u8],
        argument: u64,
    ) -> Result<u32, Error> {
        let id = self.registry.next_id()?;
        self.framework.slots.make_room(id)?;
        self.registry
            .create(provider, [module, function, name], argument)
    }

    /// The first probe from number `from` on that `pattern` matches: PROBES and PROBEMATCH.
    pub fn first_match(&self, from: u32, pattern: &Pattern<'_>) -> Option<&Probe> {
        self.registry.first_match(from, pattern)
    }

    /// A probe by its number.
    pub fn probe(&self, id: u32) -> Option<&Probe> {
        self.registry.probe(id)
    }

    /// Whether a provider of this name is there: PROVIDER.
    pub fn provider_named(&self, name: &[u8]) -> Option<ProviderId> {
        self.registry.provider_named(name)
    }

    /// The C type of an argument of a probe: PROBEARG.
    pub fn argument_type(&self, probe: u32, index: u32) -> Option<&'static str> {
        let probe = self.registry.probe(probe)?;
        let provider = self.registry.provider(probe.provider)?;
        provider.argument_type(probe.id, probe.argument, index)
    }

    // ---- consumers

    /// A consumer comes. `process` is whose firings are not recorded, see
    /// [`trace_itself`](Self::trace_itself) and [`set_process`](Self::set_process).
    ///
    /// # Errors
    ///
    /// `TooMany`. No memory.
    pub fn open(&mut self, process: u32) -> Result<ConsumerId, Error> {
        if self.states.len() >= MAX_CONSUMERS {
            return Err(Error::TooMany("consumers"));
        }
        let id = self.next_consumer;
        let now_ns = self.framework.machine.now_ns();
        let shared = Shared::new(Node::new(Consumer::new(process, now_ns)))?;
        let options = Options::default();
        let buffer_size = options.bytes(OptionId::BufferSize);
        self.states.push(State {
            id,
            shared: shared.clone(),
            options,
            formats: List::new(),
            ecbs: List::new(),
            aggregations: 0,
            aggregation_epids: List::new(),
            running: None,
            buffers: List::new(),
            told_unbuffered: List::new(),
            buffer_size,
            aggregation_size: 0,
            largest: (0, 0),
            key_size: 4,
            switches: 0,
            aggregation_drops: 0,
        })?;
        self.framework.consumers.append(shared, &mut self.writer);
        self.next_consumer = id.wrapping_add(1);
        Ok(ConsumerId(id))
    }

    /// A consumer goes, whatever it was doing: nothing of it is left. Cannot fail.
    pub fn close(&mut self, consumer: ConsumerId) {
        let Some(at) = self.states.iter().position(|state| state.id == consumer.0) else {
            return;
        };
        let Some(mut state) = self.states.swap_remove(at) else {
            return;
        };
        if self.states.is_empty() {
            self.states = List::new();
        }
        state.shared.activity.kill();
        self.withdraw(&mut state.ecbs);
        let framework = &self.framework;
        let running = state.shared.running.replace(None, &framework.clock);
        let shared =
            framework
                .consumers
                .take_out(&state.shared, &framework.clock, &mut self.writer);
        let synced = framework.synced();
        for own in &mut state.ecbs {
            if let Some(retired) = own.retired.take() {
                retired.free(&synced);
            }
        }
        if let Some(running) = running {
            running.free(&synced);
        }
        if let Some(shared) = shared {
            shared.free(&synced);
        }
    }

    /// Takes ECBs out of their probes; providers are told first where it was the last.
    fn withdraw(&mut self, ecbs: &mut [OwnEcb<M>]) {
        for own in ecbs {
            let ecb = &own.ecb;
            if let Some(probe) = self.registry.probe_mut(ecb.probe) {
                probe.ecbs = probe.ecbs.saturating_sub(1);
                let (left, argument, provider) = (probe.ecbs, probe.argument, probe.provider);
                if left == 0 {
                    if let Some(provider) = self.registry.provider(provider) {
                        provider.disable(ecb.probe, argument);
                    }
                }
            }
            if let Some(chain) = self.framework.slots.get(ecb.probe) {
                own.retired = chain.take_out(ecb, &self.framework.clock, &mut self.writer);
            }
        }
    }

    fn at(&self, consumer: ConsumerId) -> Result<usize, Error> {
        let found = self.states.iter().position(|state| state.id == consumer.0);
        found.ok_or(Error::NotFound)
    }

    fn state(&self, consumer: ConsumerId) -> Result<&State<M>, Error> {
        self.states.get(self.at(consumer)?).ok_or(Error::NotFound)
    }

    fn state_mut(&mut self, consumer: ConsumerId) -> Result<&mut State<M>, Error> {
        let at = self.at(consumer)?;
        self.states.get_mut(at).ok_or(Error::NotFound)
    }

    /// What a consumer is doing.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn activity(&self, consumer: ConsumerId) -> Result<Activity, Error> {
        Ok(self.state(consumer)?.shared.activity.get())
    }

    /// Another process traces now, before GO: that one's firings are not recorded.
    ///
    /// # Errors
    ///
    /// `NotFound`. `Busy`: tracing.
    pub fn set_process(&mut self, consumer: ConsumerId, process: u32) -> Result<(), Error> {
        let shared = &self.state(consumer)?.shared;
        if shared.activity.get() != Activity::Inactive {
            return Err(Error::Busy);
        }
        shared.set_process(process);
        Ok(())
    }

    /// Whether the consumer's own process is traced as well.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn trace_itself(&mut self, consumer: ConsumerId, on: bool) -> Result<(), Error> {
        self.state(consumer)?.shared.trace_itself(on);
        Ok(())
    }

    /// Sets an option, before GO.
    ///
    /// # Errors
    ///
    /// `Invalid`: no such option or value. `Unsupported`: destructive actions. `Busy`: tracing.
    pub fn set_option(
        &mut self,
        consumer: ConsumerId,
        option: u32,
        value: u64,
    ) -> Result<(), Error> {
        let state = self.state_mut(consumer)?;
        let option = OptionId::from_raw(option).ok_or(Error::Invalid)?;
        if state.shared.activity.get() != Activity::Inactive {
            return Err(Error::Busy);
        }
        let is_set = value != 0 && value != dtrace_interface::options::UNSET;
        match option {
            OptionId::Destructive if is_set => Err(Error::Unsupported("destructive actions")),
            _ if state.options.set(option, value) => Ok(()),
            _ => Err(Error::Invalid),
        }
    }

    /// The options: DOFGET.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn options(&self, consumer: ConsumerId) -> Result<&Options, Error> {
        Ok(&self.state(consumer)?.options)
    }

    /// Enables a clause at every probe that matches, before GO; how many those are. Either all of them or
    /// none.
    ///
    /// # Errors
    ///
    /// `Unsupported`, `Invalid`, `TooMany`: the clause. `Busy`: tracing. A provider's error. No memory.
    pub fn enable(
        &mut self,
        consumer: ConsumerId,
        description: ClauseDescription<'_, M::Expression>,
    ) -> Result<usize, Error> {
        let at = self.at(consumer)?;
        let cpus = self.framework.cpus();
        let state = self.states.get_mut(at).ok_or(Error::NotFound)?;
        if state.shared.activity.get() != Activity::Inactive {
            return Err(Error::Busy);
        }
        let pattern = description.pattern;
        let State {
            formats, options, ..
        } = &mut *state;
        let clause = Clause::new(description, options, |text| number_of(formats, text))?;
        let clause = Shared::new(clause)?;
        state.key_size = state.key_size.max(clause.key_size);

        let first = state.ecbs.len();
        let mut from = 1;
        let mut result = Ok(());
        while let Some(probe) = self.registry.first_match(from, &pattern) {
            from = probe.id.saturating_add(1);
            result = self.enable_one(at, probe.id, &clause, cpus);
            if result.is_err() {
                break;
            }
        }
        let Some(state) = self.states.get_mut(at) else {
            return Err(Error::NotFound);
        };
        match result {
            Ok(()) => Ok(state.ecbs.len().saturating_sub(first)),
            Err(error) => {
                self.undo(at, first);
                Err(error)
            }
        }
    }

    /// Runs `f`; if it fails, what it enabled and set for the consumer is taken back: ENABLE is of a whole
    /// file or of nothing.
    ///
    /// # Errors
    ///
    /// `f`'s.
    pub fn all_or_nothing<R, E>(
        &mut self,
        consumer: ConsumerId,
        f: impl FnOnce(&mut Self) -> Result<R, E>,
    ) -> Result<R, E> {
        let before = self.state(consumer).map(|state| {
            let formats = state.formats.len();
            (state.ecbs.len(), formats, state.options, state.key_size)
        });
        let result = f(self);
        if let (Err(_), Ok((ecbs, formats, options, key_size))) = (&result, before) {
            if let Ok(at) = self.at(consumer) {
                self.undo(at, ecbs);
            }
            if let Ok(state) = self.state_mut(consumer) {
                while state.formats.len() > formats {
                    state.formats.pop();
                }
                (state.options, state.key_size) = (options, key_size);
            }
        }
        result
    }

    fn enable_one(
        &mut self,
        at: usize,
        probe: u32,
        clause: &Shared<Clause<M::Expression>>,
        cpus: usize,
    ) -> Result<(), Error> {
        let state = self.states.get_mut(at).ok_or(Error::NotFound)?;
        let probe = self.registry.probe(probe).ok_or(Error::NotFound)?;
        let (id, argument, provider) = (probe.id, probe.argument, probe.provider);
        if state.ecbs.len() >= MAX_ECBS {
            return Err(Error::TooMany("enabled probes"));
        }
        if probe.ecbs >= MAX_ECBS_OF_PROBE {
            return Err(Error::TooMany("clauses of a probe"));
        }
        let epid = (state.ecbs.len() as u32).saturating_add(1);
        let ecb = Shared::new(Node::new(Ecb {
            epid,
            probe: probe.id,
            role: match probe.id {
                BEGIN => Role::Begin,
                END => Role::End,
                ERROR => Role::Error,
                _ => Role::Any,
            },
            name: probe.name.clone(),
            clause: clause.clone(),
            first_aggregation: state.aggregations.wrapping_add(1),
            consumer: state.shared.clone(),
            counters: List::try_made(cpus, |_| Ok::<_, Error>(EcbCounters::new()))?,
        }))?;
        let chain = self.framework.slots.get(probe.id).ok_or(Error::NotFound)?;
        // From here on only the provider may refuse, and then nothing was done.
        state.ecbs.reserve(1)?;
        state
            .aggregation_epids
            .reserve(clause.aggregations as usize)?;
        if probe.ecbs == 0 {
            let provider = self.registry.provider(provider).ok_or(Error::NotFound)?;
            provider.enable(id, argument)?;
        }
        for _ in 0..clause.aggregations {
            state.aggregation_epids.push(epid)?;
        }
        state.aggregations = state.aggregations.saturating_add(clause.aggregations);
        state.ecbs.push(OwnEcb {
            ecb: ecb.clone(),
            retired: None,
        })?;
        chain.append(ecb, &mut self.writer);
        if let Some(probe) = self.registry.probe_mut(id) {
            probe.ecbs = probe.ecbs.saturating_add(1);
        }
        Ok(())
    }

    /// Takes back the ECBs of a consumer from number `first` on.
    fn undo(&mut self, at: usize, first: usize) {
        let Some(state) = self.states.get_mut(at) else {
            return;
        };
        if state.ecbs.len() <= first {
            return;
        }
        let mut gone = core::mem::take(&mut state.ecbs);
        let kept = first.min(gone.len());
        self.withdraw(gone.get_mut(kept..).unwrap_or_default());
        let synced = self.framework.synced();
        while gone.len() > kept {
            if let Some(OwnEcb { ecb, retired }) = gone.pop() {
                if let Some(retired) = retired {
                    retired.free(&synced);
                }
                if let Some(state) = self.states.get_mut(at) {
                    for _ in 0..ecb.clause.aggregations {
                        while state.aggregation_epids.last() == Some(&ecb.epid) {
                            state.aggregation_epids.pop();
                        }
                    }
                    state.aggregations = state.aggregation_epids.len() as u32;
                }
            }
        }
        if let Some(state) = self.states.get_mut(at) {
            state.ecbs = gone;
        }
    }

    /// Tracing begins: BEGIN fires on this CPU, then all probes may. The CPU's number.
    ///
    /// # Errors
    ///
    /// `Busy`: it has begun before. `TooMany`: END's records do not fit into a fill buffer. No memory, also
    /// with smaller buffers (unless `bufresize` is manual); a fill buffer is not made smaller than END's
    /// records.
    pub fn go(&mut self, consumer: ConsumerId) -> Result<usize, Error> {
        let at = self.at(consumer)?;
        let framework = self.framework.clone();
        let state = self.states.get_mut(at).ok_or(Error::NotFound)?;
        if state.shared.activity.get() != Activity::Inactive {
            return Err(Error::Busy);
        }
        state.prepare(&framework)?;
        framework.machine.hold_cpus();
        let made = state.make_all_buffers(&framework);
        framework.machine.release_cpus();
        if let Err(error) = made {
            state.unprepare(&framework);
            return Err(error);
        }
        let shared = state.shared.clone();
        shared.heard(framework.machine.now_ns());
        shared.activity.step(Activity::Inactive, Activity::Warmup);
        let cpu = fire_own(&framework, BEGIN, &shared);
        shared.activity.step(Activity::Warmup, Activity::Active);
        Ok(cpu)
    }

    /// Tracing ends: END fires on this CPU, then nothing does. The CPU's number.
    ///
    /// # Errors
    ///
    /// `Invalid`: it is not tracing.
    pub fn stop(&mut self, consumer: ConsumerId) -> Result<usize, Error> {
        let framework = self.framework.clone();
        let state = self.state_mut(consumer)?;
        let shared = state.shared.clone();
        let activity = &shared.activity;
        if !activity.step(Activity::Active, Activity::Draining)
            && !matches!(activity.get(), Activity::Draining | Activity::Killed)
        {
            return Err(Error::Invalid);
        }
        framework.sync();
        // A killed consumer's END does not fire: its activity does not let it.
        let cpu = fire_own(&framework, END, &shared);
        activity.step(Activity::Draining, Activity::Cooldown);
        framework.sync();
        activity.step(Activity::Cooldown, Activity::Stopped);
        Ok(cpu)
    }

    /// Nothing of this consumer fires from now on: the deadman's.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn kill(&mut self, consumer: ConsumerId) -> Result<(), Error> {
        self.state(consumer)?.shared.activity.kill();
        Ok(())
    }

    /// How a consumer's tracing stands: STATUS. CPUs that came on line get their buffers here.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn status(&mut self, consumer: ConsumerId) -> Result<Status, Error> {
        let framework = self.framework.clone();
        let at = self.at(consumer)?;
        let state = self.states.get_mut(at).ok_or(Error::NotFound)?;
        state.shared.heard(framework.machine.now_ns());
        state.attend_cpus(&framework);
        let mut status = Status::ZERO;
        state.clean(&framework);
        if let Some(running) = &state.running {
            let drops = running.variables.drops();
            status.dynamic_drops = drops.full;
            status.dynamic_rinsing_drops = drops.rinsing;
            status.dynamic_dirty_drops = drops.dirty;
        }
        let activity = state.shared.activity.get();
        (status.errors, status.double_errors) = state.shared.errors();
        status.filled = state.shared.filled();
        status.killed = (activity == Activity::Killed).into();
        status.exiting = (activity == Activity::Draining).into();
        Ok(status)
    }

    /// Variables that probes gave up may be used again. In how many nanoseconds it is to be called next, by
    /// the option `cleanrate`; None: no consumer that traces needs it.
    pub fn clean(&mut self) -> Option<u64> {
        const SHORTEST_NS: u64 = 1_000_000;
        let framework = &self.framework;
        let tracing = self.states.iter().filter(|state| {
            matches!(
                state.shared.activity.get(),
                Activity::Warmup | Activity::Active | Activity::Draining
            )
        });
        let rates = tracing.filter_map(|state| {
            let rate = state.options.get(OptionId::CleanRate).max(SHORTEST_NS);
            state.clean(framework).then_some(rate)
        });
        rates.min()
    }

    /// Takes a CPU's principal buffer over and gives its bytes to `copy`, once: BUFSNAP. A CPU without
    /// a buffer gives none.
    ///
    /// # Errors
    ///
    /// `NotFound`: no such consumer or CPU. `Invalid`: before GO. `Busy`: a ring or a fill buffer is read
    /// when tracing has stopped. What `copy` answers: the bytes are lost then.
    pub fn snapshot(
        &mut self,
        consumer: ConsumerId,
        cpu: usize,
        copy: impl FnOnce(&[u8]) -> Result<(), Error>,
    ) -> Result<Snapshot, Error> {
        let (framework, buffers) = match self.buffers_of(consumer, cpu)? {
            (framework, Some(buffers)) => (framework, buffers),
            (_, None) => {
                copy(&[])?;
                let drops = self.state_mut(consumer)?.tell_unbuffered(cpu);
                return Ok(Snapshot {
                    drops,
                    ..Snapshot::default()
                });
            }
        };
        let state = self.state_mut(consumer)?;
        let is_over = matches!(
            state.shared.activity.get(),
            Activity::Stopped | Activity::Killed
        );
        if state.options.policy() != BufferPolicy::Switch && !is_over {
            return Err(Error::Busy);
        }
        state.switches = state.switches.wrapping_add(1);
        let writer = &mut self.writer;
        framework.switch(cpu, &buffers, Which::Principal, writer);
        let snapshot = buffers.principal.read(writer, |half| {
            let contents = half.contents();
            let snapshot = Snapshot {
                size: contents.bytes.len(),
                oldest: contents.oldest,
                drops: contents.drops,
                errors: contents.errors,
            };
            let copied = copy(contents.bytes);
            half.clear();
            copied.map(|()| snapshot)
        })?;
        let early = self.state_mut(consumer)?.tell_unbuffered(cpu);
        Ok(Snapshot {
            drops: snapshot.drops.saturating_add(early),
            ..snapshot
        })
    }

    /// Takes a CPU's aggregation buffer over and gives its bytes to `copy`, once: AGGSNAP.
    ///
    /// # Errors
    ///
    /// As of [`snapshot`](Self::snapshot), without `Busy`.
    pub fn aggregation_snapshot(
        &mut self,
        consumer: ConsumerId,
        cpu: usize,
        copy: impl FnOnce(&[u8]) -> Result<(), Error>,
    ) -> Result<Snapshot, Error> {
        let (framework, buffers) = match self.buffers_of(consumer, cpu)? {
            (framework, Some(buffers)) => (framework, buffers),
            (_, None) => return copy(&[]).map(|()| Snapshot::default()),
        };
        let writer = &mut self.writer;
        framework.switch(cpu, &buffers, Which::Aggregation, writer);
        let snapshot = buffers.aggregation.read(writer, |half| {
            let (bytes, drops, errors) = half.contents();
            let snapshot = Snapshot {
                size: bytes.len(),
                oldest: 0,
                drops,
                errors,
            };
            let copied = copy(bytes);
            half.clear();
            copied.map(|()| snapshot)
        })?;
        let state = self.state_mut(consumer)?;
        state.switches = state.switches.wrapping_add(1);
        state.aggregation_drops = state.aggregation_drops.saturating_add(snapshot.drops);
        Ok(snapshot)
    }

    #[allow(
        clippy::type_complexity,
        reason = "two owners, taken apart by the callers"
    )]
    fn buffers_of(
        &mut self,
        consumer: ConsumerId,
        cpu: usize,
    ) -> Result<(Shared<Framework<M>>, Option<Shared<CpuBuffers>>), Error> {
        let framework = self.framework.clone();
        if cpu >= framework.cpus() {
            return Err(Error::NotFound);
        }
        let state = self.state_mut(consumer)?;
        if state.running.is_none() {
            return Err(Error::Invalid);
        }
        state.attend_cpus(&framework);
        state.clean(&framework);
        let buffers = state.buffers.get(cpu).cloned().flatten();
        Ok((framework, buffers))
    }

    // ---- descriptions

    /// An enabled probe of a consumer: EPROBE.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn enabled_probe(
        &self,
        consumer: ConsumerId,
        epid: u32,
    ) -> Result<EnabledProbe<'_, M::Expression>, Error> {
        let ecb = self.ecb(consumer, epid)?;
        Ok(EnabledProbe {
            probe: ecb.probe,
            clause: &ecb.clause,
        })
    }

    fn ecb(&self, consumer: ConsumerId, epid: u32) -> Result<&Ecb<M>, Error> {
        let state = self.state(consumer)?;
        let at = (epid as usize).checked_sub(1).ok_or(Error::NotFound)?;
        Ok(&state.ecbs.get(at).ok_or(Error::NotFound)?.ecb)
    }

    /// An aggregation of a consumer: its EPID, bytes of an entry and records: AGGDESC.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn aggregation(
        &self,
        consumer: ConsumerId,
        id: u32,
    ) -> Result<(u32, u32, impl Iterator<Item = &RecordDescription>), Error> {
        let state = self.state(consumer)?;
        let at = (id as usize).checked_sub(1).ok_or(Error::NotFound)?;
        let epid = *state.aggregation_epids.get(at).ok_or(Error::NotFound)?;
        let ecb = self.ecb(consumer, epid)?;
        let number = id.wrapping_sub(ecb.first_aggregation);
        let (size, records) = ecb.clause.aggregation(number).ok_or(Error::NotFound)?;
        Ok((epid, size, records))
    }

    /// A format string, without a NUL: FORMAT.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn format(&self, consumer: ConsumerId, number: u16) -> Result<&[u8], Error> {
        let at = usize::from(number).checked_sub(1).ok_or(Error::NotFound)?;
        let formats = &self.state(consumer)?.formats;
        Ok(formats.get(at).ok_or(Error::NotFound)?)
    }

    // ---- accounting

    /// Where firings went: of one ECB or (0) of all of a consumer, on one CPU or (None) on all.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn counts(
        &self,
        consumer: ConsumerId,
        epid: u32,
        cpu: Option<usize>,
    ) -> Result<EcbCounts, Error> {
        if epid != 0 {
            return counts_of(self.ecb(consumer, epid)?, cpu);
        }
        let mut sum = EcbCounts::default();
        for own in &self.state(consumer)?.ecbs {
            sum += counts_of(&own.ecb, cpu)?;
        }
        Ok(sum)
    }

    /// How often this consumer took a buffer over, and aggregation drops it was told of.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn switches(&self, consumer: ConsumerId) -> Result<(u64, u64), Error> {
        let state = self.state(consumer)?;
        Ok((state.switches, state.aggregation_drops))
    }

    /// How many consumers there are.
    pub fn consumers(&self) -> usize {
        self.states.len()
    }
}

impl<M: Machine> Drop for Control<M> {
    fn drop(&mut self) {
        while let Some(id) = self.states.last().map(|state| state.id) {
            self.close(ConsumerId(id));
        }
    }
}

fn counts_of<M: Machine>(ecb: &Ecb<M>, cpu: Option<usize>) -> Result<EcbCounts, Error> {
    if let Some(cpu) = cpu {
        let counters = ecb.counters.get(cpu).ok_or(Error::NotFound)?;
        return Ok(counters.read());
    }
    let mut sum = EcbCounts::default();
    for counters in &ecb.counters {
        sum += counters.read();
    }
    Ok(sum)
}

/// Fires one of the framework's own probes for one consumer; on which CPU.
fn fire_own<M: Machine>(
    framework: &Framework<M>,
    probe: u32,
    consumer: &Node<Consumer<M>>,
) -> usize {
    let irqs = framework.machine.irqs_off();
    let cpu = framework.machine.this_cpu();
    if let Some(chain) = framework.slots.get(probe) {
        framework.fire_here(chain, &[0; 10], Some(consumer));
    }
    framework.machine.irqs_restore(irqs);
    cpu
}

/// The number of a format string, which is given to each text once.
fn number_of(formats: &mut List<List<u8>>, text: List<u8>) -> Result<u16, Error> {
    let at = match formats.iter().position(|known| **known == *text) {
        Some(at) => at,
        None => {
            if formats.len() >= MAX_FORMATS {
                return Err(Error::TooMany("formats"));
            }
            formats.push(text)?;
            formats.len().saturating_sub(1)
        }
    };
    u16::try_from(at.saturating_add(1)).map_err(|_| Error::TooMany("formats"))
}

impl<M: Machine> State<M> {
    /// Makes what a tracing consumer has, without buffers.
    fn prepare(&mut self, framework: &Framework<M>) -> Result<(), Error> {
        let mut sizes = List::new();
        let mut keep = 0_usize;
        for own in &self.ecbs {
            let clause = &own.ecb.clause;
            sizes.push(u32::try_from(clause.size).unwrap_or(u32::MAX))?;
            if own.ecb.role == Role::End {
                keep = keep.saturating_add(clause.size.saturating_add(8));
            }
        }
        let is_filled_once = self.options.policy() == BufferPolicy::Fill;
        if is_filled_once && keep > self.options.bytes(OptionId::BufferSize) {
            return Err(Error::TooMany("bytes of END's records in a fill buffer"));
        }
        let variables = {
            // Not an iterator of iterators: its type's name is longer than objtool takes.
            let mut programs = List::new();
            let mut previous = core::ptr::null();
            for own in &self.ecbs {
                // A clause's ECBs stand together: its programs are checked once.
                let clause: *const Clause<_> = &*own.ecb.clause;
                if core::ptr::eq(clause, previous) {
                    continue;
                }
                previous = clause;
                for program in own.ecb.clause.expressions() {
                    programs.push(program)?;
                }
            }
            let mut programs = programs.iter().copied();
            framework.machine.variables(&self.options, &mut programs)?
        };
        let cpus = framework.cpus();
        self.buffers = List::try_made(cpus, |_| Ok::<_, Error>(None))?;
        self.buffer_size = self.options.bytes(OptionId::BufferSize);
        self.aggregation_size = match self.aggregations {
            0 => 0,
            _ => self.options.bytes(OptionId::AggregationSize),
        };
        self.told_unbuffered = List::try_made(cpus, |_| Ok::<_, Error>(0))?;
        let running = Shared::new(Running {
            cpus: List::try_made(cpus, |_| Ok::<_, Error>(Published::empty()))?,
            unbuffered: List::try_made(cpus, |_| Ok::<_, Error>(Counter::new()))?,
            sizes,
            keep,
            only_cpu: self.options.only_cpu(),
            variables,
        })?;
        self.running = Some(running.clone());
        let old = self.shared.running.replace(Some(running), &framework.clock);
        debug_assert!(old.is_none());
        Ok(())
    }

    /// Takes back what `prepare` made.
    fn unprepare(&mut self, framework: &Framework<M>) {
        let running = self.shared.running.replace(None, &framework.clock);
        let synced = framework.synced();
        if let Some(running) = running {
            running.free(&synced);
        }
        self.running = None;
        self.buffers = List::new();
        self.told_unbuffered = List::new();
        self.largest = (0, 0);
    }

    /// Buffers for the CPUs that are on line; smaller ones where memory is short. CPUs held.
    fn make_all_buffers(&mut self, framework: &Framework<M>) -> Result<(), Error> {
        let resize = BufferResize::from_raw(self.options.get(OptionId::BufferResize));
        loop {
            match self.make_buffers(framework) {
                Err(Error::OutOfMemory) if resize != Some(BufferResize::Manual) => {
                    if self.buffer_size.max(self.aggregation_size) <= SMALLEST_BUFFER {
                        return Err(Error::OutOfMemory);
                    }
                    let half = |size: usize| match size {
                        0 => 0,
                        size => (size / 2)
                            .max(SMALLEST_BUFFER.min(size))
                            .next_multiple_of(8),
                    };
                    self.buffer_size = half(self.buffer_size);
                    self.aggregation_size = half(self.aggregation_size);
                    let keep = self.running.as_ref().map_or(0, |running| running.keep);
                    if self.options.policy() == BufferPolicy::Fill && keep > self.buffer_size {
                        return Err(Error::OutOfMemory);
                    }
                }
                result => return result,
            }
        }
    }

    /// Buffers for the CPUs that are on line and have none. CPUs held.
    fn make_buffers(&mut self, framework: &Framework<M>) -> Result<(), Error> {
        let Some(running) = self.running.clone() else {
            return Ok(());
        };
        for (cpu, place) in self.buffers.iter_mut().enumerate() {
            let is_traced = running.only_cpu.is_none_or(|only| only == cpu);
            if place.is_some() || !is_traced || !framework.machine.is_online(cpu) {
                continue;
            }
            let policy = self.options.policy();
            let second = match policy {
                BufferPolicy::Switch => self.buffer_size,
                // Read once: there is nothing to switch to.
                _ => 0,
            };
            let (size, key) = (self.aggregation_size, self.key_size);
            let first = Half::new(self.buffer_size, policy)?;
            let buffers = Shared::new(CpuBuffers {
                principal: Halves::new(cpu, first, Half::new(second, policy)?),
                aggregation: Halves::new(
                    cpu,
                    AggregationHalf::new(size, key)?,
                    AggregationHalf::new(size, key)?,
                ),
            })?;
            *place = Some(buffers.clone());
            let (principal, aggregation) = self.largest;
            self.largest = (principal.max(self.buffer_size), aggregation.max(size));
            if let Some(published) = running.cpus.get(cpu) {
                let old = published.replace(Some(buffers), &framework.clock);
                debug_assert!(old.is_none());
            }
        }
        Ok(())
    }

    /// Firings that a CPU dropped while it had no buffers and that no snapshot told.
    fn tell_unbuffered(&mut self, cpu: usize) -> u64 {
        let running = self.running.as_ref();
        let count = running.and_then(|running| running.unbuffered.get(cpu));
        let (Some(count), Some(told)) = (count, self.told_unbuffered.get_mut(cpu)) else {
            return 0;
        };
        let now = count.load();
        now.wrapping_sub(core::mem::replace(told, now))
    }

    /// See [`Control::clean`].
    fn clean(&self, framework: &Framework<M>) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| running.variables.clean(&|| framework.sync()))
    }

    /// Buffers for CPUs that came on line. Without memory their firings are dropped, and counted.
    fn attend_cpus(&mut self, framework: &Framework<M>) {
        framework.machine.hold_cpus();
        let _ = self.make_buffers(framework);
        framework.machine.release_cpus();
    }
}

impl<M: Machine> Control<M> {
    /// Bytes of a half of this consumer's principal buffers and aggregation buffers, the largest of any CPU:
    /// at GO they may have become smaller than the options say.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn buffer_sizes(&self, consumer: ConsumerId) -> Result<(usize, usize), Error> {
        let state = self.state(consumer)?;
        let (principal, aggregation) = state.largest;
        Ok((
            principal.max(state.buffer_size),
            aggregation.max(state.aggregation_size),
        ))
    }

    /// Whether a half of the principal buffers, and one of the aggregation buffers, fits into so many bytes
    /// of a client: asked before a snapshot, which gives all that there is.
    ///
    /// # Errors
    ///
    /// `NotFound`. `Invalid`: it does not.
    pub fn has_room(&self, consumer: ConsumerId, room: (usize, usize)) -> Result<(), Error> {
        let (principal, aggregation) = self.buffer_sizes(consumer)?;
        match principal <= room.0 && aggregation <= room.1 {
            true => Ok(()),
            false => Err(Error::Invalid),
        }
    }
}
