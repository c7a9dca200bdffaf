// SPDX-License-Identifier: GPL-2.0
//! Names of kernel addresses, for stacks: from `/proc/kallsyms`, as DTrace writes them.

use std::fs;

/// Farther behind a symbol an address is not of it: a function is not that long.
const FARTHEST: u64 = 1 << 20;

/// Symbols of the kernel and its modules.
#[derive(Debug, Default)]
pub struct Symbols {
    /// By address.
    all: Vec<Symbol>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Symbol {
    address: u64,
    module: String,
    name: String,
}

impl Symbols {
    /// Those of this kernel; none if they cannot be read.
    pub fn of_this_kernel() -> Self {
        let text = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
        Self::parse(&text)
    }

    /// Lines `ADDRESS TYPE NAME` or `ADDRESS TYPE NAME [MODULE]`. Only text is kept.
    fn parse(text: &str) -> Self {
        let mut all: Vec<Symbol> = text.lines().filter_map(symbol).collect();
        all.sort();
        Self { all }
    }

    /// ``module`name+0x12``; None: it is of no known symbol.
    pub fn name(&self, address: u64) -> Option<String> {
        let after = self.all.partition_point(|s| s.address <= address);
        let symbol = self.all.get(after.checked_sub(1)?)?;
        let offset = address - symbol.address;
        (offset < FARTHEST).then(|| format!("{}`{}+{offset:#x}", symbol.module, symbol.name))
    }
}

fn symbol(line: &str) -> Option<Symbol> {
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let kind = words.next()?;
    let name = words.next()?;
    let module = words.next().unwrap_or("[vmlinux]");
    // Zero: the kernel hides addresses from who may not see them.
    let is_text = matches!(kind, "t" | "T" | "w" | "W");
    (is_text && address != 0).then(|| Symbol {
        address,
        module: module.trim_matches(['[', ']']).to_owned(),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
ffffffff81000000 T _text
ffffffff81002000 t do_syscall_64
ffffffff81001000 T read
ffffffff81003000 D data
ffffffffc0000000 t fire\t[dtrace]
0000000000000000 T hidden
nonsense
";

    #[test]
    fn addresses_get_names() {
        let symbols = Symbols::parse(TEXT);
        let name = |address| symbols.name(address);
        assert_eq!(name(0xffff_ffff_8100_1005).unwrap(), "vmlinux`read+0x5");
        assert_eq!(
            name(0xffff_ffff_8100_3005).unwrap(),
            "vmlinux`do_syscall_64+0x1005"
        );
        assert_eq!(name(0xffff_ffff_c000_0000).unwrap(), "dtrace`fire+0x0");
        assert_eq!(name(0x1000), None);
        assert_eq!(name(0xffff_ffff_9000_0000), None);
        assert_eq!(Symbols::default().name(1), None);
    }
}
