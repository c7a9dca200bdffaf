// SPDX-License-Identifier: GPL-2.0
//! The console of a guest of dom0: the kernel's lines, and between them what `xtask/guest/relay.rs`
//! sends in frames.

use crate::ports::Stream;

const MARK: u8 = 0x1e;

/// What a console's bytes turn out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The console's own, or a line of the kernel's log.
    Console(Vec<u8>),
    /// Of one of the streams.
    Stream(Stream, Vec<u8>),
    /// Frames are missing, or spoilt.
    Lost(&'static str),
}

/// Tells frames from the rest.
pub struct Demultiplexer {
    prefix: Vec<u8>,
    line: Vec<u8>,
    /// Next number of the streams out, err, and the kernel's log.
    next: [u64; 3],
}

impl Demultiplexer {
    /// For frames marked with this nonce.
    pub fn new(nonce: &str) -> Demultiplexer {
        let mut prefix = vec![MARK];
        prefix.extend(nonce.bytes());
        prefix.push(b' ');
        Demultiplexer {
            prefix,
            line: Vec::new(),
            next: [0; 3],
        }
    }

    /// The pieces that are complete with `bytes`. A piece is a line, or a frame in it.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.take_line(line, &mut pieces);
            }
        }
        pieces
    }

    /// What is left when the console has closed.
    pub fn finish(self) -> Piece {
        Piece::Console(self.line)
    }

    fn take_line(&mut self, mut line: Vec<u8>, pieces: &mut Vec<Piece>) {
        let prefix = self.prefix.as_slice();
        let start = line.windows(prefix.len()).position(|bytes| bytes == prefix);
        let Some(start) = start else {
            pieces.push(Piece::Console(line));
            return;
        };
        let frame = line.split_off(start);
        if !line.is_empty() {
            line.push(b'\n');
            pieces.push(Piece::Console(line));
        }
        let Some((kind, number, payload)) = parse(&frame[prefix.len()..]) else {
            pieces.push(Piece::Console(frame));
            pieces.push(Piece::Lost("a frame is spoilt"));
            return;
        };
        if std::mem::replace(&mut self.next[kind], number + 1) != number {
            pieces.push(Piece::Lost("a frame is missing"));
        }
        pieces.push(match kind {
            0 => Piece::Stream(Stream::Out, payload),
            1 => Piece::Stream(Stream::Err, payload),
            _ => Piece::Console(payload),
        });
    }
}

/// Stream, number and bytes of a frame, less its mark.
fn parse(frame: &[u8]) -> Option<(usize, u64, Vec<u8>)> {
    let text = std::str::from_utf8(frame).ok()?;
    let (head, text) = text.trim_end_matches(['\r', '\n']).split_once(' ')?;
    let kind = "oek".find(head.get(..1)?)?;
    let number = head[1..].parse().ok()?;
    let mut payload = Vec::new();
    let mut parts = text.split('%');
    payload.extend(parts.next()?.bytes());
    for part in parts {
        payload.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        payload.extend(part[2..].bytes());
    }
    Some((kind, number, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(text: &str) -> Vec<Piece> {
        Demultiplexer::new("n1").push(text.as_bytes())
    }

    fn out(text: &str) -> Piece {
        Piece::Stream(Stream::Out, text.into())
    }

    fn console(text: &str) -> Piece {
        Piece::Console(text.into())
    }

    #[test]
    fn frames_carry_any_byte() {
        let text = "\x1en1 o0 a%0Ab%25%1E c\r\n\x1en1 e0 %FF\n";
        let err = Piece::Stream(Stream::Err, vec![0xff]);
        assert_eq!(push(text), [out("a\nb%\x1e c"), err]);
    }

    #[test]
    fn frames_may_come_in_parts_and_after_the_kernels_text() {
        let mut frames = Demultiplexer::new("n1");
        assert_eq!(frames.push(b"[ 1.0] hel"), []);
        let pieces = frames.push(b"lo\nend\x1en1 o0 x\nmore");
        assert_eq!(
            pieces,
            [console("[ 1.0] hello\n"), console("end\n"), out("x")]
        );
        assert_eq!(frames.finish(), console("more"));
    }

    #[test]
    fn other_marks_pass() {
        assert_eq!(push("\x1en2 o0 x\n"), [console("\x1en2 o0 x\n")]);
    }

    #[test]
    fn the_kernels_log_is_console_text() {
        assert_eq!(push("\x1en1 k0 BUG: a%0A\n"), [console("BUG: a\n")]);
    }

    #[test]
    fn a_missing_frame_is_seen() {
        let lost = Piece::Lost("a frame is missing");
        assert_eq!(push("\x1en1 o1 b\n"), [lost, out("b")]);
    }

    #[test]
    fn a_spoilt_frame_is_seen() {
        for frame in [
            "o0",
            "x0 a",
            "o a",
            "o0 a%0",
            "o0 a%XY",
            "o0 \u{e9}%\u{e9}\u{e9}",
        ] {
            let pieces = push(&format!("\x1en1 {frame}\n"));
            assert_eq!(
                pieces.last(),
                Some(&Piece::Lost("a frame is spoilt")),
                "{frame}"
            );
        }
    }
}
