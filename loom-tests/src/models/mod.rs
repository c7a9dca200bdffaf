// SPDX-License-Identifier: GPL-2.0
//! The models, a file a property. Each is bounded and says what it shows.

mod broadcast;
mod flush;
mod hotplug;
mod mutual;
mod nested_answer;
mod nested_send;
mod post;
mod reuse;
mod ring_again;
mod send_drain;
mod statistics;
mod tree;
mod withdraw;

use xcall::model::Point;

/// A model and its bound.
#[derive(Clone, Copy)]
pub struct Model {
    name: &'static str,
    /// Where the NMI comes, in models of one.
    pub at: Option<Point>,
    /// How many times loom may preempt a thread in one execution.
    pub bound: usize,
    /// What it shows.
    pub shows: &'static str,
    /// Runs one execution.
    pub run: fn(Option<Point>),
}

/// A model without an NMI.
fn model(name: &'static str, bound: usize, shows: &'static str, run: fn(Option<Point>)) -> Model {
    Model {
        name,
        at: None,
        bound,
        shows,
        run,
    }
}

/// A model for each of `points`, where an NMI comes.
fn models_at(
    points: &[Point],
    name: &'static str,
    bound: usize,
    shows: &'static str,
    run: fn(Option<Point>),
) -> Vec<Model> {
    let at = |point: &Point| Model {
        at: Some(*point),
        ..model(name, bound, shows, run)
    };
    points.iter().map(at).collect()
}

impl Model {
    /// Its name, with the point of its NMI.
    pub fn name(&self) -> String {
        match self.at {
            Some(point) => format!("{}@{point:?}", self.name),
            None => self.name.into(),
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
    ]
    .concat()
}
