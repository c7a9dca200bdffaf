// SPDX-License-Identifier: GPL-2.0
//! Escapes in a format, as in a string of D.

/// `\n`, `\t`, `\\`, `\"`, `\x41`, `\101` and so on as the characters that they stand for.
///
/// # Errors
/// Says which one is none.
pub fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(letter) = rest.chars().next() else {
            return Err("it ends with a single `\\`".to_owned());
        };
        let digits = |radix: u32, from: &str, most: usize| {
            let is_digit = |c: &char| c.is_digit(radix);
            let length = from.chars().take(most).take_while(is_digit).count();
            let value = u8::from_str_radix(&from[..length], radix).ok();
            value.map(|value| (char::from(value), length))
        };
        let simple = match letter {
            'a' => Some('\x07'),
            'b' => Some('\x08'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            '\\' | '"' | '\'' | '?' => Some(letter),
            _ => None,
        };
        let (character, length) = match (simple, letter) {
            (Some(character), _) => (character, 1),
            (None, 'x') => match digits(16, &rest[1..], 2) {
                Some((character, length)) => (character, 1 + length),
                None => return Err("`\\x`: hex digits are missing".to_owned()),
            },
            (None, _) => match digits(8, rest, 3) {
                Some(found) => found,
                None => return Err(format!("`\\{letter}`: no such escape")),
            },
        };
        plain.push(character);
        rest = &rest[length..];
    }
    plain.push_str(rest);
    match plain.contains('\0') {
        true => Err("it has a NUL".to_owned()),
        false => Ok(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let plain = |text| unescape(text).unwrap();
        assert_eq!(plain(r"a\tb\n"), "a\tb\n");
        assert_eq!(plain(r"\x41\101\\\q".trim_end_matches("\\q")), "AA\\");
        assert_eq!(plain(r"\x4g"), "\x04g");
        assert_eq!(plain("é"), "é");
        for wrong in ["\\", r"\q", r"\xg", r"\0", r"\x00", r"\777"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }
}
