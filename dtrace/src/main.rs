// SPDX-License-Identifier: GPL-2.0
//! `dtrace(8)`: lists and enables probes, and shows what they record. docs/dtrace-command.md tells how.
#![forbid(unsafe_code)]

mod args;
mod world;

use anyhow::{Context, Result};
use args::Args;
use dtrace::device::Node;
use dtrace::program::Equals;
use dtrace::{failure, options, run, target};
use dtrace_interface::variable::BuiltIn;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

/// Something went wrong: no module, no such probe, refused by the kernel.
const FAILED: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == target::HOLD) {
        let error = target::hold_then_run(&words[1..]);
        eprintln!("dtrace: {error:#}");
        return ExitCode::from(127);
    }
    let args = args::parse();
    if let Some(what) = args.generate {
        return ended(args::generate(what, &mut io::stdout()).map(|()| 0));
    }
    if args.asks_for_options() {
        print!("{}", options::help());
        return ExitCode::SUCCESS;
    }
    match args.plan() {
        Ok(plan) => ended(command(&args, plan)),
        Err(error) => {
            eprintln!("dtrace: {error:#}");
            ExitCode::from(USAGE)
        }
    }
}

fn ended(result: Result<u8>) -> ExitCode {
    match result {
        Ok(status) => ExitCode::from(status),
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dtrace: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let json = error.downcast_ref::<serde_json::Error>();
    let json = json.and_then(serde_json::Error::io_error_kind);
    io.or(json) == Some(io::ErrorKind::BrokenPipe)
}

fn command(args: &Args, mut plan: run::Plan) -> Result<u8> {
    let device = Node::open().map_err(|error| failure::opening(&error))?;
    let mut out = output(args)?;
    if args.list {
        run::list(&device, &plan, &mut out)?;
        return Ok(0);
    }
    let mut world = world::Real::new(args)?;
    plan.progress = io::stderr().is_terminal();
    if args.only_target {
        let only = world.target_pid().map(|pid| Equals {
            variable: BuiltIn::Pid,
            value: pid.into(),
        });
        for (_, clause) in &mut plan.clauses {
            clause.predicate = only;
        }
    }
    run::trace(&device, plan, &mut world, &mut out, &mut io::stderr())
}

fn output(args: &Args) -> Result<BufWriter<Box<dyn Write>>> {
    let out: Box<dyn Write> = match &args.output {
        Some(path) => {
            let file = File::options().create(true).append(true).open(path);
            Box::new(file.with_context(|| format!("-o {}", path.display()))?)
        }
        None => Box::new(io::stdout()),
    };
    Ok(BufWriter::new(out))
}
