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
mod variables;
mod withdraw;

use xcall::model::Point;

/// A model and its bound.
#[derive(Clone, Copy)]
pub struct Model {
    name: &'static str,
    /// Where the NMI comes, in models of one.
    pub at: Option<Point>,
    /// How many times loom may preempt a thread in one execution; None: any number of times.
    pub bound: Option<usize>,
    /// What it shows.
    pub shows: &'static str,
    /// Runs one execution.
    pub run: fn(Option<Point>),
}

/// A model without an NMI.
fn model(name: &'static str, shows: &'static str, run: fn(Option<Point>)) -> Model {
    Model {
        name,
        at: None,
        bound: None,
        shows,
        run,
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
        Model {
            at: Some(point),
            ..self
        }
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
        variables::models(),
    ]
    .concat()
}
