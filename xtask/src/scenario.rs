// SPDX-License-Identifier: GPL-2.0
//! Guest tests that are shell scripts: `xtask/guest/scenarios/NAME.sh`.
//!
//! A script passes when it exits with the status it announces and the kernel stays silent. Its
//! comments may say how its guest is to be:
//!
//! ```text
//! # platform: native          only there          (native and xen-pv)
//! # also: xen-pv-domu         there too           (repeatable)
//! # also-all: xen-pv         there too with --all, or when steps are named   (repeatable)
//! # append: nox2apic          kernel arguments    (none)
//! # variant: preempt=full     with --all once more, natively, with these kernel arguments as well   (repeatable)
//! # memory: 256               MiB, of a guest of a dom0      (half of the machine's)
//! # without: XEN_RESUME       an optional API that the modules lack  (none)
//! # load: no                  modules in /modules, not loaded  (yes)
//! # counted: yes              one CPU, whose TSC counts instructions           (no)
//! # status: 1                 expected exit status             (0)
//! # like: gates              the lines of another script, with this one's comments (none)
//! # ignore: Uhhuh             complaints that are expected     (none; repeatable)
//! # timeout: 600              seconds             (300)
//! # timeout-all: 3600         seconds with --all  (as timeout)
//! ```
//!
//! A script's variable `all` is 1 with `cargo xtask test --all`, else empty.
//!
//! A script may print a line that has something done to its guest from outside:
//!
//! ```text
//! @inject-nmi      QEMU sends it an NMI
//! @save-restore    dom0 saves it to a file and makes it anew from that
//! @save-cancel     dom0 saves it and lets it go on
//! ```

use crate::kernels::Kernel;
use crate::platform::Platform;
use crate::setup::Machine;
use crate::vm::{self, Boot, Program};
use crate::{build, domain, guest_programs, monitor, repo, without};
use anyhow::{ensure, Context, Result};
use std::fs;
use std::sync::mpsc;
use std::time::Duration;

/// What a line begins with that asks for something.
const WISH: char = '@';

/// An NMI that is nobody's. The other wishes are dom0's.
const INJECT_NMI: &str = "inject-nmi";

/// A script and how its guest is to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Scenario {
    pub name: String,
    script: String,
    platform: Option<String>,
    also: Vec<String>,
    also_all: Vec<String>,
    append: String,
    /// Kernel arguments with which it is run once more.
    pub variants: Vec<String>,
    memory_mib: Option<u32>,
    without: Option<String>,
    like: Option<String>,
    load: bool,
    counted: bool,
    status: u8,
    ignored: Vec<String>,
    timeout: Duration,
    timeout_all: Duration,
}

impl Scenario {
    /// Whether it is for guests of that platform; `everything`: with `--all`, or when steps are named.
    pub fn is_for(&self, platform: Platform, everything: bool) -> bool {
        let is_there = match &self.platform {
            Some(only) => only == platform.name(),
            None => Platform::USUAL.contains(&platform),
        };
        let names = |names: &[String]| names.iter().any(|name| name == platform.name());
        is_there || names(&self.also) || (everything && names(&self.also_all))
    }

    /// Boots its guest, with `variant` among the kernel's arguments; fails when the script does.
    pub fn run(
        &self,
        machine: &Machine,
        kernel: &'static Kernel,
        platform: Platform,
        variant: &str,
        all: bool,
    ) -> Result<()> {
        let (word, timeout) = match all {
            true => ("1", self.timeout_all),
            false => ("", self.timeout),
        };
        let program = Program::Command(format!("all={word}\n{}", self.script));
        let mut boot = Boot::new(kernel, platform, program)?;
        boot.append = format!("{} {variant}", self.append).trim().to_owned();
        boot.guest_memory_mib = self.memory_mib;
        boot.modules = match &self.without {
            Some(api) => build::modules_without(&machine.tools, boot.kernel, api)?,
            None => build::modules(&machine.tools, boot.kernel, false)?,
        };
        boot.load_modules = self.load;
        if self.counted {
            boot.count_instructions = true;
            boot.cpus = 1;
        }
        boot.copies.extend(guest_programs::all()?);
        boot.ignored.clone_from(&self.ignored);
        boot.timeout = Some(timeout);
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let monitor = folder.path().join("monitor");
        boot.monitor = Some(monitor.clone());
        let dom0 = folder.path().join("dom0");
        boot.dom0 = Some(dom0.clone());
        let (sender, lines) = mpsc::channel();
        boot.lines = Some(sender);
        let wishes = std::thread::spawn(move || {
            let wish = |line: String| line.strip_prefix(WISH).map(str::to_owned);
            lines
                .iter()
                .filter_map(wish)
                .try_for_each(|wish| match wish.as_str() {
                    INJECT_NMI => monitor::inject_nmi(&monitor),
                    wish => domain::ask(&dom0, wish),
                })
        });
        let outcome = vm::boot(machine, &boot);
        drop(boot);
        wishes.join().expect("it does not panic")?;
        outcome?.ended_with(self.status)
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
            let mut scenario = parse(&name, text).with_context(|| path.display().to_string())?;
            if let Some(like) = &scenario.like {
                let other = folder.join(like).with_extension("sh");
                let text = fs::read_to_string(&other);
                scenario.script = text.with_context(|| format!("{name}: like: {like}"))?;
            }
            scenarios.push(scenario);
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
    let fields_of = |key: &'static str| {
        let all = fields.iter().filter(move |(name, _)| *name == key);
        all.map(|(_, text)| (*text).to_owned())
    };
    let platform = field("platform").map(str::to_owned);
    let also: Vec<String> = fields_of("also").collect();
    let also_all: Vec<String> = fields_of("also-all").collect();
    for platform in platform.iter().chain(&also).chain(&also_all) {
        let known = Platform::ALL.iter().any(|known| known.name() == platform);
        ensure!(known, "platform: {platform}: not known");
    }
    let memory_mib = field("memory").map(str::parse).transpose();
    let memory_mib = memory_mib.context("memory: no number")?;
    let without = field("without").map(str::to_owned);
    if let Some(api) = &without {
        let known = without::APIS.iter().any(|known| known.name == api);
        ensure!(known, "without: {api}: no optional API");
    }
    let timeout = number("timeout", 300)?;
    Ok(Scenario {
        name: name.to_owned(),
        platform,
        also,
        also_all,
        variants: fields_of("variant").collect(),
        append: field("append").unwrap_or_default().to_owned(),
        memory_mib,
        without,
        like: field("like").map(str::to_owned),
        load: field("load") != Some("no"),
        counted: field("counted") == Some("yes"),
        status: number("status", 0)?.try_into().context("status")?,
        ignored: fields_of("ignore").collect(),
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
# also: xen-pv-domu
# append: a=b c
# variant: d=e
# variant: f
# memory: 256
# without: XEN_RESUME
# load: no
# counted: yes
# status: 1
# like: y
# ignore: Uhhuh
# ignore: Dazed

# timeout: 5 (too late: this is no header any more)
";
        let scenario = parse("x", script.to_owned()).unwrap();
        assert!(
            scenario.is_for(Platform::XenPv, false) && !scenario.is_for(Platform::Native, false)
        );
        assert!(
            scenario.is_for(Platform::XenPvDomu, false)
                && !scenario.is_for(Platform::XenPvh, false)
        );
        assert_eq!(scenario.variants, ["d=e", "f"]);
        assert_eq!(scenario.append, "a=b c");
        assert_eq!(scenario.memory_mib, Some(256));
        assert_eq!(scenario.without.as_deref(), Some("XEN_RESUME"));
        assert!(!scenario.load && scenario.counted);
        assert_eq!(scenario.status, 1);
        assert_eq!(scenario.like.as_deref(), Some("y"));
        assert_eq!(scenario.ignored, ["Uhhuh", "Dazed"]);
        assert_eq!(scenario.timeout, Duration::from_secs(300));
        assert_eq!(scenario.timeout_all, Duration::from_secs(300));
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for header in [
            "# platform: vax\n",
            "# also: vax\n",
            "# also-all: vax\n",
            "# without: LUCK\n",
            "# memory: much\n",
        ] {
            assert!(parse("x", header.to_owned()).is_err(), "{header}");
        }
    }

    #[test]
    fn guests_of_a_dom0_are_asked_for() {
        let anywhere = parse("x", String::new()).unwrap();
        assert!(
            anywhere.is_for(Platform::XenPv, false) && !anywhere.is_for(Platform::XenPvDomu, false)
        );
        let there = parse("x", "# platform: xen-pv-domu\n".to_owned()).unwrap();
        assert!(there.is_for(Platform::XenPvDomu, false) && !there.is_for(Platform::XenPvh, false));
        let too = parse("x", "# also: xen-pv-domu\n".to_owned()).unwrap();
        assert!(too.is_for(Platform::XenPvDomu, false) && too.is_for(Platform::Native, false));
        let at_length = "# platform: native\n# also-all: xen-pv\n".to_owned();
        let at_length = parse("x", at_length).unwrap();
        assert!(
            !at_length.is_for(Platform::XenPv, false) && at_length.is_for(Platform::XenPv, true)
        );
    }

    #[test]
    fn ours_are_well_formed() {
        assert!(!all().unwrap().is_empty());
    }
}
