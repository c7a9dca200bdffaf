// SPDX-License-Identifier: GPL-2.0
//! Local time, which only libc knows.

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Nanoseconds since 1970 as DTrace's `%Y` shows them: `2026 Nov 28 17:37:37`.
pub(super) fn shown(ns: u64) -> String {
    let seconds = (ns / SECOND) as libc::time_t;
    // SAFETY: all zeros is a value of this structure of integers and a pointer that may be null.
    let mut time: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both point to values of ours; it writes the second.
    let told = unsafe { libc::localtime_r(&raw const seconds, &raw mut time) };
    let month = usize::try_from(time.tm_mon)
        .ok()
        .and_then(|month| MONTHS.get(month));
    match month {
        Some(month) if !told.is_null() => format!(
            "{} {month} {:>2} {:02}:{:02}:{:02}",
            i64::from(time.tm_year) + 1900,
            time.tm_mday,
            time.tm_hour,
            time.tm_min,
            time.tm_sec
        ),
        _ => format!("{ns} ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_year_2001() {
        // Whatever the zone.
        let time = shown(1_000_000_000 * SECOND);
        assert!(time.starts_with("2001 Sep  "), "{time}");
        assert!(time.ends_with(":40"), "{time}");
        assert_eq!(shown(u64::MAX).len(), 20);
    }
}
