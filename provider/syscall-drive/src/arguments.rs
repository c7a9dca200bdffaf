// SPDX-License-Identifier: GPL-2.0
//! How a call is made so that it does no harm.

use crate::table::{Abi, Call};

/// How a call is made, and what becomes of who makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It comes back.
    Plain,
    /// It ends its process: there is no return.
    Ends,
    /// It comes back twice: once with 0, in a new process.
    Twice,
    /// It waits for a signal, and gets one that kills: it returns so many, which nobody sees.
    Waits(i64),
    /// It may kill its process for what is wrong with it; it returns so many then. The stack pointer is bad.
    Kills(i64),
}

/// Six arguments that no call can do anything with, each as descriptor, address, size, process, signal,
/// flags: negative as 32 bits, and no address of a process; each another, so that one in another's place
/// shows.
const BAD: u64 = 0x8bad_f001;

/// The bad arguments of an ABI: 32 bits, or with their sign.
fn bad(abi: Abi) -> [u64; 6] {
    std::array::from_fn(|place| {
        let low = BAD + place as u64;
        match abi {
            Abi::Ia32 => low,
            Abi::Vmlinux | Abi::X32 => low | 0xffff_ffff_0000_0000,
        }
    })
}

/// `-ERESTARTNOHAND`: what pause is left with (include/linux/errno.h).
const RESTART: i64 = -514;

/// SIGCHLD.
const CHILD: u64 = 17;

/// Bytes of `struct clone_args`, in its first version.
pub const CLONE_ARGS: usize = 64;

/// How to make a call; `clone_args` is an address below 4 GiB with [`CLONE_ARGS`] bytes that ask for a
/// process.
pub fn of(call: &Call, clone_args: u64) -> (Manner, [u64; 6]) {
    let mut args = bad(call.abi);
    let manner = match call.name {
        "exit" | "exit_group" => Manner::Ends,
        "fork" | "vfork" => Manner::Twice,
        "clone" => {
            args = [CHILD, 0, 0, 0, 0, 0];
            Manner::Twice
        }
        "clone3" => {
            args[..2].copy_from_slice(&[clone_args, CLONE_ARGS as u64]);
            Manner::Twice
        }
        "pause" | "sigsuspend" => Manner::Waits(RESTART),
        "rt_sigreturn" | "sigreturn" => Manner::Kills(0),
        "uretprobe" | "uprobe" => Manner::Kills(-1),
        // A size that no memory is looked for.
        "init_module" => {
            args[1] = 1;
            Manner::Plain
        }
        _ => Manner::Plain,
    };
    (manner, args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::calls;

    #[test]
    fn bad_arguments_are_bad_as_anything() {
        for abi in Abi::ALL {
            let args = bad(abi);
            for (place, arg) in args.into_iter().enumerate() {
                assert!((arg as i32) < 0, "a descriptor, a process");
                assert!(
                    abi == Abi::Ia32 || (arg as i64) < 0,
                    "an address of a process"
                );
                assert!(!args[..place].contains(&arg));
            }
        }
    }

    #[test]
    fn those_that_need_care_get_it() {
        let manner = |abi, name| {
            let all = calls().unwrap();
            let call = all
                .iter()
                .find(|call| (call.abi, call.name) == (abi, name))
                .unwrap();
            of(call, 0x1000)
        };
        assert_eq!(manner(Abi::Ia32, "clone3").1[..2], [0x1000, 64]);
        assert_eq!(manner(Abi::X32, "clone").1[0], 17);
        assert_eq!(manner(Abi::Vmlinux, "pause").0, Manner::Waits(-514));
        assert_eq!(manner(Abi::Ia32, "sigreturn").0, Manner::Kills(0));
        assert_eq!(manner(Abi::Vmlinux, "reboot").0, Manner::Plain);
    }
}
