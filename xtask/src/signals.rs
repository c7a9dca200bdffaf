// SPDX-License-Identifier: GPL-2.0
//! Ctrl-C and friends: end the children, let the destructors run, exit with 130.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether the user asked us to stop. Long loops look at it; waits on children end by themselves.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// An error once the user asked us to stop: for use between steps.
pub fn check() -> anyhow::Result<()> {
    anyhow::ensure!(!interrupted(), "interrupted");
    Ok(())
}

/// One Ctrl-C may come as several signals: from the terminal and from whoever started us.
const SAME_REQUEST: Duration = Duration::from_secs(2);

/// Starts the thread that takes the signals. The first one ends all children; their waiters then
/// unwind and clean up. A second request gives up on cleaning.
pub fn install() {
    let mut signals = match Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        Ok(signals) => signals,
        Err(error) => return eprintln!("warning: signals are not handled: {error}"),
    };
    std::thread::spawn(move || {
        let mut first = None;
        for _ in signals.forever() {
            INTERRUPTED.store(true, Ordering::Relaxed);
            let first = first.get_or_insert_with(Instant::now);
            if first.elapsed() > SAME_REQUEST {
                crate::child::kill_all();
                std::process::exit(130);
            }
            crate::child::terminate_all();
        }
    });
}
