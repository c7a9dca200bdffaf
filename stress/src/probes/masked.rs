// SPDX-License-Identifier: GPL-2.0
//! A buffer is switched while its CPU spins with interrupts off, so that only a doorbell that is not
//! masked by that can have asked for it.
//!
//! The CPU's worker makes its rounds, then has xcall_stress.ko keep the CPU. Meanwhile the buffers are taken:
//! the worker's records must be there while the CPU is still kept.

use super::window::{self, Manner, Window};
use super::worker::{self, Worker};
use crate::hold;
use anyhow::{bail, ensure, Result};
use std::fs;
use std::sync::atomic::Ordering::SeqCst;

/// How long a CPU is kept at most.
const LIMIT_MS: u64 = 4000;

/// Rounds before each.
const ROUNDS: u64 = 20;

/// Which doorbells there are, and how often they were heard.
const DOORBELLS: &str = "/sys/kernel/debug/xcall/doorbells";

/// What came of it.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Masked {
    /// Buffers switched while their CPU was kept.
    pub switches: u64,
    /// Records that these brought.
    pub records: u64,
    /// How often a doorbell was heard meanwhile that interrupts off do not keep away.
    pub unmaskable_heard: u64,
}

/// So many times on each worker's CPU.
pub fn masked(workers: &[Worker], manner: Manner, times: u64) -> Result<(Masked, Vec<String>)> {
    let holder = hold::Device::open()?;
    let mut done = Masked::default();
    let device = window::open()?;
    let mut window = Window::begin(&device, manner, workers)?;
    for turn in 0..times {
        for worker in workers {
            // Not where it would be kept too.
            worker::pin_elsewhere(worker.cpu)?;
            let when = format!("turn {turn}, CPU {}", worker.cpu);
            once(&mut window, &holder, worker, &mut done).map_err(|error| error.context(when))?;
        }
    }
    worker::pin(None)?;
    let figures = window.end("masked")?;
    Ok((done, figures.mismatches))
}

fn once(
    window: &mut Window<'_>,
    holder: &hold::Device,
    worker: &Worker,
    done: &mut Masked,
) -> Result<()> {
    worker.go(Some(ROUNDS));
    worker.wait("make its rounds", || worker.board.is_done())?;
    let (read, heard, switches) = (window.read_of(worker.cpu), heard()?, window.switches()?);
    worker.board.hold_ms.store(LIMIT_MS, SeqCst);
    // Awake: the kernel may have the timer of a sleep on the very CPU that is kept (nohz_full).
    worker.watch("keep its CPU", || {
        holder.kept().ok() == Some(Some(worker.cpu))
    })?;
    window.take()?;
    let after = window.switches()?;
    let heard_after = self::heard()?;
    let Some(kept) = holder.release()? else {
        bail!("the CPU was let go by its time limit before its buffer was there")
    };
    ensure!(kept == worker.cpu, "CPU {kept} was kept");
    ensure!(after > switches, "no buffer was switched");
    let records = window.read_of(worker.cpu) - read;
    ensure!(records != 0, "no record came with it");
    worker.wait("go on", || worker.board.hold_ms.load(SeqCst) == 0)?;
    done.switches += 1;
    done.records += records;
    if let (Some(before), Some(after)) = (heard, heard_after) {
        ensure!(after > before, "no doorbell was heard that is not maskable");
        done.unmaskable_heard += after - before;
    }
    Ok(())
}

/// How often doorbells that are not maskable were heard; None: no table to read that from.
fn heard() -> Result<Option<u64>> {
    match fs::read_to_string(DOORBELLS) {
        Ok(text) => unmaskable(&text).map(Some),
        Err(_) => Ok(None),
    }
}

fn unmaskable(text: &str) -> Result<u64> {
    let mut lines = text.lines().map(|line| line.split_whitespace().collect());
    let names: Vec<&str> = lines.next().unwrap_or_default();
    let column = |name| names.iter().position(|found| *found == name);
    let (Some(maskable), Some(heard)) = (column("maskable"), column("heard")) else {
        bail!("{DOORBELLS}: a table of another build of xcall.ko")
    };
    let of = |cells: Vec<&str>| match cells.get(maskable) {
        Some(&"yes") => None,
        _ => cells.get(heard)?.parse::<u64>().ok(),
    };
    Ok(lines.filter_map(of).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doorbells_that_are_not_maskable() {
        let table = "\
doorbell offered nmi-safe ordinary maskable from-nmi heard empty
ipi          yes        -      yes      yes        -     3     0
xen-nmi      yes      yes        -        -      yes     5     1
nmi            -        -        -        -      yes     2     0
";
        assert_eq!(unmaskable(table).unwrap(), 7);
        assert!(unmaskable("").is_err());
    }
}
