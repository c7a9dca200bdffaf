// SPDX-License-Identifier: GPL-2.0
//! CPUs that go offline and come back while a storm blows, in random order, never the last one.
//!
//! After each step one call says whether it is in force at once: a CPU that is offline refuses it,
//! one that is back runs it.

use anyhow::{Context, Result};
use fastrand::Rng;

/// A machine whose CPUs can go.
pub trait Machine {
    /// Takes an online CPU offline; returns when it is.
    fn take_offline(&self, cpu: u32) -> Result<()>;

    /// Brings it back; returns when it is online.
    fn bring_online(&self, cpu: u32) -> Result<()>;

    /// Makes one call to `cpu`.
    fn call(&self, cpu: u32) -> Result<Called>;
}

/// What came of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// It ran once.
    Ran,
    /// The CPU is offline, and it did not run.
    Offline,
    /// Anything else.
    Other,
}

/// What to do, and what CPUs may go.
#[derive(Clone, Debug)]
pub struct Plan {
    /// CPUs that may go offline and are online.
    pub cpus: Vec<u32>,
    /// Whether a CPU that may not go is online: then all of `cpus` may be offline at a time.
    pub one_stays: bool,
    /// Offline and back; 0: to the storm's end.
    pub cycles: u64,
    pub seed: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// CPUs that went offline and came back.
    pub cycles: u64,
    /// The most that were offline at a time.
    pub most_offline: usize,
    /// Calls to a CPU that had gone, not refused.
    pub wrong_offline: u64,
    /// Calls to a CPU that had come back, not run.
    pub wrong_online: u64,
}

impl Done {
    /// Why it counts as failed.
    pub fn failure(&self) -> Option<&'static str> {
        if self.wrong_offline != 0 {
            return Some("a CPU that was offline did not refuse a call");
        }
        if self.wrong_online != 0 {
            return Some("a CPU that came back did not run a call");
        }
        (self.cycles == 0).then_some("no CPU went offline and came back")
    }
}

/// Takes CPUs offline and brings them back until the cycles are made or `is_over` says so. All that
/// went are back when this returns, whatever it returns.
pub fn run<M: Machine>(machine: &M, plan: &Plan, is_over: impl Fn() -> bool) -> Result<Done> {
    let mut rng = Rng::with_seed(plan.seed);
    let mut done = Done::default();
    let mut away = Away {
        machine,
        cpus: Vec::new(),
    };
    let most = plan.cpus.len() - usize::from(!plan.one_stays);
    while !is_over() {
        let begun = done.cycles + away.cpus.len() as u64;
        let enough = plan.cycles != 0 && begun >= plan.cycles;
        if enough && away.cpus.is_empty() {
            break;
        }
        let cpu = plan.cpus[rng.usize(..plan.cpus.len())];
        if away.cpus.contains(&cpu) {
            away.bring_back(cpu)?;
            done.cycles += 1;
            done.wrong_online += u64::from(machine.call(cpu)? != Called::Ran);
        } else if !enough && away.cpus.len() < most {
            away.take(cpu)?;
            done.most_offline = done.most_offline.max(away.cpus.len());
            done.wrong_offline += u64::from(machine.call(cpu)? != Called::Offline);
        }
    }
    while let Some(cpu) = away.cpus.first().copied() {
        away.bring_back(cpu)?;
        done.cycles += 1;
        done.wrong_online += u64::from(machine.call(cpu)? != Called::Ran);
    }
    Ok(done)
}

/// The CPUs that are offline because of us. Dropped, it brings them back.
struct Away<'m, M: Machine> {
    machine: &'m M,
    cpus: Vec<u32>,
}

impl<M: Machine> Away<'_, M> {
    fn take(&mut self, cpu: u32) -> Result<()> {
        // First this: what fails half-way is brought back too.
        self.cpus.push(cpu);
        self.machine
            .take_offline(cpu)
            .with_context(|| format!("taking CPU {cpu} offline"))
    }

    fn bring_back(&mut self, cpu: u32) -> Result<()> {
        self.machine
            .bring_online(cpu)
            .with_context(|| format!("bringing CPU {cpu} online"))?;
        self.cpus.retain(|away| *away != cpu);
        Ok(())
    }
}

impl<M: Machine> Drop for Away<'_, M> {
    fn drop(&mut self) {
        for cpu in &self.cpus {
            if let Err(error) = self.machine.bring_online(*cpu) {
                eprintln!("stress: CPU {cpu} stays offline: {error:#}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{bail, ensure};
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    /// Online CPUs, the steps made, and how many steps may be made.
    struct Model {
        online: RefCell<BTreeSet<u32>>,
        steps: RefCell<Vec<(u32, bool)>>,
        fails_at: usize,
        answer_offline: Called,
    }

    impl Model {
        fn new(cpus: u32) -> Self {
            Self {
                online: RefCell::new((0..cpus).collect()),
                steps: RefCell::new(Vec::new()),
                fails_at: usize::MAX,
                answer_offline: Called::Offline,
            }
        }

        fn step(&self, cpu: u32, online: bool) -> Result<()> {
            self.steps.borrow_mut().push((cpu, online));
            if self.steps.borrow().len() == self.fails_at {
                bail!("the model's failure");
            }
            Ok(())
        }
    }

    impl Machine for Model {
        fn take_offline(&self, cpu: u32) -> Result<()> {
            self.step(cpu, false)?;
            ensure!(self.online.borrow_mut().remove(&cpu), "it is offline");
            ensure!(!self.online.borrow().is_empty(), "the last one");
            Ok(())
        }

        fn bring_online(&self, cpu: u32) -> Result<()> {
            self.step(cpu, true)?;
            self.online.borrow_mut().insert(cpu);
            Ok(())
        }

        fn call(&self, cpu: u32) -> Result<Called> {
            Ok(match self.online.borrow().contains(&cpu) {
                true => Called::Ran,
                false => self.answer_offline,
            })
        }
    }

    fn plan(cpus: std::ops::Range<u32>, one_stays: bool, cycles: u64) -> Plan {
        Plan {
            cpus: cpus.collect(),
            one_stays,
            cycles,
            seed: 1,
        }
    }

    #[test]
    fn as_many_cycles_as_asked_for_and_all_are_back() {
        let model = Model::new(4);
        let done = run(&model, &plan(1..4, true, 50), || false).unwrap();
        assert_eq!((done.cycles, done.most_offline), (50, 3));
        assert_eq!(done.failure(), None);
        assert_eq!(model.online.borrow().len(), 4);
        // Not one after the other, but in any order.
        let steps = model.steps.borrow();
        assert!(steps.windows(2).any(|two| two[0].1 == two[1].1));
    }

    #[test]
    fn never_the_last_one() {
        let model = Model::new(3);
        let done = run(&model, &plan(0..3, false, 50), || false).unwrap();
        assert_eq!(done.most_offline, 2);
    }

    #[test]
    fn the_same_seed_makes_the_same_steps() {
        let steps = || {
            let model = Model::new(4);
            run(&model, &plan(0..4, false, 20), || false).unwrap();
            model.steps.take()
        };
        assert_eq!(steps(), steps());
    }

    #[test]
    fn the_storms_end_brings_all_back() {
        let model = Model::new(4);
        let over = || model.steps.borrow().len() >= 9;
        let done = run(&model, &plan(1..4, true, 0), over).unwrap();
        assert!(done.cycles > 0);
        assert_eq!(model.online.borrow().len(), 4);
    }

    #[test]
    fn a_failure_brings_all_back() {
        for fails_at in 1..20 {
            let mut model = Model::new(4);
            model.fails_at = fails_at;
            assert!(run(&model, &plan(1..4, true, 50), || false).is_err());
            assert_eq!(model.online.borrow().len(), 4, "{fails_at}");
        }
    }

    #[test]
    fn a_call_that_should_not_have_run_is_seen() {
        let mut model = Model::new(4);
        model.answer_offline = Called::Ran;
        let done = run(&model, &plan(1..4, true, 5), || false).unwrap();
        assert_eq!(done.wrong_offline, 5);
        assert!(done.failure().is_some());
    }
}
