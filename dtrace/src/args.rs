// SPDX-License-Identifier: GPL-2.0
//! The command line.

use anyhow::{anyhow, bail, ensure, Result};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};
use dtrace::fields::Field;
use dtrace::format::{self, Format, Function};
use dtrace::name::{Part, ProbeName};
use dtrace::options::{self, Options};
use dtrace::program::{Aggregate, Clause, Printf};
use dtrace::run::{Form, Plan};
use dtrace_interface::action::ActionKind;
use dtrace_interface::options::OptionId;
use std::io::Write;
use std::path::PathBuf;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (DOF 2, DIF 2)");

const AFTER: &str = "\
Probes are named provider:module:function:name. Each part may have *, ? and [ ]; an empty one matches \
any, and parts left out at the left are empty.

Examples:
  dtrace -l -P syscall
  dtrace -n syscall::openat:entry --record pid,execname,'copyinstr(arg1)'
  dtrace -n syscall:::entry --count --by execname,probefunc
  dtrace -n syscall::read:return --quantize arg0 --by execname -c 'cat /etc/passwd'
  dtrace -F -f getppid -c 'sh -c true' --only-target

Exit status:
  0  traced, and ended by Ctrl-C, SIGTERM or the end of what was traced
  1  not traced, or the kernel ended it
  2  wrong options";

/// Names probes, enables them and shows what they record, through dtrace.ko
#[derive(Debug, Default, Parser)]
#[command(name = "dtrace", version = VERSION, after_help = AFTER)]
pub struct Args {
    /// List probes instead of enabling them; all of them if none is named
    #[arg(short)]
    pub list: bool,

    /// Probes by [[[provider:]module:]function:]name
    #[arg(short = 'n', value_name = "NAME", allow_hyphen_values = true)]
    name: Vec<String>,

    /// Probes by provider
    #[arg(short = 'P', value_name = "PROVIDER")]
    provider: Vec<String>,

    /// Probes by [provider:]module
    #[arg(short = 'm', value_name = "MODULE")]
    module: Vec<String>,

    /// Probes by [[provider:]module:]function
    #[arg(short = 'f', value_name = "FUNCTION")]
    function: Vec<String>,

    /// A probe by its number
    #[arg(short = 'i', value_name = "ID")]
    id: Vec<u32>,

    /// Indent entries and returns by how deep they are
    #[arg(short = 'F')]
    flow: bool,

    /// Run a command, split at spaces, and end with it
    #[arg(short = 'c', value_name = "COMMAND")]
    pub command: Option<String>,

    /// End when this process ends
    #[arg(short = 'p', value_name = "PID", conflicts_with = "command")]
    pub process: Option<u32>,

    /// Only what the process of -c or -p does
    #[arg(long)]
    pub only_target: bool,

    /// Append the output to a file
    #[arg(short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Show only what is recorded
    #[arg(short = 'q')]
    quiet: bool,

    /// Size of a CPU's buffer: -x bufsize=SIZE
    #[arg(short = 'b', value_name = "SIZE")]
    buffer: Option<String>,

    /// Set an option; `-x help` lists them
    #[arg(short = 'x', value_name = "OPTION[=VALUE]")]
    option: Vec<String>,

    /// Check the names and the program, and exit before anything is enabled
    #[arg(short = 'e')]
    check: bool,

    /// Tell which probes matched, and what options are in force
    #[arg(short = 'v')]
    verbose: bool,

    /// Names that match no probe are no error
    #[arg(short = 'Z')]
    zero: bool,

    /// A D program: there is no D compiler yet
    #[arg(short = 's', value_name = "SCRIPT", hide = true)]
    script: Option<PathBuf>,

    /// Destructive actions: there are none
    #[arg(short = 'w', hide = true)]
    destructive: bool,

    /// A JSON object a line instead of text
    #[arg(long)]
    json: bool,

    /// What to record: pid, execname, arg0, timestamp, 'copyinstr(arg1)', stack...
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',', value_parser = field)]
    record: Vec<Field>,

    /// Print a format, as D's printf does, with the values that it takes: '%s[%d] %x\\n' execname,pid,arg0
    #[arg(long, num_args = 1..=2, value_names = ["FORMAT", "FIELD,..."])]
    printf: Vec<String>,

    /// Print each entry of the counts or summaries at the end, as D's printa does: '%-16s %@d\\n'
    #[arg(long, value_name = "FORMAT", requires = "summary")]
    printa: Option<String>,

    /// Count firings
    #[arg(long, group = "summary")]
    count: bool,

    /// The sum of a field
    #[arg(long, value_name = "FIELD", group = "summary", value_parser = field)]
    sum: Option<Field>,

    /// The smallest value of a field
    #[arg(long, value_name = "FIELD", group = "summary", value_parser = field)]
    min: Option<Field>,

    /// The largest value of a field
    #[arg(long, value_name = "FIELD", group = "summary", value_parser = field)]
    max: Option<Field>,

    /// The mean of a field
    #[arg(long, value_name = "FIELD", group = "summary", value_parser = field)]
    avg: Option<Field>,

    /// The standard deviation of a field
    #[arg(long, value_name = "FIELD", group = "summary", value_parser = field)]
    stddev: Option<Field>,

    /// How values of a field are distributed, by powers of two
    #[arg(long, value_name = "FIELD", group = "summary", value_parser = field)]
    quantize: Option<Field>,

    /// Count or summarise apart for each of these
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',', requires = "summary", value_parser = field)]
    by: Vec<Field>,

    /// Show at the end where every firing went, CPU by CPU
    #[arg(long)]
    accounting: bool,

    /// Write the manual page or completions
    #[arg(long, value_name = "WHAT", hide = true)]
    pub generate: Option<Generated>,

    /// Values for a D program
    #[arg(hide = true)]
    words: Vec<String>,

    /// The clauses in the order of the command line.
    #[arg(skip)]
    probes: Vec<(Part, String)>,

    /// What was given with each `--printf`.
    #[arg(skip)]
    prints: Vec<Vec<String>>,
}

/// What can be made of the description of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// dtrace.8
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

fn field(text: &str) -> Result<Field, String> {
    text.parse()
}

/// The program's arguments. Ends the program if they make no sense, or for --help.
pub fn parse() -> Args {
    let matches = Args::command().get_matches();
    read(&matches).unwrap_or_else(|error| error.exit())
}

fn read(matches: &ArgMatches) -> Result<Args, clap::Error> {
    let mut args = Args::from_arg_matches(matches)?;
    let mut all: Vec<(usize, Part, String)> = Vec::new();
    for (option, part, texts) in [
        ("name", Part::Name, &args.name),
        ("provider", Part::Provider, &args.provider),
        ("module", Part::Module, &args.module),
        ("function", Part::Function, &args.function),
    ] {
        let places = matches.indices_of(option).into_iter().flatten();
        all.extend(places.zip(texts).map(|(at, text)| (at, part, text.clone())));
    }
    all.sort_by_key(|(place, ..)| *place);
    let prints = matches.get_occurrences::<String>("printf");
    let prints = prints.into_iter().flatten();
    args.prints = prints.map(|words| words.cloned().collect()).collect();
    args.probes = all
        .into_iter()
        .map(|(_, part, text)| (part, text))
        .collect();
    Ok(args)
}

/// Writes the manual page or completions.
pub fn generate(what: Generated, out: &mut dyn Write) -> Result<()> {
    use clap_complete::Shell;
    let mut command = Args::command();
    let shell = match what {
        Generated::Man => {
            let man = clap_mangen::Man::new(command).section("8");
            man.render(&mut &mut *out)?;
            // As it is, line by line.
            let options = options::help().replace('\\', "\\\\").replace('-', "\\-");
            writeln!(out, ".SH \"OPTIONS OF \\-x\"\n.nf\n{options}.fi")?;
            return Ok(());
        }
        Generated::Bash => Shell::Bash,
        Generated::Zsh => Shell::Zsh,
        Generated::Fish => Shell::Fish,
    };
    clap_complete::generate(shell, &mut command, "dtrace", &mut &mut *out);
    Ok(())
}

impl Args {
    /// Whether it is the options that are asked for: `-x help`.
    pub fn asks_for_options(&self) -> bool {
        self.option.iter().any(|option| option == "help")
    }

    /// What they ask for.
    pub fn plan(&self) -> Result<Plan> {
        const INSTEAD: &str = "hint: name probes by -n, values by --record, counts by --count --by";
        if let Some(script) = &self.script {
            bail!(
                "-s {}: there is no D compiler yet\n{INSTEAD}",
                script.display()
            );
        }
        if let Some(word) = self.words.first() {
            bail!("`{word}`: values for a D program, and there is no D compiler yet\n{INSTEAD}");
        }
        ensure!(!self.destructive, "-w: destructive actions do not exist");
        let has_target = self.command.is_some() || self.process.is_some();
        ensure!(
            has_target || !self.only_target,
            "--only-target: there is no target\nhint: give -c COMMAND or -p PID"
        );
        let clauses = self.clauses()?;
        ensure!(
            self.list || !clauses.is_empty(),
            "no probes specified\nhint: dtrace -l lists them, -n NAME enables them"
        );
        Ok(Plan {
            clauses,
            printa: self.printa()?,
            options: self.options()?,
            form: match self.json {
                true => Form::Json,
                false => Form::Text,
            },
            zero_is_fine: self.zero,
            verbose: self.verbose,
            check_only: self.check,
            accounting: self.accounting,
            progress: false,
        })
    }

    fn options(&self) -> Result<Options> {
        let mut options = Options::default();
        for text in &self.option {
            options.set_text(text).map_err(|why| anyhow!("-x {why}"))?;
        }
        if let Some(size) = &self.buffer {
            let size = options::size(size).map_err(|why| anyhow!("-b {why}"))?;
            options.set(OptionId::BufferSize, size);
        }
        if self.quiet {
            options.set(OptionId::Quiet, 1);
        }
        if self.flow {
            options.set(OptionId::FlowIndent, 1);
        }
        Ok(options)
    }

    fn clauses(&self) -> Result<Vec<(String, Clause)>> {
        let aggregate = self.aggregate()?;
        let printf = self.printf()?;
        let clause = |name, id| Clause {
            name,
            id,
            predicate: None,
            record: self.record.clone(),
            printf: printf.clone(),
            aggregate: aggregate.clone(),
            printa: None,
        };
        let mut all = Vec::new();
        for (part, text) in &self.probes {
            let name = ProbeName::ending_with(*part, text);
            let name = name.map_err(|why| anyhow!("invalid probe specifier: {why}"))?;
            all.push((text.clone(), clause(name, None)));
        }
        for id in &self.id {
            ensure!(*id != 0, "-i 0: numbers of probes begin with 1");
            all.push((id.to_string(), clause(ProbeName::default(), Some(*id))));
        }
        Ok(all)
    }

    fn printf(&self) -> Result<Vec<Printf>> {
        let mut all = Vec::new();
        for words in &self.prints {
            let text = words.first().map_or("", String::as_str);
            let values = words
                .get(1)
                .into_iter()
                .flat_map(|fields| fields.split(','));
            let values: Result<Vec<Field>, String> = values.map(str::parse).collect();
            let wrong = |why| anyhow!("--printf '{text}': {why}");
            let values = values.map_err(wrong)?;
            let format = format::unescape(text).map_err(wrong)?;
            let checked = Format::parse(&format, Function::Printf);
            let checked = checked.and_then(|read| read.check(&values, Function::Printf));
            checked.map_err(wrong)?;
            all.push(Printf { format, values });
        }
        Ok(all)
    }

    fn printa(&self) -> Result<Option<String>> {
        let Some(text) = &self.printa else {
            return Ok(None);
        };
        let wrong = |why| anyhow!("--printa '{text}': {why}");
        let format = format::unescape(text).map_err(wrong)?;
        let checked = Format::parse(&format, Function::Printa);
        let checked = checked.and_then(|read| read.check(&self.by, Function::Printa));
        checked.map_err(wrong)?;
        Ok(Some(format))
    }

    fn aggregate(&self) -> Result<Option<Aggregate>> {
        let given = [
            (ActionKind::Sum, &self.sum),
            (ActionKind::Min, &self.min),
            (ActionKind::Max, &self.max),
            (ActionKind::Avg, &self.avg),
            (ActionKind::Stddev, &self.stddev),
            (ActionKind::Quantize, &self.quantize),
        ];
        let by = self.by.clone();
        if self.count {
            return Ok(Some(Aggregate {
                function: ActionKind::Count,
                value: None,
                by,
            }));
        }
        let Some((function, field)) = given
            .into_iter()
            .find_map(|(function, field)| Some((function, field.as_ref()?)))
        else {
            return Ok(None);
        };
        ensure!(
            field.is_number(),
            "--{} {field}: it is not a number",
            function.name()
        );
        Ok(Some(Aggregate {
            function,
            value: Some(field.clone()),
            by,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &[&str]) -> Result<Plan> {
        let words = ["dtrace"].iter().chain(words);
        let matches = Args::command().try_get_matches_from(words)?;
        read(&matches)?.plan()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn clauses_keep_their_order() {
        let plan = plan(&["-n", "BEGIN", "-P", "syscall", "-n", "END", "-i", "7"]).unwrap();
        let names: Vec<String> = plan
            .clauses
            .iter()
            .map(|(_, c)| c.name.to_string())
            .collect();
        assert_eq!(names, [":::BEGIN", "syscall:::", ":::END", ":::"]);
        assert_eq!(plan.clauses[3].1.id, Some(7));
    }

    #[test]
    fn fields_and_aggregations() {
        let plan = plan(&[
            "-n",
            "a",
            "--record",
            "pid,execname",
            "--count",
            "--by",
            "uid",
        ])
        .unwrap();
        let clause = &plan.clauses[0].1;
        assert_eq!(clause.record.len(), 2);
        let aggregate = clause.aggregate.as_ref().unwrap();
        assert_eq!(
            (aggregate.function, aggregate.by.len()),
            (ActionKind::Count, 1)
        );
    }

    #[test]
    fn formats() {
        let words =
            "-n a --printf %s:%d\\n execname,pid --printf ! --count --by uid --printa %u %@d";
        let mut words: Vec<&str> = words.split(' ').collect();
        let last = words.pop();
        words.pop();
        let format = format!("%u {}", last.unwrap());
        words.push(&format);
        let plan = plan(&words).unwrap();
        let printf = &plan.clauses[0].1.printf;
        assert_eq!((printf.len(), printf[0].values.len()), (2, 2));
        assert_eq!(printf[0].format, "%s:%d\n");
        assert_eq!(printf[1].format, "!");
        assert_eq!(plan.printa.as_deref(), Some("%u %@d"));
    }

    #[test]
    fn options_of_the_command_line() {
        let plan = plan(&["-n", "a", "-b", "64k", "-x", "bufpolicy=ring", "-q", "-F"]).unwrap();
        assert_eq!(plan.options.get(OptionId::BufferSize), Some(64 << 10));
        assert!(plan.options.is_on(OptionId::Quiet) && plan.options.is_on(OptionId::FlowIndent));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (words, expected) in [
            (&[][..], "no probes specified"),
            (&["-s", "x.d"], "no D compiler yet"),
            (&["-n", "BEGIN{}"], "no D compiler yet"),
            (&["-n", "a", "word"], "no D compiler yet"),
            (&["-n", "a", "-w"], "do not exist"),
            (&["-P", "a:b"], "2 parts"),
            (&["-n", "a", "-b", "x"], "not a number"),
            (&["-n", "a", "-x", "bufsise=1"], "did you mean `bufsize`?"),
            (&["-n", "a", "--record", "pidd"], "did you mean `pid`?"),
            (&["-n", "a", "--by", "pid"], "required"),
            (&["-n", "a", "--count", "--sum", "pid"], "cannot be used"),
            (&["-n", "a", "--sum", "execname"], "not a number"),
            (&["-n", "a", "--only-target"], "no target"),
            (&["-n", "a", "-c", "x", "-p", "1"], "cannot be used"),
            (&["-i", "0"], "begin with 1"),
            (
                &["-n", "a", "--printf", "%d"],
                "take 1 values, and there are 0",
            ),
            (&["-n", "a", "--printf", "%q", "pid"], "no such conversion"),
            (&["-n", "a", "--printf", "%s", "pid"], "which is a number"),
            (
                &["-n", "a", "--printf", "%d", "pidd"],
                "did you mean `pid`?",
            ),
            (&["-n", "a", "--printf", "\\q"], "no such escape"),
            (&["-n", "a", "--printa", "%@d"], "required"),
            (
                &["-n", "a", "--count", "--printa", "%s %@d"],
                "take 1 keys, and there are 0",
            ),
        ] {
            let refusal = format!("{:#}", plan(words).unwrap_err());
            assert!(refusal.contains(expected), "{words:?}: {refusal}");
        }
    }

    #[test]
    fn generated_files() {
        for (what, expected) in [
            (Generated::Man, ".TH dtrace 8"),
            (Generated::Bash, "_dtrace"),
            (Generated::Zsh, "#compdef dtrace"),
            (Generated::Fish, "complete -c dtrace"),
        ] {
            let mut out = Vec::new();
            generate(what, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(expected), "{what:?}");
        }
    }
}
