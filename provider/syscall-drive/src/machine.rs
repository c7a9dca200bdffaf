// SPDX-License-Identifier: GPL-2.0
//! System calls by hand, in each ABI, with all six arguments; and small programs of other ABIs.

use crate::table::Abi;
use std::arch::global_asm;

// drive_syscall(number, args, stack, flags), and drive_int80 with the same arguments. `args` are six words;
// `stack`, if not 0, is the stack pointer that the kernel sees. Flag 1: who comes out of the call with 0
// ends at once, touching no memory (the child of a vfork shares ours).
// r12 to r15 are kept by the kernel in either way of calling.
global_asm!(
    r#"
    .macro drive_begin
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        mov r15, rsp
        mov r12, rcx
        mov r13, rdx
        mov r14, rsi
        mov rax, rdi
    .endm
    .macro drive_end
        test r12, 1
        jz 3f
        test rax, rax
        jnz 3f
        mov eax, 231
        xor edi, edi
        xor esi, esi
        xor edx, edx
        xor r10d, r10d
        xor r8d, r8d
        xor r9d, r9d
        syscall
    3:
        mov rsp, r15
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret
    .endm
    .macro drive_one_to_six
        mov edi, 1
        mov esi, 2
        mov edx, 3
        mov r10d, 4
        mov r8d, 5
        mov r9d, 6
    .endm
    .macro drive_program bit
        drive_one_to_six
        mov eax, \bit + 110
        syscall
        mov edi, 7
        mov eax, \bit + 231
        syscall
    .endm

    .globl drive_syscall
    drive_syscall:
        drive_begin
        mov rdi, [r14]
        mov rsi, [r14 + 8]
        mov rdx, [r14 + 16]
        mov r10, [r14 + 24]
        mov r8, [r14 + 32]
        mov r9, [r14 + 40]
        test r13, r13
        jz 2f
        mov rsp, r13
    2:
        syscall
        drive_end

    .globl drive_int80
    drive_int80:
        drive_begin
        mov ebx, [r14]
        mov ecx, [r14 + 8]
        mov edx, [r14 + 16]
        mov esi, [r14 + 24]
        mov edi, [r14 + 32]
        mov ebp, [r14 + 40]
        test r13, r13
        jz 2f
        mov rsp, r13
    2:
        int 0x80
        drive_end

    // rax holds a mark when a breakpoint's handler is run; rt_sigreturn puts it back.
    .globl drive_breakpoint
    drive_breakpoint:
        mov eax, 0x1234
        int3
        ret
    .globl drive_handler
    drive_handler:
        ret
    .globl drive_restorer
    drive_restorer:
        drive_one_to_six
        mov eax, 15
        syscall

    .pushsection .rodata
    // 64-bit code: getppid, exit_group(7).
    .globl program64
    program64:
        drive_program 0
    .globl program64_end
    program64_end:

    // x32: the same, with the bit that makes it x32.
    .globl program_x32
    program_x32:
        drive_program 0x40000000
    .globl program_x32_end
    program_x32_end:

    // 32-bit code: getppid by int $0x80; getppid as the kernel's own page does it (sysenter or syscall);
    // then it becomes the 64-bit program.
    .code32
    .globl program32
    program32:
        mov esi, esp
        mov eax, [esi]
        lea esi, [esi + eax * 4 + 8]
    7:
        mov eax, [esi]
        add esi, 4
        test eax, eax
        jnz 7b
    2:
        mov eax, [esi]
        mov ecx, [esi + 4]
        add esi, 8
        cmp eax, 32
        je 3f
        test eax, eax
        jnz 2b
    3:
        push ecx
        mov ebx, 1
        mov ecx, 2
        mov edx, 3
        mov esi, 4
        mov edi, 5
        mov ebp, 6
        mov eax, 64
        int 0x80
        mov eax, 64
        call dword ptr [esp]
        call 4f
    .globl program32_path
    program32_path:
        .asciz "/tmp/program64"
    4:
        pop ebx
        xor ecx, ecx
        xor edx, edx
        mov eax, 11
        int 0x80
        mov ebx, 99
        mov eax, 1
        int 0x80
    .globl program32_end
    program32_end:
    .code64
    .popsection
"#
);

extern "C" {
    fn drive_syscall(number: u64, args: *const u64, stack: u64, flags: u64) -> i64;
    fn drive_int80(number: u64, args: *const u64, stack: u64, flags: u64) -> i64;
    fn drive_breakpoint();
    fn drive_handler();
    fn drive_restorer();
    static program64: u8;
    static program64_end: u8;
    static program_x32: u8;
    static program_x32_end: u8;
    static program32: u8;
    static program32_path: u8;
    static program32_end: u8;
}

/// The bit of x32 (`__X32_SYSCALL_BIT`).
const X32_BIT: u64 = 0x4000_0000;

/// What `rax` holds at the breakpoint.
pub const MARK: i64 = 0x1234;

/// How a call is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// The stack pointer that the kernel sees; 0: the real one.
    pub stack: u64,
    /// Who comes out of it with 0 ends at once.
    pub child_ends: bool,
}

/// Makes a call; what the kernel answers.
///
/// # Safety
/// That of the call. With another stack pointer, no signal may be handled meanwhile.
pub unsafe fn call(abi: Abi, number: u64, args: &[u64; 6], how: How) -> i64 {
    let flags = u64::from(how.child_ends);
    // SAFETY: six words; the routines keep what the C ABI wants kept; the rest is the caller's promise.
    unsafe {
        match abi {
            Abi::Vmlinux => drive_syscall(number, args.as_ptr(), how.stack, flags),
            Abi::X32 => drive_syscall(number | X32_BIT, args.as_ptr(), how.stack, flags),
            Abi::Ia32 => drive_int80(number, args.as_ptr(), how.stack, flags),
        }
    }
}

/// A native call with the arguments given, the others 0.
///
/// # Safety
/// That of the call.
pub unsafe fn native(number: u64, given: &[u64]) -> i64 {
    let mut args = [0; 6];
    for (arg, given) in args.iter_mut().zip(given) {
        *arg = *given;
    }
    // SAFETY: the caller's promise.
    unsafe { call(Abi::Vmlinux, number, &args, How::default()) }
}

/// A breakpoint, whose signal is handled.
pub fn breakpoint() {
    // SAFETY: changes rax only; the handler is [`handler`].
    unsafe { drive_breakpoint() }
}

/// A handler of signals that does nothing, and what it returns to.
pub fn handler() -> [u64; 2] {
    let (handler, restorer): (unsafe extern "C" fn(), unsafe extern "C" fn()) =
        (drive_handler, drive_restorer);
    [handler as usize as u64, restorer as usize as u64]
}

/// A small program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Small {
    /// 64-bit: getppid, exit_group(7).
    Native,
    /// The same in x32.
    X32,
    /// 32-bit: getppid in two ways, then it becomes the first.
    Ia32,
}

/// Where small programs are loaded.
const LOADED: u64 = 0x0804_8000;

impl Small {
    fn code(self) -> &'static [u8] {
        let (from, to) = match self {
            Self::Native => (&raw const program64, &raw const program64_end),
            Self::X32 => (&raw const program_x32, &raw const program_x32_end),
            Self::Ia32 => (&raw const program32, &raw const program32_end),
        };
        // SAFETY: the bytes between two labels of one section, which never change.
        unsafe { std::slice::from_raw_parts(from, to.offset_from(from).unsigned_abs()) }
    }

    /// It as a program file: one segment with the headers and the code.
    pub fn file(self) -> Vec<u8> {
        let wide = self == Self::Native;
        let (header, program) = if wide { (64_u64, 56_u64) } else { (52, 32) };
        let start = header + program;
        let size = start + self.code().len() as u64;
        let mut file = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1, 1];
        file.resize(16, 0);
        let word = |file: &mut Vec<u8>, value: u64| match wide {
            true => file.extend(value.to_le_bytes()),
            false => file.extend((value as u32).to_le_bytes()),
        };
        // ET_EXEC; EM_386 or EM_X86_64.
        let machine: u16 = if self == Self::Ia32 { 3 } else { 62 };
        file.extend(2_u16.to_le_bytes());
        file.extend(machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        word(&mut file, LOADED + start);
        word(&mut file, header);
        word(&mut file, 0);
        file.extend(0_u32.to_le_bytes());
        for half in [header as u16, program as u16, 1, 0, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        // PT_LOAD, readable and executable.
        file.extend(1_u32.to_le_bytes());
        if wide {
            file.extend(5_u32.to_le_bytes());
        }
        for value in [0, LOADED, LOADED, size, size] {
            word(&mut file, value);
        }
        if !wide {
            file.extend(5_u32.to_le_bytes());
        }
        word(&mut file, 0x1000);
        file.extend(self.code());
        file
    }

    /// Where the 32-bit one has the path of the program that it becomes.
    pub fn path_in_ia32() -> u64 {
        // SAFETY: two labels of one section.
        let offset = unsafe { (&raw const program32_path).offset_from(&raw const program32) };
        LOADED + 52 + 32 + offset.unsigned_abs() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_reach_the_kernel() {
        let ppid = i64::from(std::os::unix::process::parent_id());
        // SAFETY: it touches nothing.
        assert_eq!(unsafe { native(110, &[]) }, ppid);
    }

    #[test]
    fn the_small_programs_are_programs() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("drive-syscalls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("program64");
        std::fs::write(&path, Small::Native.file()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let status = std::process::Command::new(&path).status().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(status.code(), Some(7));
        for small in [Small::X32, Small::Ia32] {
            let file = small.file();
            assert_eq!(file.len(), 52 + 32 + small.code().len());
        }
        let at = (Small::path_in_ia32() - LOADED) as usize;
        assert!(Small::Ia32.file()[at..].starts_with(b"/tmp/program64\0"));
    }
}
