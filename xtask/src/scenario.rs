// SPDX-License-Identifier: GPL-2.0
//! Guest tests that are shell scripts: `xtask/guest/scenarios/NAME.sh`.
//!
//! A script passes when it exits with the status it announces and the kernel stays silent. Its
//! comments may say how its guest is to be:
//!
//! ```text
//! # platform: native          only there          (both)
//! # append: nox2apic          kernel arguments    (none)
//! # load: no                  modules in /modules, not loaded  (yes)
//! # status: 1                 expected exit status             (0)
//! # ignore: Uhhuh             complaints that are expected     (none; repeatable)
//! # timeout: 600              seconds             (300)
//! # timeout-all: 3600         seconds with --all  (as timeout)
//! ```
//!
//! A script's variable `all` is 1 with `cargo xtask test --all`, else empty.
//!
//! A script that prints the line `@inject-nmi` has QEMU send its guest an NMI.

use crate::kernels::Kernel;
use crate::platform::Platform;
use crate::setup::Machine;
use crate::vm::{self, Boot, Program};
use crate::{build, guest_programs, monitor, repo};
use anyhow::{bail, ensure, Context, Result};
use std::fs;
use std::sync::mpsc;
use std::time::Duration;

/// The line by which a script asks for an NMI that is nobody's.
const INJECT_NMI: &str = "@inject-nmi";

/// A script and how its guest is to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Scenario {
    pub name: String,
    script: String,
    platform: Option<String>,
    append: String,
    load: bool,
    status: u8,
    ignored: Vec<String>,
    timeout: Duration,
    timeout_all: Duration,
}

impl Scenario {
    /// Whether it is for guests of that platform.
    pub fn is_for(&self, platform: Platform) -> bool {
        self.platform
            .as_ref()
            .is_none_or(|only| only == platform.name())
    }

    /// Boots its guest; fails when the script does.
    pub fn run(
        &self,
        machine: &Machine,
        kernel: &'static Kernel,
        platform: Platform,
        all: bool,
    ) -> Result<()> {
        let (word, timeout) = match all {
            true => ("1", self.timeout_all),
            false => ("", self.timeout),
        };
        let program = Program::Command(format!("all={word}\n{}", self.script));
        let mut boot = Boot::new(kernel, platform, program)?;
        boot.append.clone_from(&self.append);
        boot.modules = build::modules(&machine.tools, boot.kernel, false)?;
        boot.load_modules = self.load;
        boot.copies.extend(guest_programs::all()?);
        boot.ignored.clone_from(&self.ignored);
        boot.timeout = Some(timeout);
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let monitor = folder.path().join("monitor");
        boot.monitor = Some(monitor.clone());
        let (sender, lines) = mpsc::channel();
        boot.lines = Some(sender);
        let wishes = std::thread::spawn(move || {
            lines
                .iter()
                .filter(|line: &String| line == INJECT_NMI)
                .try_for_each(|_| monitor::inject_nmi(&monitor))
        });
        let outcome = vm::boot(machine, &boot);
        drop(boot);
        wishes.join().expect("it does not panic")?;
        let outcome = outcome?;
        if let Some(failure) = outcome.failure() {
            bail!("{failure}");
        }
        let status = outcome.exit_code();
        ensure!(
            status == self.status,
            "exit status {status}, not {}",
            self.status
        );
        Ok(())
    }
}

/// All of them, by name.
pub fn all() -> Result<Vec<Scenario>> {
    let folder = repo::root().join("xtask/guest/scenarios");
    let mut scenarios = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder:?}"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sh") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let text = fs::read_to_string(&path)?;
            scenarios.push(parse(&name, text).with_context(|| path.display().to_string())?);
        }
    }
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scenarios)
}

fn parse(name: &str, script: String) -> Result<Scenario> {
    let fields: Vec<(&str, &str)> = script
        .lines()
        .take_while(|line| line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("# ")?.split_once(": "))
        .map(|(key, value)| (key, value.trim()))
        .collect();
    let field = |key: &str| {
        fields
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    };
    let number = |key: &str, default: u64| match field(key) {
        Some(value) => value
            .parse()
            .with_context(|| format!("{key}: {value}: no number")),
        None => Ok(default),
    };
    let platform = field("platform").map(str::to_owned);
    if let Some(platform) = &platform {
        let known = Platform::ALL.iter().any(|known| known.name() == platform);
        ensure!(known, "platform: {platform}: not known");
    }
    let timeout = number("timeout", 300)?;
    let ignored = fields.iter().filter(|(key, _)| *key == "ignore");
    Ok(Scenario {
        name: name.to_owned(),
        platform,
        append: field("append").unwrap_or_default().to_owned(),
        load: field("load") != Some("no"),
        status: number("status", 0)?.try_into().context("status")?,
        ignored: ignored.map(|(_, text)| text.to_string()).collect(),
        timeout: Duration::from_secs(timeout),
        timeout_all: Duration::from_secs(number("timeout-all", timeout)?),
        script,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_say_how_the_guest_is_to_be() {
        let script = "\
#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What it shows: much.
# platform: xen-pv
# append: a=b c
# load: no
# status: 1
# ignore: Uhhuh
# ignore: Dazed

# timeout: 5 (too late: this is no header any more)
";
        let scenario = parse("x", script.to_owned()).unwrap();
        assert!(scenario.is_for(Platform::XenPv) && !scenario.is_for(Platform::Native));
        assert_eq!(scenario.append, "a=b c");
        assert!(!scenario.load);
        assert_eq!(scenario.status, 1);
        assert_eq!(scenario.ignored, ["Uhhuh", "Dazed"]);
        assert_eq!(scenario.timeout, Duration::from_secs(300));
        assert_eq!(scenario.timeout_all, Duration::from_secs(300));
    }

    #[test]
    fn a_wrong_platform_is_an_error() {
        assert!(parse("x", "# platform: vax\n".to_owned()).is_err());
    }

    #[test]
    fn ours_are_well_formed() {
        assert!(!all().unwrap().is_empty());
    }
}
