// SPDX-License-Identifier: GPL-2.0
//! A program as the control side takes it: plain, whoever parsed it.

#![forbid(unsafe_code)]

use crate::memory::List;
use crate::registry::Pattern;
use dtrace_interface::action::ActionKind;

/// A clause: for each probe that matches, if the predicate holds, these actions.
pub struct ClauseDescription<'a, X> {
    /// Which probes.
    pub pattern: Pattern<'a>,
    /// Holds where it is not 0.
    pub predicate: Option<X>,
    /// In order.
    pub actions: List<ActionDescription<X>>,
    /// The client's.
    pub user_argument: u64,
}

/// An action.
pub struct ActionDescription<X> {
    /// What it does.
    pub kind: ActionKind,
    /// What it does it with.
    pub expression: Option<X>,
    /// Of an aggregating action: how many actions right before it make its key.
    pub key_actions: u32,
    /// What the kind takes.
    pub argument: u64,
    /// The client's.
    pub user_argument: u64,
    /// The format of a printf() or alike, without a NUL.
    pub format: Option<List<u8>>,
}
