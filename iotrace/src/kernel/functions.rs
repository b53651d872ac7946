//! The kernel's functions behind system calls.
//!
//! Each system call is a function with a fixed name and the caller's registers as its argument (CONFIG_ARCH_HAS_SYSCALL_WRAPPER,
//! x86-64 since 4.17, arm64 since 4.19). It stands in a table, so it is never inlined: unlike `vfs_read` and `vfs_fsync_range` it is
//! there in every build of every kernel, sees calls that fail before they reach the VFS, and is entered once where overlayfs,
//! O_SYNC or msync enter the VFS many times.

use crate::kernel::{btf::Btf, calls::Quick};

/// How this architecture begins the names of system calls.
#[cfg(target_arch = "x86_64")]
const NATIVE: &str = "__x64_sys_";
#[cfg(target_arch = "aarch64")]
const NATIVE: &str = "__arm64_sys_";

/// Names for calls of 32-bit tasks, in the order in which the table prefers them (arch/x86/entry/syscalls/syscall_32.tbl).
const COMPAT: [&str; 3] = ["__ia32_compat_sys_", "__ia32_sys_ia32_", "__ia32_sys_"];

/// One function that all calls of 32-bit tasks go through: `long ia32_sys_call(const struct pt_regs *regs, unsigned int nr)`, since
/// 6.9, and in stable kernels since the mitigation of branch history injection.
const COMPAT_DISPATCHER: &str = "ia32_sys_call";

/// Calls whose function has another name, and why. The first that the kernel has is taken.
const OTHER_NAMES: &[(&str, &[&str])] = &[
    // A 64-bit kernel gives `sendfile` to its 32-bit tasks.
    ("sendfile", &["__x64_sys_sendfile64", "__arm64_sys_sendfile64"]),
    // Without arguments there is no wrapper; BTF has one of the two names of the same address.
    ("sync", &["__x64_sys_sync", "__arm64_sys_sync", "__do_sys_sync"]),
];

/// Calls that a kernel may be built without (CONFIG_AIO), or is too old for.
const CONFIGURABLE: [&str; 7] =
    ["io_submit", "io_getevents", "io_pgetevents", "fchmodat2", "setxattrat", "removexattrat", "file_setattr"];

/// A function of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its id in BTF.
    pub id: u32,
    /// Id of its prototype. A program can go on with another only where both have the same (since 5.19).
    pub prototype: u32,
    /// Whether BTF has the structure that its first parameter points to, and not its name only (5.10 for some functions): without
    /// it the verifier lets no program read the parameter.
    pub typed: bool,
    /// Number of its parameters: where the result stands among a trampoline's arguments.
    pub parameters: usize,
    /// Whether its beginning must be seen too, and not its end alone.
    pub begins: bool,
    /// The call, where there are programs for its usual case.
    pub quick: Option<Quick>,
}

/// The functions of these system calls, in the ways there are: where all calls of 32-bit tasks go through one function, once with
/// that one and once with a function for each call, as not every kernel lets it be traced (7.2 does not).
///
/// `begins`: whether the beginning of a call must be seen.
///
/// # Errors
///
/// The name of a call without a function.
pub fn of_calls<'a>(
    btf: &Btf<'_>,
    native: &[&'a str],
    compat: &[&'a str],
    begins: impl Fn(&str) -> bool,
) -> Result<Vec<Vec<Function>>, &'a str> {
    let mut functions = Vec::new();
    for call in native {
        let regular = format!("{NATIVE}{call}");
        let others = OTHER_NAMES.iter().filter(|(name, _)| name == call).flat_map(|(_, others)| *others);
        let mut names = others.copied().chain([regular.as_str()]);
        match names.find_map(|name| btf.function(name)) {
            Some(function) => functions.push(Function { begins: begins(call), quick: Quick::of(call), ..function }),
            None if CONFIGURABLE.contains(call) => {}
            None => return Err(*call),
        }
    }
    if compat.is_empty() {
        return Ok(vec![functions]);
    }
    let begins_any = compat.iter().any(|call| begins(call));
    let dispatcher = btf.function(COMPAT_DISPATCHER).map(|dispatcher| Function { begins: begins_any, ..dispatcher });
    let dispatcher = dispatcher.map(|dispatcher| [functions.as_slice(), &[dispatcher]].concat());
    for call in compat {
        // Built without CONFIG_IA32_EMULATION it has none. Two numbers of the table may have the name, and each a function.
        for name in [(*call).to_owned(), format!("{call}64")] {
            let function = COMPAT.iter().find_map(|start| btf.function(&format!("{start}{name}")));
            functions.extend(function.map(|function| Function { begins: begins(call), ..function }));
        }
    }
    functions.sort_by(|a, b| a.name.cmp(&b.name));
    functions.dedup();
    Ok(dispatcher.into_iter().chain([functions]).collect())
}
