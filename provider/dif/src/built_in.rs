// SPDX-License-Identifier: GPL-2.0
//! Which built-in variables there are here.

use dtrace_interface::variable::BuiltIn;

/// Whether an environment has `variable`. Not `regs[]`: where a probe fires the kernel's registers are
/// not kept.
pub fn is_known(variable: BuiltIn) -> bool {
    !matches!(variable, BuiltIn::Regs)
}
