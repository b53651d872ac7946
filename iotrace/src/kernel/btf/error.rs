//! What can go wrong when types are looked up.

use std::io;

/// Why BTF could not be read or does not have what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The kernel does not describe its types.
    #[error("no BTF at {path}: kernel built without CONFIG_DEBUG_INFO_BTF", path = super::KERNEL)]
    Missing,
    /// The file is there but cannot be read.
    #[error("cannot read {path}: {0}", path = super::KERNEL)]
    Read(#[source] io::Error),
    /// Not the format of include/uapi/linux/btf.h.
    #[error("malformed BTF: {0}")]
    Malformed(String),
    /// Not `struct.member`.
    #[error("\"{0}\" is not of the form struct.member, struct.member.member or struct.member[N]")]
    Path(String),
    /// A module that is not there, or does not describe its types.
    #[error("no types of module {0}")]
    NoModule(String),
    /// No structure or union of this name.
    #[error("no struct {0}")]
    NoStruct(String),
    /// `what` names the structure: `struct dentry`.
    #[error("{what} has no member {member}")]
    NoMember {
        /// The structure or union searched, anonymous ones by the path to them.
        what: String,
        /// The member that it lacks.
        member: String,
    },
    /// A path goes on after something that has no members.
    #[error("{0} is neither a struct nor a union")]
    NoMembers(String),
    /// `[N]` after something else than an array.
    #[error("{0} is not an array")]
    NoArray(String),
    /// `[N]` past the end of an array.
    #[error("{path} has {length} elements, none with index {index}")]
    Index {
        /// The array.
        path: String,
        /// Its length.
        length: u32,
        /// What was asked for.
        index: u64,
    },
    /// `[NAME]` where no enumeration has `NAME`.
    #[error("no enumerator {0}")]
    NoEnumerator(String),
    /// A bit field that does not start on a byte.
    #[error("{path} is a bit field at bit {bit}: it has no byte offset")]
    BitField {
        /// The member.
        path: String,
        /// Its offset from the start of the structure, bits.
        bit: u64,
    },
}
