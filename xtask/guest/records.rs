// SPDX-License-Identifier: GPL-2.0
//! Counts what `dtrace --json` wrote: `records FILE WHAT [NAME=VALUE]...`.
//!
//! WHAT is one of
//!   count     records whose fields have these values
//!   pages     different pages that their arg6 lies in
//!   drops     drops
//!   missing   firings that `--accounting` does not account for, CPU by CPU
//!   bad       lines that are neither records nor drops nor what accounts for them
//! NAME is a value that was recorded, or `function`. VALUE is text, a number, or `FROM..TO`, TO not
//! being one.

use std::collections::BTreeSet;

fn main() {
    let mut words = std::env::args().skip(1);
    let (Some(file), Some(what)) = (words.next(), words.next()) else {
        panic!("usage: records FILE WHAT [NAME=VALUE]...");
    };
    let wanted: Vec<Wanted> = words.map(|word| Wanted::parse(&word)).collect();
    let text = std::fs::read_to_string(&file).expect("no file");
    let of_type = |wanted: &'static str| {
        let lines = text.lines();
        lines.filter(move |line| field(line, "type") == Some(wanted))
    };
    let records = of_type("record").filter(|line| wanted.iter().all(|wanted| wanted.holds(line)));
    let sum = |lines: &mut dyn Iterator<Item = &str>, name: &str| -> u64 {
        let values = lines.filter_map(|line| number(field(line, name)?));
        values.sum()
    };
    let answer = match what.as_str() {
        "count" => records.count() as u64,
        "pages" => {
            let addresses = records.filter_map(|line| number(field(line, "arg6")?));
            let pages: BTreeSet<u64> = addresses.map(|address| address / 4096).collect();
            pages.len() as u64
        }
        "drops" => sum(&mut of_type("drops"), "count"),
        "missing" => sum(&mut of_type("accounting"), "missing"),
        "bad" => {
            let known = ["record", "drops", "accounting", "exit"];
            let is_known = |line: &&str| field(line, "type").is_some_and(|it| known.contains(&it));
            text.lines().filter(|line| !is_known(line)).count() as u64
        }
        _ => panic!("{what}: what is that?"),
    };
    println!("{answer}");
}

/// The value of `name` in a line of JSON, without quotation marks.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (_, behind) = line.split_once(&format!("\"{name}\":"))?;
    let end = behind.find([',', '}'])?;
    Some(behind[..end].trim_matches('"'))
}

/// A number, decimal or hex; a negative one as the machine has it.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text
            .parse()
            .ok()
            .or_else(|| Some(text.parse::<i64>().ok()? as u64)),
    }
}

struct Wanted {
    name: String,
    value: Value,
}

enum Value {
    Text(String),
    Numbers(std::ops::Range<u64>),
}

impl Wanted {
    fn parse(word: &str) -> Self {
        let (name, value) = word.split_once('=').expect("NAME=VALUE");
        let value = match value.split_once("..") {
            Some((from, to)) => {
                Value::Numbers(number(from).expect("a number")..number(to).expect("a number"))
            }
            None => match number(value) {
                Some(one) => Value::Numbers(one..one.saturating_add(1)),
                None => Value::Text(value.to_owned()),
            },
        };
        let name = name.to_owned();
        Self { name, value }
    }

    fn holds(&self, line: &str) -> bool {
        let Some(found) = field(line, &self.name) else {
            return false;
        };
        match &self.value {
            Value::Text(text) => text == found,
            Value::Numbers(range) => number(found).is_some_and(|it| range.contains(&it)),
        }
    }
}
