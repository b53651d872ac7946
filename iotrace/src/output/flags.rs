//! Names of open flags.

use schemars::JsonSchema;
use serde::Serialize;

/// The bits that tell reading from writing. Spelled out, because musl's O_ACCMODE has O_PATH in it.
const ACCESS: u32 = 3;

/// Flags of one bit, or of several that mean something together; those come before the ones they contain.
const FLAGS: [(i32, &str); 17] = [
    (libc::O_CREAT, "O_CREAT"),
    (libc::O_EXCL, "O_EXCL"),
    (libc::O_NOCTTY, "O_NOCTTY"),
    (libc::O_TRUNC, "O_TRUNC"),
    (libc::O_APPEND, "O_APPEND"),
    (libc::O_NONBLOCK, "O_NONBLOCK"),
    (libc::O_SYNC, "O_SYNC"),
    (libc::O_DSYNC, "O_DSYNC"),
    (libc::O_ASYNC, "O_ASYNC"),
    (libc::O_DIRECT, "O_DIRECT"),
    (LARGEFILE, "O_LARGEFILE"),
    (libc::O_TMPFILE, "O_TMPFILE"),
    (libc::O_DIRECTORY, "O_DIRECTORY"),
    (libc::O_NOFOLLOW, "O_NOFOLLOW"),
    (libc::O_NOATIME, "O_NOATIME"),
    (libc::O_CLOEXEC, "O_CLOEXEC"),
    (libc::O_PATH, "O_PATH"),
];

/// A 64-bit kernel sets it in every file, so it says nothing there.
const LARGEFILE: i32 = if cfg!(target_pointer_width = "32") { libc::O_LARGEFILE } else { 0 };

/// Names of the flags of an open file or of an open call, the access mode first. The values are those of the machine
/// iotrace was built for, as the kernel's are. Bits that only the kernel knows (it keeps some of its own in `f_flags`)
/// have no name here and are left out.
pub fn open_flags(flags: u32) -> impl Iterator<Item = &'static str> {
    let access = match flags & ACCESS {
        0 => "O_RDONLY",
        1 => "O_WRONLY",
        2 => "O_RDWR",
        // Neither reading nor writing, only ioctl: open(2).
        _ => "O_ACCMODE",
    };
    let mut rest = flags & !ACCESS;
    let others = FLAGS.into_iter().filter(move |(flag, _)| {
        let flag = flag.cast_unsigned();
        let is_set = flag != 0 && rest & flag == flag;
        if is_set {
            rest &= !flag;
        }
        is_set
    });
    std::iter::once(access).chain(others.map(|(_, name)| name))
}

/// The names in JSON; none where there is no open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct OpenFlags(#[schemars(with = "Vec<String>")] pub Option<u32>);

impl Serialize for OpenFlags {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.into_iter().flat_map(open_flags))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn access_modes_and_combinations() {
        for (flags, names) in [
            (libc::O_RDONLY, &["O_RDONLY"][..]),
            (libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND, &["O_WRONLY", "O_CREAT", "O_APPEND"]),
            (libc::O_RDWR | libc::O_SYNC, &["O_RDWR", "O_SYNC"]),
            (libc::O_RDWR | libc::O_DSYNC, &["O_RDWR", "O_DSYNC"]),
            (libc::O_RDWR | libc::O_TMPFILE, &["O_RDWR", "O_TMPFILE"]),
            (libc::O_DIRECTORY | libc::O_CLOEXEC, &["O_RDONLY", "O_DIRECTORY", "O_CLOEXEC"]),
            (libc::O_PATH | libc::O_NOFOLLOW, &["O_RDONLY", "O_NOFOLLOW", "O_PATH"]),
            (3, &["O_ACCMODE"]),
            (0x20, &["O_RDONLY"]),
        ] {
            assert_eq!(open_flags(flags as u32).collect::<Vec<_>>(), names, "{flags:o}");
        }
    }

    #[test]
    fn the_kernels_own_flags_of_an_open_file() {
        let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open("/").unwrap();
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        // O_LARGEFILE is in there on x86-64.
        let flags = u32::from_str_radix(flags, 8).unwrap();
        assert_eq!(open_flags(flags).collect::<Vec<_>>(), ["O_RDONLY", "O_DIRECTORY", "O_CLOEXEC"]);
    }

    proptest! {
        #[test]
        fn any_bits_give_an_access_mode_first(flags in any::<u32>()) {
            prop_assert!(["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"].contains(&open_flags(flags).next().unwrap()));
        }
    }
}
