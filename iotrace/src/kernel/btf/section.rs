//! The sections of a BTF file and the records in them (include/uapi/linux/btf.h, Documentation/bpf/btf.rst).

use super::BtfError;
use std::ops::Range;

/// Kinds of types, `BTF_KIND_*`.
pub(super) mod kind {
    pub(in super::super) const INT: u32 = 1;
    pub(in super::super) const PTR: u32 = 2;
    pub(in super::super) const ARRAY: u32 = 3;
    pub(in super::super) const STRUCT: u32 = 4;
    pub(in super::super) const UNION: u32 = 5;
    pub(in super::super) const ENUM: u32 = 6;
    pub(in super::super) const FWD: u32 = 7;
    pub(in super::super) const TYPEDEF: u32 = 8;
    pub(in super::super) const VOLATILE: u32 = 9;
    pub(in super::super) const CONST: u32 = 10;
    pub(in super::super) const RESTRICT: u32 = 11;
    pub(in super::super) const FUNC: u32 = 12;
    pub(in super::super) const FUNC_PROTO: u32 = 13;
    pub(in super::super) const VAR: u32 = 14;
    pub(in super::super) const DATASEC: u32 = 15;
    pub(in super::super) const FLOAT: u32 = 16;
    pub(in super::super) const DECL_TAG: u32 = 17;
    pub(in super::super) const TYPE_TAG: u32 = 18;
    pub(in super::super) const ENUM64: u32 = 19;
    /// Kinds that seven bits can tell apart.
    pub(in super::super) const COUNT: usize = 128;
}

/// `struct btf_type`: name, info, size or type.
pub(super) const TYPE_SIZE: usize = 12;
const MAGIC: u16 = 0xeb9f;
/// `struct btf_header` until Linux 7.0; newer ones are longer.
const HEADER_SIZE: usize = 24;
/// `struct btf_layout`.
const LAYOUT_SIZE: usize = 4;

/// Where the sections are, in bytes of the file.
pub(super) struct Header {
    /// Types, one after the other; id 1 comes first.
    pub(super) types: Range<usize>,
    /// Names, each with a NUL at its end.
    pub(super) strings: Range<usize>,
    /// Sizes of the kinds that the kernel's own encoder knew; empty in most files.
    layout: Range<usize>,
}

impl Header {
    /// Little endian only: iotrace runs on the kernel whose types it reads.
    pub(super) fn parse(data: &[u8]) -> Result<Self, BtfError> {
        let malformed = |what: &str| BtfError::Malformed(what.to_owned());
        if data.len() < HEADER_SIZE {
            return Err(malformed("shorter than its header"));
        }
        if u16_at(data, 0) != MAGIC {
            return Err(malformed("it does not begin with the bytes 9f eb"));
        }
        let length = u32_at(data, 4) as usize;
        if length < HEADER_SIZE {
            return Err(malformed("the header says that it is shorter than a header"));
        }
        let section = |at: usize, name: &str| {
            let start = length.checked_add(u32_at(data, at) as usize);
            let end = start.and_then(|start| start.checked_add(u32_at(data, at + 4) as usize));
            match (start, end) {
                (Some(start), Some(end)) if end <= data.len() => Ok(start..end),
                _ => Err(malformed(&format!("the {name} section ends after the file"))),
            }
        };
        let layout = if length >= HEADER_SIZE + 8 { section(24, "layout")? } else { 0..0 };
        Ok(Self { types: section(8, "type")?, strings: section(16, "string")?, layout })
    }

    /// Bytes of the record at `at`, header included; `None` for an unknown kind.
    fn record_size(&self, data: &[u8], info: u32) -> Option<usize> {
        let vlen = vlen(info);
        let extra = match kind(info) {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => vlen.checked_mul(12)?,
            kind::ENUM | kind::FUNC_PROTO => vlen.checked_mul(8)?,
            // The length field of a function is its linkage.
            kind::PTR | kind::FWD | kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT => 0,
            kind::FUNC | kind::FLOAT | kind::TYPE_TAG => 0,
            unknown => {
                // Newer kernels say how long their kinds are, so that a reader can skip one it does not know.
                let layout = data.get(self.layout.clone())?;
                let sizes = layout.chunks_exact(LAYOUT_SIZE).nth(unknown as usize)?;
                usize::from(sizes[0]) + vlen.checked_mul(usize::from(sizes[1]))?
            }
        };
        Some(TYPE_SIZE + extra)
    }

    /// One pass over the types: where each record starts in the file, by id (0 is `void`), and how many each kind has.
    pub(super) fn scan(&self, data: &[u8]) -> Result<(Vec<u32>, Box<[u32; kind::COUNT]>), BtfError> {
        // A vmlinux has a type per 25 bytes.
        let mut starts = Vec::with_capacity(self.types.len() / 24 + 1);
        let mut counts = Box::new([0; kind::COUNT]);
        starts.push(0);
        let mut at = self.types.start;
        while at < self.types.end {
            let info = u32_at(data, at + 4);
            let malformed = |what: &str| BtfError::Malformed(format!("type {} {what}", starts.len()));
            let size =
                self.record_size(data, info).ok_or_else(|| malformed(&format!("has unknown kind {}", kind(info))))?;
            let start = u32::try_from(at).map_err(|_| malformed("is beyond 4 GiB"))?;
            if self.types.end - at < size {
                return Err(malformed("does not fit into the type section"));
            }
            starts.push(start);
            counts[kind(info) as usize] += 1;
            at += size;
        }
        Ok((starts, counts))
    }
}

/// `BTF_INFO_KIND`: seven bits since Linux 7.1, five before, and the other two were zero.
pub(super) fn kind(info: u32) -> u32 {
    info >> 24 & 0x7f
}

/// `BTF_INFO_VLEN`: 24 bits since Linux 7.1, 16 before, and the other eight were zero.
pub(super) fn vlen(info: u32) -> usize {
    (info & 0x00ff_ffff) as usize
}

/// `BTF_INFO_KFLAG`.
pub(super) fn flag(info: u32) -> bool {
    info >> 31 != 0
}

fn u16_at(data: &[u8], at: usize) -> u16 {
    data.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

/// 0 past the end: the scan has checked every record, so that readers need not.
pub(super) fn u32_at(data: &[u8], at: usize) -> u32 {
    data.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
