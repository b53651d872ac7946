//! BTF built in tests.
#![allow(clippy::unwrap_used)]

use super::{Btf, kind};

/// A BTF file under construction. Every method that adds a type returns its id.
#[derive(Clone)]
pub(crate) struct Blob {
    strings: Vec<u8>,
    types: Vec<u8>,
    last_id: u32,
    layout: Vec<u8>,
}

impl Default for Blob {
    fn default() -> Self {
        Self { strings: vec![0], types: vec![], last_id: 0, layout: vec![] }
    }
}

impl Blob {
    pub(crate) fn record(&mut self, name: &str, info: u32, size_or_type: u32, words: &[u32]) -> u32 {
        let name = self.string(name);
        let head = [name, info, size_or_type];
        self.types.extend(head.iter().chain(words).flat_map(|word| word.to_le_bytes()));
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn int(&mut self, name: &str, size: u32) -> u32 {
        self.record(name, kind::INT << 24, size, &[size * 8])
    }

    /// Members: name, type, offset in bits.
    pub(crate) fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.aggregate(kind::STRUCT << 24, name, size, members)
    }

    pub(crate) fn union(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.aggregate(kind::UNION << 24, name, size, members)
    }

    /// With the flag: the top eight bits of an offset are the width of a bit field.
    pub(crate) fn structure_with_bit_fields(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.aggregate(1 << 31 | kind::STRUCT << 24, name, size, members)
    }

    fn aggregate(&mut self, info: u32, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let words: Vec<_> = members.iter().flat_map(|&(name, ty, offset)| [self.string(name), ty, offset]).collect();
        self.record(name, info | members.len() as u32, size, &words)
    }

    pub(crate) fn array(&mut self, element: u32, length: u32) -> u32 {
        self.record("", kind::ARRAY << 24, 0, &[element, element, length])
    }

    pub(crate) fn pointer(&mut self, target: u32) -> u32 {
        self.record("", kind::PTR << 24, target, &[])
    }

    pub(crate) fn typedef(&mut self, name: &str, target: u32) -> u32 {
        self.record(name, kind::TYPEDEF << 24, target, &[])
    }

    pub(crate) fn constant(&mut self, target: u32) -> u32 {
        self.record("", kind::CONST << 24, target, &[])
    }

    pub(crate) fn enumeration(&mut self, name: &str, signed: bool, values: &[(&str, i32)]) -> u32 {
        let words: Vec<_> = values.iter().flat_map(|&(name, value)| [self.string(name), value as u32]).collect();
        self.record(name, u32::from(signed) << 31 | kind::ENUM << 24 | values.len() as u32, 4, &words)
    }

    pub(crate) fn enumeration64(&mut self, name: &str, signed: bool, values: &[(&str, i64)]) -> u32 {
        let word = |&(name, value): &(&str, i64)| [self.string(name), value as u32, (value >> 32) as u32];
        let words: Vec<_> = values.iter().flat_map(word).collect();
        self.record(name, u32::from(signed) << 31 | kind::ENUM64 << 24 | values.len() as u32, 8, &words)
    }

    pub(crate) fn prototype(&mut self, parameters: &[u32]) -> u32 {
        let words: Vec<_> = parameters.iter().flat_map(|&ty| [0, ty]).collect();
        self.record("", kind::FUNC_PROTO << 24 | parameters.len() as u32, 0, &words)
    }

    /// Linkage global, which stands where other kinds have a length.
    pub(crate) fn function(&mut self, name: &str, prototype: u32) -> u32 {
        self.record(name, kind::FUNC << 24 | 1, prototype, &[])
    }

    pub(crate) fn tracepoint(&mut self, name: &str, parameters: &[u32]) -> u32 {
        let prototype = self.prototype(parameters);
        let pointer = self.pointer(prototype);
        self.typedef(&format!("btf_trace_{name}"), pointer)
    }

    /// Sizes of kinds from 0 up: of the one part, and of each of the `vlen` parts.
    pub(crate) fn layout(&mut self, sizes: &[(u8, u8)]) {
        self.layout = sizes.iter().flat_map(|&(one, each)| [one, each, 0, 0]).collect();
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header_len = if self.layout.is_empty() { 24 } else { 32 };
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let header = [0x0001_eb9f, header_len, 0, types, types, strings, types + strings, self.layout.len() as u32];
        let header = header.iter().flat_map(|word| word.to_le_bytes()).take(header_len as usize);
        header.chain([&self.types, &self.strings, &self.layout].into_iter().flatten().copied()).collect()
    }

    pub(crate) fn btf(&self) -> Btf<'static> {
        Btf::parse(self.bytes()).unwrap()
    }

    /// The file of a module, with the types that `fill` adds. Names that this file has are not in it again.
    pub(crate) fn module(&self, fill: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut both = self.clone();
        fill(&mut both);
        let (types, strings) = (both.types[self.types.len()..].to_vec(), both.strings[self.strings.len()..].to_vec());
        Self { types, strings, ..Self::default() }.bytes()
    }

    fn string(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let known = format!("\0{name}\0");
        if let Some(at) = self.strings.windows(known.len()).position(|at| at == known.as_bytes()) {
            return at as u32 + 1;
        }
        let offset = self.strings.len() as u32;
        self.strings.extend(name.bytes().chain([0]));
        offset
    }
}

/// The running kernel's types; says why there are none.
pub(crate) fn running_kernel() -> Option<Btf<'static>> {
    Btf::from_sys_fs().map_err(|error| eprintln!("skipped: {error}")).ok()
}
