// SPDX-License-Identifier: GPL-2.0
//! The guest's two output ports: the command's bytes, and between them our init's own lines.
//!
//! Those begin with U+001E and the boot's nonce, so that no output can be mistaken for them.

use crate::child::Child;
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

const MARK: u8 = 0x1e;

/// Which of the command's streams a port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// Where a port's bytes are shown as they come.
pub struct Show {
    /// Our own stream, if they are to go there.
    pub stream: Option<Stream>,
    /// Takes each whole line.
    pub lines: Option<Sender<String>>,
}

/// What our init says.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The command ended.
    Status(u8),
    /// Something that init itself did has failed.
    Note(String),
    /// The last line of this port.
    End,
    /// The user left the terminal.
    Leave,
}

/// A port's bytes: the command's, and those after the line `dmesg`.
#[derive(Debug, Default)]
pub struct Marks {
    pub text: String,
    pub after: String,
}

/// Listening sockets in `folder`, by name.
pub fn listen(folder: &Path, names: &[&str]) -> Result<Vec<UnixListener>> {
    let mut listeners = Vec::new();
    for name in names {
        let path = folder.join(name);
        let listener = UnixListener::bind(&path);
        let listener = listener.with_context(|| format!("cannot listen at {}", path.display()))?;
        listener.set_nonblocking(true)?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// QEMU's connections to them, in order; fewer if it ended before it connected.
pub fn accept(listeners: Vec<UnixListener>, qemu: &mut Child) -> Result<Vec<UnixStream>> {
    let mut streams = Vec::new();
    for listener in listeners {
        loop {
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(false)?;
                streams.push(stream);
                break;
            }
            if qemu.poll()?.is_some() {
                return Ok(streams);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(streams)
}

/// Follows a port in a thread until it closes.
pub fn follow(
    mut port: UnixStream,
    nonce: &str,
    show: Show,
    events: Sender<Event>,
) -> JoinHandle<Marks> {
    let mut parser = Parser::new(nonce);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let mut marks = Marks::default();
        let mut sent = 0;
        while let Ok(count @ 1..) = port.read(&mut buffer) {
            for piece in parser.push(&buffer[..count]) {
                match piece {
                    Piece::Event(event) => drop(events.send(event)),
                    Piece::Text(bytes) => {
                        marks.text.push_str(&String::from_utf8_lossy(&bytes));
                        if let Some(stream) = show.stream {
                            copy(stream, &bytes);
                        }
                        while let Some(end) = marks.text[sent..].find('\n') {
                            if let Some(lines) = &show.lines {
                                let _ = lines.send(marks.text[sent..sent + end].to_owned());
                            }
                            sent += end + 1;
                        }
                    }
                    Piece::Dmesg(bytes) => marks.after.push_str(&String::from_utf8_lossy(&bytes)),
                }
            }
        }
        marks
    })
}

fn copy(stream: Stream, bytes: &[u8]) {
    // A closed pipe on our side is no reason to stop the guest.
    let _ = match stream {
        Stream::Out => std::io::stdout()
            .write_all(bytes)
            .and_then(|()| std::io::stdout().flush()),
        Stream::Err => std::io::stderr().write_all(bytes),
    };
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Dmesg(Vec<u8>),
    Event(Event),
}

/// Tells our lines from the command's bytes.
struct Parser {
    prefix: Vec<u8>,
    /// A line that may be ours, so far.
    held: Vec<u8>,
    dmesg: bool,
}

impl Parser {
    fn new(nonce: &str) -> Parser {
        let mut prefix = vec![MARK];
        prefix.extend(nonce.bytes());
        prefix.push(b' ');
        Parser {
            prefix,
            held: Vec::new(),
            dmesg: false,
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        for &byte in bytes {
            if self.held.is_empty() && byte != MARK {
                plain.push(byte);
                continue;
            }
            self.held.push(byte);
            let common = self.held.len().min(self.prefix.len());
            if self.held[..common] != self.prefix[..common] {
                plain.append(&mut self.held);
            } else if byte == b'\n' {
                let line = String::from_utf8_lossy(&self.held[self.prefix.len()..]);
                let event = parse(line.trim_end());
                let becomes_dmesg = line.trim_end() == "dmesg";
                self.flush(&mut plain, &mut pieces);
                self.held.clear();
                self.dmesg |= becomes_dmesg;
                pieces.extend(event.map(Piece::Event));
            }
        }
        self.flush(&mut plain, &mut pieces);
        pieces
    }

    fn flush(&self, plain: &mut Vec<u8>, pieces: &mut Vec<Piece>) {
        if plain.is_empty() {
            return;
        }
        let bytes = std::mem::take(plain);
        pieces.push(match self.dmesg {
            true => Piece::Dmesg(bytes),
            false => Piece::Text(bytes),
        });
    }
}

fn parse(line: &str) -> Option<Event> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "status" => Some(Event::Status(rest.parse().unwrap_or(255))),
        "note" => Some(Event::Note(rest.to_owned())),
        "end" => Some(Event::End),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    #[test]
    fn our_lines_are_taken_out_even_without_a_newline_before() {
        let mut parser = Parser::new("n1");
        let pieces = parser.push(b"abc\x1en1 status 3\nx");
        let status = Piece::Event(Event::Status(3));
        assert_eq!(pieces, [text("abc"), status, text("x")]);
    }

    #[test]
    fn our_lines_may_come_in_parts() {
        let mut parser = Parser::new("n1");
        assert_eq!(parser.push(b"a\x1en"), [text("a")]);
        assert_eq!(parser.push(b"1 en"), []);
        assert_eq!(parser.push(b"d\n"), [Piece::Event(Event::End)]);
    }

    #[test]
    fn other_marks_pass() {
        let mut parser = Parser::new("n1");
        assert_eq!(parser.push(b"\x1en2 end\n"), [text("\x1en2 end\n")]);
    }

    #[test]
    fn dmesg_is_kept_apart() {
        let mut parser = Parser::new("n1");
        let pieces = parser.push(b"a\x1en1 dmesg\nline\n\x1en1 end\n");
        let dmesg = Piece::Dmesg(b"line\n".to_vec());
        assert_eq!(pieces, [text("a"), dmesg, Piece::Event(Event::End)]);
    }
}
