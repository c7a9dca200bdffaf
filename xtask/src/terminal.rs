// SPDX-License-Identifier: GPL-2.0
//! Our terminal, joined to a guest's console.

use crate::ports::Event;
use anyhow::Result;
use rustix::termios::{self, OptionalActions, Termios};
use std::io::{IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;

/// Ctrl-].
const LEAVE: u8 = 0x1d;

/// Ctrl-D: what a shell takes for the end of its input.
const END_OF_INPUT: u8 = 0x04;

/// Puts the terminal back when dropped.
pub struct Attached {
    before: Option<Termios>,
}

/// Joins standard input and output to `console` until either closes or Ctrl-] is typed.
pub fn attach(console: UnixStream, events: Sender<Event>) -> Result<Attached> {
    let mut before = None;
    if std::io::stdin().is_terminal() {
        let modes = termios::tcgetattr(std::io::stdin())?;
        before = Some(modes.clone());
        let mut raw = modes;
        raw.make_raw();
        termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?;
        eprint!("Ctrl-] leaves.\r\n");
    }
    let mut output = console.try_clone()?;
    let mut input = console;
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = std::io::stdin().read(&mut buffer) {
            let typed = &buffer[..count];
            let leave = typed.iter().position(|&byte| byte == LEAVE);
            if input.write_all(&typed[..leave.unwrap_or(count)]).is_err() {
                return;
            }
            if leave.is_some() {
                let _ = events.send(Event::Leave);
                return;
            }
        }
        let _ = input.write_all(&[END_OF_INPUT]);
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            let mut stdout = std::io::stdout();
            let shown = stdout
                .write_all(&buffer[..count])
                .and_then(|()| stdout.flush());
            if shown.is_err() {
                return;
            }
        }
    });
    Ok(Attached { before })
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, before);
            eprintln!();
        }
    }
}

/// The terminal's rows and columns.
pub fn size() -> (u16, u16) {
    match termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    }
}
