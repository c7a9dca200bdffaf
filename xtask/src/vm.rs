// SPDX-License-Identifier: GPL-2.0
//! One boot of a stock kernel: start it, follow it, judge it.
//!
//! A guest is good when its own last line arrived (marked with a nonce) and neither the console
//! nor dmesg has a complaint. QEMU's exit status says nothing about it.
//!
//! ```text
//! console (ttyS0, or Xen's com1) -> QEMU's stdout -> log, complaints
//! command's stdout -> virtio port xcall.out -> socket -> ours, captured
//! command's stderr -> virtio port xcall.err -> socket -> ours
//! shell           <-> virtio console        <-> socket <-> the terminal
//! ```
//!
//! A guest of a dom0 has none of these, only its own console, and sends all in frames over that:
//!
//! ```text
//! guest's console -> xenconsoled in dom0 -> virtio port xcall.guest -> socket -> the same streams
//! ```

use crate::child::{self, Child};
use crate::console;
use crate::frames::{Demultiplexer, Piece};
use crate::initramfs::Archive;
use crate::kernels::Kernel;
use crate::platform::Platform;
use crate::ports::{self, Marks, Stream};
use crate::qemu::Qemu;
use crate::setup::{self, Machine};
use crate::{domain, guest_programs, kernel_image, repo, terminal};
use anyhow::{bail, ensure, Context, Result};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const INIT: &[u8] = include_bytes!("../guest/init");

/// What a guest's kernel is told beside its console. `loglevel=7` shows pr_info. An emulated CPU may
/// be off its host's for longer than xcall.ko lets a call made in an NMI wait on a real one, or
/// expects its NMIs to be on their way.
const KERNEL_ARGUMENTS: &str = "panic=-1 oops=panic loglevel=7 printk.devkmsg=on \
                                xcall.nmi_deadline_ms=5000 xcall.nmi_credit_ms=3000";

/// What a guest runs.
#[derive(Clone, Debug)]
pub enum Program {
    /// A shell line.
    Command(String),
    /// A shell on our terminal.
    Shell,
}

/// A guest to boot.
#[derive(Clone, Debug)]
pub struct Boot {
    pub kernel: &'static Kernel,
    pub platform: Platform,
    pub cpus: u32,
    /// Of the machine; a guest under Xen gets half.
    pub memory_mib: u32,
    /// Of a guest of a dom0 that is to get less.
    pub guest_memory_mib: Option<u32>,
    /// More arguments for the Linux kernel.
    pub append: String,
    /// Programs that go to /bin in the guest, folders to /root.
    pub copies: Vec<PathBuf>,
    /// Module files, in the order they are loaded.
    pub modules: Vec<PathBuf>,
    /// Whether they are loaded, or only put into /modules.
    pub load_modules: bool,
    pub program: Program,
    pub timeout: Option<Duration>,
    /// Complaints that have one of these texts in them do not count.
    pub ignored: Vec<String>,
    /// Whether the command's two streams are shown as they come.
    pub echo: bool,
    /// Where each line of the command's standard output goes as it comes.
    pub lines: Option<mpsc::Sender<String>>,
    /// Whether the console is shown as it comes.
    pub echo_console: bool,
    /// Where QEMU's monitor (QMP) listens.
    pub monitor: Option<PathBuf>,
    /// Where a dom0 listens, by QEMU: see `domain::ask`.
    pub dom0: Option<PathBuf>,
    /// One host thread runs all CPUs in turn, and the guest's clock counts the instructions of all
    /// of them together, one a nanosecond.
    pub count_instructions: bool,
    /// The machine remaps interrupts, so that Linux runs its APICs in x2APIC cluster mode.
    pub x2apic_cluster: bool,
}

impl Boot {
    /// Four CPUs, 2 GiB, five minutes, no modules, output shown.
    ///
    /// The kernel booted is the one that `platform` runs of the series.
    pub fn new(kernel: &'static Kernel, platform: Platform, program: Program) -> Result<Boot> {
        Ok(Boot {
            kernel: platform.kernel(kernel)?,
            platform,
            cpus: 4,
            memory_mib: 2048,
            guest_memory_mib: None,
            append: String::new(),
            copies: Vec::new(),
            modules: Vec::new(),
            load_modules: true,
            program,
            timeout: Some(Duration::from_secs(300)),
            ignored: Vec::new(),
            echo: true,
            lines: None,
            echo_console: false,
            monitor: None,
            dom0: None,
            count_instructions: false,
            x2apic_cluster: false,
        })
    }
}

/// How a boot went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The command's exit status, if it ended.
    pub status: Option<u8>,
    /// Whether the guest's last line arrived.
    pub complete: bool,
    pub timed_out: bool,
    /// Whether its end came before the kernel ran its first program.
    stuck: bool,
    /// Whether the user left the shell before its end.
    pub left: bool,
    pub stdout: String,
    pub stderr: String,
    pub console: String,
    pub complaints: Vec<String>,
    /// Where all that the kernel said is, if it complained.
    kernel_log: Option<PathBuf>,
    /// The exact QEMU command.
    pub command_line: String,
    pub seconds: f64,
}

impl Outcome {
    /// What `cargo xtask vm` exits with: 124 for a hang, 125 for a complaint or a guest that
    /// died, else the command's own status.
    pub fn exit_code(&self) -> u8 {
        match self.status {
            _ if !self.complaints.is_empty() => 125,
            _ if self.timed_out => 124,
            Some(status) if self.complete => status,
            _ if self.left => 0,
            _ => 125,
        }
    }

    /// Why the boot counts as failed, with the console's last lines and the QEMU command; `None`
    /// when the guest itself is well, whatever its command's status.
    pub fn failure(&self) -> Option<String> {
        let mut text = String::new();
        if self.timed_out {
            let _ = writeln!(text, "guest: no end after {:.0} s", self.seconds);
        } else if !self.complete && !self.left {
            let _ = writeln!(text, "guest: died before its last line");
        }
        if !self.complaints.is_empty() {
            let _ = writeln!(text, "guest: its kernel complains:");
            for complaint in self.complaints.iter().take(20) {
                let _ = writeln!(text, "  ! {complaint}");
            }
            if let Some(log) = &self.kernel_log {
                let _ = writeln!(text, "all it said: {}", log.display());
            }
        }
        if text.is_empty() {
            return None;
        }
        let last = crate::progress::last_lines(&self.console);
        let _ = writeln!(text, "last console lines:\n{last}");
        let _ = write!(text, "command: {}", self.command_line);
        Some(text)
    }

    /// Fails unless the guest is well and its command ended with `status`.
    pub fn ended_with(&self, status: u8) -> Result<()> {
        if let Some(failure) = self.failure() {
            bail!("{failure}");
        }
        let ended = self.exit_code();
        ensure!(ended == status, "exit status {ended}, not {status}");
        Ok(())
    }
}

/// A kernel that has not run its first program by then never will.
const FIRST_PROGRAM_LIMIT: Duration = Duration::from_secs(150);

/// What it says when it does.
const FIRST_PROGRAM: &str = "Run /init as init process";

/// What a PVH guest's kernel says when QEMU has delivered an interrupt of its event channels once more at
/// the first instruction of its handler, with interrupts off, so that it runs on the wrong stack
/// (docs/xen.md).
const DELIVERED_TWICE: [&str; 2] = [
    "ENTRY_TRAMPOLINE stack guard page was hit",
    "sysvec_xen_hvm_callback",
];

/// How often a guest is booted at most when its end was the emulator's fault.
const BOOTS_AT_MOST: usize = 6;

/// Boots a guest and follows it to its end; once more where that end had nothing to do with it.
pub fn boot(machine: &Machine, boot: &Boot) -> Result<Outcome> {
    let mut boots = 1;
    loop {
        let outcome = boot_once(machine, boot)?;
        let Some((why, most)) = emulators_fault(boot, &outcome) else {
            return Ok(outcome);
        };
        if boots == most {
            return Ok(outcome);
        }
        boots += 1;
        eprintln!("{}", outcome.failure().unwrap_or_default());
        eprintln!("guest: {why}; boot {boots} of {most} at most");
    }
}

/// How the emulator ended the guest, and how many boots that is worth.
///
/// On a busy host an emulated machine may stop in mid-boot, or its kernel find no timer and panic, with
/// nothing of ours in it yet.
fn emulators_fault(boot: &Boot, outcome: &Outcome) -> Option<(&'static str, usize)> {
    let says = |text: &&str| outcome.console.contains(text);
    if outcome.stuck {
        Some(("no further than that, before its first program", 2))
    } else if boot.platform == Platform::XenPvh && DELIVERED_TWICE.iter().all(says) {
        Some(("QEMU delivered an interrupt twice", BOOTS_AT_MOST))
    } else {
        None
    }
}

/// Whether the kernel came to its first program. That of a guest of a dom0 does not say.
fn has_first_program(boot: &Boot, console: &str) -> bool {
    boot.platform.has_dom0() || console.contains(FIRST_PROGRAM)
}

fn boot_once(machine: &Machine, boot: &Boot) -> Result<Outcome> {
    let start = Instant::now();
    let folder = tempfile::Builder::new().prefix("xcall-vm-").tempdir();
    let folder = folder.context("cannot make a temporary folder")?;
    let folder = folder.path();
    let nonce = crate::cache::key([format!("{folder:?} {:?}", std::time::SystemTime::now())]);
    let interactive = matches!(boot.program, Program::Shell);
    let sockets: &[&str] = match boot.platform.has_dom0() {
        true => &["guest"],
        false if interactive => &["out", "err", "tty"],
        false => &["out", "err"],
    };
    ensure!(
        !(interactive && boot.platform.has_dom0()),
        "{}: no shell there, only a command",
        boot.platform.name()
    );
    let listeners = ports::listen(folder, sockets)?;
    let mut command = qemu(machine, boot, folder, &nonce, sockets)?;
    let mut outcome = Outcome {
        command_line: child::describe(&command),
        ..Outcome::default()
    };
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut qemu = Child::spawn(&mut command)?;

    let console = Arc::new(Mutex::new(String::new()));
    let mut readers = Vec::new();
    if let Some(stdout) = qemu.pipes().stdout.take() {
        readers.push(follow_console(stdout, &console, boot.echo_console));
    }
    if let Some(stderr) = qemu.pipes().stderr.take() {
        readers.push(follow_console(stderr, &console, boot.echo_console));
    }
    let (events, received) = mpsc::channel();
    let mut streams = ports::accept(listeners, &mut qemu)?;
    if boot.platform.has_dom0() {
        if let Some(guest) = streams.pop() {
            let (out, to_out) = UnixStream::pair()?;
            let (err, to_err) = UnixStream::pair()?;
            let frames = Frames {
                nonce: nonce.clone(),
                out: to_out,
                err: to_err,
                console: console.clone(),
                echo: boot.echo_console,
                events: events.clone(),
            };
            readers.push(std::thread::spawn(move || frames.follow(guest)));
            streams = vec![out, err];
        }
    }
    let mut streams = streams.into_iter();
    let mut next = || streams.next().context("QEMU ended at once");
    let mut followed = None;
    if let Ok(out) = next() {
        let show = |stream| ports::Show {
            stream: boot.echo.then_some(stream),
            lines: boot.lines.clone().filter(|_| stream == Stream::Out),
        };
        let out = ports::follow(out, &nonce, show(Stream::Out), events.clone());
        let err = next()?;
        let err = ports::follow(err, &nonce, show(Stream::Err), events.clone());
        followed = Some((out, err));
    }
    let _terminal = match next() {
        Ok(stream) if interactive => Some(terminal::attach(stream, events.clone())?),
        _ => None,
    };
    drop(events);

    let deadline = boot.timeout.map(|timeout| start + timeout);
    let mut ended = 0;
    while ended < 2 {
        let wait = deadline.map_or(Duration::from_secs(3600), |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        match received.recv_timeout(wait.min(Duration::from_millis(500))) {
            Ok(ports::Event::Status(status)) => outcome.status = Some(status),
            Ok(ports::Event::Note(note)) => outcome.complaints.push(note),
            Ok(ports::Event::End) => ended += 1,
            Ok(ports::Event::Leave) => {
                outcome.left = true;
                break;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let stuck = start.elapsed() >= FIRST_PROGRAM_LIMIT
                    && !has_first_program(boot, &lock(&console));
                outcome.timed_out =
                    stuck || deadline.is_some_and(|deadline| Instant::now() >= deadline);
                if outcome.timed_out || qemu.poll()?.is_some() || crate::signals::interrupted() {
                    break;
                }
            }
        }
    }
    outcome.complete = ended == 2;
    // All that counts has arrived, or never will.
    drop(qemu);
    crate::signals::check()?;
    for reader in readers {
        let _ = reader.join();
    }
    let mut dmesg = String::new();
    if let Some((out, err)) = followed {
        let Marks { text, after } = out.join().unwrap_or_default();
        (outcome.stdout, dmesg) = (text, after);
        outcome.stderr = err.join().unwrap_or_default().text;
    }
    outcome.console = std::mem::take(&mut lock(&console));
    outcome.stuck = !has_first_program(boot, &outcome.console);
    let said = format!("{}{dmesg}", outcome.console);
    outcome
        .complaints
        .extend(console::complaints(&said, &boot.ignored));
    if !outcome.complaints.is_empty() {
        outcome.kernel_log = Some(keep(boot, &said)?);
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    Ok(outcome)
}

/// Keeps all that the kernel of a guest said, and returns where.
fn keep(boot: &Boot, said: &str) -> Result<PathBuf> {
    let name = format!("kernel-{}-{}.log", boot.kernel.name(), boot.platform.name());
    let path = repo::logs().join(name);
    fs::create_dir_all(repo::logs())?;
    fs::write(&path, said).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn lock(text: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    text.lock().unwrap_or_else(|poison| poison.into_inner())
}

/// Collects a console's lines until it closes.
fn follow_console(
    mut stream: impl Read + Send + 'static,
    console: &Arc<Mutex<String>>,
    echo: bool,
) -> std::thread::JoinHandle<()> {
    let console = console.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]).replace('\r', "");
            say(&console, &text, echo);
        }
    })
}

fn say(console: &Mutex<String>, text: &str, echo: bool) {
    if echo {
        eprint!("{text}");
    }
    lock(console).push_str(text);
}

/// Where the pieces of a guest's console go.
struct Frames {
    nonce: String,
    out: UnixStream,
    err: UnixStream,
    console: Arc<Mutex<String>>,
    echo: bool,
    events: mpsc::Sender<ports::Event>,
}

impl Frames {
    /// Follows the console until it closes.
    fn follow(mut self, mut guest: UnixStream) {
        let mut frames = Demultiplexer::new(&self.nonce);
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = guest.read(&mut buffer) {
            for piece in frames.push(&buffer[..count]) {
                self.pass(piece);
            }
        }
        let left = frames.finish();
        self.pass(left);
    }

    fn pass(&mut self, piece: Piece) {
        // Who reads a stream may have stopped: then all that counts has arrived.
        match piece {
            Piece::Stream(Stream::Out, bytes) => drop(self.out.write_all(&bytes)),
            Piece::Stream(Stream::Err, bytes) => drop(self.err.write_all(&bytes)),
            Piece::Lost(what) => {
                let note = ports::Event::Note(format!("the guest's console: {what}"));
                let _ = self.events.send(note);
            }
            Piece::Console(bytes) => {
                let text = String::from_utf8_lossy(&bytes).replace('\r', "");
                say(&self.console, &text, self.echo);
            }
        }
    }
}

/// The guest's root file system.
fn initramfs(machine: &Machine, boot: &Boot, nonce: &str) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "modules", "proc", "root", "run", "sys", "tmp"] {
        archive.folder(folder);
    }
    archive.character_device("dev/console", 0o600, (5, 1));
    archive.copy(
        &machine.tools.sysroot.root.join("usr/bin/busybox"),
        "bin/busybox",
    )?;
    archive.file("init", 0o755, INIT);

    let mut modules = Vec::new();
    for path in &boot.modules {
        let name = file_name(path)?;
        archive.copy(path, &format!("modules/{name}"))?;
        // Samples do what they show when they are loaded, and dtrace.ko holds xcall.ko in place, which
        // many a test unloads: whoever wants them loads them.
        if !name.ends_with("_sample.ko") && name != "dtrace.ko" {
            modules.push(name);
        }
    }
    for path in &boot.copies {
        // A link's name, but what it points to.
        let folder = if path.is_dir() { "root" } else { "bin" };
        archive.copy(path, &format!("{folder}/{}", file_name(path)?))?;
    }
    if !boot.load_modules {
        modules.clear();
    }
    let mut settings = format!("nonce={nonce}\nmodules='{}'\n", modules.join(" "));
    if boot.platform.has_dom0() {
        settings.push_str("relay=1\n");
        archive.copy(&guest_programs::relay()?, "bin/relay")?;
    } else {
        settings.push_str(&drivers(machine, boot.kernel, &mut archive)?);
    }
    match &boot.program {
        Program::Command(line) => archive.file("command", 0o644, format!("{line}\n").as_bytes()),
        Program::Shell => {
            let (rows, columns) = terminal::size();
            let _ = writeln!(settings, "interactive=1\nrows={rows}\ncolumns={columns}");
        }
    }
    archive.file("vm.conf", 0o644, settings.as_bytes());
    Ok(archive.finish())
}

/// Puts the stock modules that lead to our ports into `archive`; the line that names them.
fn drivers(machine: &Machine, kernel: &Kernel, archive: &mut Archive) -> Result<String> {
    if kernel.drivers.is_empty() {
        return Ok(String::new());
    }
    let tools = &machine.tools;
    let lock = tools.cache.lock()?;
    let folder = kernel_image::modules(&tools.cache, &tools.sysroot, kernel, kernel.drivers)?;
    drop(lock);
    archive.copy(&folder, "drivers")?;
    let names = kernel
        .drivers
        .iter()
        .map(|driver| file_name(driver.as_ref()));
    let names = names.collect::<Result<Vec<_>>>()?;
    Ok(format!("drivers='{}'\n", names.join(" ")))
}

fn file_name(path: &Path) -> Result<String> {
    let name = path
        .file_name()
        .with_context(|| format!("{}: no file", path.display()))?;
    Ok(name.to_string_lossy().into_owned())
}

/// QEMU's command for this boot. Paths in it have neither spaces nor commas: `folder` has links.
fn qemu(
    machine: &Machine,
    boot: &Boot,
    folder: &Path,
    nonce: &str,
    sockets: &[&str],
) -> Result<Command> {
    let mut command = emulator(machine, boot)?;
    command.args([
        "-smp",
        &boot.cpus.to_string(),
        "-m",
        &boot.memory_mib.to_string(),
    ]);
    command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    if boot.x2apic_cluster {
        command.args(["-machine", "q35"]);
        command.args(["-device", "intel-iommu,intremap=on,eim=on"]);
    }
    command.args(["-chardev", "stdio,id=console,signal=off"]);
    command.args(["-serial", "chardev:console"]);
    command.args(["-device", "virtio-serial-pci"]);
    for &name in sockets {
        let path = folder.join(name);
        let chardev = format!("socket,id={name},path={}", path.display());
        let device = match name {
            "tty" => format!("virtconsole,chardev={name}"),
            _ => format!("virtserialport,chardev={name},name=xcall.{name}"),
        };
        command.args(["-chardev", &chardev, "-device", &device]);
    }
    if let Some(monitor) = &boot.monitor {
        let monitor = listener(monitor)?;
        command.args(["-qmp", &format!("unix:{monitor},server=on,wait=off")]);
    }
    if let Some(dom0) = boot.dom0.as_ref().filter(|_| boot.platform.has_dom0()) {
        let dom0 = listener(dom0)?;
        let chardev = format!("socket,id=wishes,path={dom0},server=on,wait=off");
        let device = "virtserialport,chardev=wishes,name=xcall.wishes";
        command.args(["-chardev", &chardev, "-device", device]);
    }

    let image = folder.join("kernel");
    let initrd = folder.join("initrd");
    let root = initramfs(machine, boot, nonce)?;
    let more = format!("{} {}", boot.kernel.arguments, boot.append);
    let more = more.trim();
    let arguments = format!("{KERNEL_ARGUMENTS} {more}");
    let arguments = arguments.trim_end();
    if boot.platform.has_dom0() {
        let setup::Tools { cache, sysroot } = &machine.tools;
        let lock = cache.lock()?;
        let parts = domain::Parts::ensure(cache, sysroot, boot.kernel)?;
        drop(lock);
        let arguments = format!("console=hvc0 {KERNEL_ARGUMENTS} {} {more}", domain::QUIET);
        let arguments = arguments.trim_end();
        fs::write(&initrd, parts.initramfs(sysroot, boot, arguments, &root)?)?;
        symlink(parts.kernel, &image)?;
    } else {
        fs::write(&initrd, root)?;
        symlink(machine.tools.sysroot.image(boot.kernel)?, &image)?;
    }
    match boot.platform {
        Platform::Native => {
            command.arg("-kernel").arg(image).arg("-initrd").arg(initrd);
            command.args(["-append", &format!("console=ttyS0,115200 {arguments}")]);
        }
        Platform::XenPv => {
            let memory = boot.memory_mib / 2;
            let xen = format!(
                "console=com1 com1=115200,8n1 dom0_mem={memory}M,max:{memory}M \
                 dom0_max_vcpus={}",
                boot.cpus
            );
            under_xen(&mut command, machine, &xen, &image, arguments, &initrd);
        }
        Platform::XenPvDomu | Platform::XenPvh => {
            let xen = domain::xen_arguments();
            under_xen(
                &mut command,
                machine,
                &xen,
                &image,
                domain::DOM0_ARGUMENTS,
                &initrd,
            );
        }
    }
    Ok(command)
}

/// The path of a socket where QEMU listens, as its options take it.
fn listener(path: &Path) -> Result<String> {
    let path = std::path::absolute(path)?;
    Ok(path.display().to_string().replace(',', ",,"))
}

/// QEMU with the processor that the platform works on.
fn emulator(machine: &Machine, boot: &Boot) -> Result<Command> {
    let platform = boot.platform;
    let mut command = match platform {
        Platform::XenPvh => {
            let _lock = machine.tools.cache.lock()?;
            Qemu::ensure_for_pvh(&machine.tools.cache)?.command()
        }
        _ => machine.qemu.command(),
    };
    // Without KVM. In guests of a dom0 Linux patches its text too fast for CPUs in threads: one was
    // seen to run an int3 that had been replaced long before, as with QEMU 7.2 everywhere.
    let threads = if platform.has_dom0() || boot.count_instructions {
        "single"
    } else {
        "multi"
    };
    command.args(["-accel", &format!("tcg,thread={threads}")]);
    if boot.count_instructions {
        command.args(["-icount", "shift=0,sleep=off"]);
    }
    command.arg("-cpu");
    command.arg(match platform {
        Platform::XenPvh => domain::PVH_PROCESSOR,
        _ => "max",
    });
    Ok(command)
}

/// Has QEMU boot Xen, and that the kernel as dom0.
fn under_xen(
    command: &mut Command,
    machine: &Machine,
    xen: &str,
    image: &Path,
    arguments: &str,
    initrd: &Path,
) {
    command.arg("-kernel").arg(&machine.xen);
    command.args(["-append", xen]);
    // QEMU splits this list at commas; a doubled one stands for itself.
    let linux = format!("{} console=hvc0 {arguments}", image.display());
    let linux = linux.replace(',', ",,");
    command.args(["-initrd", &format!("{linux},{}", initrd.display())]);
}
