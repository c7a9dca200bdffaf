// SPDX-License-Identifier: GPL-2.0
//! What guests' programs share that treat dtrace.ko badly: `dtrace-ioctl-fuzz`, `dtrace-kill`, `dtrace-access`.

pub mod held;
pub mod memory;
pub mod programs;
pub mod random;
pub mod sys;
