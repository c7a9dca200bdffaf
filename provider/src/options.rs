// SPDX-License-Identifier: GPL-2.0
//! Options of a consumer: DTrace's numbers, and what holds where one is not set.

use dtrace_interface::options::{BufferPolicy, OptionId, COUNT, UNSET};

/// Bytes of a half of a principal buffer, at most: 16 GiB have no sense on any CPU.
const MAX_BUFFER: u64 = 1 << 30;
/// Bytes of a string, at most.
pub const MAX_STRING: u64 = 4096;
/// Frames of a stack, at most.
pub const MAX_FRAMES: u32 = 128;

/// The values that are set, and defaults for the others.
#[derive(Clone, Copy, Debug)]
pub struct Options([u64; COUNT]);

impl Default for Options {
    fn default() -> Self {
        let mut options = Self([UNSET; COUNT]);
        // The defaults that a client may read by DOFGET: rates in nanoseconds, sizes in bytes.
        for (option, value) in [
            (OptionId::BufferSize, 4 << 20),
            (OptionId::BufferPolicy, BufferPolicy::Switch.raw()),
            (OptionId::DynamicVariableSize, 1 << 20),
            (OptionId::AggregationSize, 4 << 20),
            (OptionId::StringSize, 256),
            (OptionId::CleanRate, 9_900_990),
            (OptionId::Cpu, u64::MAX),
            (OptionId::StackFrames, 20),
            (OptionId::UserStackFrames, 20),
            (OptionId::AggregationRate, 1_000_000_000),
            (OptionId::SwitchRate, 1_000_000_000),
            (OptionId::StatusRate, 1_000_000_000),
        ] {
            options.put(option, value);
        }
        options
    }
}

impl Options {
    fn put(&mut self, option: OptionId, value: u64) {
        if let Some(place) = self.0.get_mut(option.raw() as usize) {
            *place = value;
        }
    }

    /// Sets an option. False if the value is out of its range. Sizes of buffers become a multiple of 8, and
    /// 8 at least: DOFGET tells the size that a snapshot may have.
    pub(crate) fn set(&mut self, option: OptionId, value: u64) -> bool {
        let mut value = value;
        let fits = match option {
            OptionId::BufferSize | OptionId::AggregationSize | OptionId::DynamicVariableSize => {
                (1..=MAX_BUFFER).contains(&value)
            }
            OptionId::BufferPolicy => BufferPolicy::from_raw(value).is_some(),
            OptionId::StringSize => (1..=MAX_STRING).contains(&value),
            OptionId::StackFrames | OptionId::UserStackFrames => value <= u64::from(MAX_FRAMES),
            _ => true,
        };
        if matches!(option, OptionId::BufferSize | OptionId::AggregationSize) {
            value = (value & !7).max(8);
        }
        if fits {
            self.put(option, value);
        }
        fits
    }

    /// What was settled on is less than what was asked for: DOFGET is to tell it.
    pub(crate) fn lower(&mut self, option: OptionId, bytes: usize) {
        if (bytes as u64) < self.get(option) {
            self.put(option, bytes as u64);
        }
    }

    /// Half of what was asked for, and not less than `smallest`; None: it is as small already.
    pub(crate) fn halved(&self, option: OptionId, smallest: usize) -> Option<Self> {
        let now = self.bytes(option);
        let half = (now / 2).max(smallest).next_multiple_of(8);
        let mut options = *self;
        options.lower(option, half);
        (half < now).then_some(options)
    }

    /// The value, or [`UNSET`].
    pub fn get(&self, option: OptionId) -> u64 {
        self.0.get(option.raw() as usize).copied().unwrap_or(UNSET)
    }

    /// All values by number, for DOFGET.
    pub fn values(&self) -> &[u64; COUNT] {
        &self.0
    }

    /// What happens when a principal buffer is full.
    pub fn policy(&self) -> BufferPolicy {
        BufferPolicy::from_raw(self.get(OptionId::BufferPolicy)).unwrap_or(BufferPolicy::Switch)
    }

    /// Bytes of a string, its NUL included.
    pub fn string_size(&self) -> u32 {
        self.get(OptionId::StringSize).min(MAX_STRING) as u32
    }

    /// The one CPU that is traced, if not all are.
    pub fn only_cpu(&self) -> Option<usize> {
        u32::try_from(self.get(OptionId::Cpu))
            .ok()
            .map(|cpu| cpu as usize)
    }

    /// Bytes of an option, as a memory size.
    pub(crate) fn bytes(&self, option: OptionId) -> usize {
        self.get(option).min(MAX_BUFFER) as usize
    }
}
