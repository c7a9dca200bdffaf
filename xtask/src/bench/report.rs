// SPDX-License-Identifier: GPL-2.0
//! The tables: as text, and as the Markdown of docs/bench.md.

use super::guest::{Figures, Guest};
use super::host::{Count, Prices};
use crate::table;
use serde::Serialize;
use std::fmt::Write as _;

/// All that was measured.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub host: Option<Prices>,
    pub timed: Vec<Guest>,
    pub counted: Vec<Guest>,
}

/// A table with what must be known to read it.
struct Section {
    title: String,
    about: &'static str,
    header: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Report {
    /// As text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for section in self.sections() {
            let _ = writeln!(text, "\n{}\n", section.title);
            text += &table::render(section.header, &section.rows);
        }
        text
    }

    /// As a page of docs/.
    pub fn markdown(&self) -> String {
        let mut text = String::from(HEAD);
        for section in self.sections() {
            let _ = write!(text, "\n## {}\n\n{}\n\n", section.title, section.about);
            let columns = section.header.len();
            let _ = writeln!(text, "| {} |", section.header.join(" | "));
            let _ = writeln!(text, "|{}", "---|".repeat(columns));
            for row in &section.rows {
                let _ = writeln!(text, "| {} |", row.join(" | "));
            }
        }
        text
    }

    fn sections(&self) -> Vec<Section> {
        let mut sections = Vec::new();
        if let Some(host) = &self.host {
            sections.extend([transports(host), memory(host), growth(host)]);
        }
        sections.extend(self.timed.iter().map(timed));
        sections.extend(self.counted.iter().map(counted));
        if self.counted.len() > 1 {
            sections.push(broadcasts(&self.counted));
        }
        sections
    }
}

const HEAD: &str = "\
<!-- SPDX-License-Identifier: GPL-2.0 -->
<!-- Made by `cargo xtask bench --markdown docs/bench.md`: change the command, not this page. -->
# The price of a call

```
cargo xtask bench --callgrind --markdown docs/bench.md
```

What the numbers mean, which goals they meet, and where not and why: [price.md](price.md).
";

fn count(count: Count) -> String {
    format!("{} ({})", count.instructions, count.locked)
}

fn ratio(a: u64, b: u64) -> String {
    match b {
        0 => "-".to_owned(),
        b => format!("{:.2}", a as f64 / b as f64),
    }
}

fn transports(prices: &Prices) -> Section {
    let sum = |i: usize| {
        let price = &prices.transports[i];
        price.send.instructions + price.drain.instructions
    };
    let xcall = prices
        .transports
        .iter()
        .position(|p| p.name.starts_with("xcall"));
    let row = |(i, price): (usize, &super::host::Price)| {
        vec![
            price.name.clone(),
            count(price.send),
            count(price.drain),
            sum(i).to_string(),
            (price.send.locked + price.drain.locked).to_string(),
            xcall.map_or("-".to_owned(), |xcall| ratio(sum(xcall), sum(i))),
            price.callgrind.map_or("-".to_owned(), |n| n.to_string()),
        ]
    };
    Section {
        title: "Host: send and drain of one call".to_owned(),
        about: "Instructions of user space code, atomic read-modify-writes among them in brackets. The \
                engine runs on a platform that costs nothing, one thread in the part of both CPUs. A \
                waiting call of xcall's is all of a call less the waiting; of the list's, filling and \
                locking its node as `smp_call_function_single` does. The last column counts the round \
                as callgrind does, the harness's few instructions included.",
        header: &[
            "transport", "send", "drain", "sum", "atomic", "xcall's waiting call, ratio", "callgrind",
        ],
        rows: prices.transports.iter().enumerate().map(row).collect(),
    }
}

fn bytes(n: u64) -> String {
    match n {
        0..=9_999 => format!("{n} B"),
        10_000..=9_999_999 => format!("{:.0} KiB", n as f64 / 1024.0),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}

fn memory(prices: &Prices) -> Section {
    let row = |size: &super::host::Size| {
        vec![
            size.cpus.to_string(),
            bytes(size.memory),
            bytes(size.memory / u64::from(size.cpus)),
            bytes(size.table_memory),
        ]
    };
    Section {
        title: "Memory".to_owned(),
        about: "`Engine::memory_for`, beside a table of CPUs x CPUs descriptors of 32 bytes.",
        header: &["CPUs", "xcall", "for each CPU", "table"],
        rows: prices.sizes.iter().map(row).collect(),
    }
}

fn growth(prices: &Prices) -> Section {
    let row = |size: &super::host::Size| {
        let drain = |pending: u32| {
            let found = size.drains.iter().find(|drain| drain.pending == pending);
            found.map_or("-".to_owned(), |drain| count(drain.count))
        };
        let others = u64::from(size.cpus - 1);
        vec![
            size.cpus.to_string(),
            count(size.call),
            count(size.broadcast),
            (size.broadcast.instructions / others).to_string(),
            count(size.idle_drain),
            size.table_idle_drain.instructions.to_string(),
            drain(1),
            drain(8),
            drain(64),
            drain(448),
        ]
    };
    Section {
        title: "Host: growth with the number of CPUs".to_owned(),
        about: "Instructions (atomic ones). Call and broadcast: the sender's part. Drains: with so many \
                calls pending, from CPUs spread over the machine. Table: one look at each of a CPU's \
                descriptors in a table of CPUs x CPUs.",
        header: &[
            "CPUs", "call", "broadcast", "a target", "idle drain", "table, idle", "drain of 1", "of 8",
            "of 64", "of 448",
        ],
        rows: prices.sizes.iter().map(row).collect(),
    }
}

fn way(figures: &Figures) -> String {
    let plan = &figures.plan;
    match (plan.way, plan.loaded) {
        ("xcall", _) => format!("xcall, {}", plan.doorbell),
        ("nmi-ping", true) => "nmi-ping, xcall loaded".to_owned(),
        (way, _) => way.to_owned(),
    }
}

/// The kernel's own figure that one of xcall's is held against: of the same kind of doorbell, in the
/// same surroundings.
fn yardstick<'g>(guest: &'g Guest, figures: &Figures) -> Option<&'g Figures> {
    let plan = &figures.plan;
    let nmi = plan.doorbell.contains("nmi");
    let way = if nmi { "nmi-ping" } else { "smp_call_function" };
    guest.figures.iter().find(|other| {
        let o = &other.plan;
        let same = (o.what, o.whom, o.load, o.callers, o.pending)
            == (plan.what, plan.whom, plan.load, plan.callers, plan.pending);
        plan.way == "xcall" && o.way == way && !o.loaded && same
    })
}

fn rings(figures: &Figures) -> String {
    figures
        .rings_per_call
        .map_or("-".to_owned(), |n| format!("{n:.2}"))
}

fn timed(guest: &Guest) -> Section {
    let row = |figures: &Figures| {
        let plan = &figures.plan;
        let held = yardstick(guest, figures);
        let against = |of: fn(&Figures) -> u32| {
            held.map_or("-".to_owned(), |y| ratio(of(figures).into(), of(y).into()))
        };
        vec![
            way(figures),
            plan.whom.to_owned(),
            plan.load.to_owned(),
            plan.callers.to_owned(),
            figures.min.to_string(),
            figures.p50.to_string(),
            figures.p99.to_string(),
            against(|f| f.min),
            against(|f| f.p50),
            rings(figures),
        ]
    };
    Section {
        title: format!(
            "Guest, timed: {} {}, {} CPUs",
            guest.kernel, guest.platform, guest.cpus
        ),
        about:
            "Cycles of the time stamp counter under emulation, for waiting calls: compare within \
                this table only. Crowd: all CPUs call at once, one of them (`one`) or all others \
                (`all`). The ratios are to smp_call_function for maskable doorbells, to a bare NMI \
                ping without xcall for NMIs.",
        header: &[
            "way",
            "whom",
            "targets",
            "callers",
            "min",
            "p50",
            "p99",
            "min, ratio",
            "p50, ratio",
            "rings a call",
        ],
        rows: guest.figures.iter().map(row).collect(),
    }
}

fn counted(guest: &Guest) -> Section {
    let row = |figures: &Figures| {
        let plan = &figures.plan;
        let what = match plan.what {
            "drain" => format!("drain of {}", plan.pending),
            _ if plan.callers == "crowd" => "call in a crowd".to_owned(),
            what => what.to_owned(),
        };
        let held = yardstick(guest, figures);
        vec![
            way(figures),
            what,
            plan.whom.to_owned(),
            figures.min.to_string(),
            figures.p50.to_string(),
            held.map_or("-".to_owned(), |y| ratio(figures.min.into(), y.min.into())),
            rings(figures),
        ]
    };
    Section {
        title: format!("Guest, counted: {} native, {} CPUs", guest.kernel, guest.cpus),
        about: "Instructions. One host thread runs all CPUs in turn, each until it halts or pauses. \
                Send: the sender's own, up to the return of the send. Drain: the target's own, from \
                interrupts on to interrupts off, entry and exit included. Call: of the sender and all \
                targets together, targets being in a loop of pauses; in a crowd, where all CPUs call \
                at once, what all do meanwhile.",
        header: &["way", "what", "whom", "min", "p50", "ratio", "rings a call"],
        rows: guest.figures.iter().map(row).collect(),
    }
}

fn broadcasts(guests: &[Guest]) -> Section {
    let mut rows = Vec::new();
    for guest in guests {
        for figures in &guest.figures {
            if figures.plan.whom != "all" || figures.plan.callers == "crowd" {
                continue;
            }
            let held = yardstick(guest, figures);
            rows.push(vec![
                guest.cpus.to_string(),
                way(figures),
                figures.plan.what.to_owned(),
                figures.min.to_string(),
                (figures.min / (guest.cpus - 1)).to_string(),
                held.map_or("-".to_owned(), |y| ratio(figures.min.into(), y.min.into())),
            ]);
        }
    }
    Section {
        title: "Guests: growth of a broadcast".to_owned(),
        about: "Instructions, from the tables above.",
        header: &["CPUs", "way", "what", "min", "a target", "ratio"],
        rows,
    }
}
