// SPDX-License-Identifier: GPL-2.0
//! Storms on this kernel, through the storm module's device.

use crate::args::{GuestArgs, StormArgs};
use crate::hotplug::{self, Called, Done};
use crate::record::{Details, Record};
use crate::{report, sysfs, watch};
use anyhow::{anyhow, bail, ensure, Context, Result};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use xcall_stress_protocol::{
    ioctl, text, Doorbells, Latency, OneCall, Progress, Request, Row, Totals, DEVICE,
    LATENCY_BUCKETS, NAME,
};

/// Lists the doorbells, weakest first, a line each.
pub fn list_doorbells() -> Result<bool> {
    let device = Device::open()?;
    for bell in device.doorbells()?.names() {
        println!("{bell}");
    }
    Ok(true)
}

/// Storms through the module. Returns whether every call was accounted for.
pub fn storm(args: &GuestArgs) -> Result<bool> {
    let device = Device::open()?;
    if args.detach {
        device.start(&args.request()?)?;
        println!("the storm goes on until its end, or until xcall_stress is unloaded");
        return Ok(true);
    }
    let done = blow(&device, &args.storm)?;
    report::show(&args.storm, &device.result()?, done.as_ref())
}

/// One storm to its end, and the CPUs that go offline and come back meanwhile.
fn blow(device: &Device, args: &StormArgs) -> Result<Option<Done>> {
    let request = args.request()?;
    let hotplug = match args.hotplug {
        Some(cycles) => Some(hotplug_plan(args, cycles)?),
        None => None,
    };
    let stop = watch::on_interrupt(hotplug.is_some())?;
    device.start(&request)?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hotplug = hotplug.as_ref().map(|plan| {
            let over = &over;
            scope.spawn(move || {
                let done = hotplug::run(device, plan, || over.load(Relaxed));
                // The cycles are made, or cannot be: no need to go on.
                device.stop().and(done)
            })
        });
        let followed = device.follow(&stop, !args.json);
        over.store(true, Relaxed);
        let done = hotplug.map(|thread| thread.join().expect("it does not panic"));
        followed.and(done.transpose())
    })
}

/// Which CPUs may go: those that take part and that the kernel lets go.
fn hotplug_plan(args: &StormArgs, cycles: u64) -> Result<hotplug::Plan> {
    let online = sysfs::online()?;
    let taking_part = args.cpus.as_ref().unwrap_or(&online);
    let cpus: Vec<u32> = taking_part
        .members()
        .filter(|cpu| sysfs::has_switch(*cpu))
        .collect();
    let one_stays = online.members().any(|cpu| !cpus.contains(&cpu));
    ensure!(
        cpus.len() + usize::from(one_stays) >= 2,
        "--hotplug: this kernel lets none of these CPUs go offline"
    );
    Ok(hotplug::Plan {
        cpus,
        one_stays,
        cycles,
        seed: args.seed,
    })
}

impl hotplug::Machine for Device {
    fn take_offline(&self, cpu: u32) -> Result<()> {
        sysfs::switch(cpu, false)
    }

    fn bring_online(&self, cpu: u32) -> Result<()> {
        sysfs::switch(cpu, true)
    }

    fn call(&self, cpu: u32) -> Result<Called> {
        let mut call = OneCall {
            size: size_of::<OneCall>() as u32,
            cpu,
            ..OneCall::default()
        };
        self.ioctl(ioctl::ONE_CALL, &mut call)
            .with_context(|| format!("one call to CPU {cpu}"))?;
        Ok(match (-call.errno, call.ran) {
            (0, 1) => Called::Ran,
            (libc::ENXIO, 0) => Called::Offline,
            _ => Called::Other,
        })
    }
}

/// Storms through the module, and keeps all there is to know of it.
pub fn record(args: &StormArgs) -> Result<Record> {
    let device = Device::open()?;
    blow(&device, args)?;
    let details = Details::gather(
        |caller, first| {
            let asked = Row {
                size: size_of::<Row>() as u32,
                caller,
                first,
                ..Row::default()
            };
            device.ask(ioctl::ROW, asked).context("who called whom")
        },
        |number| {
            let asked = Latency {
                size: size_of::<Latency>() as u32,
                number,
                name: [0; NAME],
                buckets: [0; LATENCY_BUCKETS],
            };
            let found = device.ask(ioctl::LATENCY, asked);
            found.context("how long calls took")
        },
    )?;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    let machine = format!("Linux {}", release.unwrap_or_default().trim());
    Ok(Record::new(machine, args, &device.result()?, &details))
}

/// The open device.
pub struct Device(File);

/// The doorbells it told of.
struct Names(Doorbells);

impl Names {
    fn names(&self) -> impl Iterator<Item = &str> {
        let filled = self.0.each.iter().take(self.0.count as usize);
        filled.map(|bell| text(&bell.name))
    }
}

impl Device {
    /// Opens it.
    pub fn open() -> Result<Self> {
        let file = File::options().read(true).write(true).open(DEVICE);
        match file {
            Ok(file) => Ok(Self(file)),
            Err(error) => {
                let hint = match error.kind() {
                    io::ErrorKind::NotFound => "hint: insmod xcall.ko, then xcall_stress.ko",
                    io::ErrorKind::PermissionDenied => {
                        "hint: it takes CAP_SYS_ADMIN: run it as root"
                    }
                    _ => "hint: dmesg may say more",
                };
                bail!("{DEVICE}: {error}\n{hint}")
            }
        }
    }

    fn doorbells(&self) -> Result<Names> {
        let mut list = Doorbells {
            size: size_of::<Doorbells>() as u32,
            ..Doorbells::default()
        };
        self.ioctl(ioctl::DOORBELLS, &mut list)
            .context("the list of doorbells")?;
        Ok(Names(list))
    }

    fn start(&self, request: &Request) -> Result<()> {
        let mut request = *request;
        let Err(error) = self.ioctl(ioctl::START, &mut request) else {
            return Ok(());
        };
        let why = match error.raw_os_error() {
            Some(libc::EBUSY) => {
                "a storm is going on already, or another module injects faults".into()
            }
            Some(libc::ENOENT) => {
                let bells = self.doorbells()?;
                let have: Vec<&str> = bells.names().collect();
                format!(
                    "this machine does not have the doorbell `{}`\nhint: it has {}",
                    text(&request.doorbells),
                    have.join(", ")
                )
            }
            Some(libc::ENODEV) => "a CPU named is not online, or fewer than two take part".into(),
            Some(libc::EOPNOTSUPP) => {
                "no doorbell allowed can do that: from-nmi needs one that can be rung from an NMI"
                    .into()
            }
            Some(libc::EINVAL) => {
                "options that do not go together, or a tool of another build".into()
            }
            Some(libc::ENOMEM) => "the kernel has no memory left".into(),
            _ => error.to_string(),
        };
        Err(anyhow!("no storm: {why}"))
    }

    /// Waits for the storm's end, and shows how far it is.
    fn follow(&self, stop: &AtomicBool, shown: bool) -> Result<()> {
        let progress = watch::Progress::new(shown);
        loop {
            if watch::interrupted(stop) {
                self.stop()?;
            }
            let so_far = self.progress()?;
            progress.show(so_far.calls, so_far.elapsed_ms * 1_000_000);
            if so_far.running == 0 {
                return Ok(());
            }
            std::thread::sleep(watch::EVERY);
        }
    }

    fn stop(&self) -> Result<()> {
        // SAFETY: no argument.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), ioctl::STOP as _, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()).context("stopping the storm"),
        }
    }

    fn progress(&self) -> Result<Progress> {
        let mut progress = Progress {
            size: size_of::<Progress>() as u32,
            ..Progress::default()
        };
        self.ioctl(ioctl::PROGRESS, &mut progress)
            .context("the storm's progress")?;
        Ok(progress)
    }

    fn result(&self) -> Result<Totals> {
        // SAFETY: integers and arrays of them: all zeros is a value of each.
        let mut totals: Totals = unsafe { std::mem::zeroed() };
        totals.size = size_of::<Totals>() as u32;
        self.ioctl(ioctl::RESULT, &mut totals)
            .context("the storm's result")?;
        Ok(totals)
    }

    /// None: past the last one.
    fn ask<T>(&self, number: u32, mut value: T) -> Result<Option<T>> {
        match self.ioctl(number, &mut value) {
            Ok(()) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn ioctl<T>(&self, number: u32, value: &mut T) -> io::Result<()> {
        // SAFETY: each number of the protocol goes with one structure, which begins with its size;
        // the kernel writes at most that many bytes of integers to it.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), number as _, value as *mut T) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}
