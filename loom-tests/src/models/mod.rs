// SPDX-License-Identifier: GPL-2.0
//! The models, a file a property. Each is bounded and says what it shows.

mod broadcast;
mod flush;
mod hotplug;
mod mutual;
mod nested_answer;
mod nested_send;
mod post;
mod probe_enabling;
mod probe_nested;
mod probe_switch;
mod probe_sync;
mod rendezvous;
mod reuse;
mod ring_again;
mod send_drain;
mod statistics;
mod tasks;
mod tree;
mod variables;
mod withdraw;

use dtrace_provider::model::Point as ProbePoint;
use xcall::model::Point;

/// A model and its bound.
#[derive(Clone, Copy)]
pub struct Model {
    name: &'static str,
    /// How many times loom may preempt a thread in one execution; None: any number of times.
    pub bound: Option<usize>,
    /// What it shows.
    pub shows: &'static str,
    run: Run,
}

/// One execution, and where the NMI or the call comes in models of one.
#[derive(Clone, Copy)]
enum Run {
    /// Of the engine.
    Call(fn(Option<Point>), Option<Point>),
    /// Of a probe.
    Firing(fn(Option<ProbePoint>), Option<ProbePoint>),
}

/// A model without an NMI.
fn model(name: &'static str, shows: &'static str, run: fn(Option<Point>)) -> Model {
    Model {
        name,
        bound: None,
        shows,
        run: Run::Call(run, None),
    }
}

/// A model of firings for each of `points`, where a call or an NMI comes.
fn firing_models_at(
    points: &[ProbePoint],
    name: &'static str,
    shows: &'static str,
    run: fn(Option<ProbePoint>),
) -> Vec<Model> {
    let at = |point: &ProbePoint| firing_model(name, shows, run, Some(*point));
    points.iter().map(at).collect()
}

/// A model of firings.
fn firing_model(
    name: &'static str,
    shows: &'static str,
    run: fn(Option<ProbePoint>),
    at: Option<ProbePoint>,
) -> Model {
    Model {
        name,
        bound: None,
        shows,
        run: Run::Firing(run, at),
    }
}

/// A model for each of `points`, where an NMI comes.
fn models_at(
    points: &[Point],
    name: &'static str,
    shows: &'static str,
    run: fn(Option<Point>),
) -> Vec<Model> {
    let at = |point: &Point| model(name, shows, run).at(*point);
    points.iter().map(at).collect()
}

impl Model {
    /// With an NMI at `point`.
    fn at(self, point: Point) -> Self {
        let run = match self.run {
            Run::Call(run, _) => Run::Call(run, Some(point)),
            firing => firing,
        };
        Model { run, ..self }
    }

    /// With `preemptions` at most: without a bound it would take too long.
    fn bounded(self, preemptions: usize) -> Self {
        Model {
            bound: Some(preemptions),
            ..self
        }
    }

    /// Its name, with the point of its NMI.
    pub fn name(&self) -> String {
        match self.run {
            Run::Call(_, Some(point)) => format!("{}@{point:?}", self.name),
            Run::Firing(_, Some(point)) => format!("{}@{point:?}", self.name),
            _ => self.name.into(),
        }
    }

    /// Runs one execution.
    pub fn run(&self) {
        match self.run {
            Run::Call(run, at) => run(at),
            Run::Firing(run, at) => run(at),
        }
    }
}

/// Every model.
pub fn all() -> Vec<Model> {
    [
        send_drain::models(),
        reuse::models(),
        mutual::models(),
        broadcast::models(),
        withdraw::models(),
        nested_send::models(),
        nested_answer::models(),
        hotplug::models(),
        post::models(),
        flush::models(),
        ring_again::models(),
        tree::models(),
        statistics::models(),
        probe_switch::models(),
        probe_sync::models(),
        probe_enabling::models(),
        probe_nested::models(),
        variables::models(),
        tasks::models(),
        rendezvous::models(),
    ]
    .concat()
}
