// SPDX-License-Identifier: GPL-2.0
//! Runs one model to its bound and says how many executions that took.

use crate::models::{all, Model};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

/// What `loom-tests` does with its arguments.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => {
            all().iter().for_each(|model| println!("{}", model.name()));
            ExitCode::SUCCESS
        }
        ["--describe"] => {
            for model in all() {
                println!("{:<32} {}", model.name(), model.shows);
            }
            ExitCode::SUCCESS
        }
        [name] => find(name).map_or_else(|| no_model(name), |model| check(model, model.bound)),
        [name, "--unbounded"] => {
            find(name).map_or_else(|| no_model(name), |model| check(model, None))
        }
        _ => usage("a model wanted"),
    }
}

fn find(name: &str) -> Option<Model> {
    all().into_iter().find(|model| model.name() == name)
}

fn no_model(name: &str) -> ExitCode {
    usage(&format!("no model is called {name}"))
}

fn usage(complaint: &str) -> ExitCode {
    eprintln!(
        "loom-tests: {complaint}\nusage: loom-tests --list | --describe | MODEL [--unbounded]"
    );
    ExitCode::from(2)
}

/// A model that fails panics inside loom, which may abort the process: hence one process each.
fn check(model: Model, bound: Option<usize>) -> ExitCode {
    let name = model.name();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 10_000;
    builder.check(move || {
        EXECUTIONS.fetch_add(1, Ordering::Relaxed);
        model.run();
    });
    let bound = bound.map_or("any".into(), |n| n.to_string());
    println!(
        "{name}: preemptions {bound}, executions {}",
        EXECUTIONS.load(Ordering::Relaxed)
    );
    ExitCode::SUCCESS
}
