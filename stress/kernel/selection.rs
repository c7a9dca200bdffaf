// SPDX-License-Identifier: GPL-2.0
//! The doorbells of this machine, and which of them a storm uses.

use kernel::prelude::*;
use xcall_interface::{
    xcall_doorbell, xcall_select_doorbells, DOORBELL_FROM_NMI, DOORBELL_NMI_SAFE, DOORBELL_OFFERED,
    DOORBELL_ORDINARY,
};
use xcall_stress_protocol::{put_text, text, Doorbell, Doorbells, MAX_DOORBELLS, NAME, NAMES};

/// xcall's doorbells, weakest first.
fn each() -> impl Iterator<Item = xcall_interface::Doorbell> {
    (0..MAX_DOORBELLS as u32).map_while(|index| {
        let mut bell = xcall_interface::Doorbell::default();
        // SAFETY: `bell` is valid for writes.
        (unsafe { xcall_doorbell(index, &mut bell) } == 0).then_some(bell)
    })
}

/// Those this machine has.
pub(crate) fn list() -> Result<Doorbells> {
    let mut list = Doorbells {
        size: size_of::<Doorbells>() as u32,
        ..Doorbells::default()
    };
    let offered = each().filter(|bell| bell.flags & DOORBELL_OFFERED != 0);
    for (place, bell) in list.each.iter_mut().zip(offered) {
        *place = Doorbell {
            name: bell.name,
            flags: bell.flags,
            reserved: 0,
        };
        list.count += 1;
    }
    Ok(list)
}

/// The doorbells of a storm. Dropped, xcall goes back to its own choice.
pub(crate) struct Selection {
    /// As asked for; empty: xcall's choice.
    asked: [u8; NAMES],
    /// Those in use.
    pub(crate) names: [u8; NAMES],
    strongest: [u8; NAME],
    /// One of them serves ordinary calls.
    pub(crate) ordinary: bool,
    /// One of them serves NMI-safe calls and can be rung from an NMI.
    pub(crate) from_nmi: bool,
}

impl Selection {
    /// Allows the doorbells in `asked`, separated by commas, and no others.
    pub(crate) fn new(asked: &[u8; NAMES]) -> Result<Self> {
        if !asked.contains(&0) {
            return Err(EINVAL);
        }
        let mut this = Self {
            asked: *asked,
            names: [0; NAMES],
            strongest: [0; NAME],
            ordinary: false,
            from_nmi: false,
        };
        this.select(false)?;
        let mut end = 0;
        for bell in each() {
            let name = text(&bell.name);
            // A lane that none of those asked for serves keeps its own doorbells: not for us.
            let wanted = text(asked).is_empty() || text(asked).split(',').any(|n| n == name);
            if !wanted || bell.flags & (DOORBELL_NMI_SAFE | DOORBELL_ORDINARY) == 0 {
                continue;
            }
            this.ordinary |= bell.flags & DOORBELL_ORDINARY != 0;
            if bell.flags & DOORBELL_NMI_SAFE != 0 {
                this.strongest = bell.name;
                this.from_nmi |= bell.flags & DOORBELL_FROM_NMI != 0;
            }
            let comma = usize::from(end != 0);
            if let Some(rest) = this.names.get_mut(end + comma..) {
                put_text(rest, name);
                this.names[end..end + comma].fill(b',');
                end += comma + name.len();
            }
        }
        Ok(this)
    }

    /// Allows the strongest of them only, or all.
    pub(crate) fn select(&self, strongest_only: bool) -> Result {
        let names = match strongest_only {
            true => self.strongest.as_ptr(),
            false => self.asked.as_ptr(),
        };
        // SAFETY: both are ended by a NUL: `new` saw to the one, xcall to the other.
        kernel::error::to_result(unsafe { xcall_select_doorbells(names) })
    }
}

impl Drop for Selection {
    fn drop(&mut self) {
        // SAFETY: null is xcall's own choice.
        unsafe { xcall_select_doorbells(core::ptr::null()) };
    }
}
