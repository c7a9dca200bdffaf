// SPDX-License-Identifier: GPL-2.0
//! `dtrace-access`: who may not open `/dev/dtrace/dtrace`, by which errno. `dtrace-access lockdown`: what
//! kernel lockdown takes away, step by step; it cannot be undone. Root starts both.

use dtrace_interface::{ioctl, DEVICE};
use dtrace_ioctl_fuzz::held::Held;
use dtrace_ioctl_fuzz::{programs, sys};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const EPERM: i32 = 1;
const EACCES: i32 = 13;

/// The errno of opening it.
fn opens() -> i32 {
    let file = File::options().read(true).write(true).open(DEVICE);
    file.map_or_else(|error| error.raw_os_error().unwrap_or(0), |_| 0)
}

fn open() -> File {
    let file = File::options().read(true).write(true).open(DEVICE);
    file.unwrap_or_else(|error| panic!("{DEVICE}: {error}"))
}

/// The errno of a request whose argument is zeros.
fn asks(file: &File, request: u32) -> i32 {
    let mut argument = [0_u8; 512];
    // SAFETY: no structure is longer.
    unsafe { sys::ioctl(file, request, argument.as_mut_ptr() as u64) }
}

fn enables(file: &File) -> i32 {
    let program = programs::few();
    // SAFETY: a program, which is only read.
    unsafe { sys::ioctl(file, ioctl::ENABLE, program.as_ptr() as u64) }
}

/// A system call that must succeed.
fn must(what: &str, number: i64, arguments: [u64; 6]) {
    // SAFETY: calls of this file touch what they are given and this process' rights.
    assert_eq!(unsafe { sys::call(number, arguments) }, 0, "{what}");
}

/// Gives CAP_SYS_ADMIN up, and keeps all others.
fn drop_sys_admin() {
    const CAPGET: i64 = 125;
    const CAPSET: i64 = 126;
    const VERSION_3: u32 = 0x2008_0522;
    const SYS_ADMIN: u32 = 21;
    let head = [VERSION_3, 0];
    // Twice effective, permitted, inheritable.
    let mut sets = [0_u32; 6];
    let arguments = [head.as_ptr() as u64, sets.as_mut_ptr() as u64, 0, 0, 0, 0];
    must("capget", CAPGET, arguments);
    assert_ne!(sets[0] & (1 << SYS_ADMIN), 0, "not root");
    for set in &mut sets[..3] {
        *set &= !(1 << SYS_ADMIN);
    }
    must("capset", CAPSET, arguments);
}

fn become_user() {
    const SETRESUID: i64 = 117;
    must("setresuid", SETRESUID, [1000, 1000, 1000, 0, 0, 0]);
}

/// Root, with all its rights, in a user namespace of its own.
fn become_root_of_a_namespace() {
    const UNSHARE: i64 = 272;
    const NEW_USER: u64 = 0x1000_0000;
    const NEW_UTS: u64 = 0x0400_0000;
    must("unshare", UNSHARE, [NEW_USER, 0, 0, 0, 0, 0]);
    fs::write("/proc/self/uid_map", "0 0 1").expect("uid_map");
    // What asks for CAP_SYS_ADMIN there.
    must("unshare there", UNSHARE, [NEW_UTS, 0, 0, 0, 0, 0]);
    let status = fs::read_to_string("/proc/self/status").expect("status");
    assert!(status.contains("\nUid:\t0\t0\t0\t0\n"), "{status}");
}

/// Runs `check` in a process of its own.
fn case(what: &str, check: impl FnOnce()) {
    let status = sys::wait(sys::spawn(check));
    assert_eq!(status, 0, "{what}");
    println!("{what}");
}

fn rights() {
    let mode = fs::metadata(DEVICE).expect(DEVICE);
    assert_eq!(
        (mode.mode() & 0o7777, mode.uid(), mode.gid()),
        (0o600, 0, 0)
    );
    assert_eq!(opens(), 0);
    case("root: opens", || assert_eq!(opens(), 0));
    case("root without CAP_SYS_ADMIN: EPERM", || {
        drop_sys_admin();
        assert_eq!(opens(), EPERM);
    });
    case(
        "root of a user namespace, with CAP_SYS_ADMIN there: EPERM",
        || {
            become_root_of_a_namespace();
            assert_eq!(opens(), EPERM);
        },
    );
    case("a user, mode 0600: EACCES", || {
        become_user();
        assert_eq!(opens(), EACCES);
    });
    fs::set_permissions(DEVICE, Permissions::from_mode(0o666)).expect(DEVICE);
    case("a user, though the mode lets it: EPERM", || {
        become_user();
        assert_eq!(opens(), EPERM);
    });
    fs::set_permissions(DEVICE, Permissions::from_mode(0o600)).expect(DEVICE);
    let file = open();
    case("a user with a file that root opened: is served", || {
        become_user();
        assert_eq!(asks(&file, ioctl::CONF), 0);
        assert_eq!(enables(&file), 0);
    });
    drop(file);
}

fn lockdown() {
    const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
    let lock =
        |mode: &str| fs::write(LOCKDOWN, mode).unwrap_or_else(|error| panic!("{mode}: {error}"));
    let old = open();
    assert_eq!(enables(&old), 0);
    let tracing = open();
    assert_eq!(enables(&tracing), 0);
    assert_eq!(asks(&tracing, ioctl::GO), 0);
    lock("integrity");
    case("lockdown=integrity: opens", || {
        let file = open();
        assert_eq!(enables(&file), 0);
        assert_eq!(asks(&file, ioctl::GO), 0);
    });
    lock("confidentiality");
    case("lockdown=confidentiality: EPERM", || {
        assert_eq!(opens(), EPERM)
    });
    assert_eq!(enables(&old), EPERM);
    assert_eq!(asks(&old, ioctl::GO), EPERM);
    println!("a file that was open before: enables nothing, does not begin: EPERM");
    assert_eq!(enables(&tracing), EPERM);
    assert_eq!(asks(&tracing, ioctl::STATUS), 0);
    assert_eq!(asks(&tracing, ioctl::STOP), 0);
    println!("what traced before: ends as usual");
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        None => rights(),
        Some("lockdown") => lockdown(),
        Some(other) => panic!("{other}: no such part"),
    }
    Held::assert_nothing("at the end");
}
