// SPDX-License-Identifier: GPL-2.0
//! `stress report` and `stress top` as operators run them.

use std::fs;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn stress(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stress"))
        .args(args)
        .output()
        .expect("the tool runs")
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What xcall.ko's debugfs folder holds.
fn tables(name: &str) -> PathBuf {
    let folder = folder(name);
    let stats =
        "cpu made run rings saved rerings timeouts busy\n0 5 5 1 0 0 0 0\nall 5 5 1 0 0 0 0\n";
    fs::write(folder.join("stats"), stats).unwrap();
    let latency = "waited calls\nall 5\n\nfrom_ns 1024\nall 5\nnmi 5\ncpu0 5\n";
    fs::write(folder.join("latency"), latency).unwrap();
    folder
}

#[test]
fn a_record_and_its_page() {
    let folder = folder("report");
    let (json, page) = (folder.join("storm.json"), folder.join("storm.html"));
    let (json, page) = (json.to_str().unwrap(), page.to_str().unwrap());
    let storm = [
        "--pattern",
        "mixed",
        "--calls",
        "2000",
        "--deadline-ms",
        "30000",
    ];
    let report = ["report", "host", "--json", "--output", json];
    let made = stress(&[&report[..], &storm[..]].concat());
    assert!(made.status.success(), "{made:?}");

    let record: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let sum = |of: &serde_json::Value| -> u64 {
        let cells = of.as_array().unwrap().iter().map(|n| n.as_u64().unwrap());
        cells.sum()
    };
    let pairs = record["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 4);
    let mut calls = 0;
    for (caller, row) in pairs.iter().enumerate() {
        for pair in row.as_array().unwrap() {
            let n = |field: &str| pair[field].as_u64().unwrap();
            assert!(n("waited") <= n("calls"), "{caller}: {pair}");
            assert!(n("longest_ns") <= n("sum_ns"), "{caller}: {pair}");
            calls += n("calls");
        }
    }
    // Those to everybody at once are not told apart.
    let all = record["calls"].as_u64().unwrap();
    assert!(calls != 0 && calls <= all, "{calls} of {all}");
    let latencies = record["latencies"].as_array().unwrap();
    let waits: u64 = latencies.iter().map(|l| sum(&l["buckets"])).sum();
    assert!(waits != 0 && waits <= all, "{waits} of {all}");

    let shown = stress(&["report", "--from", json, "--output", page]);
    assert!(shown.status.success(), "{shown:?}");
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("every call ran exactly once"));
    assert_eq!(html.matches("<svg").count(), latencies_used(latencies) + 2);
}

fn latencies_used(latencies: &[serde_json::Value]) -> usize {
    let used = |latency: &&serde_json::Value| {
        let buckets = latency["buckets"].as_array().unwrap();
        buckets.iter().any(|calls| calls.as_u64() != Some(0))
    };
    latencies.iter().filter(used).count()
}

#[test]
fn top_once_for_machines() {
    let folder = tables("top-once");
    let folder = folder.to_str().unwrap();
    let top = [
        "top",
        "--once",
        "--json",
        "--every",
        "0.05",
        "--debugfs",
        folder,
    ];
    let output = stress(&top);
    assert!(output.status.success(), "{output:?}");
    let rates: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rates["all"]["calls_per_s"], 0);
    assert_eq!(rates["cpus"][0]["cpu"], 0);
    assert_eq!(rates["doorbells"][0]["doorbell"], "nmi");
}

#[test]
fn usage_errors() {
    let nothing = folder("nothing");
    let nothing = nothing.to_str().unwrap();
    for args in [
        &["top", "--once", "--debugfs", nothing][..],
        &["top", "--every", "0"],
        &["report"],
        &["report", "sideways"],
        &["report", "--from", "/nowhere"],
        &["report", "host", "--from", "/nowhere"],
        &["report", "host", "--drop", "101"],
    ] {
        let output = stress(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    let hint = stress(&["top", "--debugfs", nothing]);
    assert!(String::from_utf8_lossy(&hint.stderr).contains("hint: insmod xcall.ko"));
}

/// A worker of `stress probes` makes as many rounds as its board asks for, and counts its calls there.
#[test]
fn workers_make_known_numbers_of_calls() {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;
    use std::time::{Duration, Instant};
    // Words of the board (stress/src/probes/board.rs).
    const GOAL: u64 = 0;
    const ORDERS: u64 = 1;
    const DONE: u64 = 2;
    const END: u64 = 8;
    const BEGUN: u64 = 9;
    const WORDS: u64 = 29;
    // SAFETY: a string that ends with a zero; the descriptor is new and nobody else's. Inherited.
    let board = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"board".as_ptr(), 0)) };
    let board = fs::File::from(board);
    board.set_len(8 * WORDS).unwrap();
    let put = |word: u64, value: u64| board.write_all_at(&value.to_ne_bytes(), 8 * word).unwrap();
    let get = |word: u64| {
        let mut bytes = [0; 8];
        board.read_exact_at(&mut bytes, 8 * word).unwrap();
        u64::from_ne_bytes(bytes)
    };
    put(GOAL, 100);
    put(ORDERS, 1);
    let number = board.as_raw_fd().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_stress"))
        .args([
            "probes-worker",
            "--cpu",
            "0",
            "--fork-every",
            "10",
            "--exceptions-every",
            "20",
            "--board",
            &number,
        ])
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while get(DONE) != 1 {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        assert!(Instant::now() < limit, "it does not get there");
        std::thread::sleep(Duration::from_millis(1));
    }
    put(END, 1);
    assert!(child.wait().unwrap().success());
    let counts: Vec<u64> = (BEGUN..WORDS).map(get).collect();
    // A getppid and an openat each round; fork, execve and wait4; exceptions.
    let made = [100, 100, 10, 10, 10, 5, 5, 5, 5, 5];
    assert_eq!(counts, [made, made].concat());
}

/// On a terminal it takes the other screen, and gives it back on Ctrl-C.
#[test]
fn ctrl_c_leaves_the_terminal_as_it_was() {
    let folder = tables("top-live");
    let (mut ours, mut its) = (0, 0);
    let (name, modes, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
    // SAFETY: both are valid for writes; no name, modes or size are asked for.
    let opened = unsafe { libc::openpty(&mut ours, &mut its, name, modes, size) };
    assert_eq!(opened, 0);
    // SAFETY: just opened, and nobody else's.
    let (ours, its) = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(its)) };
    let mut child = Command::new(env!("CARGO_BIN_EXE_stress"))
        .args(["top", "--every", "0.05", "--debugfs"])
        .arg(folder)
        .stdout(its)
        .spawn()
        .unwrap();
    let mut terminal = fs::File::from(ours);
    let mut said = String::new();
    let mut interrupted = false;
    let mut buffer = [0; 4096];
    // It ends with an error when the last program on the terminal has.
    while let Ok(count @ 1..) = terminal.read(&mut buffer) {
        said.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if !interrupted && said.contains("calls/s") {
            // SAFETY: our child, not waited for yet.
            unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
            interrupted = true;
        }
    }
    assert!(child.wait().unwrap().success());
    assert!(said.starts_with("\x1b[?1049h\x1b[?25l"), "{said:?}");
    assert!(said.ends_with("\x1b[?25h\x1b[?1049l"), "{said:?}");
}
