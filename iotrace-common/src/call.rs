//! The system calls that count, and where their arguments are.

use bytemuck::{Pod, Zeroable};

/// [`CallSpec`] argument number: the call has no such argument.
pub const NONE: u8 = 0xff;

/// [`CallSpec::action`]: moves bytes; the sides say from and to which descriptor.
pub const MOVE: u8 = 1;
/// [`CallSpec::action`]: syncs the file of the write side's descriptor.
pub const SYNC: u8 = 2;
/// [`CallSpec::action`]: syncs the file system of the write side's descriptor.
pub const SYNC_FS: u8 = 3;
/// [`CallSpec::action`]: syncs all file systems.
pub const SYNC_ALL: u8 = 4;
/// [`CallSpec::action`]: syncs the file mapped at the first argument, when the flags hold MS_SYNC.
pub const SYNC_MAPPING: u8 = 5;
/// [`CallSpec::action`]: opens a file.
pub const OPEN: u8 = 6;

/// [`CallSpec::action`]: makes room in the file of the write side's descriptor, or gives it back.
pub const ALLOCATE: u8 = 7;
/// [`CallSpec::action`]: changes the length of the file of the write side's descriptor.
pub const TRUNCATE: u8 = 8;
/// [`CallSpec::action`]: changes the length of the file with a name.
pub const TRUNCATE_NAMED: u8 = 9;
/// [`CallSpec::action`]: hands requests over that are finished later (Linux AIO).
pub const SUBMIT: u8 = 10;
/// [`CallSpec::action`]: gets the results of such requests.
pub const REAP: u8 = 11;
/// [`CallSpec::action`]: takes a name from a file, or removes a directory.
pub const UNLINK: u8 = 12;
/// [`CallSpec::action`]: gives a file another name. Of this and the next, the second name stands behind the first, in the same form.
pub const RENAME: u8 = 13;
/// [`CallSpec::action`]: gives a file one name more.
pub const LINK: u8 = 14;

/// Whether an action is on names: their directories, and not files of descriptors, are looked up, when the call ends.
pub const fn is_naming(action: u8) -> bool {
    matches!(action, UNLINK | RENAME | LINK)
}

/// [`CallSpec::action`]: changes a file or a directory, so that overlayfs copies it up; nothing else of it counts. With an
/// [`CallSpec::open_mode`] (any) it makes one itself.
pub const CHANGE: u8 = 20;
/// [`CallSpec::action`]: the same by opening a file.
pub const CHANGE_OPEN: u8 = 21;

/// Whether overlayfs may copy a file up in a call that does this.
pub const fn copies_up(action: u8) -> bool {
    matches!(action, OPEN | TRUNCATE_NAMED | CHANGE | CHANGE_OPEN) || is_naming(action)
}

/// [`CallSpec::offset`]: the offset argument is the position itself.
pub const OFFSET_VALUE: u8 = 1;
/// [`CallSpec::offset`]: the offset arguments point to the position, or are null.
pub const OFFSET_POINTER: u8 = 2;

/// [`CallSpec::offset`]: the position cannot be told.
pub const OFFSET_UNKNOWN: u8 = 3;

/// How to read one system call: numbers of its arguments.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct CallSpec {
    /// Its number in [`NAMES`]; 0: not traced.
    pub call: u8,
    /// What it does: [`MOVE`] and the others.
    pub action: u8,
    /// Descriptor that bytes come from.
    pub read_fd: u8,
    /// Descriptor that bytes go to, or that is synced.
    pub write_fd: u8,
    /// Bytes asked for.
    pub length: u8,
    /// Array of `struct iovec`; its length is the next argument.
    pub iovec: u8,
    /// Position on the read side.
    pub read_offset: u8,
    /// Position on the write side.
    pub write_offset: u8,
    /// [`OFFSET_VALUE`], [`OFFSET_POINTER`], or 0: the file's own position.
    pub offset: u8,
    /// RWF_ flags.
    pub rw_flags: u8,
    /// Directory descriptor from which the name counts.
    pub directory: u8,
    /// The name.
    pub name: u8,
    /// O_ flags (or `struct open_how`, see [`CallSpec::how`]); flags of a call on names.
    pub open_flags: u8,
    /// Permission bits.
    pub open_mode: u8,
    /// 1 when `open_flags` points to a `struct open_how`.
    pub how: u8,
    /// 1 when `iovec` points to a `struct compat_iovec` (two 32-bit words).
    pub short_iovec: u8,
}

impl CallSpec {
    /// A call that is not traced.
    pub const UNTRACED: Self = Self {
        call: 0,
        action: 0,
        read_fd: NONE,
        write_fd: NONE,
        length: NONE,
        iovec: NONE,
        read_offset: NONE,
        write_offset: NONE,
        offset: 0,
        rw_flags: NONE,
        directory: NONE,
        name: NONE,
        open_flags: NONE,
        open_mode: NONE,
        how: 0,
        short_iovec: 0,
    };
}

/// System call numbers that the tables cover; a larger number is not traced (the largest in Linux 7.2 is below 480).
pub const TABLE_LEN: usize = 512;

/// What to do at each system call number: 64-bit tasks, then 32-bit tasks of the same machine.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct CallTable {
    /// By number.
    pub native: [CallSpec; TABLE_LEN],
    /// By number in the 32-bit table.
    pub compat: [CallSpec; TABLE_LEN],
}

impl CallTable {
    /// Nothing traced.
    pub const EMPTY: Self = Self { native: [CallSpec::UNTRACED; TABLE_LEN], compat: [CallSpec::UNTRACED; TABLE_LEN] };
}

/// [`FileCalls::native`]: moves bytes of the file, and of no other.
pub const MOVES_BYTES: u8 = 1;
/// [`FileCalls::native`]: syncs the file.
pub const SYNCS_FILE: u8 = 2;

/// What system calls of 64-bit tasks do with the file that is their first argument, by number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct FileCalls {
    /// By number: [`MOVES_BYTES`], [`SYNCS_FILE`], or 0.
    pub native: [u8; TABLE_LEN],
}

impl FileCalls {
    /// None.
    pub const EMPTY: Self = Self { native: [0; TABLE_LEN] };
}

macro_rules! calls {
    ($($number:literal $name:ident { $($field:ident: $value:expr),* $(,)? })*) => {
        /// Names of the calls, by [`CallSpec::call`]; the first is no call.
        pub const NAMES: &[&str] = &["", $(stringify!($name)),*];
        /// How to read each call, by [`CallSpec::call`].
        pub const SPECS: &[CallSpec] = &[
            CallSpec::UNTRACED,
            $(CallSpec { call: $number, $($field: $value,)* ..CallSpec::UNTRACED }),*
        ];
    };
}

calls! {
    1 read { action: MOVE, read_fd: 0, length: 2 }
    2 pread64 { action: MOVE, read_fd: 0, length: 2, read_offset: 3, offset: OFFSET_VALUE }
    3 readv { action: MOVE, read_fd: 0, iovec: 1 }
    4 preadv { action: MOVE, read_fd: 0, iovec: 1, read_offset: 3, offset: OFFSET_VALUE }
    5 preadv2 { action: MOVE, read_fd: 0, iovec: 1, read_offset: 3, offset: OFFSET_VALUE, rw_flags: 5 }
    6 write { action: MOVE, write_fd: 0, length: 2 }
    7 pwrite64 { action: MOVE, write_fd: 0, length: 2, write_offset: 3, offset: OFFSET_VALUE }
    8 writev { action: MOVE, write_fd: 0, iovec: 1 }
    9 pwritev { action: MOVE, write_fd: 0, iovec: 1, write_offset: 3, offset: OFFSET_VALUE }
    10 pwritev2 { action: MOVE, write_fd: 0, iovec: 1, write_offset: 3, offset: OFFSET_VALUE, rw_flags: 5 }
    11 sendfile { action: MOVE, read_fd: 1, write_fd: 0, length: 3, read_offset: 2, offset: OFFSET_POINTER }
    12 splice { action: MOVE, read_fd: 0, write_fd: 2, length: 4, read_offset: 1, write_offset: 3, offset: OFFSET_POINTER }
    13 copy_file_range { action: MOVE, read_fd: 0, write_fd: 2, length: 4, read_offset: 1, write_offset: 3, offset: OFFSET_POINTER }
    14 fsync { action: SYNC, write_fd: 0 }
    15 fdatasync { action: SYNC, write_fd: 0 }
    16 sync_file_range { action: SYNC, write_fd: 0 }
    17 msync { action: SYNC_MAPPING }
    18 syncfs { action: SYNC_FS, write_fd: 0 }
    19 sync { action: SYNC_ALL }
    20 open { action: OPEN, name: 0, open_flags: 1, open_mode: 2 }
    21 openat { action: OPEN, directory: 0, name: 1, open_flags: 2, open_mode: 3 }
    22 openat2 { action: OPEN, directory: 0, name: 1, open_flags: 2, how: 1 }
    23 creat { action: OPEN, name: 0, open_mode: 1 }
    24 open_by_handle_at { action: OPEN, directory: 0, open_flags: 2 }
    25 fallocate { action: ALLOCATE, write_fd: 0, length: 3, write_offset: 2, offset: OFFSET_VALUE }
    26 ftruncate { action: TRUNCATE, write_fd: 0, length: 1, offset: OFFSET_UNKNOWN }
    27 truncate { action: TRUNCATE_NAMED, name: 0, length: 1 }
    28 io_submit { action: SUBMIT }
    29 io_getevents { action: REAP }
    30 io_pgetevents { action: REAP }
    31 io_uring {}
    32 fault {}
    33 unlink { action: UNLINK, name: 0 }
    34 unlinkat { action: UNLINK, directory: 0, name: 1, open_flags: 2 }
    35 rmdir { action: UNLINK, name: 0 }
    36 rename { action: RENAME, name: 0 }
    37 renameat { action: RENAME, directory: 0, name: 1 }
    38 renameat2 { action: RENAME, directory: 0, name: 1, open_flags: 4 }
    39 link { action: LINK, name: 0 }
    40 linkat { action: LINK, directory: 0, name: 1, open_flags: 4 }
    41 chmod { action: CHANGE }
    42 fchmod { action: CHANGE }
    43 fchmodat { action: CHANGE }
    44 fchmodat2 { action: CHANGE }
    45 chown { action: CHANGE }
    46 lchown { action: CHANGE }
    47 fchown { action: CHANGE }
    48 fchownat { action: CHANGE }
    49 utime { action: CHANGE }
    50 utimes { action: CHANGE }
    51 futimesat { action: CHANGE }
    52 utimensat { action: CHANGE }
    53 setxattr { action: CHANGE }
    54 lsetxattr { action: CHANGE }
    55 fsetxattr { action: CHANGE }
    56 setxattrat { action: CHANGE }
    57 removexattr { action: CHANGE }
    58 lremovexattr { action: CHANGE }
    59 fremovexattr { action: CHANGE }
    60 removexattrat { action: CHANGE }
    61 file_setattr { action: CHANGE }
    62 mkdir { action: CHANGE, open_mode: 1 }
    63 mkdirat { action: CHANGE, open_mode: 2 }
    64 mknod { action: CHANGE, open_mode: 1 }
    65 mknodat { action: CHANGE, open_mode: 2 }
    66 symlink { action: CHANGE, open_mode: 0 }
    67 symlinkat { action: CHANGE, open_mode: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_stand_at_their_own_number() {
        for (number, spec) in SPECS.iter().enumerate() {
            assert_eq!(usize::from(spec.call), number);
        }
        assert_eq!(SPECS.len(), NAMES.len());
    }
}
