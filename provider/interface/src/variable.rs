// SPDX-License-Identifier: GPL-2.0
//! Built-in variables of D.

numbered! {
    /// `DIF_VAR_*`: numbers below 0x100 are arrays, for `ldga`.
    pub enum BuiltIn: u16 {
        Args = 0, "args";
        Regs = 1, "regs";
        Uregs = 2, "uregs";
        Curthread = 0x100, "curthread";
        Timestamp = 0x101, "timestamp";
        Vtimestamp = 0x102, "vtimestamp";
        Ipl = 0x103, "ipl";
        Epid = 0x104, "epid";
        Id = 0x105, "id";
        Arg0 = 0x106, "arg0";
        Arg1 = 0x107, "arg1";
        Arg2 = 0x108, "arg2";
        Arg3 = 0x109, "arg3";
        Arg4 = 0x10a, "arg4";
        Arg5 = 0x10b, "arg5";
        Arg6 = 0x10c, "arg6";
        Arg7 = 0x10d, "arg7";
        Arg8 = 0x10e, "arg8";
        Arg9 = 0x10f, "arg9";
        Stackdepth = 0x110, "stackdepth";
        Caller = 0x111, "caller";
        Probeprov = 0x112, "probeprov";
        Probemod = 0x113, "probemod";
        Probefunc = 0x114, "probefunc";
        Probename = 0x115, "probename";
        Pid = 0x116, "pid";
        Tid = 0x117, "tid";
        Execname = 0x118, "execname";
        Zonename = 0x119, "zonename";
        Walltimestamp = 0x11a, "walltimestamp";
        Ustackdepth = 0x11b, "ustackdepth";
        Ucaller = 0x11c, "ucaller";
        Ppid = 0x11d, "ppid";
        Uid = 0x11e, "uid";
        Gid = 0x11f, "gid";
        Errno = 0x120, "errno";
        /// D's `curcpu`: address of a [`CpuInfo`], for as long as the firing lasts.
        Curcpu = 0x121, "curcpu";
    }
}

plain! {
    /// What `curcpu` points to: D's `cpuinfo_t`. `cpu` is `curcpu->cpu_id`.
    pub struct CpuInfo: 24 {
        /// Number of the CPU.
        0 cpu_id: u32,
        /// Processor set; 0.
        4 cpu_pset: u32,
        /// Chip.
        8 cpu_chip: u32,
        /// Locality group: the NUMA node.
        12 cpu_lgrp: u32,
        /// 0
        16 cpu_info: u64,
    }
}

impl BuiltIn {
    /// Whether it is an array, indexed by `ldga`.
    pub const fn is_array(self) -> bool {
        self.raw() < 0x100
    }

    /// Whether it is a string.
    pub const fn is_string(self) -> bool {
        matches!(
            self,
            Self::Probeprov
                | Self::Probemod
                | Self::Probefunc
                | Self::Probename
                | Self::Execname
                | Self::Zonename
        )
    }
}
