//! Names of error numbers.

use nix::errno::Errno;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Numbers that the kernel uses within itself (include/linux/errno.h). A tracer sees them: a call that is interrupted
/// and restarted returns ERESTARTSYS inside the kernel.
const INTERNAL: [(u32, &str); 19] = [
    (512, "ERESTARTSYS"),
    (513, "ERESTARTNOINTR"),
    (514, "ERESTARTNOHAND"),
    (515, "ENOIOCTLCMD"),
    (516, "ERESTART_RESTARTBLOCK"),
    (517, "EPROBE_DEFER"),
    (518, "EOPENSTALE"),
    (519, "ENOPARAM"),
    (521, "EBADHANDLE"),
    (522, "ENOTSYNC"),
    (523, "EBADCOOKIE"),
    (524, "ENOTSUPP"),
    (525, "ETOOSMALL"),
    (526, "ESERVERFAULT"),
    (527, "EBADTYPE"),
    (528, "EJUKEBOX"),
    (529, "EIOCBQUEUED"),
    (530, "ERECALLCONFLICT"),
    (531, "ENOGRACE"),
];

/// Names by number, made once: streams look one up for each failed call.
static NAMES: LazyLock<Vec<Option<String>>> = LazyLock::new(|| {
    let known = |number: u32| match Errno::from_raw(i32::try_from(number).ok()?) {
        Errno::UnknownErrno => {
            INTERNAL.iter().find(|(internal, _)| *internal == number).map(|(_, name)| (*name).into())
        }
        errno => Some(format!("{errno:?}")),
    };
    (0..=531).map(known).collect()
});

/// `ENOENT` for 2 (positive, as in errno); `E999` for a number without a name.
#[must_use]
pub fn errno_name(errno: u32) -> Cow<'static, str> {
    let name = NAMES.get(errno as usize).and_then(Option::as_deref);
    name.map_or_else(|| Cow::Owned(format!("E{errno}")), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_and_internal_names() {
        for (number, name) in [
            (libc::ENOENT, "ENOENT"),
            (libc::EAGAIN, "EAGAIN"),
            (libc::EWOULDBLOCK, "EAGAIN"),
            (libc::ENOSPC, "ENOSPC"),
            (libc::EDQUOT, "EDQUOT"),
            (libc::EUCLEAN, "EUCLEAN"),
            (512, "ERESTARTSYS"),
            (529, "EIOCBQUEUED"),
            (999, "E999"),
            (0, "E0"),
            (520, "E520"),
        ] {
            assert_eq!(errno_name(number as u32), name);
        }
        assert_eq!(errno_name(u32::MAX), "E4294967295");
    }

    #[test]
    fn every_number_that_linux_defines_has_a_name() {
        // include/uapi/asm-generic/errno.h ends at 133; 41 and 58 are holes.
        for number in (1..=133).filter(|number| ![41, 58].contains(number)) {
            assert_ne!(errno_name(number), format!("E{number}"));
        }
    }
}
