// SPDX-License-Identifier: GPL-2.0
//! The module's device node. All that is `unsafe` in the command is here: ioctls.

use super::{Aggregation, Buffer, Device, EnabledProbe, Probe, Snapshot};
use crate::name::ProbeName;
use dtrace_interface::accounting::Accounting;
use dtrace_interface::buffer::BufferDescription;
use dtrace_interface::conf::Configuration;
use dtrace_interface::options::{OptionId, UNSET};
use dtrace_interface::probe::ProbeDescription;
use dtrace_interface::record::{
    AggregationDescription, EnabledProbeDescription, FormatDescription, RecordDescription,
};
use dtrace_interface::refusal::Refusal;
use dtrace_interface::status::Status;
use dtrace_interface::{dof, ioctl, plain, Plain, DEVICE};
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Parts of a record that are asked for at first; a record with more is asked for again.
const PARTS: u32 = 16;

/// Parts of a record that are believed.
const MOST_PARTS: u32 = 1024;

/// Bytes of a format, its NUL included: DOF has no longer ones (`dof::limits`).
const FORMAT_ROOM: usize = 4096;

/// Bytes of all options as DOF, and some more.
const OPTIONS_ROOM: usize = 4096;

/// The open device node.
#[derive(Debug)]
pub struct Node {
    file: File,
    /// Bytes that a snapshot of each buffer may have, once a snapshot has shown that tracing began.
    sizes: Cell<Option<[u64; 2]>>,
}

impl Node {
    /// Opens it.
    ///
    /// # Errors
    /// ENOENT: no module; EACCES or EPERM: not allowed; EBUSY: another consumer keeps others out.
    pub fn open() -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(DEVICE)?;
        let sizes = Cell::new(None);
        Ok(Self { file, sizes })
    }

    /// An ioctl that reads and writes a value of the ABI.
    fn ask<T: Plain>(&self, number: u32, value: &mut T) -> io::Result<u32> {
        let mut bytes = vec![0; T::SIZE];
        let written = value.to_bytes(&mut bytes);
        written.ok_or(io::ErrorKind::InvalidInput)?;
        let answer = self.ask_bytes(number, &mut bytes)?;
        *value = T::from_bytes(&bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(answer)
    }

    /// An ioctl that reads and writes the bytes of a structure, which must be as long as the ABI says
    /// for its number and content.
    fn ask_bytes(&self, number: u32, bytes: &mut [u8]) -> io::Result<u32> {
        // The kernel reads integers: aligned for them.
        let mut words = vec![0_u64; bytes.len().div_ceil(8)];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
            let mut all = [0; 8];
            all[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(all);
        }
        // SAFETY: the descriptor is open; the number is of a structure of so many bytes, to which the
        // kernel writes integers, and `words` has at least that many. Of the structures used here only
        // a buffer's and a format's description name further memory: `snapshot` and `format` argue for it.
        let answer = unsafe { libc::ioctl(self.file.as_raw_fd(), number as _, words.as_mut_ptr()) };
        for (chunk, word) in bytes.chunks_mut(8).zip(&words) {
            chunk.copy_from_slice(&word.to_ne_bytes()[..chunk.len()]);
        }
        u32::try_from(answer).map_err(|_| io::Error::last_os_error())
    }

    /// GO or STOP: answers a CPU.
    fn switch(&self, number: u32) -> io::Result<u32> {
        let mut cpu = 0_i32;
        self.ask(number, &mut cpu)?;
        u32::try_from(cpu).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Bytes of a principal and of an aggregation buffer, which stay as they are once tracing began.
    fn sizes(&self) -> io::Result<[u64; 2]> {
        if let Some(sizes) = self.sizes.get() {
            return Ok(sizes);
        }
        let options = self.options()?;
        let size = |wanted| {
            let found = options.iter().find(|(option, _)| *option == wanted);
            // The kernel rounds up to words. Unknown: no room is enough.
            let size = found.and_then(|(_, size)| size.checked_next_multiple_of(8));
            size.unwrap_or(u64::MAX)
        };
        let sizes = [size(OptionId::BufferSize), size(OptionId::AggregationSize)];
        self.sizes.set(Some(sizes));
        Ok(sizes)
    }

    /// A head, then as many descriptions as it says; `records` gives access to that number.
    fn described<T: Plain>(
        &self,
        number: u32,
        mut head: T,
        records: fn(&mut T) -> &mut u32,
    ) -> io::Result<(T, Vec<RecordDescription>)> {
        let mut room = PARTS;
        loop {
            *records(&mut head) = room;
            let mut bytes = vec![0; T::SIZE + room as usize * RecordDescription::SIZE];
            head.to_bytes(&mut bytes)
                .ok_or(io::ErrorKind::InvalidInput)?;
            self.ask_bytes(number, &mut bytes)?;
            let mut said = T::from_bytes(&bytes).ok_or(io::ErrorKind::InvalidData)?;
            let count = *records(&mut said);
            if count > room && count <= MOST_PARTS {
                room = count;
                continue;
            }
            if count > room {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let chunks = bytes[T::SIZE..].chunks_exact(RecordDescription::SIZE);
            let all = chunks.take(count as usize);
            return Ok((
                said,
                all.filter_map(RecordDescription::from_bytes).collect(),
            ));
        }
    }
}

/// ESRCH and the like as an answer: there is none.
fn none_if<T>(errno: i32, result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.raw_os_error() == Some(errno) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Device for Node {
    fn configuration(&self) -> io::Result<Configuration> {
        let mut conf = Configuration::ZERO;
        self.ask(ioctl::CONF, &mut conf)?;
        Ok(conf)
    }

    fn probe(&self, from: u32, name: &ProbeName) -> io::Result<Option<Probe>> {
        let mut probe = describe(from, name).ok_or(io::ErrorKind::InvalidInput)?;
        let asked = self.ask(ioctl::PROBEMATCH, &mut probe);
        let found = none_if(libc::ESRCH, asked)?;
        Ok(found.map(|_| Probe {
            id: probe.id,
            name: ProbeName {
                provider: text(&probe.provider),
                module: text(&probe.module),
                function: text(&probe.function),
                name: text(&probe.name),
            },
        }))
    }

    fn enable(&self, dof: &[u8]) -> io::Result<u32> {
        let header = dof::Header::from_bytes(dof).ok_or(io::ErrorKind::InvalidInput)?;
        let length = dof.len() as u64;
        if header.load_size > length || header.file_size > length {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the descriptor is open; the kernel reads from this address as many bytes as the
        // header says, which the slice has, and writes nothing.
        let answer =
            unsafe { libc::ioctl(self.file.as_raw_fd(), ioctl::ENABLE as _, dof.as_ptr()) };
        u32::try_from(answer).map_err(|_| io::Error::last_os_error())
    }

    fn refusal(&self) -> io::Result<Option<String>> {
        let mut refusal = Refusal {
            size: Refusal::SIZE as u32,
            ..Refusal::ZERO
        };
        self.ask(ioctl::REFUSAL, &mut refusal)?;
        let said = refusal.text.get(..refusal.length as usize);
        let said = plain::until_nul(said.unwrap_or(&refusal.text));
        Ok((!said.is_empty()).then(|| String::from_utf8_lossy(said).into_owned()))
    }

    fn go(&self) -> io::Result<u32> {
        self.switch(ioctl::GO)
    }

    fn stop(&self) -> io::Result<u32> {
        self.switch(ioctl::STOP)
    }

    fn status(&self) -> io::Result<Status> {
        let mut status = Status::ZERO;
        self.ask(ioctl::STATUS, &mut status)?;
        Ok(status)
    }

    fn enabled(&self, epid: u32) -> io::Result<EnabledProbe> {
        let head = EnabledProbeDescription {
            epid,
            ..EnabledProbeDescription::ZERO
        };
        let (said, records) = self.described(ioctl::EPROBE, head, |head| &mut head.records)?;
        Ok(EnabledProbe {
            epid: said.epid,
            probe: said.probe,
            user_argument: said.user_argument,
            size: said.size,
            records,
        })
    }

    fn aggregation(&self, id: u32) -> io::Result<Aggregation> {
        let head = AggregationDescription {
            id,
            ..AggregationDescription::ZERO
        };
        let (said, records) = self.described(ioctl::AGGDESC, head, |head| &mut head.records)?;
        Ok(Aggregation {
            id: said.id,
            epid: said.epid,
            size: said.size,
            records,
        })
    }

    fn format(&self, number: u16) -> io::Result<String> {
        let mut room = vec![0_u8; FORMAT_ROOM];
        let mut said = FormatDescription {
            string: room.as_mut_ptr() as u64,
            length: FORMAT_ROOM as u32,
            format: number,
            ..FormatDescription::ZERO
        };
        // The kernel writes there as much as `length` says at most: `ask_bytes` argues for the rest.
        self.ask(ioctl::FORMAT, &mut said)?;
        // Longer than there was room for: it would not have passed ENABLE.
        if said.length as usize > FORMAT_ROOM {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(text(&room))
    }

    fn options(&self) -> io::Result<Vec<(OptionId, u64)>> {
        let mut bytes = vec![0; OPTIONS_ROOM];
        let header = dof::Header {
            load_size: OPTIONS_ROOM as u64,
            ..dof::Header::ZERO
        };
        header
            .to_bytes(&mut bytes)
            .ok_or(io::ErrorKind::InvalidInput)?;
        self.ask_bytes(ioctl::DOFGET, &mut bytes)?;
        Ok(options_of(&bytes))
    }

    fn snapshot(&self, buffer: Buffer, cpu: u32, room: &mut [u8]) -> io::Result<Option<Snapshot>> {
        let sizes @ [principal, aggregation] = self.sizes()?;
        let (number, size) = match buffer {
            Buffer::Principal => (ioctl::BUFSNAP, principal),
            Buffer::Aggregation => (ioctl::AGGSNAP, aggregation),
        };
        // The kernel writes as much as a buffer has: never more than there is room for.
        if (room.len() as u64) < size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut said = BufferDescription {
            size: room.len() as u64,
            cpu,
            data: room.as_mut_ptr() as u64,
            ..BufferDescription::ZERO
        };
        let asked = self.ask(number, &mut said);
        if asked.is_ok() {
            // So tracing has begun, and options stay as they are.
            self.sizes.set(Some(sizes));
        }
        Ok(none_if(libc::ENOENT, asked)?.map(|_| Snapshot {
            size: said.size,
            oldest: said.oldest,
            drops: said.drops,
            errors: said.errors,
        }))
    }

    fn accounting(&self, cpu: u32, epid: u32) -> io::Result<Accounting> {
        let mut accounting = Accounting {
            size: Accounting::SIZE as u32,
            cpu,
            epid,
            ..Accounting::ZERO
        };
        self.ask(ioctl::ACCOUNTING, &mut accounting)?;
        Ok(accounting)
    }
}

/// The kernel's description of a name; None: a part is too long.
fn describe(id: u32, name: &ProbeName) -> Option<ProbeDescription> {
    Some(ProbeDescription {
        id,
        provider: plain::field(name.provider.as_bytes())?,
        module: plain::field(name.module.as_bytes())?,
        function: plain::field(name.function.as_bytes())?,
        name: plain::field(name.name.as_bytes())?,
    })
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(plain::until_nul(field)).into_owned()
}

/// The options that DOF sets. What does not hold together is left out.
fn options_of(bytes: &[u8]) -> Vec<(OptionId, u64)> {
    let mut found = Vec::new();
    let Some(header) = dof::Header::from_bytes(bytes) else {
        return found;
    };
    let at = |from: u64, size: u64| -> Option<&[u8]> {
        let from = usize::try_from(from).ok()?;
        let to = from.checked_add(usize::try_from(size).ok()?)?;
        bytes.get(from..to)
    };
    let sections = u64::from(header.sections) * dof::Section::SIZE as u64;
    let sections = at(header.section_offset, sections).unwrap_or_default();
    for section in sections.chunks_exact(dof::Section::SIZE) {
        let Some(section) = dof::Section::from_bytes(section) else {
            continue;
        };
        if section.kind != dof::SectionKind::OptionDescription.raw() {
            continue;
        }
        let options = at(section.offset, section.size).unwrap_or_default();
        for option in options.chunks_exact(dof::OptionDescription::SIZE) {
            let Some(option) = dof::OptionDescription::from_bytes(option) else {
                continue;
            };
            match OptionId::from_raw(option.option) {
                Some(id) if option.value != UNSET => found.push((id, option.value)),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_dof() {
        let mut bytes = vec![0; 256];
        let header = dof::Header {
            sections: 1,
            section_offset: 64,
            ..dof::Header::ZERO
        };
        header.to_bytes(&mut bytes).unwrap();
        let section = dof::Section {
            kind: dof::SectionKind::OptionDescription.raw(),
            offset: 96,
            size: 32,
            ..dof::Section::ZERO
        };
        section.to_bytes(&mut bytes[64..]).unwrap();
        let mut option = dof::OptionDescription {
            option: OptionId::BufferSize.raw(),
            value: 4096,
            ..dof::OptionDescription::ZERO
        };
        option.to_bytes(&mut bytes[96..]).unwrap();
        option.option = OptionId::Quiet.raw();
        option.value = UNSET;
        option.to_bytes(&mut bytes[112..]).unwrap();
        assert_eq!(options_of(&bytes), [(OptionId::BufferSize, 4096)]);
        for length in 0..bytes.len() {
            options_of(&bytes[..length]);
        }
        for wrong in [u64::MAX, 250, 1 << 40] {
            let damaged = dof::Section {
                offset: wrong,
                size: wrong,
                ..section
            };
            damaged.to_bytes(&mut bytes[64..]).unwrap();
            assert_eq!(options_of(&bytes), []);
        }
    }
}
