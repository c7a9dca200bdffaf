// SPDX-License-Identifier: GPL-2.0
//! The engine's life, from load to unload.

use crate::doorbell::{self, Without};
use crate::params::Params;
use crate::percpu::cpus;
use crate::platform::{clear_engine, set_engine, Engine, Kernel};
use crate::{shim, timeouts};
use kernel::prelude::*;
use xcall::{Config, FlushError, NewError};

/// How long unloading waits for posted calls before it says so, and goes on waiting.
const FLUSH_NS: u64 = 10_000_000_000;

/// The engine, where callbacks and exported functions find it. Dropped, it is gone for good.
pub(crate) struct Live {
    engine: KBox<Engine>,
}

impl Live {
    /// Makes the engine, all CPUs closed. `nmis_heard`: whether an NMI would be, or why not. Task
    /// context.
    pub(crate) fn start(
        params: &Params,
        nmis_heard: core::result::Result<(), Without>,
    ) -> Result<Self> {
        let config = Config {
            deadline_ns: params.deadline_ns,
            nmi_deadline_ns: params.nmi_deadline_ns,
            ..Config::new(cpus())
        };
        let bells = doorbell::offered(params.forbid, nmis_heard);
        let engine =
            Engine::new(Kernel::new(params.nmi_credit_ns)?, config, bells).map_err(|error| {
                pr_err!(
                    "{}\n",
                    format_args!("no engine for {} CPUs: {}", config.cpus, error)
                );
                match error {
                    NewError::Cpus => EINVAL,
                    NewError::OutOfMemory => ENOMEM,
                }
            })?;
        let engine = KBox::new(engine, GFP_KERNEL)?;
        // SAFETY: Once, in a task, before any ring or post.
        unsafe { shim::xcall_shim_init() };
        // SAFETY: It stays in its box until drop has cleared it.
        unsafe { set_engine(&engine) };
        Ok(Self { engine })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        for bell in self.engine.doorbells() {
            bell.retire();
        }
        // SAFETY: Task context; nobody posts any more.
        unsafe { shim::xcall_shim_posts_stop() };
        timeouts::finish();
        clear_engine();
        // The box goes, and with it the tables.
    }
}

/// Dropped, waits until no posted call is under way: their users are gone, but they may have
/// trusted others to see them through.
pub(crate) struct Flushed;

impl Drop for Flushed {
    fn drop(&mut self) {
        let Some(engine) = crate::platform::engine() else {
            return;
        };
        while let Err(FlushError::Unfinished(cpus)) = engine.flush(Some(FLUSH_NS)) {
            pr_warn!(
                "{}\n",
                format_args!("waiting for posted calls under way on {}", cpus)
            );
            // SAFETY: Task context.
            unsafe { shim::xcall_shim_msleep(1) };
        }
    }
}
