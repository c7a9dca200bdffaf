// SPDX-License-Identifier: GPL-2.0
//! `stress report`: a storm as one HTML page that needs nothing else.

use crate::args::{Place, ReportArgs};
use crate::chart::{self, escape, grouped, heat_map, histogram_of, short, time, Field};
use crate::record::{LatencyRecord, Record};
use crate::{guest, host};
use anyhow::{bail, Context, Result};
use std::fmt::Write as _;
use std::io::Write as _;
use xcall::Histogram;

/// Storms, or reads what an earlier one left, and writes the page. Returns whether every call was
/// accounted for.
pub fn report(args: &ReportArgs) -> Result<bool> {
    let record = match (&args.from, args.place) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Record::parse(&text)
                .with_context(|| format!("{}: not what --json writes", path.display()))?
        }
        (None, Some(Place::Host)) => host::record(&args.storm)?,
        (None, Some(Place::Guest)) => guest::record(&args.storm)?,
        (None, None) => bail!("say where to storm: host or guest"),
    };
    let text = match args.storm.json {
        true => serde_json::to_string(&record)? + "\n",
        false => page(&record),
    };
    match &args.output {
        Some(path) => std::fs::write(path, text)
            .with_context(|| format!("cannot write {}", path.display()))?,
        None => std::io::stdout()
            .write_all(text.as_bytes())
            .context("standard output")?,
    }
    if let Some(failure) = &record.failure {
        eprintln!("stress: {failure}");
    }
    Ok(record.failure.is_none())
}

const STYLE: &str = include_str!("page.css");

/// The page.
fn page(record: &Record) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>xcall: a storm of calls</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n"
    );
    header(&mut html, record);
    tiles(&mut html, record);
    latencies(&mut html, record);
    pairs(&mut html, record);
    rings(&mut html, record);
    html.push_str(
        "<footer>Made by <code>stress report</code>. Times by doorbell are the engine's own: waiting \
         calls to other CPUs, by the doorbell each rang last (or would have rung, had one not been \
         due), in buckets of powers of two; p50 and p99 are the ends of their buckets, so twice the \
         truth at worst. Calls between CPUs are the storm's accounts: a call to many counts once for \
         each target; times are those of calls that were waited for alone.</footer>\n\
         </main></body></html>\n",
    );
    html
}

fn header(html: &mut String, record: &Record) {
    let verdict = match &record.failure {
        None => r#"<p class="verdict good">every call ran exactly once</p>"#.to_owned(),
        Some(failure) => format!(r#"<p class="verdict bad">{}</p>"#, escape(failure)),
    };
    let _ = writeln!(
        html,
        "<header><div><h1>A storm of cross-CPU calls</h1>\n\
         <p class=\"sub\">{} on {} CPUs for {:.1} s, {} &middot; doorbells {} &middot; \
         interrupts {} at callers, {} at targets &middot; seed {}</p></div>{verdict}</header>",
        escape(&record.pattern),
        record.cpus.len(),
        record.seconds,
        escape(&record.machine),
        escape(&record.doorbells.replace(',', ", ")),
        escape(&record.irqs),
        match record.targets_irqs.as_str() {
            "off" => "off part of the time",
            _ => "on",
        },
        record.seed,
    );
}

fn tiles(html: &mut String, record: &Record) {
    let per_s = (record.calls as f64 / record.seconds.max(0.001)) as u64;
    let wrong = record.lost + record.duplicated + record.wrong_timeouts;
    let lost = format!("{} / {}", record.lost, record.duplicated);
    let tiles = [
        (
            "calls",
            grouped(record.calls),
            format!("{} a second", grouped(per_s)),
            false,
        ),
        (
            "lost / run twice",
            lost,
            format!("{} wrong timeouts", record.wrong_timeouts),
            wrong != 0,
        ),
        (
            "rings a call",
            format!("{:.2}", record.rings_per_call()),
            format!("{} rings saved", grouped(record.rings_saved)),
            false,
        ),
        (
            "p50",
            time(record.p50_ns),
            "half took longer".to_owned(),
            false,
        ),
        (
            "p99",
            time(record.p99_ns),
            "1 in 100 took longer".to_owned(),
            false,
        ),
        (
            "longest",
            time(record.max_ns),
            format!("{} timeouts", record.timeouts),
            false,
        ),
    ];
    html.push_str("<section class=\"tiles\">");
    for (name, value, more, bad) in tiles {
        let class = if bad { "tile bad" } else { "tile" };
        let _ = write!(
            html,
            "<div class=\"{class}\"><span>{name}</span><b>{value}</b><small>{more}</small></div>"
        );
    }
    html.push_str("</section>\n");
}

fn latencies(html: &mut String, record: &Record) {
    let used: Vec<(&LatencyRecord, Histogram)> = record
        .latencies
        .iter()
        .map(|latency| (latency, histogram_of(latency)))
        .filter(|(_, histogram)| histogram.calls() != 0)
        .collect();
    html.push_str("<section><h2>How long calls took, by doorbell</h2>\n");
    if used.is_empty() {
        html.push_str("<p class=\"none\">No call to another CPU was waited for.</p></section>\n");
        return;
    }
    // The same scales for all, so that they can be compared.
    let buckets = || (0..xcall::LATENCY_BUCKETS).filter(|b| used.iter().any(|(_, h)| h.0[*b] != 0));
    let range = buckets().next().unwrap_or(0)..buckets().next_back().map_or(1, |b| b + 1);
    let share = |h: &Histogram| {
        let most = h.0.iter().max().copied().unwrap_or(0);
        most as f64 / h.calls() as f64
    };
    let most = used.iter().map(|(_, h)| share(h)).fold(0.05, f64::max);
    html.push_str("<div class=\"charts\">");
    for (latency, histogram) in &used {
        let _ = write!(
            html,
            "<figure><figcaption>{} <small>{} calls</small></figcaption>{}</figure>",
            escape(&latency.doorbell),
            grouped(histogram.calls()),
            chart::histogram(histogram, range.clone(), most * 1.05)
        );
    }
    html.push_str(
        "</div>\n<table><thead><tr><th>doorbell last rung</th><th>calls</th><th>p50 &le;</th>\
         <th>p90 &le;</th><th>p99 &le;</th><th>p99.9 &le;</th><th>longest &le;</th></tr></thead><tbody>",
    );
    for (latency, histogram) in &used {
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td>",
            escape(&latency.doorbell),
            grouped(histogram.calls())
        );
        for per_mille in [500, 900, 990, 999, 1000] {
            let _ = write!(html, "<td>{}</td>", time(histogram.quantile_ns(per_mille)));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table>");
    let timeless: u64 = used.iter().map(|(_, h)| h.0[0]).sum();
    if timeless != 0 {
        let _ = write!(
            html,
            "<p class=\"more\">{} calls took no time by their CPU's clock (the bucket at 1 ns): it stood \
             still meanwhile, as an emulated one may.</p>",
            grouped(timeless)
        );
    }
    html.push_str("</section>\n");
}

fn pairs(html: &mut String, record: &Record) {
    let title = |caller: usize, target: usize| {
        let pair = record.pairs[caller][target];
        let (from, to) = (record.cpus[caller], record.cpus[target]);
        let times = pair.mean_ns().map_or(String::new(), |mean| {
            format!(
                "; {} waited for alone: {} on average, {} the longest",
                grouped(pair.waited),
                time(mean),
                time(pair.longest_ns)
            )
        });
        format!(
            "CPU {from} to CPU {to}: {} calls{times}",
            grouped(pair.calls)
        )
    };
    let calls = heat_map(&record.cpus, &chart::BLUES, grouped, |caller, target| {
        let value = record.pairs[caller][target].calls;
        (value != 0).then(|| Field {
            value,
            label: short(value),
            title: title(caller, target),
        })
    });
    let times = heat_map(&record.cpus, &chart::ORANGES, time, |caller, target| {
        let mean = record.pairs[caller][target].mean_ns()?;
        Some(Field {
            value: mean,
            label: time(mean),
            title: title(caller, target),
        })
    });
    let waited = record.pairs.iter().flatten().any(|pair| pair.waited != 0);
    let times = match waited {
        true => times,
        false => "<p class=\"none\">No call of this storm was waited for alone.</p>".to_owned(),
    };
    let _ = writeln!(
        html,
        "<section><h2>Who called whom</h2><div class=\"charts\">\
         <figure><figcaption>calls</figcaption>{calls}</figure>\
         <figure><figcaption>time a call took, on average</figcaption>{times}</figure>\
         </div></section>"
    );
}

fn rings(html: &mut String, record: &Record) {
    let parts = [
        (
            "saved",
            "rings saved: one was due already",
            record.rings_saved,
        ),
        (
            "first",
            "first rings",
            record.rings.saturating_sub(record.rerings),
        ),
        (
            "again",
            "rung again: the target was silent for a while",
            record.rerings,
        ),
    ];
    let sum = parts.iter().map(|(.., n)| n).sum::<u64>().max(1) as f64;
    let _ = write!(
        html,
        "<section><h2>Rings: {:.2} a call</h2><div class=\"stack\">",
        record.rings_per_call()
    );
    for (class, name, n) in parts {
        let percent = n as f64 / sum * 100.0;
        let _ = write!(
            html,
            "<i class=\"{class}\" style=\"width:{percent:.3}%\" title=\"{name}: {}\"></i>",
            grouped(n)
        );
    }
    html.push_str("</div><ul class=\"key\">");
    for (class, name, n) in parts {
        let _ = write!(
            html,
            "<li><i class=\"{class}\"></i>{} {name}</li>",
            grouped(n)
        );
    }
    let _ = writeln!(
        html,
        "</ul><p class=\"more\">{} steps to a stronger doorbell, {} calls refused because all slots \
         were taken, {} rings spoilt on purpose.</p></section>",
        grouped(record.escalations),
        grouped(record.busy),
        grouped(record.faults)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::PairRecord;

    fn record() -> Record {
        let pair = PairRecord {
            calls: 10,
            waited: 4,
            sum_ns: 8_000,
            longest_ns: 3_000,
        };
        let none = PairRecord::default();
        let mut buckets = vec![0; xcall::LATENCY_BUCKETS];
        buckets[11] = 4;
        Record {
            version: 1,
            machine: "Linux <6.12>".into(),
            pattern: "all-to-all".into(),
            irqs: "on".into(),
            targets_irqs: "on".into(),
            doorbells: "ipi,nmi".into(),
            seed: 1,
            seconds: 2.0,
            calls: 20,
            lost: 0,
            duplicated: 0,
            wrong_timeouts: 0,
            timeouts: 0,
            busy: 0,
            faults: 0,
            rings: 15,
            rings_saved: 7,
            rerings: 2,
            escalations: 0,
            p50_ns: 2_000,
            p99_ns: 3_000,
            max_ns: 3_000,
            failure: None,
            cpus: vec![0, 1],
            pairs: vec![vec![none, pair], vec![pair, none]],
            latencies: vec![LatencyRecord {
                doorbell: "nmi".into(),
                buckets,
            }],
        }
    }

    #[test]
    fn the_page_stands_alone_and_says_it_all() {
        let html = page(&record());
        for what in [
            "every call ran exactly once",
            "0.75",
            "Linux &lt;6.12&gt;",
            "CPU 0 to CPU 1: 10 calls; 4 waited for alone: 2.00 µs on average, 3.00 µs the longest",
            "7 rings saved",
        ] {
            assert!(html.contains(what), "{what}");
        }
        for elsewhere in ["http", "<script", "src=", "url(", "@import"] {
            assert!(!html.contains(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_failure_shows() {
        let mut failed = record();
        failed.failure = Some("calls were lost".into());
        failed.lost = 3;
        let html = page(&failed);
        assert!(html.contains("verdict bad\">calls were lost"));
        assert!(!html.contains("every call ran"));
    }

    #[test]
    fn a_storm_nobody_waited_in() {
        let mut posted = record();
        posted.latencies.clear();
        for pair in posted.pairs.iter_mut().flatten() {
            pair.waited = 0;
        }
        let html = page(&posted);
        assert_eq!(html.matches("class=\"none\"").count(), 2);
    }

    #[test]
    fn records_are_checked() {
        let text = serde_json::to_string(&record()).unwrap();
        assert_eq!(Record::parse(&text).unwrap().calls, 20);
        for (good, bad) in [
            ("\"version\":1", "\"version\":2"),
            ("\"cpus\":[0,1]", "\"cpus\":[0]"),
            ("\"seed\":1,", ""),
        ] {
            assert!(Record::parse(&text.replace(good, bad)).is_err(), "{bad}");
        }
        let mut short = record();
        short.latencies[0].buckets.pop();
        assert!(Record::parse(&serde_json::to_string(&short).unwrap()).is_err());
    }
}
