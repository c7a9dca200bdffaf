// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask vm`: a command, or a shell, on a stock kernel with our modules.

use crate::kernels::{self, Kernel};
use crate::platform::Platform;
use crate::vm::{self, Boot, Program};
use crate::{build, child, guest_programs, setup};
use anyhow::{ensure, Context, Result};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXIT_STATUS: &str = "\
Exit status:
  that of the command (126: cannot be run, or a module did not load; 127: not found)
  124  the guest hung: no end before the time limit
  125  its kernel complained (panic, oops, WARN, stall, unknown NMI, ...) or died";

/// Options of `cargo xtask vm`.
#[derive(clap::Args)]
#[command(after_help = EXIT_STATUS)]
pub struct Args {
    /// Stock kernel to boot
    #[arg(long, value_name = "SERIES", value_parser = kernels::parse)]
    kernel: &'static Kernel,
    /// Where it runs
    #[arg(long, value_enum)]
    platform: Platform,
    /// Virtual CPUs
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    cpus: u32,
    /// Memory of the machine; under Xen the guest gets half
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    memory: u32,
    /// More arguments for the Linux kernel; MODULE.PARAMETER=VALUE reach our modules
    #[arg(
        long,
        value_name = "ARGUMENTS",
        default_value = "",
        allow_hyphen_values = true
    )]
    append: String,
    /// Program to put on the guest's PATH, or folder to put into /root (repeatable)
    #[arg(long, value_name = "PATH")]
    copy: Vec<PathBuf>,
    /// Boot without our modules and the stress tool
    #[arg(long)]
    no_modules: bool,
    /// Put our modules into /modules, but do not load them
    #[arg(long, conflicts_with = "no_modules")]
    no_load: bool,
    /// A guest that has not ended by then hangs [default: 300; none for a shell]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Keep the console's text there
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// A machine that remaps interrupts: Linux runs its APICs in x2APIC cluster mode
    #[arg(long)]
    x2apic_cluster: bool,
    /// Show the console as it comes, on standard error
    #[arg(long)]
    console: bool,
    /// Complaints of the kernel with this text do not count (repeatable)
    #[arg(long, value_name = "TEXT")]
    ignore: Vec<String>,
    /// Let QEMU's monitor (QMP) listen at this Unix socket
    #[arg(long, value_name = "SOCKET")]
    monitor: Option<PathBuf>,
    /// Shell line, or program and arguments; a shell without
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// `cargo xtask vm`.
pub fn command(args: &Args) -> Result<u8> {
    for path in &args.copy {
        ensure!(path.exists(), "--copy {}: not there", path.display());
        if needs_libraries(path) {
            eprintln!(
                "warning: --copy {}: wants shared libraries, which a guest does not have; \
                 link it statically",
                path.display()
            );
        }
    }
    let machine = setup::ensure_machine()?;
    let interactive = args.command.is_empty();
    let program = match interactive {
        true => Program::Shell,
        false => Program::Command(shell_line(&args.command)),
    };
    let mut boot = Boot::new(args.kernel, args.platform, program)?;
    boot.cpus = args.cpus;
    boot.memory_mib = args.memory;
    boot.append.clone_from(&args.append);
    boot.copies.clone_from(&args.copy);
    boot.timeout = match args.timeout {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None if interactive => None,
        None => boot.timeout,
    };
    boot.ignored.clone_from(&args.ignore);
    boot.x2apic_cluster = args.x2apic_cluster;
    boot.echo_console = args.console;
    boot.monitor.clone_from(&args.monitor);
    boot.load_modules = !args.no_load;
    if !args.no_modules {
        boot.modules = build::modules(&machine.tools, boot.kernel, false)?;
        boot.copies.extend(guest_programs::all()?);
    }

    let outcome = vm::boot(&machine, &boot)?;
    if let Some(log) = &args.log {
        fs::write(log, &outcome.console)
            .with_context(|| format!("cannot write {}", log.display()))?;
    }
    if let Some(failure) = outcome.failure() {
        eprintln!("{failure}");
    }
    Ok(outcome.exit_code())
}

/// One word is a shell line already; several are a program and its arguments.
fn shell_line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words
            .iter()
            .map(|word| child::quote(word))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Whether a file is a program with a dynamic linker.
fn needs_libraries(path: &Path) -> bool {
    let Ok(file) = fs::File::open(path) else {
        return false;
    };
    // The linker's name stands right after the program headers.
    let mut start = Vec::new();
    let _ = file.take(4096).read_to_end(&mut start);
    let linker = b"/ld-linux";
    start.starts_with(b"\x7fELF") && start.windows(linker.len()).any(|bytes| bytes == linker)
}
