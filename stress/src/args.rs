// SPDX-License-Identifier: GPL-2.0
//! The command line.

use crate::probes::Fault;
use anyhow::{bail, ensure, Context, Result};
use clap::{builder::PossibleValue, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;
use xcall_stress_protocol::{
    put_text, Faults, Pattern, Request, CALLERS_IRQS_OFF, CPU_WORDS, DETACH, MAX_CPUS, NAMES,
    NO_CPU, NO_SELF_DRAIN, TARGETS_IRQS_OFF,
};

/// The longest storm: a week.
const LONGEST_S: u64 = 7 * 24 * 3600;

/// Storms of cross-CPU calls: does every call run exactly once, whatever comes in between?
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_STATUS)]
pub struct Args {
    #[command(subcommand)]
    pub mode: Mode,
}

const EXIT_STATUS: &str = "Exit status:
  0  every call was accounted for
  1  calls were lost, ran twice, or timed out without a cause
  2  no storm was made: wrong options, no module";

#[derive(Debug, Subcommand)]
pub enum Mode {
    /// Storm on threads that play CPUs, with signals for doorbells; needs no root
    #[command(after_help = EXIT_STATUS)]
    Host(StormArgs),
    /// Storm on this kernel, through xcall.ko and xcall_stress.ko
    #[command(after_help = EXIT_STATUS)]
    Guest(GuestArgs),
    /// What calls are made on this machine, live, by xcall.ko's counters
    Top(TopArgs),
    /// Make system calls in known numbers, and see that dtrace.ko accounts for each
    #[command(after_help = PROBES_EXIT_STATUS)]
    Probes(ProbesArgs),
    /// Make system calls for `stress probes`
    #[command(hide = true)]
    ProbesWorker(WorkerArgs),
    /// Storm, and write one HTML page: latencies, who called whom, rings
    #[command(after_help = EXIT_STATUS)]
    Report(ReportArgs),
}

const PROBES_EXIT_STATUS: &str = "Exit status:
  0  every call was accounted for
  1  calls, records and the kernel's counts do not fit together
  2  nothing was traced: wrong options, no module";

#[derive(Debug, clap::Args)]
pub struct ProbesArgs {
    /// Rounds of calls that each worker makes while one enabling lasts
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub calls: u64,

    /// One round in so many has a fork, an execve in the child, and a wait for it; 0: none
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub fork_every: u64,

    /// One round in so many has exceptions: int3, a single step, a divide error, a page fault on a
    /// fresh page, and a SIGSEGV; 0: none
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub exceptions_every: u64,

    /// How long to begin new rounds of enablings
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub seconds: u64,

    /// Enablings that come and go at a time, beside the one that lasts too; 0: none
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub consumers: u64,

    /// How long the first of them lasts; the second twice as long, and so on
    #[arg(long, value_name = "MS", default_value_t = 100)]
    pub window_ms: u64,

    /// Size of a CPU's buffer, such as 64k: small ones drop records
    #[arg(long, value_name = "SIZE", default_value = "256k")]
    pub buffer: String,

    /// Rest between two switches of all buffers
    #[arg(long, value_name = "US", default_value_t = 1000)]
    pub switch_us: u64,

    /// CPUs with a worker, such as 0-3,5 [default: all online]
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<CpuList>,

    /// Take CPUs offline and bring them back meanwhile; workers leave and come back with them
    #[arg(long)]
    pub hotplug: bool,

    /// Storm meanwhile, through xcall_stress.ko
    #[arg(long)]
    pub storm: bool,

    /// Unload dtrace.ko after each round, which is refused while it is used, and load this file
    #[arg(long, value_name = "FILE")]
    pub reload: Option<PathBuf>,

    /// First switch so many buffers of each CPU while it spins with interrupts off, kept so by
    /// xcall_stress.ko
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub masked: u64,

    /// Spoil what is read: must be found
    #[arg(long, value_enum, default_value = "none", hide = true)]
    pub fault: Fault,

    /// One JSON object on standard output instead of tables
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct WorkerArgs {
    /// Where to run
    #[arg(long)]
    pub cpu: u32,

    /// The descriptor of its board
    #[arg(long)]
    pub board: i32,

    /// One round in so many has a fork
    #[arg(long)]
    pub fork_every: u64,

    /// One round in so many has exceptions
    #[arg(long)]
    pub exceptions_every: u64,

    /// May be asked to keep its CPU
    #[arg(long)]
    pub holds: bool,
}

#[derive(Debug, clap::Args)]
pub struct TopArgs {
    /// Show one interval and exit
    #[arg(long)]
    pub once: bool,

    /// A JSON object a line instead of a table
    #[arg(long)]
    pub json: bool,

    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = interval)]
    pub every: f64,

    /// Where xcall.ko's tables are
    #[arg(long, value_name = "FOLDER", default_value = "/sys/kernel/debug/xcall")]
    pub debugfs: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// Where to storm
    #[arg(value_enum, required_unless_present = "from")]
    pub place: Option<Place>,

    /// Write there [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// No storm: a page of what --json wrote
    #[arg(long, value_name = "FILE", conflicts_with = "place")]
    pub from: Option<PathBuf>,

    #[command(flatten)]
    pub storm: StormArgs,
}

/// Where a storm blows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// On threads that play CPUs
    Host,
    /// On this kernel
    Guest,
}

/// A number of seconds that is an interval.
fn interval(text: &str) -> Result<f64> {
    let seconds: f64 = text.parse().context("not a number")?;
    ensure!((0.01..=86400.0).contains(&seconds), "not in 0.01 to 86400");
    Ok(seconds)
}

#[derive(Debug, clap::Args)]
pub struct GuestArgs {
    /// List the doorbells this machine has, weakest first, and exit
    #[arg(long)]
    pub list_doorbells: bool,

    /// Start the storm and leave it to the module, which ends it when it is unloaded
    #[arg(long, conflicts_with_all = ["json", "hotplug"])]
    pub detach: bool,

    #[command(flatten)]
    pub storm: StormArgs,
}

#[derive(Debug, clap::Args)]
pub struct StormArgs {
    /// Who calls whom
    #[arg(long, value_enum, default_value = "all-to-all")]
    pub pattern: PatternArg,

    /// Interrupts of the callers
    #[arg(long, value_name = "on|off", default_value = "on")]
    pub irqs: Switch,

    /// Interrupts of the targets: off means part of the time
    #[arg(long, value_name = "on|off", default_value = "on")]
    pub targets_irqs: Switch,

    /// A doorbell to allow; may be given several times [default: those chosen at load]
    #[arg(long, value_name = "NAME")]
    pub doorbell: Vec<String>,

    /// How long to storm [default: 10, unless --calls or a number of --hotplug cycles is given]
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,

    /// How many calls to make, each target counted
    #[arg(long, value_name = "N")]
    pub calls: Option<u64>,

    /// CPUs that take part, such as 0-3,5 [default: all online; on the host 0-3]
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<CpuList>,

    /// Where random numbers begin
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Drop P % of the rings
    #[arg(long, value_name = "P", default_value_t = 0)]
    pub drop: u32,

    /// Delay P % of the rings
    #[arg(long, value_name = "P", default_value_t = 0)]
    pub delay: u32,

    /// Ring P % of the rings twice
    #[arg(long, value_name = "P", default_value_t = 0)]
    pub duplicate: u32,

    /// Time limit of a waiting call [default: 5000; with --mask-target 1000]
    #[arg(long, value_name = "N", overrides_with = "deadline_ms")]
    pub deadline_ms: Option<u32>,

    /// This CPU masks everything for a while, again and again: calls to it must time out and name it
    #[arg(long, value_name = "CPU")]
    pub mask_target: Option<u32>,

    /// Take CPUs offline and bring them back meanwhile, in random order, never the last one: so many
    /// times, after which the storm ends; without a number until it ends. All are back afterwards
    #[arg(
        long,
        value_name = "CYCLES",
        num_args = 0..=1,
        default_missing_value = "0",
        conflicts_with_all = ["mask_target", "no_self_drain"]
    )]
    pub hotplug: Option<u64>,

    /// A contrast that must fail: with interrupts off, post and spin instead of waiting as xcall does
    #[arg(long)]
    pub no_self_drain: bool,

    /// One JSON object on standard output instead of a table
    #[arg(long)]
    pub json: bool,
}

impl StormArgs {
    /// The request they make.
    pub fn request(&self) -> Result<Request> {
        let switch = |on, flag| if on { flag } else { 0 };
        let flags = switch(self.irqs == Switch::Off, CALLERS_IRQS_OFF)
            | switch(self.targets_irqs == Switch::Off, TARGETS_IRQS_OFF)
            | switch(self.no_self_drain, NO_SELF_DRAIN);
        if self.no_self_drain {
            ensure!(
                self.irqs == Switch::Off && self.pattern.0 == Pattern::AllToAll,
                "--no-self-drain shows what happens with interrupts off\n\
                 hint: give it with --pattern all-to-all --irqs off"
            );
            ensure!(
                self.mask_target.is_none(),
                "--no-self-drain and --mask-target do not go together"
            );
        }
        let faults = Faults {
            drop: self.drop,
            delay: self.delay,
            duplicate: self.duplicate,
        };
        let sum: u64 = [self.drop, self.delay, self.duplicate]
            .map(u64::from)
            .iter()
            .sum();
        ensure!(
            sum <= 100,
            "--drop, --delay and --duplicate are {sum} % together: more than 100"
        );
        let usual_deadline = if self.mask_target.is_some() {
            1000
        } else {
            5000
        };
        let deadline_ms = self.deadline_ms.unwrap_or(usual_deadline);
        ensure!(
            (1..=60_000).contains(&deadline_ms),
            "--deadline-ms {deadline_ms}: not in 1 to 60000"
        );
        let seconds = match (self.seconds, self.calls) {
            // The cycles end it.
            (None, None) if self.hotplug.is_some_and(|cycles| cycles != 0) => LONGEST_S,
            (None, None) => 10,
            (None, Some(_)) => 0,
            (Some(seconds), _) => seconds,
        };
        ensure!(
            seconds <= LONGEST_S,
            "--seconds {seconds}: more than a week"
        );
        ensure!(
            seconds != 0 || self.calls.is_some_and(|n| n != 0),
            "a storm of no length"
        );
        let mut request = Request {
            size: size_of::<Request>() as u32,
            pattern: self.pattern.0 as u32,
            flags,
            mask_target: self.mask_target.unwrap_or(NO_CPU),
            deadline_ms,
            faults,
            duration_ms: seconds * 1000,
            calls: self.calls.unwrap_or(0),
            seed: self.seed,
            doorbells: [0; NAMES],
            cpus: self.cpus.as_ref().map_or([0; CPU_WORDS], |list| list.0),
        };
        let names = self.doorbell.join(",");
        if names.len() >= NAMES || !names.is_ascii() {
            bail!("--doorbell {names}: no such doorbells");
        }
        put_text(&mut request.doorbells, &names);
        Ok(request)
    }
}

impl GuestArgs {
    /// The request they make.
    pub fn request(&self) -> Result<Request> {
        let mut request = self.storm.request()?;
        if self.detach {
            request.flags |= DETACH;
        }
        Ok(request)
    }
}

/// A pattern, as clap sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatternArg(pub Pattern);

impl ValueEnum for PatternArg {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [PatternArg; Pattern::ALL.len()] = {
            let mut all = [PatternArg(Pattern::AllToAll); Pattern::ALL.len()];
            let mut i = 0;
            while i < all.len() {
                all[i] = PatternArg(Pattern::ALL[i]);
                i += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

impl Switch {
    pub fn name(self) -> &'static str {
        match self {
            Switch::On => "on",
            Switch::Off => "off",
        }
    }
}

/// CPUs by number, as in `taskset --cpu-list`: `0-3,5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(pub [u64; CPU_WORDS]);

impl CpuList {
    /// Its members, ascending.
    pub fn members(&self) -> impl Iterator<Item = u32> + '_ {
        (0..MAX_CPUS as u32).filter(|cpu| (self.0[*cpu as usize / 64] >> (cpu % 64)) & 1 != 0)
    }
}

impl FromStr for CpuList {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| -> Result<usize> {
            let cpu = text
                .parse()
                .with_context(|| format!("`{text}` is not the number of a CPU"))?;
            ensure!(cpu < MAX_CPUS, "CPU {cpu} is above {}", MAX_CPUS - 1);
            Ok(cpu)
        };
        let mut words = [0; CPU_WORDS];
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            ensure!(first <= last, "`{part}` goes backwards");
            for cpu in first..=last {
                words[cpu / 64] |= 1 << (cpu % 64);
            }
        }
        Ok(Self(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn host(args: &[&str]) -> Result<Request> {
        let args = Args::try_parse_from(["stress", "host"].iter().chain(args))?;
        match args.mode {
            Mode::Host(storm) => storm.request(),
            _ => unreachable!(),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn cpu_lists() {
        let list: CpuList = "0-3,5,64".parse().unwrap();
        assert_eq!(list.0[..2], [0b10_1111, 1]);
        assert!(list.members().eq([0, 1, 2, 3, 5, 64]));
        for wrong in ["", "a", "1-", "3-1", "4096", "1,,2"] {
            assert!(wrong.parse::<CpuList>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_of_a_storm() {
        assert_eq!(host(&[]).unwrap().duration_ms, 10_000);
        let by_calls = host(&["--calls", "5"]).unwrap();
        assert_eq!((by_calls.duration_ms, by_calls.calls), (0, 5));
        let by_cycles = host(&["--hotplug", "5"]).unwrap();
        assert_eq!(by_cycles.duration_ms, LONGEST_S * 1000);
        assert_eq!(host(&["--hotplug"]).unwrap().duration_ms, 10_000);
        assert!(host(&["--hotplug", "--mask-target", "1"]).is_err());
        assert!(host(&["--seconds", "0"]).is_err());
        assert!(host(&["--drop", "60", "--delay", "50"]).is_err());
        assert!(host(&["--deadline-ms", "0"]).is_err());
        assert!(host(&["--no-self-drain"]).is_err());
        assert!(host(&["--pattern", "sideways"]).is_err());
    }
}
