// SPDX-License-Identifier: GPL-2.0
//! Compares what was expected with what was traced.

use crate::record::{read, Case, Fate, Record};
use crate::table::Abi;
use anyhow::Result;
use std::collections::HashMap;

/// What each process left: records and their CPUs.
pub type Trace = HashMap<i64, Vec<(i64, Record)>>;

/// Reads what `dtrace --json` wrote.
pub fn trace(text: &str) -> Result<Trace> {
    let mut all = Trace::new();
    for line in text.lines() {
        if let Some((pid, cpu, record)) = read(line)? {
            all.entry(pid).or_default().push((cpu, record));
        }
    }
    Ok(all)
}

/// What is other than expected, in words; None: nothing.
pub fn difference(case: &Case, trace: &Trace) -> Option<String> {
    let left = trace.get(&case.pid).map_or(&[][..], Vec::as_slice);
    let same = left.len() == case.records.len()
        && left
            .iter()
            .zip(&case.records)
            .all(|((cpu, is), wanted)| *cpu == case.cpu && is == wanted);
    if same {
        return None;
    }
    let mut told = format!("{} (process {} on CPU {}):", case.what, case.pid, case.cpu);
    for wanted in &case.records {
        told += &format!("\n  wanted  {wanted}");
    }
    for (cpu, is) in left {
        told += &format!("\n  is      {is} on CPU {cpu}");
    }
    Some(told)
}

/// How many calls of an ABI fared how.
pub fn row(abi: Abi, cases: &[Case], left: usize) -> String {
    let count = |wanted: Option<Fate>| {
        let fates = cases
            .iter()
            .filter_map(|case| case.call)
            .filter(|(of, _)| *of == abi);
        fates
            .filter(|(_, fate)| wanted.is_none_or(|wanted| wanted == *fate))
            .count()
    };
    format!(
        "{:<8} {:>6} {:>6} {:>8} {:>7} {:>6} {:>11}",
        abi.module(),
        count(None),
        count(Some(Fate::Done)),
        count(Some(Fate::Refused)),
        count(Some(Fate::Empty)),
        count(Some(Fate::Ended)),
        left
    )
}

/// What [`row`] tells.
pub const HEADING: &str = "ABI       fired   done  refused   empty  ended  not driven";

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        let records = vec![
            Record::entry(Abi::X32, "read", [1, 2, 3, 4, 5, 6]),
            Record::returned(Abi::X32, "read", -9),
        ];
        let call = Some((Abi::X32, Fate::Refused));
        Case {
            what: "x32:read".to_owned(),
            pid: 7,
            cpu: 1,
            call,
            records,
        }
    }

    fn traced(records: &[Record]) -> Trace {
        let left = records.iter().map(|record| (1, record.clone())).collect();
        Trace::from([(7, left)])
    }

    #[test]
    fn all_of_it_in_its_order_and_no_more() {
        let case = case();
        let [entry, back] = <[Record; 2]>::try_from(case.records.clone()).unwrap();
        assert_eq!(difference(&case, &traced(&case.records)), None);
        let mut other = entry.clone();
        other.args[5] = 7;
        let mut elsewhere = traced(&case.records);
        elsewhere.get_mut(&7).unwrap()[1].0 = 0;
        let wrong_name = Record {
            name: "write".to_owned(),
            ..back.clone()
        };
        let no_errno = Record {
            errno: 0,
            ..back.clone()
        };
        for wrong in [
            Trace::new(),
            traced(std::slice::from_ref(&entry)),
            traced(&[back.clone(), entry.clone()]),
            traced(&[entry.clone(), back.clone(), back.clone()]),
            traced(&[other, back.clone()]),
            traced(&[entry.clone(), wrong_name]),
            traced(&[entry, no_errno]),
            elsewhere,
        ] {
            assert!(difference(&case, &wrong)
                .unwrap()
                .contains("wanted  x32:read:entry(0x1, "));
        }
    }

    #[test]
    fn a_row() {
        assert_eq!(
            row(Abi::X32, &[case()], 3),
            "x32           1      0        1       0      0           3"
        );
        assert_eq!(row(Abi::X32, &[case()], 3).len(), HEADING.len());
    }
}
