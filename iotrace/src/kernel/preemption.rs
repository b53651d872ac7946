//! Whether the kernel may take the processor from a thread while it runs a program of ours.
//!
//! A trampoline's program runs with preemption on (kernel/bpf/trampoline.c disables migration only). Where another thread gets the
//! processor meanwhile and enters the same function, the kernel skips the program for it, and a call is not seen. Probes run with
//! preemption off and see every call. So did tracepoints, until 7.x.

use crate::kernel::btf::Btf;
use std::{fs, path::Path, sync::LazyLock};

/// How the kernel gives processors away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// Whether threads can be preempted in the kernel.
    pub possible: bool,
    /// `none`, `voluntary`, `lazy`, `full`, or why it is not known.
    pub mode: String,
}

/// Of the running kernel, read once: it takes milliseconds where the kernel's configuration has to be unpacked.
pub fn here() -> &'static Preemption {
    static HERE: LazyLock<Preemption> = LazyLock::new(|| read(Path::new("/")));
    &HERE
}

/// The files that tell, below a root, in the order of trust.
pub fn read(root: &Path) -> Preemption {
    let text = |path: &str| fs::read_to_string(root.join(path)).ok();
    let release = text("proc/sys/kernel/osrelease").unwrap_or_default();
    let version = text("proc/sys/kernel/version").unwrap_or_default();
    let known = |mode: &str| Preemption { possible: !matches!(mode, "none" | "voluntary"), mode: mode.into() };
    // A kernel that cannot change it says so in its version, or says nothing.
    if !version.contains("PREEMPT") {
        return known("none");
    }
    if !version.contains("PREEMPT_DYNAMIC") {
        return known("full");
    }
    let live = text("sys/kernel/debug/sched/preempt").and_then(|text| in_parentheses(&text));
    let booted = || text("proc/cmdline").and_then(|line| option(&line));
    let built = || text(&format!("boot/config-{}", release.trim_end())).and_then(|config| default(&config));
    let shown = || (root == Path::new("/")).then(shown).flatten();
    match live.or_else(booted).or_else(built).or_else(shown) {
        Some(mode) => known(&mode),
        None => Preemption {
            possible: true,
            mode: "dynamic, and neither debugfs nor the kernel's configuration can be read".into(),
        },
    }
}

/// Whether programs at tracepoints can be preempted: there, since 7.x, the kernel protects what it calls with SRCU and no longer by
/// switching preemption off (kernel/tracepoint.c; with the member that is asked for here it waits for all of them to end).
pub fn of_tracepoints(btf: &Btf<'_>) -> bool {
    btf.byte_offset("tp_transition_snapshot.srcu_gp").is_ok() && here().possible
}

/// `none (voluntary) full`: kernel/sched/debug.c, sched_dynamic_show.
fn in_parentheses(text: &str) -> Option<String> {
    Some(text.split_once('(')?.1.split_once(')')?.0.to_owned())
}

/// `preempt=full` on the kernel's command line.
fn option(line: &str) -> Option<String> {
    line.split_whitespace().rev().find_map(|word| word.strip_prefix("preempt=")).map(str::to_owned)
}

/// Settings of the kernel's configuration, and the mode that each means.
const MODES: [(&str, &str); 4] = [
    ("CONFIG_PREEMPT_NONE", "none"),
    ("CONFIG_PREEMPT_VOLUNTARY", "voluntary"),
    ("CONFIG_PREEMPT_LAZY", "lazy"),
    ("CONFIG_PREEMPT", "full"),
];

/// What the kernel was built to begin with.
fn default(config: &str) -> Option<String> {
    let set = |name: &str| config.lines().any(|line| line.strip_prefix(name) == Some("=y"));
    MODES.iter().find(|(name, _)| set(name)).map(|(_, mode)| (*mode).to_owned())
}

/// The same from /proc/config.gz.
fn shown() -> Option<String> {
    let config = procfs::kernel_config().ok()?;
    let set = |name: &str| matches!(config.get(name), Some(procfs::ConfigSetting::Yes));
    MODES.iter().find(|(name, _)| set(name)).map(|(_, mode)| (*mode).to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(files: &[(&str, &str)]) -> Preemption {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        read(root.path())
    }

    const DYNAMIC: (&str, &str) = ("proc/sys/kernel/version", "#1 SMP PREEMPT_DYNAMIC Debian\n");

    #[test]
    fn the_running_kernel_is_believed_before_its_command_line_and_its_configuration() {
        let live = ("sys/kernel/debug/sched/preempt", "none (voluntary) full \n");
        let booted = ("proc/cmdline", "quiet preempt=full\n");
        let release = ("proc/sys/kernel/osrelease", "6.12\n");
        let built = ("boot/config-6.12", "# CONFIG_PREEMPT_NONE is not set\nCONFIG_PREEMPT_LAZY=y\n");
        assert_eq!(with(&[DYNAMIC, live, booted]), Preemption { possible: false, mode: "voluntary".into() });
        assert_eq!(with(&[DYNAMIC, booted, release, built]), Preemption { possible: true, mode: "full".into() });
        assert_eq!(with(&[DYNAMIC, release, built]), Preemption { possible: true, mode: "lazy".into() });
    }

    #[test]
    fn a_version_that_cannot_change_says_it_all() {
        let version = |text| with(&[("proc/sys/kernel/version", text)]).mode;
        assert_eq!(version("#1 SMP Debian 5.10"), "none");
        assert_eq!(version("#1 SMP PREEMPT Mon"), "full");
    }

    #[test]
    fn what_is_not_known_may_preempt() {
        assert!(with(&[DYNAMIC]).possible);
    }
}
