// SPDX-License-Identifier: GPL-2.0
//! Which subroutines run here.

use dtrace_interface::subroutine::Subroutine;

/// Whether [`crate::Machine`] runs `subroutine`. Not: those that destroy, those that speculate, and
/// those about kernel structures that other systems have.
pub fn is_supported(subroutine: Subroutine) -> bool {
    use Subroutine::*;
    match subroutine {
        Rand | Copyin | Copyinstr | Progenyof | Strlen | Alloca | Bcopy | Copyinto | Strjoin
        | Lltostr | Basename | Dirname | Cleanpath | Strchr | Strrchr | Strstr | Strtok
        | Substr | Index | Rindex | Htons | Htonl | Htonll | Ntohs | Ntohl | Ntohll => true,
        MutexOwned | MutexOwner | MutexTypeAdaptive | MutexTypeSpin | RwReadHeld | RwWriteHeld
        | RwIsWriter | Speculation | Copyout | Copyoutstr | Msgdsize | Msgsize | Getmajor
        | Getminor | DdiPathname | InetNtop | InetNtoa | InetNtoa6 | DPath | LinkNtop => false,
    }
}
