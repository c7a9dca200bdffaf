// SPDX-License-Identifier: GPL-2.0
//! The name under which rustc looks for its runtime: empty, since the kernel exports `memcpy` and
//! its kin, and nothing else may be needed.
#![allow(internal_features)]
#![feature(compiler_builtins, rustc_attrs)]
#![compiler_builtins]
#![no_builtins]
#![no_std]
