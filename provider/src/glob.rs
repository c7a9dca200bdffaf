// SPDX-License-Identifier: GPL-2.0
//! Patterns of probe names: `*`, `?`, `[a-z]`, `[!a]`, `\`; an empty one matches all.

#![forbid(unsafe_code)]

/// Whether `pattern` matches all of `name`. Never recurses; at most the product of both lengths.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if pattern.is_empty() {
        return true;
    }
    let (mut p, mut n) = (0, 0);
    // Where to go on after the last star if what follows does not match: its next try.
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), name.get(n)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                p += 1;
                star = Some((p, n));
                continue;
            }
            (Some(_), Some(&byte)) => {
                if let Some(next) = one(pattern, p, byte) {
                    p = next;
                    n += 1;
                    continue;
                }
            }
            _ => {}
        }
        // No match here: the last star takes one byte more.
        match star {
            Some((after, from)) if from < name.len() => {
                p = after;
                n = from + 1;
                star = Some((after, n));
            }
            _ => return false,
        }
    }
}

/// Whether the piece of the pattern at `at`, no star, matches `byte`; where the next piece begins.
fn one(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => match set(pattern, at, byte) {
            Some((true, next)) => Some(next),
            Some((false, _)) => None,
            // No end: an ordinary bracket.
            None => (byte == b'[').then_some(at + 1),
        },
        b'\\' => match pattern.get(at + 1) {
            Some(&quoted) => (quoted == byte).then_some(at + 2),
            None => (byte == b'\\').then_some(at + 1),
        },
        same => (same == byte).then_some(at + 1),
    }
}

/// Whether `byte` is in the set at `at`, and where its `]` ends; None if it has none.
fn set(pattern: &[u8], at: usize, byte: u8) -> Option<(bool, usize)> {
    let mut i = at + 1;
    let negated = matches!(pattern.get(i), Some(b'!' | b'^'));
    if negated {
        i += 1;
    }
    let first = i;
    let mut is_in = false;
    loop {
        let mut low = *pattern.get(i)?;
        if low == b']' && i != first {
            return Some((is_in != negated, i + 1));
        }
        if low == b'\\' {
            i += 1;
            low = *pattern.get(i)?;
        }
        let mut high = low;
        if pattern.get(i + 1) == Some(&b'-') && !matches!(pattern.get(i + 2), None | Some(b']')) {
            i += 2;
            high = *pattern.get(i)?;
            if high == b'\\' {
                i += 1;
                high = *pattern.get(i)?;
            }
        }
        is_in |= (low..=high).contains(&byte);
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "x", true),
            ("*", "", true),
            ("*", "read", true),
            ("?", "", false),
            ("read", "read", true),
            ("read", "readv", false),
            ("read*", "readv", true),
            ("*read*", "preadv2", true),
            ("*a*b*c", "xaxbxcxc", true),
            ("*a*b*c", "xaxbxcxd", false),
            ("r?ad", "read", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[a", "[a", true),
            ("[a", "a", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("\\[a]", "[a]", true),
            ("[\\]]", "]", true),
            ("\\", "\\", true),
            ("sys_*[0-9]", "sys_pread64", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn many_stars_end_soon() {
        let pattern = "*a".repeat(60);
        let name = "a".repeat(59) + "b";
        assert!(!matches(pattern.as_bytes(), name.as_bytes()));
    }
}
