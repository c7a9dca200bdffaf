// SPDX-License-Identifier: GPL-2.0
//! Any doorbell: the one type an engine on threads takes.

use std::fmt;
use std::sync::Arc;
use xcall::{CpuId, CpuSet, Doorbell, Here, Lane};

/// A doorbell of any kind, shared with whoever wants to look into it.
#[derive(Clone)]
pub struct Bell(Arc<dyn Doorbell + Send + Sync>);

impl Bell {
    /// `doorbell`, owned.
    pub fn new(doorbell: impl Doorbell + Send + 'static) -> Self {
        Self(Arc::new(doorbell))
    }

    /// `doorbell`, shared.
    pub fn shared(doorbell: &Arc<impl Doorbell + Send + 'static>) -> Self {
        Self(doorbell.clone())
    }
}

impl Doorbell for Bell {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn drains(&self, lane: Lane) -> bool {
        self.0.drains(lane)
    }

    fn maskable(&self) -> bool {
        self.0.maskable()
    }

    fn rings_from_nmi(&self) -> bool {
        self.0.rings_from_nmi()
    }

    fn ring(&self, here: &Here, targets: CpuSet<'_>) {
        self.0.ring(here, targets);
    }

    fn ring_one(&self, here: &Here, cpu: CpuId) {
        self.0.ring_one(here, cpu);
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bell").field(&self.name()).finish()
    }
}
