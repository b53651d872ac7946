//! J2: a log agent calls fsync after every line, on a file system that is nearly full.

use super::Program;
use iotrace_tests::harness::LoopDisk;
use std::{fs::OpenOptions, os::fd::AsRawFd, path::PathBuf, process::Command};

/// The agent. It begins its log anew from time to time, so that it fills no disk, however fast that is.
const AGENT: &str = "
import os, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
while True:
    for line in range(499):
        os.write(log, b'a line of a log of nearly a hundred and twenty bytes, as agents collect them'.ljust(119) + b'\\n')
        os.fsync(log)
    os.ftruncate(log, 0)
";
/// What is left of the file system, per cent.
const LEFT: u64 = 1;

/// The agent at work.
pub(crate) struct Agent {
    /// Its disk.
    pub(crate) disk: LoopDisk,
    /// Its log.
    pub(crate) log: PathBuf,
    /// Its process.
    pub(crate) program: Program,
    _noise: Program,
}

/// Fills a disk and starts the agent there.
pub(crate) fn play() -> Agent {
    let disk = LoopDisk::new(128);
    let noise = Program::noise(disk.dir());
    while !disk.dir().join("noise").metadata().is_ok_and(|noise| noise.len() >= 4 << 20) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let free = nix::sys::statvfs::statvfs(disk.dir()).unwrap();
    let bytes = |blocks: u64| blocks * free.fragment_size();
    let ballast = OpenOptions::new().write(true).create_new(true).open(disk.dir().join("ballast")).unwrap();
    let size = bytes(free.blocks_available()) - bytes(free.blocks()) * LEFT / 100;
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::fallocate(ballast.as_raw_fd(), 0, 0, size as i64) }, 0);
    let log = disk.dir().join("agent.log");
    let program = Program::start(Command::new("python3").args(["-c", AGENT]).arg(&log));
    while !log.metadata().is_ok_and(|log| log.len() > 0) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Agent { disk, log, program, _noise: noise }
}
