//! Programs on a disk of their own, each of which does one thing that costs time for nothing.

use super::Program;
use std::{path::Path, process::Command};

/// Writes many small files and syncs each, as package managers do. Files are written anew at last: there are only so many inodes.
const SYNCS_FILES: &str = "
import os
while True:
    for number in range(30000):
        file = os.open('file.%d' % number, os.O_WRONLY | os.O_CREAT)
        os.write(file, b'x' * 700)
        os.fsync(file)
        os.close(file)
";
/// Reads its settings for each request.
const READS_AGAIN: &str = "
import os
while True:
    file = os.open('settings', os.O_RDONLY)
    while os.read(file, 65536):
        pass
    os.close(file)
";
/// Reads a protocol from a file, byte by byte.
const READS_BYTES: &str = "
import os
file = os.open('table', os.O_RDONLY)
while True:
    for _ in range(1000000):
        os.read(file, 1)
    os.lseek(file, 0, os.SEEK_SET)
";
/// Reads a table in order, past the page cache, three times a second at most: often enough would be another finding.
const READS_AROUND: &str = "
import mmap, os, time
file = os.open('table', os.O_RDONLY | os.O_DIRECT)
piece = mmap.mmap(-1, 4096)
while True:
    for at in range(0, 48 << 20, 4096):
        os.preadv(file, [piece], at)
    time.sleep(0.35)
";

/// Runs one of them in a directory.
fn play(directory: &Path, script: &str) -> Program {
    Program::start(Command::new("python3").args(["-c", script]).current_dir(directory))
}

/// Syncs small files one by one.
pub(crate) fn syncs_files(directory: &Path) -> Program {
    play(directory, SYNCS_FILES)
}

/// Reads `settings` again and again.
pub(crate) fn reads_again(directory: &Path) -> Program {
    std::fs::write(directory.join("settings"), vec![b'x'; 1 << 20]).unwrap();
    play(directory, READS_AGAIN)
}

/// Reads `table` byte by byte.
pub(crate) fn reads_bytes(directory: &Path) -> Program {
    table(directory);
    play(directory, READS_BYTES)
}

/// Reads `table` in order, each piece from the disk.
pub(crate) fn reads_around(directory: &Path) -> Program {
    table(directory);
    play(directory, READS_AROUND)
}

fn table(directory: &Path) {
    std::fs::write(directory.join("table"), vec![b'x'; 48 << 20]).unwrap();
    nix::unistd::sync();
}
