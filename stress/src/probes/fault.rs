// SPDX-License-Identifier: GPL-2.0
//! Faults on purpose, between the kernel and the ledger: each must be found.

use clap::ValueEnum;
use dtrace::event::Drops;
use dtrace_interface::accounting::Accounting;

/// One record in so many is spoilt.
const EVERY: u64 = 97;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// A record is thrown away.
    Lose,
    /// A record is thrown away, and the kernel did not count it either.
    Unseen,
    /// A record comes twice.
    Double,
    /// A record comes with the number of the call before.
    Stale,
    /// Drops are not told.
    Silent,
}

impl Fault {
    #[cfg(test)]
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Lose,
        Self::Unseen,
        Self::Double,
        Self::Stale,
        Self::Silent,
    ];

    /// Hands a tag on.
    pub fn record(self, tag: u64, to: &mut dyn FnMut(u64)) {
        let is_spoilt = tag % EVERY == 0;
        match self {
            Self::Lose | Self::Unseen if is_spoilt => {}
            Self::Double if is_spoilt => {
                to(tag);
                to(tag);
            }
            Self::Stale if is_spoilt => to(tag.saturating_sub(1)),
            _ => to(tag),
        }
    }

    /// Hands drops on, or not.
    pub fn drops(self, drops: Drops) -> Option<Drops> {
        (self != Self::Silent).then_some(drops)
    }

    /// What the kernel counted of a clause, spoilt: as many fewer as `record` threw away of a run of calls.
    pub fn accounting(self, said: &mut Accounting) {
        if self == Self::Unseen {
            let spoilt = said.records / EVERY;
            said.hits -= spoilt;
            said.records -= spoilt;
        }
    }
}
