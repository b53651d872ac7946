//! A stand-in for the kernel's BTF that aya can search.
//!
//! aya finds the type of a tracepoint by its name in a table of all types, which it makes in 20 ms and 40 MB from this
//! kernel's 5.5 MB. The ids are known here already, so it gets a table that holds nothing else: a filler for each id, and
//! the wanted types where they belong.

use super::Btf;

/// BTF_KIND_PTR of include/uapi/linux/btf.h: the smallest type, 12 bytes.
const PTR: u32 = 2;
/// BTF_KIND_TYPEDEF.
const TYPEDEF: u32 = 8;
/// Bytes of the header.
const HEADER: u32 = 24;

impl Btf {
    /// BTF in which the tracepoints with these names have the ids that they have in this one, and nothing else has a name. Those
    /// that the kernel lacks are left out.
    #[must_use]
    pub fn stub(&self, tracepoints: &[&str]) -> Vec<u8> {
        let mut wanted: Vec<(u32, &str)> =
            tracepoints.iter().filter_map(|name| Some((self.tracepoint_type_id(name)?, *name))).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut types: Vec<u8> = Vec::new();
        let mut strings: Vec<u8> = vec![0];
        let mut next_id = 1;
        for (id, name) in wanted {
            while next_id < id {
                push(&mut types, 0, PTR);
                next_id += 1;
            }
            push(&mut types, strings.len() as u32, TYPEDEF);
            next_id += 1;
            strings.extend_from_slice(b"btf_trace_");
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
        }
        let (types_len, strings_len) = (types.len() as u32, strings.len() as u32);
        // magic, version 1, no flags
        let mut blob = vec![0x9f, 0xeb, 1, 0];
        for word in [HEADER, 0, types_len, types_len, strings_len] {
            blob.extend_from_slice(&word.to_le_bytes());
        }
        blob.append(&mut types);
        blob.append(&mut strings);
        blob
    }
}

/// Appends a type that refers to void.
fn push(types: &mut Vec<u8>, name: u32, kind: u32) {
    for word in [name, kind << 24, 0] {
        types.extend_from_slice(&word.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tracepoints_keep_their_ids() {
        let Ok(kernel) = Btf::from_sys_fs() else {
            eprintln!("skipped: this kernel has no BTF");
            return;
        };
        let names = ["sys_enter", "block_rq_issue", "no_such_tracepoint"];
        let stub = aya::Btf::parse(&kernel.stub(&names), aya::Endianness::default()).unwrap();
        for name in names {
            let id = stub.id_by_type_name_kind(&format!("btf_trace_{name}"), aya_obj::btf::BtfKind::Typedef);
            assert_eq!(id.ok(), kernel.tracepoint_type_id(name), "{name}");
        }
    }
}
