// SPDX-License-Identifier: GPL-2.0
//! Charts as inline SVG: histograms of times, heat maps. Colours that depend on the reader's theme
//! are classes of the page's style sheet.

use crate::record::LatencyRecord;
use std::fmt::Write;
use std::ops::Range;
use xcall::Histogram;

/// A colour by red, green and blue.
type Colour = [u8; 3];

/// From nothing to most: blues.
pub const BLUES: [Colour; 5] = [
    [0xee, 0xf4, 0xfb],
    [0xb9, 0xd6, 0xef],
    [0x6e, 0xac, 0xdc],
    [0x2d, 0x76, 0xb6],
    [0x0d, 0x40, 0x78],
];

/// From nothing to most: oranges.
pub const ORANGES: [Colour; 5] = [
    [0xfd, 0xf3, 0xe7],
    [0xfb, 0xd2, 0xa4],
    [0xf4, 0x9e, 0x52],
    [0xd6, 0x63, 0x1f],
    [0x8a, 0x31, 0x08],
];

/// `text` with what HTML takes for its own replaced.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A number with its thousands apart.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i != 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in few characters: 999, 1.2k, 34k, 5.6M.
pub fn short(n: u64) -> String {
    let (value, unit) = match n {
        0..=9_999 => return n.to_string(),
        10_000..=999_499 => (n as f64 / 1e3, "k"),
        999_500..=999_499_999 => (n as f64 / 1e6, "M"),
        _ => (n as f64 / 1e9, "G"),
    };
    match value < 9.95 {
        true => format!("{value:.1}{unit}"),
        false => format!("{value:.0}{unit}"),
    }
}

/// A time in a fitting unit.
pub fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0..=999 => return format!("{ns} ns"),
        1_000..=999_499 => (ns as f64 / 1e3, "µs"),
        999_500..=999_499_999 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    match value {
        v if v < 9.995 => format!("{v:.2} {unit}"),
        v if v < 99.95 => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}

/// The histogram of a record.
pub fn histogram_of(latency: &LatencyRecord) -> Histogram {
    let mut histogram = Histogram::default();
    for (bucket, calls) in histogram.0.iter_mut().zip(&latency.buckets) {
        *bucket = *calls;
    }
    histogram
}

/// Where the axes of a histogram lie.
const LEFT: f64 = 44.0;
const TOP: f64 = 26.0;
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 150.0;

/// A histogram of times: the share of calls in each bucket of `buckets`, up to `most` of 1.
pub fn histogram(of: &Histogram, buckets: Range<usize>, most: f64) -> String {
    let calls = of.calls().max(1) as f64;
    let width = WIDTH / buckets.len().max(1) as f64;
    // In powers of two, as the buckets are.
    let x = |ns: f64| LEFT + (ns.max(1.0).log2() - buckets.start as f64) * width;
    let y = |share: f64| TOP + HEIGHT * (1.0 - share / most);
    let mut svg = format!(
        r#"<svg viewBox="0 0 {} {}" role="img" aria-label="histogram of times">"#,
        LEFT + WIDTH + 12.0,
        TOP + HEIGHT + 30.0
    );
    let step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.25]
        .into_iter()
        .find(|step| most / step <= 5.0)
        .unwrap_or(0.25);
    for line in 0..=(most / step).floor() as u32 {
        let share = f64::from(line) * step;
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{:.1}" y2="{:.1}"/><text class="tick" x="{}" y="{:.1}" text-anchor="end">{:.0}%</text>"#,
            LEFT + WIDTH,
            y(share),
            y(share),
            LEFT - 6.0,
            y(share) + 4.0,
            share * 100.0
        );
    }
    for (bucket, count) in of.0.iter().enumerate() {
        if *count == 0 || !buckets.contains(&bucket) {
            continue;
        }
        // Even one call in a million shows.
        let top = y(*count as f64 / calls).min(TOP + HEIGHT - 1.0);
        let _ = write!(
            svg,
            r#"<rect class="bar" x="{:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" rx="2"><title>{} to {}: {} calls, {:.2} %</title></rect>"#,
            LEFT + (bucket - buckets.start) as f64 * width + 1.0,
            (width - 2.0).max(1.0),
            TOP + HEIGHT - top,
            time(1 << bucket),
            time(Histogram::end_ns(bucket)),
            grouped(*count),
            *count as f64 / calls * 100.0
        );
    }
    let mut tick = 1u64;
    while x(tick as f64) <= LEFT + WIDTH + 0.5 {
        if x(tick as f64) >= LEFT - 0.5 {
            let _ = write!(
                svg,
                r#"<line class="axis" x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{}"/><text class="tick" x="{x:.1}" y="{}" text-anchor="middle">{}</text>"#,
                TOP + HEIGHT,
                TOP + HEIGHT + 5.0,
                TOP + HEIGHT + 19.0,
                decade(tick),
                x = x(tick as f64),
            );
        }
        tick *= 10;
    }
    let _ = write!(
        svg,
        r#"<line class="axis" x1="{LEFT}" x2="{}" y1="{y}" y2="{y}"/>"#,
        LEFT + WIDTH,
        y = TOP + HEIGHT
    );
    let (p50, p99) = (of.quantile_ns(500), of.quantile_ns(990));
    let near = (x(p99 as f64) - x(p50 as f64)).abs() < 40.0;
    for (name, ns, before) in [("p50", p50, true), ("p99", p99, false)] {
        let line = x(ns as f64);
        // One on each side of its line where the lines are close, and none past the edge.
        let (anchor, at) = match (near, before) {
            (false, _) => ("middle", line.min(LEFT + WIDTH - 4.0)),
            (true, true) => ("end", line - 3.0),
            (true, false) => ("start", (line + 3.0).min(LEFT + WIDTH - 14.0)),
        };
        let _ = write!(
            svg,
            r#"<line class="mark" x1="{line:.1}" x2="{line:.1}" y1="{}" y2="{}"/><text class="marked" x="{at:.1}" y="{}" text-anchor="{anchor}">{name}</text>"#,
            TOP - 6.0,
            TOP + HEIGHT,
            TOP - 10.0,
        );
    }
    svg.push_str("</svg>");
    svg
}

/// 1, 10 or 100 of a unit.
fn decade(ns: u64) -> String {
    match ns {
        0..=999 => format!("{ns} ns"),
        1_000..=999_999 => format!("{} µs", ns / 1_000),
        1_000_000..=999_999_999 => format!("{} ms", ns / 1_000_000),
        _ => format!("{} s", ns / 1_000_000_000),
    }
}

/// A field of a heat map.
pub struct Field {
    pub value: u64,
    /// Written in it, if there is room.
    pub label: String,
    /// Shown by the pointer.
    pub title: String,
}

/// A heat map of callers (down) and targets (across). Fields with None are empty.
pub fn heat_map(
    cpus: &[u32],
    ramp: &[Colour; 5],
    scale: impl Fn(u64) -> String,
    field: impl Fn(usize, usize) -> Option<Field>,
) -> String {
    const SIDE: f64 = 400.0;
    const EDGE: f64 = 50.0;
    let n = cpus.len().max(1);
    let size = (SIDE / n as f64).min(84.0);
    let side = size * n as f64;
    let gap = if size > 8.0 { 1.5 } else { 0.0 };
    // Every label, or every second, fourth...
    let every = (18.0 / size).ceil().max(1.0) as usize;
    let fields: Vec<Vec<Option<Field>>> = (0..cpus.len())
        .map(|caller| {
            (0..cpus.len())
                .map(|target| field(caller, target))
                .collect()
        })
        .collect();
    let most = fields.iter().flatten().flatten().map(|f| f.value).max();
    let most = most.unwrap_or(0);

    let mut svg = format!(
        r#"<svg viewBox="0 0 {:.0} {:.0}" style="max-width:{:.0}px" role="img" aria-label="heat map, callers by targets">"#,
        EDGE + side + 8.0,
        EDGE + side + 46.0,
        EDGE + side + 8.0
    );
    let _ = write!(
        svg,
        r#"<text class="label" x="{:.1}" y="13" text-anchor="middle">to CPU</text><text class="label" transform="translate(13 {:.1}) rotate(-90)" text-anchor="middle">from CPU</text>"#,
        EDGE + side / 2.0,
        EDGE + side / 2.0
    );
    for (i, cpu) in cpus.iter().enumerate().step_by(every) {
        let middle = EDGE + (i as f64 + 0.5) * size;
        let _ = write!(
            svg,
            r#"<text class="tick" x="{middle:.1}" y="{}" text-anchor="middle">{cpu}</text><text class="tick" x="{}" y="{:.1}" text-anchor="end">{cpu}</text>"#,
            EDGE - 8.0,
            EDGE - 8.0,
            middle + 4.0
        );
    }
    for (caller, row) in fields.iter().enumerate() {
        for (target, field) in row.iter().enumerate() {
            let (x, y) = (EDGE + target as f64 * size, EDGE + caller as f64 * size);
            let side = (size - gap).max(0.5);
            let radius = if size > 20.0 { 4 } else { 0 };
            let Some(field) = field else {
                let _ = write!(
                    svg,
                    r#"<rect class="empty" x="{x:.1}" y="{y:.1}" width="{side:.1}" height="{side:.1}" rx="{radius}"/>"#
                );
                continue;
            };
            let colour = colour(ramp, field.value as f64 / most.max(1) as f64);
            let _ = write!(
                svg,
                r#"<rect x="{x:.1}" y="{y:.1}" width="{side:.1}" height="{side:.1}" rx="{radius}" fill="{}"><title>{}</title></rect>"#,
                hex(colour),
                escape(&field.title)
            );
            // Seven pixels a character.
            if size >= 7.0 * field.label.chars().count() as f64 + 6.0 {
                let ink = if is_dark(colour) { "#fff" } else { "#10233b" };
                let _ = write!(
                    svg,
                    r#"<text class="value" x="{:.1}" y="{:.1}" text-anchor="middle" fill="{ink}">{}</text>"#,
                    x + side / 2.0,
                    y + side / 2.0 + 4.5,
                    escape(&field.label)
                );
            }
        }
    }
    // What the colours mean.
    let (y, steps) = (EDGE + side + 14.0, 24);
    for step in 0..steps {
        let share = (f64::from(step) + 0.5) / f64::from(steps);
        let width = side / f64::from(steps);
        let _ = write!(
            svg,
            r#"<rect x="{:.1}" y="{y:.1}" width="{:.1}" height="8" fill="{}"/>"#,
            EDGE + f64::from(step) * width,
            width + 0.4,
            hex(colour(ramp, share))
        );
    }
    let _ = write!(
        svg,
        r#"<text class="tick" x="{EDGE}" y="{:.1}">0</text><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text></svg>"#,
        y + 24.0,
        EDGE + side,
        y + 24.0,
        escape(&scale(most))
    );
    svg
}

/// The colour at `share` of a ramp, 0 to 1.
fn colour(ramp: &[Colour; 5], share: f64) -> Colour {
    let place = share.clamp(0.0, 1.0) * (ramp.len() - 1) as f64;
    let below = (place as usize).min(ramp.len() - 2);
    let rest = place - below as f64;
    std::array::from_fn(|i| {
        let (from, to) = (f64::from(ramp[below][i]), f64::from(ramp[below + 1][i]));
        (from + (to - from) * rest).round() as u8
    })
}

fn is_dark(colour: Colour) -> bool {
    let [r, g, b] = colour.map(f64::from);
    0.299 * r + 0.587 * g + 0.114 * b < 140.0
}

fn hex([r, g, b]: Colour) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            [0, 999, 1000, 1234567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [999, 9999, 12_345, 5_600_000].map(short),
            ["999", "9999", "12k", "5.6M"]
        );
        assert_eq!(
            [7, 1_500, 23_450, 999_999, 1_000_000_000].map(time),
            ["7 ns", "1.50 µs", "23.4 µs", "1.00 ms", "1.00 s"]
        );
    }

    #[test]
    fn nothing_gets_out_of_its_text() {
        assert_eq!(
            escape(r#"<a b="c">&'"#),
            "&lt;a b=&quot;c&quot;&gt;&amp;&#39;"
        );
    }

    #[test]
    fn a_ramp_ends_where_it_says() {
        assert_eq!(colour(&BLUES, 0.0), BLUES[0]);
        assert_eq!(colour(&BLUES, 1.0), BLUES[4]);
        assert_eq!(colour(&BLUES, 0.5), BLUES[2]);
        assert!(is_dark(BLUES[4]) && !is_dark(BLUES[0]));
    }

    #[test]
    fn bars_and_fields_are_those_counted() {
        let mut of = Histogram::default();
        (of.0[10], of.0[12]) = (3, 1);
        let svg = histogram(&of, 10..13, 1.0);
        assert_eq!(svg.matches(r#"class="bar""#).count(), 2);
        assert!(svg.contains("3 calls, 75.00 %"), "{svg}");
        let map = heat_map(&[0, 5], &BLUES, short, |caller, target| {
            (caller != target).then(|| Field {
                value: 1,
                label: "1".into(),
                title: format!("{caller} to {target}"),
            })
        });
        assert_eq!(map.matches(r#"class="empty""#).count(), 2);
        assert_eq!(map.matches("<title>").count(), 2);
    }
}
