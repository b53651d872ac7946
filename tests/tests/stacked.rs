//! Stacked devices: shown as the tree that they are, and each request counted once, at the disk.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

/// Sectors of a disk of 16 MiB.
const SECTORS: u64 = 16 << 11;

/// Direct reads and writes of a device in requests of 64 KiB, from a position in such units on.
fn copy(device: &Path, reads: u32, writes: u32, at: u32) -> String {
    let device = device.display();
    let dd = |what: String| format!("dd {what} bs=64k status=none");
    let read = dd(format!("if={device} of=/dev/null iflag=direct skip={at} count={reads}"));
    let write = dd(format!("if=/dev/zero of={device} oflag=direct conv=notrunc seek={at} count={writes}"));
    format!("{read} && {write}")
}

#[track_caller]
fn row<'a>(run: &'a Output, name: &str) -> &'a Value {
    let rows: Vec<&Value> = run.rows.iter().filter(|row| row["name"] == name).collect();
    assert_eq!(rows.len(), 1, "{name} in {:?}", run.rows);
    rows[0]
}

/// Reads and writes, and their bytes, as the kernel counted them.
fn counted(row: &Value) -> [u64; 4] {
    ["reads/count", "writes/count", "reads/bytes", "writes/bytes"]
        .map(|field| row.pointer(&format!("/counted/{field}")).and_then(Value::as_u64).unwrap())
}

/// One device over two disks, and another over that.
struct Stack {
    top: Mapped,
    both: Mapped,
    disks: [LoopDisk; 2],
}

impl Stack {
    fn new() -> Self {
        let disks = [LoopDisk::raw(16), LoopDisk::raw(16)];
        let line = |start, disk: &LoopDisk| format!("{start} {SECTORS} linear {} 0", disk.path().display());
        let both = Mapped::new("both", "LVM", &format!("{}\n{}\n", line(0, &disks[0]), line(SECTORS, &disks[1])));
        // Its first sectors are left out.
        let table = format!("0 {} linear {} 2048", 2 * SECTORS - 2048, both.path().display());
        Self { top: Mapped::new("top", "TEST", &table), both, disks }
    }

    /// 3 reads and 5 writes at the first disk, 7 and 11 at the second.
    fn use_both(&self) -> String {
        let second = u32::try_from((SECTORS - 2048) / 128).unwrap();
        format!("{} && {}", copy(&self.top.path(), 3, 5, 2), copy(&self.top.path(), 7, 11, second + 3))
    }
}

#[test]
fn what_stands_on_disks_is_a_tree() {
    need!(bpf, loop_devices, device_mapper);
    let stack = Stack::new();
    let run = Iotrace::new("disk").json().args(["--disk", &stack.top.name()]);
    let run = run.program(["sh", "-c", &stack.use_both()]).run().complete();
    let (top, both) = (row(&run, &stack.top.name()), row(&run, &stack.both.name()));
    let disks = [row(&run, stack.disks[0].name()), row(&run, stack.disks[1].name())];
    assert_eq!(both["on"], json!([disks[0]["dev"], disks[1]["dev"]]), "{both}");
    assert_eq!(both["device_type"], "lvm", "{both}");
    assert_eq!((&top["on"], &top["device_type"]), (&json!([both["dev"]]), &json!("test")), "{top}");
    for row in [top, both] {
        assert_eq!(counted(row), [10, 16, 10 << 16, 16 << 16], "{row}");
        // They pass on what they get: traced requests are those of the disks.
        assert_eq!(row["requests"], Value::Null, "{row}");
    }
    assert_eq!(disks.map(counted), [[3, 5, 3 << 16, 5 << 16], [7, 11, 7 << 16, 11 << 16]], "{disks:?}");
    let traced = disks.map(|row| row["requests"]["count"].as_u64().unwrap());
    assert_eq!(traced, [8, 18], "{disks:?}");
}

#[test]
fn the_table_names_a_device_that_stands_on_several_once_with_its_figures() {
    need!(bpf, loop_devices, device_mapper);
    let stack = Stack::new();
    let run = Iotrace::new("disk").args(["--disk", &stack.top.name()]).variable("LC_ALL", "C");
    let run = run.program(["sh", "-c", &stack.use_both()]).run().exited(0);
    let names: Vec<&str> = run.stdout.lines().filter_map(|line| line.split_once('`')).map(|(_, name)| name).collect();
    let told = |name: &str| names.iter().filter(|found| found.ends_with(name)).count();
    let above = format!("{} (above)", stack.both.name());
    assert_eq!((told(&stack.both.name()), told(&above), told(&stack.top.name())), (1, 1, 1), "{}", run.stdout);
}

#[test]
fn requests_through_mapped_devices_count_once_with_their_file() {
    need!(bpf, loop_devices, device_mapper);
    let stack = Stack::new();
    let before = stack.disks.each_ref().map(|disk| BlockStat::of(disk.name()));
    let run = Iotrace::new("block").json().args(["--disk", &stack.top.name(), "--op", "read,write"]);
    let run = run.program(["sh", "-c", &stack.use_both()]).run().complete();
    let grown = [0, 1].map(|index| BlockStat::of(stack.disks[index].name()) - before[index]);
    let sum = |op: &str, disk: &LoopDisk| -> u64 {
        let of = |row: &&Value| row["op"] == op && row["disk"] == disk.name();
        run.rows.iter().filter(of).map(|row| row["bytes"].as_u64().unwrap() / 512).sum()
    };
    for (disk, grown) in stack.disks.iter().zip(grown) {
        assert_eq!([sum("read", disk), sum("write", disk)], [grown.read_sectors, grown.write_sectors], "{grown:?}");
    }
    assert!(run.rows.iter().all(|row| row["comm"] == "dd" && row["what"] == "device"), "{:?}", run.rows);
    let path = format!("/dev/{}", stack.top.name());
    assert!(run.rows.iter().all(|row| row["path"] == path), "who uses the upper device: {:?}", run.rows);
}

#[test]
fn files_on_a_mapped_device_are_charged() {
    need!(bpf, loop_devices, device_mapper);
    let disk = LoopDisk::raw(64);
    let mapped = Mapped::new("files", "LVM", &format!("0 {} linear {} 0", 64 << 11, disk.path().display()));
    let mounted = Mounted::ext4(&mapped.path());
    let file = mounted.dir().join("file");
    let script = format!("dd if=/dev/zero of={} bs=64k count=101 conv=fsync status=none", file.display());
    let run = Iotrace::new("block").json().args(["--disk", &mapped.name(), "--op", "write"]);
    let run = run.program(["sh", "-c", &script]).run().complete();
    let of_file = bytes_of(&run.rows, "write", |file_of| file_of["comm"] == "dd" && is_at(file_of, &file));
    assert_eq!(of_file, 101 << 16, "{:?}", run.rows);
    assert!(run.rows.iter().all(|row| row["disk"] == disk.name()), "each once, at the disk: {:?}", run.rows);
}

/// Writes a file through the page cache, and another one directly; each is synced. Then the first is read directly.
fn use_both_ways(dir: &Path) -> String {
    let dd = |file: &str, flags: &str| {
        format!("dd if=/dev/zero of={} bs=64k count=37 conv=fsync{flags} status=none", dir.join(file).display())
    };
    let read = format!("dd if={} of=/dev/null bs=64k iflag=direct status=none", dir.join("cached").display());
    format!("{} && {} && {read}", dd("cached", ""), dd("direct", " oflag=direct"))
}

/// What [`use_both_ways`] did is charged to its files and to who did it, whoever sent it on, and the journal is named.
#[track_caller]
fn assert_charged(rows: &[Value], disk: &LoopDisk, dir: &Path) {
    for (file, by) in [("cached", "page"), ("direct", "submitter")] {
        let path = dir.join(file);
        let is_charged = |file: &Value| file["comm"] == "dd" && file["charged_by"] == by && is_at(file, &path);
        assert_eq!(bytes_of(rows, "write", is_charged), 37 << 16, "{file}: {rows:#?}");
    }
    let read = bytes_of(rows, "read", |file| file["comm"] == "dd" && is_at(file, &dir.join("cached")));
    assert_eq!(read, 37 << 16, "{rows:#?}");
    assert!(bytes_of(rows, "write", |file| file["path"] == "[ext4 journal]") > 0, "{rows:#?}");
    assert_eq!(bytes_of(rows, "write", |file| file["what"].is_null()), 0, "{rows:#?}");
    assert!(rows.iter().all(|row| row["disk"] == disk.name()), "each once, at the disk: {rows:#?}");
}

#[test]
fn direct_writes_and_the_journal_of_a_mapped_device_are_charged() {
    need!(bpf, loop_devices, device_mapper, module_types);
    let disk = LoopDisk::raw(64);
    let mapped = Mapped::new("journal", "LVM", &format!("0 {} linear {} 0", 64 << 11, disk.path().display()));
    let mounted = Mounted::ext4(&mapped.path());
    let watch = Watch::new(&disk, &["--op", "read,write"]);
    run(Command::new("sh").arg("-c").arg(use_both_ways(mounted.dir())));
    let (run, _) = watch.end(&disk);
    assert_charged(&run.rows, &disk, mounted.dir());
}

#[test]
fn files_on_an_encrypted_device_are_charged() {
    need!(bpf, loop_devices, device_mapper, dm_crypt, module_types);
    let disk = LoopDisk::raw(64);
    let mapped = match encrypted(&disk, 64) {
        Ok(mapped) => mapped,
        Err(reason) => iotrace_tests::skip!(reason),
    };
    let mounted = Mounted::ext4(&mapped.path());
    let watch = Watch::new(&disk, &["--op", "read,write"]);
    run(Command::new("sh").arg("-c").arg(use_both_ways(mounted.dir())));
    let (run, _) = watch.end(&disk);
    assert_charged(&run.rows, &disk, mounted.dir());
}

/// What LUKS makes, over a disk of so many MiB.
fn encrypted(disk: &LoopDisk, mib: u64) -> Result<Mapped, String> {
    let key = "0".repeat(64);
    let table = format!("0 {} crypt aes-xts-plain64 {key} 0 {} 0", mib << 11, disk.path().display());
    Mapped::possible("crypt", "CRYPT", &table).map_err(|error| format!("needs AES with XTS: {error}"))
}

#[test]
fn an_encrypted_device_stands_on_its_disk() {
    need!(bpf, loop_devices, device_mapper, dm_crypt);
    let disk = LoopDisk::raw(16);
    let mapped = match encrypted(&disk, 16) {
        Ok(mapped) => mapped,
        Err(reason) => iotrace_tests::skip!(reason),
    };
    let run = Iotrace::new("disk").json().args(["--disk", &mapped.name()]);
    let run = run.program(["sh", "-c", &copy(&mapped.path(), 13, 17, 0)]).run().complete();
    let (upper, lower) = (row(&run, &mapped.name()), row(&run, disk.name()));
    assert_eq!(upper["on"], json!([lower["dev"]]), "{upper}");
    assert_eq!(upper["device_type"], "crypt", "{upper}");
    assert_eq!(counted(upper), [13, 17, 13 << 16, 17 << 16], "{upper}");
    assert_eq!(counted(lower)[2..], [13 << 16, 17 << 16], "{lower}");
}

#[test]
fn a_mirror_stands_on_its_disks_and_each_write_is_on_both() {
    need!(bpf, loop_devices, md);
    let disks = [LoopDisk::raw(16), LoopDisk::raw(16)];
    let mirror = Array::mirror("iotrace_test", &disks, 16);
    let run = Iotrace::new("disk").json().args(["--disk", mirror.name()]);
    let run = run.program(["sh", "-c", &copy(&mirror.path(), 13, 17, 0)]).run().complete();
    let upper = row(&run, mirror.name());
    let lower = [row(&run, disks[0].name()), row(&run, disks[1].name())];
    assert_eq!(upper["device_type"], "raid1", "{upper}");
    assert_eq!(upper["on"], json!([lower[0]["dev"], lower[1]["dev"]]), "{upper}");
    assert_eq!(counted(upper), [13, 17, 13 << 16, 17 << 16], "{upper}");
    let [first, second] = lower.map(counted);
    assert_eq!((first[1], first[3], second[1], second[3]), (17, 17 << 16, 17, 17 << 16), "{lower:?}");
    assert_eq!((first[0] + second[0], first[2] + second[2]), (13, 13 << 16), "{lower:?}");
}
