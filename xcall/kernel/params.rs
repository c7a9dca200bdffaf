// SPDX-License-Identifier: GPL-2.0
//! Module parameters. They are declared in shim.c: the `kernel` crate has none of string type.

use crate::doorbell::Kinds;
use crate::shim;
use kernel::prelude::*;
use xcall::choice::parse;

/// What the administrator asked for.
pub(crate) struct Params {
    /// Doorbells to use; none: as chosen for the machine.
    pub(crate) doorbell: Kinds,
    /// Doorbells never to touch.
    pub(crate) forbid: Kinds,
    /// The time limit of calls that set none.
    pub(crate) deadline_ns: u64,
    /// The time limit of any call made in an NMI.
    pub(crate) nmi_deadline_ns: u64,
    /// How long after a ring an NMI that nobody claims is taken for it.
    pub(crate) nmi_credit_ns: u64,
}

impl Params {
    /// Reads and checks them. Task context.
    pub(crate) fn read() -> Result<Self> {
        // SAFETY: Each reads a variable that is set before the module's code runs, and not after.
        let (doorbell, forbid, deadline_ms, nmi_deadline_ms, nmi_credit_ms) = unsafe {
            (
                shim::xcall_shim_param_doorbell(),
                shim::xcall_shim_param_forbid(),
                shim::xcall_shim_param_deadline_ms(),
                shim::xcall_shim_param_nmi_deadline_ms(),
                shim::xcall_shim_param_nmi_credit_ms(),
            )
        };
        Ok(Self {
            // SAFETY: The parameter's string, which stays as long as the module.
            doorbell: unsafe { kinds("doorbell", doorbell)? },
            // SAFETY: As above.
            forbid: unsafe { kinds("forbid", forbid)? },
            deadline_ns: nanoseconds("deadline_ms", deadline_ms, LONGEST_DEADLINE_MS)?,
            nmi_deadline_ns: nanoseconds(
                "nmi_deadline_ms",
                nmi_deadline_ms,
                LONGEST_NMI_DEADLINE_MS,
            )?,
            nmi_credit_ns: nanoseconds("nmi_credit_ms", nmi_credit_ms, LONGEST_CREDIT_MS)?,
        })
    }
}

/// What [`xcall::Config::irqs_on_deadline_ns`] allows.
const LONGEST_DEADLINE_MS: u32 = 15_000;
/// The hard-lockup detector gives up on a CPU after 10 s.
const LONGEST_NMI_DEADLINE_MS: u32 = 9_000;
/// For as long after a ring, NMIs of others may be taken for ours.
const LONGEST_CREDIT_MS: u32 = 60_000;

/// A time given in milliseconds, 1 to `most`.
fn nanoseconds(parameter: &str, ms: u32, most: u32) -> Result<u64> {
    if !(1..=most).contains(&ms) {
        pr_err!(
            "parameter {}: {} is not in 1 to {} milliseconds\n",
            parameter,
            ms,
            most
        );
        return Err(EINVAL);
    }
    Ok(u64::from(ms) * 1_000_000)
}

/// The doorbells that the value of `parameter` names.
///
/// # Safety
///
/// `value` is null or a string that is not changed meanwhile.
unsafe fn kinds(parameter: &str, value: *const c_char) -> Result<Kinds> {
    if value.is_null() {
        return Ok(Kinds::NONE);
    }
    // SAFETY: A string, says our caller.
    let value = unsafe { CStr::from_ptr(value.cast()) };
    let every = Kinds::NONE.candidates();
    let refused = |error: &dyn core::fmt::Display| {
        pr_err!(
            "{}\n",
            format_args!(
                "parameter {}: {}; there are ipi, event-channel, xen-nmi, nmi",
                parameter, error
            )
        );
        EINVAL
    };
    let names = value.to_str().map_err(|error| refused(&error))?;
    let chosen = parse(names, &every).map_err(|error| refused(&error))?;
    Ok(Kinds(chosen))
}
