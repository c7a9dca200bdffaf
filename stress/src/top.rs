// SPDX-License-Identifier: GPL-2.0
//! `stress top`: what calls are made on this machine, live, by xcall.ko's counters.

use crate::args::TopArgs;
use crate::counters::Sample;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often to look whether Ctrl-C has come.
const LOOK: Duration = Duration::from_millis(50);

/// Lines above and between the tables, and the totals' line.
const OTHER_LINES: usize = 8;

/// Shows rates until Ctrl-C, or once.
pub fn top(args: &TopArgs) -> Result<bool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        signal_hook::flag::register(signal, stop.clone()).context("a handler for Ctrl-C")?;
    }
    let mut before = Sample::read(&args.debugfs)?;
    let live = !args.json && !args.once && io::stdout().is_terminal();
    let screen = live.then(Screen::enter).transpose()?;
    while sleep(Duration::from_secs_f64(args.every), &stop) {
        let now = Sample::read(&args.debugfs)?;
        let rates = Rates::between(&before, &now);
        let shown = match &screen {
            _ if args.json => line(&serde_json::to_string(&rates)?),
            Some(screen) => screen.show(&rates),
            None => line(&rates.table(usize::MAX)),
        };
        match shown {
            // Whoever read it has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            shown => shown.context("standard output")?,
        }
        if args.once {
            break;
        }
        before = now;
    }
    Ok(true)
}

fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// False: Ctrl-C has come.
fn sleep(time: Duration, stop: &AtomicBool) -> bool {
    let end = Instant::now() + time;
    while !stop.load(Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(LOOK));
    }
    false
}

/// What one CPU, or all, did in an interval.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<u32>,
    calls_per_s: u64,
    run_per_s: u64,
    rings_per_call: f64,
    saved_per_s: u64,
    rerings_per_s: u64,
    timeouts: u64,
    busy: u64,
    p50_ns: u64,
    p99_ns: u64,
}

/// How long calls took in an interval that rang one doorbell last.
#[derive(Debug, Serialize)]
struct Doorbell {
    doorbell: String,
    waits_per_s: u64,
    p50_ns: u64,
    p99_ns: u64,
}

/// What happened between two samples.
#[derive(Debug, Serialize)]
struct Rates {
    seconds: f64,
    all: Row,
    cpus: Vec<Row>,
    doorbells: Vec<Doorbell>,
}

impl Rates {
    fn between(before: &Sample, now: &Sample) -> Self {
        let seconds = (now.at - before.at).as_secs_f64().max(1e-9);
        let per_s = |count: u64| (count as f64 / seconds).round() as u64;
        let row = |name: &str, waits: &str, cpu| {
            // A module that was loaded anew begins at 0.
            let since = |column: &str| {
                now.count(name, column)
                    .saturating_sub(before.count(name, column))
            };
            let waits = now.waits(waits).since(&before.waits(waits));
            let made = since("made");
            let rings_per_call = since("rings") as f64 / made.max(1) as f64;
            Row {
                cpu,
                calls_per_s: per_s(made),
                run_per_s: per_s(since("run")),
                rings_per_call: (rings_per_call * 1000.0).round() / 1000.0,
                saved_per_s: per_s(since("saved")),
                rerings_per_s: per_s(since("rerings")),
                timeouts: since("timeouts"),
                busy: since("busy"),
                p50_ns: waits.quantile_ns(500),
                p99_ns: waits.quantile_ns(990),
            }
        };
        let cpu = |cpu: &u32| row(&cpu.to_string(), &format!("cpu{cpu}"), Some(*cpu));
        let doorbell = |name: &String| {
            let waits = now.waits(name).since(&before.waits(name));
            Doorbell {
                doorbell: name.clone(),
                waits_per_s: per_s(waits.calls()),
                p50_ns: waits.quantile_ns(500),
                p99_ns: waits.quantile_ns(990),
            }
        };
        Self {
            seconds: (seconds * 1000.0).round() / 1000.0,
            all: row("all", "all", None),
            cpus: now.cpus().iter().map(cpu).collect(),
            doorbells: now.doorbells.iter().map(doorbell).collect(),
        }
    }

    /// As text of at most so many lines: the busiest CPUs, if not all fit.
    fn table(&self, lines: usize) -> String {
        let room = lines
            .saturating_sub(OTHER_LINES + self.doorbells.len())
            .max(1);
        let mut busiest: Vec<&Row> = self.cpus.iter().collect();
        busiest.sort_by_key(|row| std::cmp::Reverse(row.calls_per_s + row.run_per_s));
        let left_out = busiest.len().saturating_sub(room);
        busiest.truncate(room);
        busiest.sort_by_key(|row| row.cpu);

        let mut text = format!(
            "xcall: {} CPUs, {} calls/s, {:.2} rings a call\n\n",
            self.cpus.len(),
            self.all.calls_per_s,
            self.all.rings_per_call
        );
        let _ = writeln!(
            text,
            "{:<14} {:>10} {:>10} {:>10} {:>10} {:>10} {:>8} {:>6} {:>11} {:>11}",
            "cpu",
            "calls/s",
            "run/s",
            "rings/call",
            "saved/s",
            "rerings/s",
            "timeouts",
            "busy",
            "p50 us <=",
            "p99 us <="
        );
        for row in busiest.into_iter().chain([&self.all]) {
            let name = row.cpu.map_or("all".to_owned(), |cpu| cpu.to_string());
            let _ = writeln!(
                text,
                "{:<14} {:>10} {:>10} {:>10.2} {:>10} {:>10} {:>8} {:>6} {:>11} {:>11}",
                name,
                row.calls_per_s,
                row.run_per_s,
                row.rings_per_call,
                row.saved_per_s,
                row.rerings_per_s,
                row.timeouts,
                row.busy,
                us(row.p50_ns),
                us(row.p99_ns)
            );
        }
        if left_out != 0 {
            let _ = writeln!(text, "({left_out} less busy CPUs left out)");
        }
        let _ = writeln!(
            text,
            "\n{:<14} {:>10} {:>11} {:>11}",
            "doorbell", "waits/s", "p50 us <=", "p99 us <="
        );
        for bell in &self.doorbells {
            let _ = writeln!(
                text,
                "{:<14} {:>10} {:>11} {:>11}",
                bell.doorbell,
                bell.waits_per_s,
                us(bell.p50_ns),
                us(bell.p99_ns)
            );
        }
        text
    }
}

/// Microseconds; `-` if there was nothing.
fn us(ns: u64) -> String {
    match ns {
        0 => "-".to_owned(),
        ns => format!("{:.1}", ns as f64 / 1000.0),
    }
}

/// The terminal's other screen, while there is one of these: what was on the first comes back.
struct Screen(());

impl Screen {
    fn enter() -> Result<Self> {
        let mut out = io::stdout().lock();
        // The other screen; no cursor.
        write!(out, "\x1b[?1049h\x1b[?25l").context("standard output")?;
        Ok(Self(()))
    }

    fn show(&self, rates: &Rates) -> io::Result<()> {
        // From the top: each line, its rest cleared; then what is below.
        let mut frame = "\x1b[H".to_owned();
        for line in rates.table(height()).lines() {
            let _ = write!(frame, "{line}\x1b[K\r\n");
        }
        frame.push_str("\x1b[K\r\nCtrl-C ends\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(frame.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // Nobody is left to tell.
        let _ = write!(out, "\x1b[?25h\x1b[?1049l");
        let _ = out.flush();
    }
}

/// Lines of the terminal.
fn height() -> usize {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the structure is the one this ioctl fills in.
    let ret = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    match ret == 0 && size.ws_row != 0 {
        true => size.ws_row.into(),
        false => 24,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, made: [u64; 2], waits: [u64; 2]) -> Sample {
        let row = |name: &str, made: u64| format!("{name} {made} {made} {} 0\n", made / 2);
        let stats = format!(
            "cpu made run rings timeouts\n{}{}{}",
            row("0", made[0]),
            row("1", made[1]),
            row("all", made[0] + made[1])
        );
        let waits = format!("{} {}", waits[0], waits[1]);
        let latency =
            format!("waited\n\nfrom_ns 1024 4096\nall {waits}\nnmi {waits}\ncpu0 {waits}\n");
        Sample::parse(&stats, &latency, at).unwrap()
    }

    #[test]
    fn rates_are_of_the_interval_alone() {
        let start = Instant::now();
        let before = sample(start, [1000, 10], [500, 500]);
        let now = sample(start + Duration::from_secs(2), [1400, 10], [698, 502]);
        let rates = Rates::between(&before, &now);
        assert_eq!(rates.seconds, 2.0);
        assert_eq!(
            (rates.all.calls_per_s, rates.all.rings_per_call),
            (200, 0.5)
        );
        assert_eq!(
            (rates.cpus[0].calls_per_s, rates.cpus[1].calls_per_s),
            (200, 0)
        );
        // 198 of the 200 new ones are in the bucket from 1,024 ns.
        assert_eq!((rates.all.p50_ns, rates.all.p99_ns), (2047, 2047));
        assert_eq!((rates.cpus[1].p50_ns, rates.cpus[1].p99_ns), (0, 0));
        assert_eq!(rates.doorbells[0].waits_per_s, 100);
        // xcall.ko was loaded anew: not a rate of 2^64.
        assert_eq!(Rates::between(&now, &before).all.calls_per_s, 0);
    }

    #[test]
    fn a_small_terminal_shows_the_busiest() {
        let start = Instant::now();
        let before = sample(start, [0, 0], [0, 0]);
        let now = sample(start + Duration::from_secs(1), [5, 900], [0, 0]);
        let rates = Rates::between(&before, &now);
        let table = rates.table(0);
        assert!(table.contains("\n1 ") && !table.contains("\n0 "), "{table}");
        assert!(table.contains("(1 less busy CPUs left out)"), "{table}");
        assert!(!rates.table(100).contains("left out"));
        assert!(rates.table(24).lines().count() < 24);
    }
}
