// SPDX-License-Identifier: GPL-2.0
//! relay NONCE OUT ERR CONSOLE: several streams over one console, which the kernel prints on too.
//!
//! A guest of a dom0 has no device of ours, only a console. What comes from the pipes OUT and ERR and
//! what the kernel logs goes there in frames, one a line and each with its number, so that the
//! other side (`xtask/src/frames.rs`) can tell them from the kernel's own lines and sees when one
//! was lost:
//!
//! ```text
//! U+001E NONCE SPACE o|e|k NUMBER SPACE bytes, all but printable ASCII as %XX NEWLINE
//! ```

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex};
use std::thread;

/// The most bytes a frame carries: a frame should fit what a console takes at once.
const PAYLOAD: usize = 180;

/// /dev/kmsg gives a record each time, of no more than this (`PRINTKRB_RECORD_MAX` and its prefix).
const RECORD: usize = 8192;

struct Sender {
    console: Arc<Mutex<File>>,
    nonce: String,
    stream: char,
    number: u64,
}

impl Sender {
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for payload in bytes.chunks(PAYLOAD) {
            let mut frame = format!("\x1e{} {}{} ", self.nonce, self.stream, self.number);
            for &byte in payload {
                match byte {
                    b'%' => frame += "%25",
                    b' '..=b'~' => frame.push(char::from(byte)),
                    _ => frame += &format!("%{byte:02X}"),
                }
            }
            frame.push('\n');
            self.number += 1;
            let mut console = self.console.lock().expect("nobody panics with it");
            console.write_all(frame.as_bytes())?;
        }
        Ok(())
    }
}

/// Sends what comes from a pipe, until its last writer is gone.
fn pipe(mut from: File, mut sender: Sender) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => sender.send(&buffer[..count])?,
        }
    }
}

/// Sends the kernel's log as it grows: the text of each record, and its time.
fn log(mut sender: Sender) -> std::io::Result<()> {
    let mut from = File::open("/dev/kmsg")?;
    from.seek(SeekFrom::End(0))?;
    let mut buffer = [0; RECORD];
    loop {
        // EPIPE: records were lost before they were read. The next read goes on after them.
        let Ok(count) = from.read(&mut buffer) else {
            continue;
        };
        let record = String::from_utf8_lossy(&buffer[..count]);
        // "priority,number,microseconds,flags;text", then lines of details, indented.
        let Some((prefix, text)) = record.split_once(';') else {
            continue;
        };
        let text = text.lines().next().unwrap_or_default();
        let time: u64 = prefix
            .split(',')
            .nth(2)
            .and_then(|time| time.parse().ok())
            .unwrap_or(0);
        let line = format!("[{:5}.{:06}] {text}\n", time / 1_000_000, time % 1_000_000);
        sender.send(line.as_bytes())?;
    }
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [nonce, out, err, console] = &arguments[..] else {
        eprintln!("usage: relay NONCE OUT ERR CONSOLE");
        std::process::exit(2);
    };
    let console = OpenOptions::new().write(true).open(console)?;
    let console = Arc::new(Mutex::new(console));
    let sender = |stream| Sender {
        console: console.clone(),
        nonce: nonce.clone(),
        stream,
        number: 0,
    };
    let kernel = sender('k');
    thread::spawn(move || log(kernel));
    let open = |path: &String| OpenOptions::new().read(true).open(path);
    let (from, to) = (open(out)?, sender('o'));
    let errors = (open(err)?, sender('e'));
    let errors = thread::spawn(move || pipe(errors.0, errors.1));
    pipe(from, to)?;
    errors.join().expect("it does not panic")
}
