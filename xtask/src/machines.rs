// SPDX-License-Identifier: GPL-2.0
//! Machines out of the ordinary: other numbers of CPUs, and what changes a doorbell's way to them. Each
//! storms once, or, where there is nobody to call, tests itself; its console must show that the machine
//! was as meant.

use crate::kernels::Kernel;
use crate::platform::Platform;
use crate::setup::Machine;
use crate::storms::{self, Weather};
use crate::test;
use crate::vm::{self, Boot, Program};
use crate::{build, guest_programs};
use anyhow::{ensure, Result};

/// A machine, and how it is known by its console.
pub struct Unusual {
    name: &'static str,
    platform: Platform,
    cpus: u32,
    append: &'static str,
    x2apic_cluster: bool,
    /// One CPU is online.
    alone: bool,
    /// Text on the console that shows it.
    shows: &'static str,
}

const fn native(name: &'static str, append: &'static str, shows: &'static str) -> Unusual {
    Unusual {
        name,
        platform: Platform::Native,
        cpus: 4,
        append,
        x2apic_cluster: false,
        alone: false,
        shows,
    }
}

const fn xen_pv(name: &'static str, append: &'static str, shows: &'static str) -> Unusual {
    Unusual {
        platform: Platform::XenPv,
        ..native(name, append, shows)
    }
}

/// All of them.
pub const UNUSUAL: &[Unusual] = &[
    Unusual {
        cpus: 1,
        alone: true,
        ..native("cpus=1", "", "xcall: 1 CPU")
    },
    Unusual {
        cpus: 2,
        ..native("cpus=2", "", "xcall: 2 CPUs")
    },
    Unusual {
        cpus: 16,
        ..native("cpus=16", "", "xcall: 16 CPUs")
    },
    // More CPUs than the 16 of a cluster.
    Unusual {
        cpus: 18,
        x2apic_cluster: true,
        ..native("x2apic-cluster", "", "cluster x2apic")
    },
    native("pti=on", "pti=on", "page tables isolation: enabled"),
    Unusual {
        alone: true,
        ..native("nosmp", "nosmp", "SMP disabled")
    },
    native("maxcpus=2", "maxcpus=2", "1 node, 2 CPUs"),
    Unusual {
        cpus: 1,
        alone: true,
        ..xen_pv("cpus=1", "", "xcall: 1 CPU")
    },
    Unusual {
        cpus: 16,
        ..xen_pv("cpus=16", "", "xcall: 16 CPUs")
    },
    xen_pv("fifo_events=0", "xen.fifo_events=0", "Using 2-level ABI"),
    xen_pv("maxcpus=2", "maxcpus=2", "1 node, 2 CPUs"),
];

/// What is left to do for one CPU: calls to itself, calls to those that are not there, an unload.
const ALONE: &str = r#"
test=/sys/kernel/debug/xcall/selftest
cat $test && tail -n 1 $test | grep -q ' 0 failed$' || exit 3
stress guest --pattern all-to-all --irqs on --seconds 1
[ $? = 2 ] || { echo "a storm of one CPU" >&2; exit 3; }
rmmod xcall_stress && rmmod xcall && insmod /modules/xcall.ko
"#;

impl Unusual {
    /// The step's name.
    pub fn step(&self, kernel: &Kernel) -> String {
        let Unusual { name, platform, .. } = self;
        format!("machine {name} {} {}", kernel.series, platform.name())
    }

    /// Boots it.
    pub fn run(&self, machine: &Machine, kernel: &'static Kernel) -> Result<()> {
        let console = match self.alone {
            true => self.be_alone(machine, kernel)?,
            false => test::guest(machine, &self.weather(kernel))?.console,
        };
        let text = self.shows;
        ensure!(console.contains(text), "the console does not say {text:?}");
        Ok(())
    }

    fn weather(&self, kernel: &'static Kernel) -> Weather {
        Weather {
            cpus: self.cpus,
            append: self.append,
            x2apic_cluster: self.x2apic_cluster,
            ..Weather::new(kernel, self.platform, storms::USUAL, 5)
        }
    }

    fn be_alone(&self, machine: &Machine, kernel: &'static Kernel) -> Result<String> {
        let program = Program::Command(ALONE.to_owned());
        let mut boot = Boot::new(kernel, self.platform, program)?;
        boot.cpus = self.cpus;
        boot.append = self.append.to_owned();
        boot.modules = build::modules(&machine.tools, boot.kernel, false)?;
        boot.copies.extend(guest_programs::all()?);
        let outcome = vm::boot(machine, &boot)?;
        outcome.ended_with(0)?;
        Ok(outcome.console)
    }
}
