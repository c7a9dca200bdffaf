// SPDX-License-Identifier: GPL-2.0
//! One run of the command: enables what was asked for, shows what comes until the end.

use crate::device::{Device, Probe};
use crate::event::Event;
use crate::fields::{Field, Source};
use crate::format;
use crate::name::ProbeName;
use crate::options::Options;
use crate::output::{accounting, Flow, Json, Output, Sorting, Text};
use crate::program::{self, Clause, Printa};
use crate::progress::Slow;
use crate::session::{matching, no_match, Session, Standing};
use crate::symbols::Symbols;
use anyhow::{anyhow, bail, Context, Result};
use dtrace_interface::accounting::Accounting;
use dtrace_interface::options::OptionId;
use dtrace_interface::CPU_ALL;
use std::io::Write;
use std::time::Duration;

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(1);

/// Where aggregations are printed by a format.
const END: &str = "dtrace:::END";

/// What to do.
#[derive(Debug, Default)]
pub struct Plan {
    /// Clauses, each with the words it was asked for by.
    pub clauses: Vec<(String, Clause)>,
    /// At the end, how to show each entry of each aggregation; None: in the usual form.
    pub printa: Option<String>,
    /// Options of tracing.
    pub options: Options,
    /// How to show it.
    pub form: Form,
    /// Names that match nothing are no error.
    pub zero_is_fine: bool,
    /// Tell which probes matched, and what options are in force.
    pub verbose: bool,
    /// End before anything is enabled.
    pub check_only: bool,
    /// Show at the end where every firing went.
    pub accounting: bool,
    /// Standard error is somebody's terminal: tell there what takes long.
    pub progress: bool,
}

/// How to show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As text.
    #[default]
    Text,
    /// As JSON.
    Json,
}

/// Time and whatever may end the tracing.
pub trait World {
    /// Tracing has begun.
    ///
    /// # Errors
    /// If what is to be traced cannot be let go.
    fn begin(&mut self) -> Result<()>;

    /// The time since some point.
    fn now(&self) -> Duration;

    /// Sleeps until a time, or until tracing is to end.
    fn wait(&mut self, until: Duration) -> Option<End>;
}

/// Why tracing is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// What was traced is over, in words.
    Over(String),
}

/// Lists the probes that names match, all if there are none.
///
/// # Errors
/// The kernel's or the writer's, or if a name matches nothing.
pub fn list(device: &dyn Device, plan: &Plan, out: &mut dyn Write) -> Result<()> {
    let mut probes: Vec<Probe> = Vec::new();
    for (_, clause) in &plan.clauses {
        probes.extend(matched(device, clause, plan.zero_is_fine)?);
    }
    if plan.clauses.is_empty() {
        probes = matching(device, &ProbeName::default())?;
    }
    probes.sort_by_key(|probe| probe.id);
    probes.dedup_by_key(|probe| probe.id);
    match plan.form {
        Form::Text => crate::output::list::text(&probes, out)?,
        Form::Json => crate::output::list::json(&probes, out)?,
    }
    out.flush()?;
    Ok(())
}

/// The probes that a clause is for.
fn matched(device: &dyn Device, clause: &Clause, zero_is_fine: bool) -> Result<Vec<Probe>> {
    let found = match clause.id {
        Some(id) => {
            let found = device.probe(id, &ProbeName::default());
            let found = found.with_context(|| format!("asking for probe {id}"))?;
            let found: Vec<Probe> = found.into_iter().filter(|probe| probe.id == id).collect();
            if found.is_empty() && !zero_is_fine {
                bail!("there is no probe {id}\nhint: dtrace -l lists all of them");
            }
            found
        }
        None => match matching(device, &clause.name)? {
            found if found.is_empty() => {
                // Names such as tick-7s make their probe, once they are enabled.
                let _ = device.enable(&program::clause(0, &bare(clause), &Options::default())?);
                matching(device, &clause.name)?
            }
            found => found,
        },
    };
    match found.is_empty() && !zero_is_fine {
        true => Err(no_match(device, &clause.name)),
        false => Ok(found),
    }
}

/// Whether something is shown by the names of kernel addresses.
fn has_kernel_addresses(plan: &Plan) -> bool {
    plan.clauses.iter().any(|(_, clause)| {
        let is_stack = |field: &Field| field.source == Source::Stack;
        let shown = plan.form == Form::Text && clause.record.iter().any(is_stack);
        let mut formats = clause.printf.iter().map(|printf| &printf.format);
        shown || formats.any(|format| format::names_addresses(format))
    })
}

/// A clause's probes alone.
fn bare(clause: &Clause) -> Clause {
    Clause {
        name: clause.name.clone(),
        ..Clause::default()
    }
}

/// Where things are shown, and what was shown so far.
struct Shown<'a> {
    output: Box<dyn Output>,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    /// What `exit()` said.
    exit: Option<i32>,
    damaged: bool,
    sorting: Sorting,
}

impl Shown<'_> {
    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Record(_) => {}
            Event::Printed(printed) => {
                self.output.printed(printed, self.sorting, self.out)?;
                return Ok(());
            }
            Event::Drops(drops) => self.notice(drops),
            Event::Fault(fault) => self.notice(fault),
            Event::Damage(damage) => {
                self.damaged = true;
                self.notice(damage);
            }
            Event::Exit(status) => self.exit = Some(*status),
        }
        self.output.event(event, self.out)?;
        Ok(())
    }

    /// Something that is no output.
    fn notice(&mut self, text: impl std::fmt::Display) {
        // Nobody is there to be told of an error.
        let _ = writeln!(self.err, "dtrace: {text}");
    }
}

/// Traces to the end. Returns the exit status.
///
/// # Errors
/// The kernel's or the writer's, or if a name matches nothing.
pub fn trace(
    device: &dyn Device,
    plan: Plan,
    world: &mut dyn World,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8> {
    let quiet = plan.options.is_on(OptionId::Quiet);
    let fields = plan.clauses.iter().map(|(_, clause)| &clause.record);
    let fields: Vec<Field> = fields.max_by_key(|f| f.len()).cloned().unwrap_or_default();
    let symbols = match has_kernel_addresses(&plan) {
        true => Symbols::of_this_kernel(),
        false => Symbols::default(),
    };
    let output: Box<dyn Output> = match plan.form {
        Form::Json => Box::new(Json::new(symbols)),
        Form::Text if plan.options.is_on(OptionId::FlowIndent) => {
            Box::new(Flow::new(quiet, fields, symbols))
        }
        Form::Text => Box::new(Text::new(quiet, fields, symbols)),
    };
    let mut shown = Shown {
        output,
        out,
        err,
        exit: None,
        damaged: false,
        sorting: Sorting {
            by_key: plan.options.is_on(OptionId::AggregationSortKey),
            reverse: plan.options.is_on(OptionId::AggregationSortReverse),
        },
    };
    if plan.check_only {
        for (number, (_, clause)) in plan.clauses.iter().enumerate() {
            matched(device, clause, plan.zero_is_fine)?;
            program::clause(number, clause, &plan.options)?;
        }
        return Ok(0);
    }
    let wanted = plan.options.clone();
    let mut session = Session::new(device, plan.options)?;
    let wanted_clauses = plan.clauses.len();
    for (text, clause) in plan.clauses {
        // Enabled first: names such as tick-1s make their probe.
        let count = {
            let _slow = plan
                .progress
                .then(|| Slow::new(&format!("enabling '{text}'")));
            session.enable(clause.clone())?
        };
        let probes = match count == 0 || plan.verbose {
            true => matched(device, &clause, plan.zero_is_fine)?,
            false => Vec::new(),
        };
        if plan.verbose {
            for Probe { id, name } in probes {
                shown.notice(format_args!("probe {id} {name}"));
            }
        }
        if !quiet {
            let plural = if count == 1 { "" } else { "s" };
            shown.notice(format_args!(
                "description '{text}' matched {count} probe{plural}"
            ));
        }
    }
    if let Some(format) = &plan.printa {
        for clause in 0..wanted_clauses {
            let format = format.clone();
            session.enable(Clause {
                name: END.parse().map_err(|why| anyhow!("{END}: {why}"))?,
                printa: Some(Printa { format, clause }),
                ..Clause::default()
            })?;
        }
    }
    {
        let _slow = plan.progress.then(|| Slow::new("making buffers"));
        session.go()?;
    }
    tell_options(&wanted, session.options(), plan.verbose, &mut shown);
    world.begin()?;
    let killed = follow(&mut session, world, &mut shown)?;
    let stopped = session.stop(&mut |event| shown.event(&event));
    // Also if it was over before anyone asked.
    if killed || session.was_killed() {
        shown.out.flush()?;
        bail!("processing aborted: the kernel ended it, as the machine did not respond");
    }
    stopped?;
    for (clause, table) in session.tables() {
        shown
            .output
            .table(clause, table, shown.sorting, shown.out)?;
    }
    if plan.accounting {
        account(device, session.cpus(), plan.form, shown.out)?;
    }
    shown.out.flush()?;
    Ok(match (shown.exit, shown.damaged) {
        (Some(status), _) => status as u8,
        (None, damaged) => u8::from(damaged),
    })
}

/// Shows what comes until something ends it. Returns whether the kernel did.
fn follow(session: &mut Session<'_>, world: &mut dyn World, shown: &mut Shown<'_>) -> Result<bool> {
    let rate = |session: &Session<'_>, option| {
        let said = session.options().get(option).unwrap_or(0);
        Duration::from_nanos(said).max(SHORTEST)
    };
    let every = [
        rate(session, OptionId::StatusRate),
        rate(session, OptionId::SwitchRate),
        rate(session, OptionId::AggregationRate),
    ];
    let begun = world.now();
    let mut due = every.map(|every| begun + every);
    loop {
        let [status, switch, aggregation] = due;
        let end = world.wait(status.min(switch).min(aggregation));
        let now = world.now();
        let sink = &mut |event: Event<'_>| shown.event(&event);
        if now >= switch {
            session.consume(sink)?;
        }
        if now >= aggregation {
            session.aggregate(sink)?;
        }
        let standing = match now >= status {
            true => session.check(sink)?,
            false => Standing::Tracing,
        };
        for (due, every) in due.iter_mut().zip(every) {
            // Missed looks are not made up for.
            if now >= *due {
                *due = now + every;
            }
        }
        shown.out.flush()?;
        match (end, standing) {
            (Some(End::Over(why)), _) => {
                shown.notice(why);
                return Ok(false);
            }
            (None, Standing::Exiting) => {
                if session.is_full() {
                    shown.notice("a buffer is full");
                }
                return Ok(false);
            }
            (Some(End::Interrupted), _) => return Ok(false),
            (None, Standing::Killed) => return Ok(true),
            (None, Standing::Tracing) => {}
        }
    }
}

/// Sizes that the kernel settled on, where they are other than wanted; all of them if asked for.
fn tell_options(wanted: &Options, given: &Options, verbose: bool, shown: &mut Shown<'_>) {
    for (option, what) in [
        (OptionId::BufferSize, "buffer size"),
        (OptionId::AggregationSize, "aggregation size"),
        (OptionId::DynamicVariableSize, "dynamic variable size"),
    ] {
        match (wanted.get(option), given.get(option)) {
            (Some(wanted), Some(given)) if given < wanted => {
                shown.notice(format_args!("{what} lowered to {given} bytes"));
            }
            _ => {}
        }
    }
    if verbose {
        for (option, value) in given.iter() {
            shown.notice(format_args!("option {}={}", option.name(), value as i64));
        }
    }
}

/// Where every firing went.
fn account(device: &dyn Device, cpus: u32, form: Form, out: &mut dyn Write) -> Result<()> {
    let ask = |cpu: u32| {
        device
            .accounting(cpu, 0)
            .context("asking for the accounting")
    };
    let each: Vec<Accounting> = (0..cpus).map(ask).collect::<Result<_>>()?;
    let all = ask(CPU_ALL)?;
    match form {
        Form::Text => accounting::text(&each, &all, out)?,
        Form::Json => accounting::json(&each, &all, out)?,
    }
    Ok(())
}
