//! Types of the running kernel, read from its BTF: member offsets, enumerations, functions and tracepoints.
//!
//! The kernel describes its own types in a compact file (format: include/uapi/linux/btf.h and
//! Documentation/bpf/btf.rst). This reader notes where each type's record starts and reads records as they are asked
//! for, so that opening a file of 5 MB with 130,000 types and looking up some eighty members takes a few milliseconds.
//!
//! Reading is total: any bytes give a value or an error. References between types may form cycles, so every walk has
//! a limit.

mod bytes;
mod enumeration;
mod error;
mod index;
mod member;
mod modules;
mod section;
mod signature;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod totality_tests;

pub use error::BtfError;
pub use modules::Modules;

use bytes::Bytes;
use index::NameIndex;
use section::{Header, TYPE_SIZE, flag, kind, u32_at, vlen};
use std::{io, ops::Range, path::Path, sync::OnceLock};

/// Where Linux has had its BTF since 5.4, and that of its modules since 5.11.
pub const SYS_FS: &str = "/sys/kernel/btf";
/// The file of the kernel itself.
const KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// How many typedefs, qualifiers, pointers or anonymous structures may stand one behind the other.
///
/// Linux needs about ten; a cycle would need infinitely many.
const DEPTH: usize = 32;

/// The types of one kernel, or of one of its modules.
///
/// Methods that look a name up are deterministic: where several types have it, the one with the lowest id counts,
/// among those that have what is asked for. Of a module, they look among its own types.
pub struct Btf<'a> {
    /// The kernel whose module this is: its types and names come before the module's.
    base: Option<&'a Btf<'a>>,
    data: Bytes,
    strings: Range<usize>,
    /// Position in `data` by type id, counted from [`Self::first_id`]; the first one has none: `void`, or the base's last.
    starts: Vec<u32>,
    /// Number of types by kind.
    counts: Box<[u32; kind::COUNT]>,
    /// Structures, unions, typedefs and enumerations by name. Apart from the functions, which are three times as many.
    types_by_name: OnceLock<NameIndex>,
    functions_by_name: OnceLock<NameIndex>,
}

impl<'a> Btf<'a> {
    /// The running kernel's types.
    ///
    /// # Errors
    ///
    /// [`BtfError::Missing`] where the kernel has none, [`BtfError::Read`], or those of [`Btf::parse`].
    pub fn from_sys_fs() -> Result<Self, BtfError> {
        let data = Bytes::of_file(Path::new(KERNEL)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BtfError::Missing,
            _ => BtfError::Read(error),
        })?;
        Self::after(None, data)
    }

    /// Types from the bytes of a little-endian BTF file that stands on its own (not a module's).
    ///
    /// # Errors
    ///
    /// [`BtfError::Malformed`] unless each record is complete and of a kind whose length is known.
    pub fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        Self::after(None, data.into())
    }

    /// Types of a module of the kernel that has the types `base`: its file goes on where the kernel's ends.
    ///
    /// # Errors
    ///
    /// Those of [`Btf::parse`].
    pub fn of_module(data: Vec<u8>, base: &'a Btf<'a>) -> Result<Self, BtfError> {
        Self::after(Some(base), data.into())
    }

    fn after(base: Option<&'a Btf<'a>>, data: Bytes) -> Result<Self, BtfError> {
        let header = Header::parse(&data)?;
        let (starts, counts) = header.scan(&data)?;
        Ok(Self {
            base,
            data,
            strings: header.strings,
            starts,
            counts,
            types_by_name: OnceLock::new(),
            functions_by_name: OnceLock::new(),
        })
    }

    /// Id of the first entry in [`Self::starts`].
    fn first_id(&self) -> u32 {
        self.base.map_or(0, |base| base.first_id() + base.starts.len() as u32 - 1)
    }

    /// Where its names begin: behind those of the base.
    fn first_name(&self) -> u32 {
        self.base.map_or(0, |base| base.first_name() + base.strings.len() as u32)
    }

    /// All own types, in the order of their ids.
    fn types(&self) -> impl DoubleEndedIterator<Item = Type<'_>> {
        let first = self.first_id();
        let own = self.starts.iter().enumerate().skip(1);
        own.map(move |(at, &start)| Type { btf: self, id: first + at as u32, at: start as usize })
    }

    /// `None` for `void` and for ids that do not exist.
    fn ty(&self, id: u32) -> Option<Type<'_>> {
        match id.checked_sub(self.first_id()).filter(|own| *own != 0) {
            Some(own) => Some(Type { btf: self, id, at: *self.starts.get(own as usize)? as usize }),
            None => self.base?.ty(id),
        }
    }

    /// The type behind typedefs, qualifiers and type tags; `None` for `void`, dangling ids and cycles.
    fn resolve(&self, id: u32) -> Option<Type<'_>> {
        let mut ty = self.ty(id)?;
        for _ in 0..DEPTH {
            if !ty.is_alias() {
                return Some(ty);
            }
            ty = self.ty(ty.size_or_type())?;
        }
        None
    }

    fn count(&self, kind: u32) -> usize {
        self.counts[kind as usize] as usize
    }

    /// The name at `offset` and all that follows it; empty for a bad offset.
    fn string_and_rest(&self, offset: u32) -> &[u8] {
        let Some(own) = offset.checked_sub(self.first_name()) else {
            return self.base.map_or(&[], |base| base.string_and_rest(offset));
        };
        let strings = self.data.get(self.strings.clone());
        strings.and_then(|strings| strings.get(own as usize..)).unwrap_or_default()
    }

    fn string(&self, offset: u32) -> &[u8] {
        let rest = self.string_and_rest(offset);
        rest.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// Whether the name at `offset` is `name`, without looking for its end.
    fn is_string(&self, offset: u32, name: &[u8]) -> bool {
        self.string_and_rest(offset).strip_prefix(name).is_some_and(|rest| rest.first().is_none_or(|&end| end == 0))
    }

    fn types_named(&self, name: &str) -> impl Iterator<Item = Type<'_>> {
        const KINDS: &[u32] = &[kind::STRUCT, kind::UNION, kind::TYPEDEF, kind::ENUM, kind::ENUM64];
        self.types_by_name.get_or_init(|| NameIndex::build(self, KINDS)).find(self, name)
    }

    fn functions_named(&self, name: &str) -> impl Iterator<Item = Type<'_>> {
        self.functions_by_name.get_or_init(|| NameIndex::build(self, &[kind::FUNC])).find(self, name)
    }
}

impl std::fmt::Debug for Btf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Btf").field("types", &(self.starts.len() - 1)).finish_non_exhaustive()
    }
}

/// One type's record.
#[derive(Clone, Copy)]
struct Type<'a> {
    btf: &'a Btf<'a>,
    id: u32,
    /// Position in the file.
    at: usize,
}

impl<'a> Type<'a> {
    fn id(self) -> u32 {
        self.id
    }

    fn name_offset(self) -> u32 {
        u32_at(&self.btf.data, self.at)
    }

    fn name(self) -> &'a [u8] {
        self.btf.string(self.name_offset())
    }

    fn info(self) -> u32 {
        u32_at(&self.btf.data, self.at + 4)
    }

    fn kind(self) -> u32 {
        kind(self.info())
    }

    fn flag(self) -> bool {
        flag(self.info())
    }

    /// Bytes, or the type referred to, as the kind has it.
    fn size_or_type(self) -> u32 {
        u32_at(&self.btf.data, self.at + 8)
    }

    /// Whether it is only another name for, or a qualified form of, the type it refers to.
    fn is_alias(self) -> bool {
        matches!(self.kind(), kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG)
    }

    fn is_aggregate(self) -> bool {
        matches!(self.kind(), kind::STRUCT | kind::UNION)
    }

    fn length(self) -> usize {
        vlen(self.info())
    }

    /// The words after the record's head: members, enumerators or parameters of `N` words each.
    fn entries<const N: usize>(self) -> impl Iterator<Item = [u32; N]> {
        let first = self.at + TYPE_SIZE;
        (0..self.length()).map(move |i| std::array::from_fn(|word| u32_at(&self.btf.data, first + 4 * (N * i + word))))
    }

    /// Word `i` after the record's head.
    fn word(self, i: usize) -> u32 {
        u32_at(&self.btf.data, self.at + TYPE_SIZE + 4 * i)
    }
}
