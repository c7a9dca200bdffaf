// SPDX-License-Identifier: GPL-2.0
//! The page of stubs for kernels whose user space has page tables of its own (KPTI).
//!
//! Exceptions from user space begin on those page tables, which map the cpu_entry_area and none of a
//! module. So stubs go into a page there, and their counters into pages behind it:
//!
//! ```text
//! page 0     a quad: where page 1 is; then a stub of 64 bytes for each vector, code only
//! page 1..   counters: 256 bytes for each number of 12 bits, whether there is such a CPU or not
//! ```
//!
//! From there no direct jump reaches the kernel's code, 2 TiB away, and an indirect one would be predicted
//! by what user space trained. So a stub ends in a *return trampoline*: its `call` leaves a return address for
//! the processor to predict, which holds speculation, and then changes it in memory. That the target stands in the
//! page as a constant tells user space nothing new: the table itself is mapped there, and holds the same. Pages of
//! counters have no address in them.

/// Bytes of a stub.
pub const STUB: usize = 64;
/// Vectors that have a place.
pub const STUBS: usize = 32;
/// Where the first stub is; before it is the quad with the address of the counters.
pub const FIRST: usize = 64;
/// Bytes of the page.
pub const PAGE: usize = 4096;
/// Bytes of counters for a CPU.
pub const COUNTERS: usize = STUBS * 8;

/// How many CPUs their number in the GDT can tell apart: VDSO_CPUNODE_BITS.
pub const CPUS: usize = 1 << 12;
/// Bytes of all counters: what a stub makes of any number lies within.
pub const AREA: usize = CPUS * COUNTERS;

const _: () = assert!(FIRST + STUBS * STUB <= PAGE);
// A stub shifts by 8, and one table of pages maps all of it.
const _: () = assert!(COUNTERS == 1 << 8 && AREA % PAGE == 0 && AREA / PAGE < 512);

/// Where in the page the stub of a vector is.
pub fn place(vector: u8) -> Option<usize> {
    let vector = usize::from(vector);
    (vector < STUBS).then_some(FIRST + vector * STUB)
}

/// Makes it a page that is at `address`, without stubs.
pub fn clear(page: &mut [u8; PAGE], address: u64) {
    // int3: nothing there is to be run.
    page.fill(0xcc);
    let counters = address.wrapping_add(PAGE as u64).to_le_bytes();
    for (to, from) in page.iter_mut().zip(counters) {
        *to = from;
    }
}

/// Puts the stub of `vector` there. `cpu_selector` is the segment whose limit has the CPU's number in its lower
/// 12 bits. None: no such place, or the target's address is not 32 bits with a sign.
#[must_use]
pub fn put(page: &mut [u8; PAGE], vector: u8, cpu_selector: u8, target: u64) -> Option<()> {
    let place = place(vector)?;
    let target = i32::try_from(target as i64).ok()?;
    let stub = stub(place, vector, cpu_selector, target);
    for (to, from) in page.get_mut(place..)?.iter_mut().zip(stub) {
        *to = from;
    }
    Some(())
}

/// A stub that stands at `place` in its page.
fn stub(place: usize, vector: u8, cpu_selector: u8, target: i32) -> [u8; STUB] {
    let mut code = Code {
        bytes: [0xcc; STUB],
        at: 0,
    };
    code.add(&[0xf3, 0x0f, 0x1e, 0xfa]); // endbr64
    code.add(&[0x50]); // push %rax
    code.add(&[0xb8, cpu_selector, 0, 0, 0]); // mov $cpu_selector, %eax
    code.add(&[0x0f, 0x03, 0xc0]); // lsl %eax, %eax
    code.add(&[0x25, 0xff, 0x0f, 0, 0]); // and $0xfff, %eax
    code.add(&[0xc1, 0xe0, 0x08]); // shl $8, %eax
    code.add(&[0x48, 0x03, 0x05]); // add counters(%rip), %rax
    let behind = place + code.at + 4;
    code.add(&(behind as i32).wrapping_neg().to_le_bytes());
    code.add(&[0x48, 0xff, 0x80]); // incq 8 * vector(%rax)
    code.add(&(i32::from(vector) * 8).to_le_bytes());
    code.add(&[0x58]); // pop %rax
    code.add(&[0xe8, 0x07, 0, 0, 0]); // call 1f
    code.add(&[0xf3, 0x90]); // 2: pause
    code.add(&[0x0f, 0xae, 0xe8]); // lfence
    code.add(&[0xeb, 0xf9]); // jmp 2b
    code.add(&[0x48, 0xc7, 0x04, 0x24]); // 1: movq $target, (%rsp)
    code.add(&target.to_le_bytes());
    code.add(&[0xc3]); // ret
    code.bytes
}

struct Code {
    bytes: [u8; STUB],
    at: usize,
}

impl Code {
    fn add(&mut self, bytes: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.at).zip(bytes) {
            *to = *from;
        }
        self.at += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(address: u64) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        clear(&mut page, address);
        page
    }

    /// What GNU as makes of the same instructions, for vector 14 at its place, with the counter's
    /// displacement as 32 bits.
    const PAGE_FAULT: [u8; 57] = [
        0xf3, 0x0f, 0x1e, 0xfa, 0x50, 0xb8, 0x7b, 0, 0, 0, 0x0f, 0x03, 0xc0, 0x25, 0xff, 0x0f, 0,
        0, 0xc1, 0xe0, 0x08, 0x48, 0x03, 0x05, 0x24, 0xfc, 0xff, 0xff, 0x48, 0xff, 0x80, 0x70, 0,
        0, 0, 0x58, 0xe8, 0x07, 0, 0, 0, 0xf3, 0x90, 0x0f, 0xae, 0xe8, 0xeb, 0xf9, 0x48, 0xc7,
        0x04, 0x24, 0x10, 0x0b, 0x00, 0x82, 0xc3,
    ];

    #[test]
    fn the_stub_is_what_an_assembler_makes() {
        let mut page = page(0xffff_fe7f_c000_0000);
        put(&mut page, 14, 0x7b, 0xffff_ffff_8200_0b10).unwrap();
        let place = place(14).unwrap();
        assert_eq!(page[place..place + PAGE_FAULT.len()], PAGE_FAULT);
        // Up to the next stub, and in the places of others, nothing can be run.
        assert!(page[place + PAGE_FAULT.len()..]
            .iter()
            .all(|byte| *byte == 0xcc));
        assert!(page[8..place].iter().all(|byte| *byte == 0xcc));
    }

    #[test]
    fn it_counts_where_the_page_says() {
        let page = page(0xffff_fe7f_c000_0000);
        assert_eq!(page[..8], 0xffff_fe7f_c000_1000_u64.to_le_bytes());
        // The displacement leads from behind the instruction to the page's begin.
        let place = place(14).unwrap() as i32;
        let displacement = i32::from_le_bytes(PAGE_FAULT[24..28].try_into().unwrap());
        assert_eq!(place + 28 + displacement, 0);
    }

    #[test]
    fn no_number_leads_beyond_the_counters() {
        // `lsl` leaves the register as it is where the segment has no limit to tell: 0x7b.
        for number in (0..0x2_0000).chain([0x7b, u32::MAX, 0xffff_f000]) {
            let at = ((number & 0xfff) << 8) as usize;
            assert!(at + (STUBS - 1) * 8 + 8 <= AREA);
        }
    }

    #[test]
    fn what_has_no_place_or_is_too_far_is_refused() {
        let mut page = page(0);
        assert_eq!(put(&mut page, 32, 0x7b, 0xffff_ffff_8200_0000), None);
        assert_eq!(put(&mut page, 14, 0x7b, 0xffff_ff7f_8200_0000), None);
        assert_eq!(put(&mut page, 14, 0x7b, 0x8200_0000), None);
    }
}
