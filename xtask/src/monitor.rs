// SPDX-License-Identifier: GPL-2.0
//! QEMU's monitor (QMP), as far as scenarios need it.

use anyhow::{ensure, Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends the guest an NMI that is nobody's.
pub fn inject_nmi(socket: &Path) -> Result<()> {
    let mut stream = UnixStream::connect(socket).context("QEMU's monitor does not answer")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut replies = BufReader::new(stream.try_clone()?);
    for command in ["qmp_capabilities", "inject-nmi"] {
        writeln!(stream, r#"{{"execute":"{command}"}}"#)?;
        wait_for_reply(&mut replies, command)?;
    }
    Ok(())
}

/// Reads past QEMU's greeting and events to the reply to `command`.
fn wait_for_reply(replies: &mut impl BufRead, command: &str) -> Result<()> {
    for line in replies.lines() {
        let line = line.with_context(|| format!("QEMU's monitor: no reply to {command}"))?;
        let reply: serde_json::Value = serde_json::from_str(&line)?;
        if let Some(error) = reply.get("error") {
            anyhow::bail!("QEMU's monitor: {command}: {error}");
        }
        if reply.get("return").is_some() {
            return Ok(());
        }
    }
    ensure!(false, "QEMU's monitor: no reply to {command}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_and_events_are_no_replies() {
        let lines = b"{\"QMP\": {}}\n{\"event\": \"RESUME\"}\n{\"return\": {}}\n";
        assert!(wait_for_reply(&mut &lines[..], "x").is_ok());
        assert!(wait_for_reply(&mut &b"{\"QMP\": {}}\n"[..], "x").is_err());
        assert!(wait_for_reply(&mut &b"{\"error\": {}}\n"[..], "x").is_err());
    }
}
