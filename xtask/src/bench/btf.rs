//! Numbers of functions and types in the kernel's BTF.

use std::fs;

use anyhow::{Context, Result};

const BTF: &str = "/sys/kernel/btf/vmlinux";

/// `BTF_KIND_TYPEDEF` and `BTF_KIND_FUNC` of include/uapi/linux/btf.h.
const TYPEDEF: u32 = 8;
const FUNCTION: u32 = 12;

/// The kernel's BTF.
pub(crate) struct Btf(Vec<u8>);

impl Btf {
    /// Reads it.
    pub(crate) fn read() -> Result<Self> {
        fs::read(BTF).map(Self).with_context(|| format!("read {BTF}"))
    }

    /// The number of a function.
    pub(crate) fn function(&self, name: &str) -> Result<u32> {
        self.find(FUNCTION, name).with_context(|| format!("the kernel has no function {name}"))
    }

    /// The number of a tracepoint's type.
    pub(crate) fn tracepoint(&self, name: &str) -> Result<u32> {
        let found = self.find(TYPEDEF, &format!("btf_trace_{name}"));
        found.with_context(|| format!("the kernel has no tracepoint {name}"))
    }

    /// Types are one after the other, each as long as its kind says (Documentation/bpf/btf.rst); the first has number 1.
    fn find(&self, kind: u32, name: &str) -> Option<u32> {
        let header = self.number(4)? as usize;
        let mut at = header + self.number(8)? as usize;
        let end = at + self.number(12)? as usize;
        let strings = header + self.number(16)? as usize;
        let mut id = 1;
        while at < end {
            let info = self.number(at + 4)?;
            let (found, count) = (info >> 24 & 31, (info & 0xffff) as usize);
            if found == kind && self.is_string(strings + self.number(at)? as usize, name) {
                return Some(id);
            }
            at += 12
                + match found {
                    1 | 14 | 17 => 4,
                    3 => 12,
                    6 | 13 => 8 * count,
                    4 | 5 | 15 | 19 => 12 * count,
                    _ => 0,
                };
            id += 1;
        }
        None
    }

    fn number(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.0.get(at..at + 4)?.try_into().ok()?))
    }

    fn is_string(&self, at: usize, text: &str) -> bool {
        self.0.get(at..at + text.len()) == Some(text.as_bytes()) && self.0.get(at + text.len()) == Some(&0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_by_kind_and_name() {
        let mut bytes = Vec::new();
        let strings = b"\0u32\0f\0";
        // An integer with its 4 bytes, then a function.
        let types: [u32; 7] = [1, 1 << 24, 4, 32, 5, 12 << 24, 1];
        for number in [0x1_eb9f, 24, 0, 28, 28, strings.len() as u32] {
            bytes.extend(u32::to_le_bytes(number));
        }
        bytes.extend(types.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(strings);
        let btf = Btf(bytes);
        assert_eq!(btf.find(FUNCTION, "f"), Some(2));
        assert_eq!(btf.find(TYPEDEF, "f"), None);
        assert_eq!(Btf(vec![0; 3]).find(FUNCTION, "f"), None);
    }
}
