// SPDX-License-Identifier: GPL-2.0
//! What takes long is told of on the terminal, and leaves no trace there.

use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long something may take without a word, and between two words.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something that may take long, until it is dropped.
pub(crate) struct Slow {
    /// Gone: it is over.
    over: Option<Sender<()>>,
    teller: Option<JoinHandle<()>>,
}

impl Slow {
    /// From now on, on standard error.
    pub fn new(what: &str) -> Self {
        Self::telling(what, PATIENCE, std::io::stderr())
    }

    fn telling(what: &str, patience: Duration, mut to: impl Write + Send + 'static) -> Self {
        let (over, ended) = mpsc::channel();
        let what = what.to_owned();
        // Without a thread nothing is told, and all goes on.
        let teller = std::thread::Builder::new().spawn(move || {
            let mut told = 0_u64;
            while ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                told += 1;
                let _ = write!(to, "\rdtrace: {what} ... {told} s");
                let _ = to.flush();
            }
            if told != 0 {
                // Back, and the line away.
                let _ = write!(to, "\r\x1b[K");
                let _ = to.flush();
            }
        });
        Self {
            over: Some(over),
            teller: teller.ok(),
        }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.over = None;
        if let Some(teller) = self.teller.take() {
            // It cannot panic; if it did, nothing would be lost.
            let _ = teller.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Terminal(Arc<Mutex<Vec<u8>>>);

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_quick_is_not_told_of() {
        let terminal = Terminal::default();
        drop(Slow::telling(
            "x",
            Duration::from_secs(3600),
            terminal.clone(),
        ));
        assert!(terminal.0.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_slow_is_and_goes_away() {
        let terminal = Terminal::default();
        let slow = Slow::telling("making buffers", Duration::from_millis(1), terminal.clone());
        while terminal.0.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        drop(slow);
        let said = String::from_utf8(terminal.0.lock().unwrap().clone()).unwrap();
        assert!(said.starts_with("\rdtrace: making buffers ... 1 s"));
        assert!(said.ends_with("\r\x1b[K"));
    }
}
