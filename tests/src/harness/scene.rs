//! A scratch directory with a workload in it.

use crate::log::Log;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};
use tempfile::TempDir;

/// Whether the kernel can say which file is mapped at an address (`bpf_find_vma`, Linux 5.17).
static FINDS_MAPPINGS: LazyLock<bool> = LazyLock::new(|| {
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap();
    symbols.lines().any(|line| line.ends_with(" bpf_find_vma"))
});

/// Whether io_uring looks for a request's file after the request was submitted (Linux 5.19, which brought IORING_OP_URING_CMD).
/// Before, a request on a bad descriptor is refused without the tracepoint that tells of it.
static SUBMITS_BAD_DESCRIPTORS: LazyLock<bool> = LazyLock::new(|| {
    let Ok(ring) = io_uring::IoUring::new(1) else { return true };
    let mut probe = io_uring::Probe::new();
    ring.submitter().register_probe(&mut probe).is_ok() && probe.is_supported(io_uring::opcode::UringCmd16::CODE)
});

/// Whether io_uring takes the file's own position when a request begins; before 5.19 it takes it when the request is submitted, and
/// that is what iotrace shows.
pub fn io_uring_begins_at_the_position() -> bool {
    *SUBMITS_BAD_DESCRIPTORS
}

/// Where a workload works and where its log goes.
#[derive(Debug)]
pub struct Scene {
    place: TempDir,
    dir: PathBuf,
    workload: PathBuf,
}

impl Scene {
    /// A scene in a new scratch directory; `workload` is `env!("CARGO_BIN_EXE_workload")`.
    pub fn new(workload: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("dir");
        std::fs::create_dir(&dir).unwrap();
        let dir = dir.canonicalize().unwrap();
        Self { place, dir, workload: workload.into() }
    }

    /// The same on another file system; the log stays off it.
    pub fn on(workload: &str, dir: &Path) -> Self {
        Self { dir: dir.canonicalize().unwrap(), ..Self::new(workload) }
    }

    /// Where the workload works.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path beside it, for outputs.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The command line of a scenario with its options.
    pub fn command(&self, scenario: &str, options: &[&str]) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![self.workload.clone().into(), scenario.into()];
        words.extend(["--dir".into(), self.dir.clone().into(), "--log".into(), self.beside("log").into()]);
        words.extend(options.iter().map(OsString::from));
        words
    }

    /// The command, ready to start without iotrace. With `--wait` it begins when its standard input is closed.
    pub fn alone(&self, scenario: &str, options: &[&str]) -> Command {
        let words = self.command(scenario, options);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped());
        command
    }

    /// The log that the workload left, less what iotrace cannot know on this kernel.
    pub fn log(&self) -> Log {
        let mut log = Log::read(&self.beside("log")).unwrap();
        for op in log.ops.iter_mut().filter(|op| op.call == "msync" && !*FINDS_MAPPINGS) {
            (op.path, op.path_bytes, op.dev, op.ino) = (None, None, None, 0);
        }
        if !*SUBMITS_BAD_DESCRIPTORS {
            log.ops.retain(|op| op.call != "io_uring" || op.ret != -i64::from(libc::EBADF));
        }
        log
    }

    /// Whether a path lies in the directory.
    pub fn holds(&self, path: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        path.strip_prefix(self.dir.as_os_str().as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
    }

    /// A pattern for `--path` that matches all files in the directory.
    pub fn glob(&self) -> String {
        format!("{}/**", self.dir.display())
    }
}
