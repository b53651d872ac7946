//! Programs that are held back: by a control group's limit, by their dirty pages, by somebody else's syncs.

use super::Program;
use iotrace_tests::harness::LoopDisk;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The control group of all that is in no other, in the first hierarchy: the kernel's own writing too.
const ROOT: &str = "/sys/fs/cgroup/blkio";
/// Bytes that a slow disk writes in a second.
const BYTES: u64 = 16 << 20;
/// Bytes of dirty pages that it may have.
const DIRTY: u64 = 8 << 20;

/// Writes more than the disk takes, to a file that has its size.
const WRITER: &str = "truncate -s 96M table; while :; do dd if=/dev/zero of=table bs=1M count=96 conv=notrunc; done";
/// Sixteen that sync one file, of which each sync commits the journal: together they have most syncs.
const SYNCERS: &str = "
import os, threading
def serve(n):
    table = os.open('table', os.O_WRONLY | os.O_CREAT)
    while True:
        for row in range(7): os.pwrite(table, bytes(1009), n << 20)
        os.utime(table)
        os.fsync(table)
for n in range(16): threading.Thread(target=serve, args=(n,)).start()
";
/// One that does the same by itself.
const VICTIM: &str = "
import os
orders = os.open('orders', os.O_WRONLY | os.O_CREAT)
while True:
    for row in range(7): os.pwrite(orders, bytes(1009), 0)
    os.utime(orders)
    os.fsync(orders)
";

/// Settings of the kernel for one device. Dropped, they are as before.
pub(crate) struct Settings(Vec<(PathBuf, String)>);

impl Settings {
    /// Sets files to values, each with what it has in the end, the last one first; `None` where the kernel does not have them.
    fn new(settings: impl IntoIterator<Item = (PathBuf, String, String)>) -> Option<Self> {
        let mut set = Self(Vec::new());
        for (file, value, before) in settings {
            fs::write(&file, value).ok()?;
            set.0.push((file, before));
        }
        Some(set)
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for (file, before) in self.0.iter().rev() {
            let _ = fs::write(file, before);
        }
    }
}

fn number(disk: &LoopDisk) -> String {
    fs::read_to_string(format!("/sys/block/{}/dev", disk.name())).unwrap().trim().to_owned()
}

/// A program that writes more than its disk takes, which may have few dirty pages: the kernel lets no more through to the loop device,
/// so that this is so however fast the disk below is. `None` where the kernel cannot do that.
pub(crate) fn dirty(disk: &LoopDisk) -> Option<(Settings, Program)> {
    let number = number(disk);
    let bdi = PathBuf::from(format!("/sys/class/bdi/{number}"));
    let slow = Path::new(ROOT).join("blkio.throttle.write_bps_device");
    let settings = Settings::new([
        (slow, format!("{number} {BYTES}"), format!("{number} 0")),
        // What was set as bytes is in the end all again: 100 per cent.
        (bdi.join("max_ratio"), "100".into(), "100".into()),
        (bdi.join("max_bytes"), DIRTY.to_string(), DIRTY.to_string()),
        (bdi.join("strict_limit"), "1".into(), "0".into()),
    ])?;
    let writer = Program::script(disk.dir(), WRITER);
    // Until it writes, and some of that is on the disk.
    while !disk.dir().join("table").metadata().is_ok_and(|table| table.blocks() * 512 >= DIRTY) {
        std::thread::sleep(Duration::from_millis(10));
    }
    Some((settings, writer))
}

/// A program that syncs much, and one that waits for it.
pub(crate) fn journal(disk: &LoopDisk) -> (Program, Program) {
    let start = |text: &str| Program::start(Command::new("python3").args(["-c", text]).current_dir(disk.dir()));
    let programs = (start(SYNCERS), start(VICTIM));
    while !["table", "orders"].iter().all(|name| disk.dir().join(name).exists()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    programs
}
