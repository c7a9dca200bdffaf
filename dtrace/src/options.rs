// SPDX-License-Identifier: GPL-2.0
//! Options of tracing, by DTrace's names: `-x bufsize=4m`, `-x switchrate=10hz`.

use crate::suggest;
use dtrace_interface::options::{BufferPolicy, OptionId};

/// What an option's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bytes: `4m`.
    Size,
    /// How often, or how long between: `10hz`, `100ms`.
    Rate,
    /// A number.
    Number,
    /// Set or not.
    Switch,
    /// One of these words, by its place.
    Word(&'static [&'static str]),
    /// It exists in DTrace, and not here.
    Refused(&'static str),
}

/// What the value of each is. Those of DTrace that are not here are refused.
fn kind(option: OptionId) -> Kind {
    match option {
        OptionId::BufferSize
        | OptionId::DynamicVariableSize
        | OptionId::AggregationSize
        | OptionId::StringSize => Kind::Size,
        OptionId::CleanRate
        | OptionId::AggregationRate
        | OptionId::SwitchRate
        | OptionId::StatusRate => Kind::Rate,
        OptionId::Cpu | OptionId::StackFrames | OptionId::UserStackFrames => Kind::Number,
        OptionId::FlowIndent
        | OptionId::Quiet
        | OptionId::RawBytes
        | OptionId::AggregationSortKey
        | OptionId::AggregationSortReverse => Kind::Switch,
        OptionId::BufferPolicy => Kind::Word(&["ring", "fill", "switch"]),
        OptionId::BufferResize => Kind::Word(&["auto", "manual"]),
        OptionId::Destructive => Kind::Refused("destructive actions do not exist"),
        OptionId::GrabAnonymous => Kind::Refused("there is no anonymous tracing"),
        OptionId::SpeculationSize | OptionId::Speculations => {
            Kind::Refused("there is no speculation yet")
        }
        OptionId::StackIndent
        | OptionId::JstackFrames
        | OptionId::JstackStringSize
        | OptionId::AggregationSortPosition
        | OptionId::AggregationSortKeyPosition
        | OptionId::QuietResize
        | OptionId::NoResolve
        | OptionId::PcapSize => Kind::Refused("it is of no use without a D compiler"),
    }
}

/// What each option that can be set is for, with its value if nothing is said.
const HELP: &[(OptionId, &str)] = &[
    (
        OptionId::BufferSize,
        "bytes of a half of a CPU's buffer (4m)",
    ),
    (
        OptionId::BufferPolicy,
        "ring: keep the newest, fill: end when full, switch: read meanwhile (switch)",
    ),
    (
        OptionId::BufferResize,
        "auto: smaller buffers if there is no memory, manual: an error then (auto)",
    ),
    (
        OptionId::AggregationSize,
        "bytes of a half of a CPU's buffer of aggregations (4m)",
    ),
    (
        OptionId::AggregationRate,
        "how often aggregations are read (1s)",
    ),
    (OptionId::SwitchRate, "how often buffers are read (1s)"),
    (
        OptionId::StatusRate,
        "how often the module is asked for drops, and told that we live (1s)",
    ),
    (OptionId::StringSize, "bytes of the longest string (256)"),
    (OptionId::DynamicVariableSize, "bytes for variables (1m)"),
    (
        OptionId::CleanRate,
        "how often variables that are gone are cleaned up (101hz)",
    ),
    (
        OptionId::StackFrames,
        "the deepest stack of the kernel (20)",
    ),
    (
        OptionId::UserStackFrames,
        "the deepest stack of a program (20)",
    ),
    (OptionId::Cpu, "trace this CPU only (all)"),
    (OptionId::Quiet, "show only what is recorded: -q (off)"),
    (OptionId::FlowIndent, "indent entries and returns: -F (off)"),
    (
        OptionId::RawBytes,
        "of no effect: bytes are always shown as they are (off)",
    ),
    (
        OptionId::AggregationSortKey,
        "sort aggregations by key (off)",
    ),
    (OptionId::AggregationSortReverse, "the largest first (off)"),
];

/// The options that can be set, a line each.
pub fn help() -> String {
    let mut text = String::new();
    for (option, what) in HELP {
        let value = match kind(*option) {
            Kind::Size => "=SIZE",
            Kind::Rate => "=RATE",
            Kind::Number => "=N",
            Kind::Word(_) => "=WORD",
            Kind::Switch | Kind::Refused(_) => "",
        };
        let name = format!("{}{value}", option.name());
        text += &format!("{name:<20} {what}\n");
    }
    text
}

/// Options and their values, each at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options(Vec<(OptionId, u64)>);

const SECOND_NS: u64 = 1_000_000_000;

impl Default for Options {
    /// DTrace's own: buffers of 4 MiB, looked at once a second.
    fn default() -> Self {
        let four_mib = 4 << 20;
        Self(vec![
            (OptionId::BufferSize, four_mib),
            (OptionId::BufferPolicy, BufferPolicy::Switch.raw()),
            (OptionId::AggregationSize, four_mib),
            (OptionId::AggregationRate, SECOND_NS),
            (OptionId::SwitchRate, SECOND_NS),
            (OptionId::StatusRate, SECOND_NS),
        ])
    }
}

impl Options {
    /// Sets one, as in `-x`: `NAME` or `NAME=VALUE`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn set_text(&mut self, text: &str) -> Result<(), String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let option = OptionId::from_name(name).ok_or_else(|| unknown(name))?;
        let value = kind(option).value(value);
        self.set(option, value.map_err(|why| format!("{name}: {why}"))?);
        Ok(())
    }

    /// Sets one.
    pub fn set(&mut self, option: OptionId, value: u64) {
        match self.0.iter_mut().find(|(o, _)| *o == option) {
            Some(set) => set.1 = value,
            None => self.0.push((option, value)),
        }
    }

    /// The value of one that is set.
    pub fn get(&self, option: OptionId) -> Option<u64> {
        let found = self.0.iter().find(|(o, _)| *o == option);
        found.map(|(_, value)| *value)
    }

    /// Whether a switch is on.
    pub fn is_on(&self, option: OptionId) -> bool {
        self.get(option).is_some_and(|value| value != 0)
    }

    /// All that are set, for DOF.
    pub fn iter(&self) -> impl Iterator<Item = (OptionId, u64)> + '_ {
        self.0.iter().copied()
    }
}

impl Kind {
    fn value(self, text: Option<&str>) -> Result<u64, String> {
        let needed = || text.ok_or_else(|| "a value is missing".to_owned());
        match self {
            Self::Size => size(needed()?),
            Self::Rate => rate_ns(needed()?),
            Self::Number => {
                let text = needed()?;
                text.parse().map_err(|_| format!("`{text}`: not a number"))
            }
            Self::Switch => match text {
                None | Some("1" | "on" | "yes" | "enable") => Ok(1),
                Some("0" | "off" | "no" | "disable") => Ok(0),
                Some(other) => Err(format!("`{other}`: not on or off")),
            },
            Self::Word(words) => {
                let text = needed()?;
                match words.iter().position(|word| *word == text) {
                    Some(place) => Ok(place as u64),
                    None => Err(format!("`{text}`: not one of {}", words.join(", "))),
                }
            }
            Self::Refused(why) => Err(why.to_owned()),
        }
    }
}

fn unknown(name: &str) -> String {
    let known = OptionId::ALL.iter().copied();
    let names = known.filter(|o| !matches!(kind(*o), Kind::Refused(_)));
    let names = names.map(OptionId::name);
    match suggest::nearest(name, names.clone()) {
        Some(near) => format!("no option `{name}`\nhint: did you mean `{near}`?"),
        None => {
            let all: Vec<&str> = names.collect();
            format!("no option `{name}`\nhint: there are {}", all.join(", "))
        }
    }
}

/// Bytes: a number with k, m, g or t behind it, or none.
///
/// # Errors
/// Says what is wrong with it.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text)?;
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(format!("`{text}`: a size ends with k, m, g or t")),
    };
    let bytes = number.checked_mul(1 << shift);
    let bytes = bytes.filter(|bytes| i64::try_from(*bytes).is_ok());
    bytes.ok_or_else(|| format!("`{text}`: too large"))
}

/// Nanoseconds between two looks: a time with its unit, or how many a second.
fn rate_ns(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text)?;
    if number == 0 {
        return Err(format!("`{text}`: never"));
    }
    let nanoseconds = match unit {
        "" | "hz" => return Ok((SECOND_NS / number).max(1)),
        "ns" | "nsec" => 1,
        "us" | "usec" => 1_000,
        "ms" | "msec" => 1_000_000,
        "s" | "sec" => SECOND_NS,
        "m" | "min" => 60 * SECOND_NS,
        "h" | "hour" => 3600 * SECOND_NS,
        "d" | "day" => 24 * 3600 * SECOND_NS,
        _ => {
            return Err(format!(
                "`{text}`: a rate ends with hz, ns, us, ms, s, m, h or d"
            ))
        }
    };
    let product = number.checked_mul(nanoseconds);
    let product = product.filter(|ns| i64::try_from(*ns).is_ok());
    product.ok_or_else(|| format!("`{text}`: too long"))
}

fn split_unit(text: &str) -> Result<(u64, &str), String> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    match number.parse() {
        Ok(number) => Ok((number, unit)),
        Err(_) => Err(format!("`{text}`: not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Result<Options, String> {
        let mut options = Options::default();
        options.set_text(text).map(|()| options)
    }

    #[test]
    fn sizes_and_rates() {
        assert_eq!(size("16k"), Ok(16 << 10));
        assert_eq!(size("4"), Ok(4));
        for wrong in ["", "k", "4x", "-1", "9999999999999t"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        for (text, ns) in [
            ("10", 100_000_000),
            ("10hz", 100_000_000),
            ("100ms", 100_000_000),
            ("2s", 2_000_000_000),
            ("1m", 60_000_000_000),
        ] {
            assert_eq!(rate_ns(text), Ok(ns), "{text}");
        }
        assert!(rate_ns("0").is_err() && rate_ns("1fortnight").is_err());
    }

    #[test]
    fn options_by_name() {
        let options = set("bufsize=64k").unwrap();
        assert_eq!(options.get(OptionId::BufferSize), Some(64 << 10));
        assert_eq!(
            options
                .iter()
                .filter(|o| o.0 == OptionId::BufferSize)
                .count(),
            1
        );
        let options = set("bufpolicy=ring").unwrap();
        assert_eq!(
            options.get(OptionId::BufferPolicy),
            Some(BufferPolicy::Ring.raw())
        );
        assert!(set("quiet").unwrap().is_on(OptionId::Quiet));
        assert!(!set("quiet=0").unwrap().is_on(OptionId::Quiet));
    }

    #[test]
    fn every_option_that_can_be_set_is_explained() {
        let explained: Vec<OptionId> = HELP.iter().map(|(option, _)| *option).collect();
        for option in OptionId::ALL {
            let refused = matches!(kind(*option), Kind::Refused(_));
            assert_eq!(explained.contains(option), !refused, "{}", option.name());
        }
        assert!(help().contains("bufsize=SIZE         bytes of a half"));
        assert!(help().lines().all(|line| line.len() < 100));
    }

    #[test]
    fn what_cannot_be_set_is_named() {
        assert!(set("bufsiz=1").unwrap_err().contains("`bufsize`?"));
        assert!(set("bufsize").unwrap_err().contains("missing"));
        assert!(set("destructive").unwrap_err().contains("do not exist"));
        assert!(set("bufpolicy=x").unwrap_err().contains("switch"));
        assert!(set("quiet=maybe").is_err());
    }
}
