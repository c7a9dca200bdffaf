// SPDX-License-Identifier: GPL-2.0
//! Did you mean: the nearest of several names.

use crate::name::{part_matches, Part, ProbeName};
use std::collections::BTreeSet;

/// The name nearest to `text`, if one is near: about a third of it may differ.
pub fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = text.chars().count().div_ceil(3).min(4);
    names
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(|name| (strsim::damerau_levenshtein(text, name), name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

/// What may have been meant by a name that no probe has: the first part, from the left, that keeps
/// it from matching, put right.
pub fn probe(wanted: &ProbeName, probes: &[ProbeName]) -> Option<ProbeName> {
    let mut meant = wanted.clone();
    let mut left: Vec<&ProbeName> = probes.iter().collect();
    for part in Part::ALL {
        let pattern = wanted.part(part);
        let fits = |probe: &&ProbeName| part_matches(pattern, probe.part(part));
        let fitting: Vec<&ProbeName> = left.iter().copied().filter(fits).collect();
        if !fitting.is_empty() {
            left = fitting;
            continue;
        }
        // A part that is right in itself, but not with those before it, is left as it is.
        let names: BTreeSet<&str> = left.iter().map(|probe| probe.part(part)).collect();
        let name = nearest(pattern, names)?;
        left.retain(|probe| probe.part(part) == name);
        meant = replace(meant, part, name);
    }
    (meant != *wanted).then_some(meant)
}

fn replace(mut name: ProbeName, part: Part, text: &str) -> ProbeName {
    let text = text.to_owned();
    match part {
        Part::Provider => name.provider = text,
        Part::Module => name.module = text,
        Part::Function => name.function = text,
        Part::Name => name.name = text,
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(wanted: &str) -> Option<String> {
        let probes: Vec<ProbeName> = [
            "dtrace:::BEGIN",
            "syscall:vmlinux:read:entry",
            "syscall:vmlinux:read:return",
            "syscall:vmlinux:openat:entry",
            "syscall:ia32:open:entry",
        ]
        .map(|name| name.parse().unwrap())
        .to_vec();
        probe(&wanted.parse().unwrap(), &probes).map(|name| name.to_string())
    }

    #[test]
    fn one_part_is_put_right() {
        assert_eq!(meant("sycall::read:entry").unwrap(), "syscall::read:entry");
        assert_eq!(meant("syscall::raed:entry").unwrap(), "syscall::read:entry");
        assert_eq!(meant("syscall:::enrty").unwrap(), "syscall:::entry");
        assert_eq!(meant("BEGN").unwrap(), ":::BEGIN");
    }

    #[test]
    fn two_parts_as_well() {
        assert_eq!(meant("syscal:::retrun").unwrap(), "syscall:::return");
    }

    #[test]
    fn nothing_near_is_nothing() {
        assert_eq!(meant("io:::start"), None);
        assert_eq!(meant("syscall::read:quux"), None);
    }
}
