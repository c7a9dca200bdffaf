// SPDX-License-Identifier: GPL-2.0
//! Subroutines that DIF can call.

numbered! {
    /// `DIF_SUBR_*`: arguments are pushed as a tuple before `call`.
    pub enum Subroutine: u16 {
        Rand = 0, "rand";
        MutexOwned = 1, "mutex_owned";
        MutexOwner = 2, "mutex_owner";
        MutexTypeAdaptive = 3, "mutex_type_adaptive";
        MutexTypeSpin = 4, "mutex_type_spin";
        RwReadHeld = 5, "rw_read_held";
        RwWriteHeld = 6, "rw_write_held";
        RwIsWriter = 7, "rw_iswriter";
        Copyin = 8, "copyin";
        Copyinstr = 9, "copyinstr";
        Speculation = 10, "speculation";
        Progenyof = 11, "progenyof";
        Strlen = 12, "strlen";
        /// Destructive.
        Copyout = 13, "copyout";
        /// Destructive.
        Copyoutstr = 14, "copyoutstr";
        Alloca = 15, "alloca";
        Bcopy = 16, "bcopy";
        Copyinto = 17, "copyinto";
        Msgdsize = 18, "msgdsize";
        Msgsize = 19, "msgsize";
        Getmajor = 20, "getmajor";
        Getminor = 21, "getminor";
        DdiPathname = 22, "ddi_pathname";
        Strjoin = 23, "strjoin";
        Lltostr = 24, "lltostr";
        Basename = 25, "basename";
        Dirname = 26, "dirname";
        Cleanpath = 27, "cleanpath";
        Strchr = 28, "strchr";
        Strrchr = 29, "strrchr";
        Strstr = 30, "strstr";
        Strtok = 31, "strtok";
        Substr = 32, "substr";
        Index = 33, "index";
        Rindex = 34, "rindex";
        Htons = 35, "htons";
        Htonl = 36, "htonl";
        Htonll = 37, "htonll";
        Ntohs = 38, "ntohs";
        Ntohl = 39, "ntohl";
        Ntohll = 40, "ntohll";
        InetNtop = 41, "inet_ntop";
        InetNtoa = 42, "inet_ntoa";
        InetNtoa6 = 43, "inet_ntoa6";
        DPath = 44, "d_path";
        LinkNtop = 45, "link_ntop";
    }
}
