//! `iotrace block`: each request's bytes once, and charged to the file and the process that caused them.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

fn dd(options: &[&str]) -> u64 {
    run(Command::new("dd").args(options).arg("status=none"))
}

fn to(path: &Path) -> String {
    format!("of={}", path.display())
}

/// Bytes written of a file for a process, all charged in a way of `by`.
#[track_caller]
fn written(rows: &[Value], path: &Path, pid: u64, by: &[&str]) -> u64 {
    bytes_of(rows, "write", |file| {
        let ours = is_at(file, path) && file["pid"] == pid;
        assert!(!ours || by.iter().any(|by| file["charged_by"] == *by), "{file}");
        ours
    })
}

/// Writes files in all ways, on one file system. `direct_known`: whether direct I/O leads to its file there.
fn all_ways_are_charged(disk: &LoopDisk, direct_known: bool) {
    let watch = Watch::new(disk, &[]);
    let at = |name: &str| disk.dir().join(name);
    let buffered = dd(&["if=/dev/zero", &to(&at("buffered")), "bs=64k", "count=83"]);
    let synchronous = dd(&["if=/dev/zero", &to(&at("synchronous")), "bs=12k", "count=7", "oflag=sync"]);
    let direct = dd(&["if=/dev/zero", &to(&at("direct")), "bs=64k", "count=11", "oflag=direct"]);
    disk.sync();
    let from = format!("if={}", at("direct").display());
    let reader = dd(&[&from, "of=/dev/null", "bs=64k", "iflag=direct"]);
    let (run, grown) = watch.end(disk);
    assert_whole(&run, grown);
    assert_eq!(written(&run.rows, &at("buffered"), buffered, &["page"]), 83 << 16);
    assert_eq!(written(&run.rows, &at("synchronous"), synchronous, &["page"]), 7 * 12_288);
    if !direct_known {
        // What its own thread sends has a file, what a worker sends none; never another one.
        let of_file = |file: &Value| file["path"].is_null() || is_at(file, &at("direct"));
        let of_process = bytes_of(&run.rows, "write", |file| file["pid"] == direct && of_file(file));
        assert_eq!(of_process, 11 << 16, "{:#?}", run.rows);
        return;
    }
    assert_eq!(written(&run.rows, &at("direct"), direct, &["submitter"]), 11 << 16);
    // btrfs may read some of it twice, as it sees the file fall back to the page cache.
    let read = bytes_of(&run.rows, "read", |file| is_at(file, &at("direct")) && file["pid"] == reader);
    assert!(read >= 11 << 16, "{read}");
    assert_eq!(read, bytes_of(&run.rows, "read", |file| file["what"] == "file"));
    // Nothing else was written but what the file system has for itself.
    let others = bytes_of(&run.rows, "write", |file| {
        let ours = [buffered, synchronous, direct].iter().any(|pid| file["pid"] == *pid);
        !(ours && file["what"] == "file" || file["what"] == "metadata" || file["what"] == "journal")
    });
    assert_eq!(others, 0, "{:#?}", run.rows);
}

#[test]
fn on_ext4_each_way_of_writing_is_charged_to_its_file_and_process() {
    need!(bpf, loop_devices);
    all_ways_are_charged(&LoopDisk::new(64), true);
}

#[test]
fn on_xfs_each_way_of_writing_is_charged_to_its_file_and_process() {
    need!(bpf, xfs);
    all_ways_are_charged(&LoopDisk::xfs(), true);
}

#[test]
fn on_btrfs_each_way_of_writing_is_charged_to_its_file_and_process() {
    need!(bpf, btrfs);
    let disk = LoopDisk::btrfs();
    // With checksums, direct I/O goes through the page cache (since Linux 6.14).
    let direct = disk.dir().join("direct");
    let file = fs::File::create(&direct).unwrap();
    // FS_IOC_SETFLAGS and FS_NOCOW_FL of include/uapi/linux/fs.h: what `chattr +C` does.
    const SET_FLAGS: u64 = 0x4008_6602;
    const NO_COPY: libc::c_long = 0x0080_0000;
    // SAFETY: the descriptor is open, and the call reads a long.
    assert_eq!(unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&file), SET_FLAGS as _, &NO_COPY) }, 0);
    all_ways_are_charged(&disk, !kernel_before((6, 4)));
}

#[test]
fn what_was_written_long_before_is_charged_to_who_wrote_it_and_not_to_who_has_it_written() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let watch = Watch::new(&disk, &[]);
    let path = disk.dir().join("late");
    let writer = dd(&["if=/dev/zero", &to(&path), "bs=4k", "count=997"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    run(Command::new("sync").arg("-f").arg(disk.dir()));
    let (run, _) = watch.end(&disk);
    assert_eq!(written(&run.rows, &path, writer, &["page"]), 997 << 12);
    for (row, _) in files(&run.rows, "write").filter(|(_, file)| is_at(file, &path)) {
        assert_ne!(row["issuer"]["pid"], writer, "{row}");
    }
}

#[test]
fn pages_of_a_file_are_charged_each_to_who_wrote_it() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let path = disk.dir().join("shared");
    fs::write(&path, vec![1; 16 << 20]).unwrap();
    let watch = Watch::new(&disk, &[]);
    // Far apart, so that they are not in one bio.
    let place = |block: u32| ["conv=notrunc".to_owned(), format!("seek={block}")];
    let writer = |block: u32| {
        let place = place(block);
        dd(&["if=/dev/zero", &to(&path), "bs=64k", "count=5", &place[0], &place[1]])
    };
    let (first, second) = (writer(0), writer(128));
    let (run, _) = watch.end(&disk);
    for pid in [first, second] {
        assert_eq!(written(&run.rows, &path, pid, &["page"]), 5 << 16, "{pid} of {first} {second}");
    }
}

#[test]
fn pages_made_dirty_through_a_mapping_are_charged() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let path = disk.dir().join("mapped");
    fs::File::create(&path).unwrap().set_len(1 << 20).unwrap();
    let watch = Watch::new(&disk, &[]);
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    // SAFETY: a new mapping of a file that is longer.
    unsafe {
        use std::os::fd::AsRawFd;
        let (protection, length) = (libc::PROT_READ | libc::PROT_WRITE, 1 << 20);
        let address = libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0);
        assert_ne!(address, libc::MAP_FAILED);
        for page in 0..(length / 4096) {
            address.cast::<u8>().add(page * 4096).write_volatile(7);
        }
        assert_eq!(libc::munmap(address, length), 0);
    }
    let (run, _) = watch.end(&disk);
    assert_eq!(written(&run.rows, &path, u64::from(std::process::id()), &["page"]), 1 << 20);
}

#[test]
fn files_and_processes_that_share_a_request_are_all_named() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let watch = Watch::new(&disk, &[]);
    // Small files lie side by side, and are written with one plug.
    let path = |number: u64| disk.dir().join(format!("small{number}"));
    let pids: Vec<u64> = (0..23).map(|number| dd(&["if=/dev/zero", &to(&path(number)), "bs=4k", "count=1"])).collect();
    let (run, grown) = watch.end(&disk);
    assert_whole(&run, grown);
    for (number, pid) in (0..).zip(pids) {
        assert_eq!(written(&run.rows, &path(number), pid, &["page"]), 4096, "{:#?}", run.rows);
    }
    let named = |row: &Value| row["files"].as_array().unwrap().iter().filter(|file| file["what"] == "file").count();
    // More than fit into one record of the kernel side.
    if !run.rows.iter().any(|row| named(row) > 4) {
        iotrace_tests::skip!("this kernel's ext4 does not write them with one request");
    }
}

#[test]
fn sums_are_the_disks_statistics_whatever_they_are_of() {
    need!(bpf, loop_devices);
    for by in ["process-file", "process", "file", "container", "disk"] {
        let disk = LoopDisk::new(64);
        let path = disk.dir().join("file");
        let watch = Watch::new(&disk, &["--summary", "-d", "60s", "--by", by]);
        let pid = dd(&["if=/dev/zero", &to(&path), "bs=64k", "count=19"]);
        let (run, grown) = watch.end(&disk);
        let sum = |name: &str| run.rows.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
        assert_eq!(sum("read_bytes"), grown.read_sectors * 512, "{by}");
        assert_eq!(sum("write_bytes"), grown.write_sectors * 512, "{by}");
        assert_eq!((sum("reads"), sum("flushes")), (grown.reads, grown.flushes), "{by}");
        let of_process = ["process-file", "process"].contains(&by);
        let of_file = ["process-file", "file"].contains(&by);
        let ours = |row: &&Value| (!of_process || row["pid"] == pid) && (!of_file || is_at(row, &path));
        let bytes: u64 = run.rows.iter().filter(ours).map(|row| row["write_bytes"].as_u64().unwrap()).sum();
        assert!(bytes >= 19 << 16, "{by}: {:#?}", run.rows);
        assert!(!of_file || bytes == 19 << 16, "{by}: {:#?}", run.rows);
    }
}

/// On 7.x one of them may lose the processor in a program of the kernel side: the kernel then skips that program for the others.
#[test]
fn of_writers_that_take_the_processor_from_each_other_no_request_is_missed() {
    need!(bpf, loop_devices);
    const WRITERS: u64 = 6;
    const WRITES: u64 = 150;
    let disk = LoopDisk::new(64);
    let watch = Watch::new(&disk, &["--summary", "-d", "120s", "--by", "process-file"]);
    let options = |path: &Path| [to(path), format!("count={WRITES}")];
    let paths: Vec<_> = (0..WRITERS).map(|writer| disk.dir().join(writer.to_string())).collect();
    let start = |path: &std::path::PathBuf| {
        let mut dd = Command::new("dd");
        dd.args(["if=/dev/zero", "bs=4k", "oflag=direct", "status=none"]).args(options(path)).spawn().unwrap()
    };
    let writers: Vec<_> = paths.iter().map(start).collect();
    let pids: Vec<u64> = writers.iter().map(|dd| dd.id().into()).collect();
    writers.into_iter().for_each(|mut dd| assert!(dd.wait().unwrap().success()));
    let (run, grown) = watch.end(&disk);
    let sum = |name: &str| run.rows.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("write_bytes"), grown.write_sectors * 512);
    assert_eq!(sum("reads"), grown.reads);
    for (path, pid) in paths.iter().zip(pids) {
        let ours = run.rows.iter().filter(|row| row["pid"] == pid && is_at(row, path));
        let (writes, bytes) = ours.fold((0, 0), |(writes, bytes), row| {
            (writes + row["writes"].as_u64().unwrap(), bytes + row["write_bytes"].as_u64().unwrap())
        });
        assert_eq!((writes, bytes), (WRITES, WRITES << 12), "{}: {:#?}", path.display(), run.rows);
    }
}

#[test]
fn journal_and_metadata_have_names() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let watch = Watch::new(&disk, &[]);
    for number in 0..17 {
        fs::create_dir(disk.dir().join(format!("directory{number}"))).unwrap();
    }
    disk.sync();
    let (run, grown) = watch.end(&disk);
    assert_whole(&run, grown);
    let named = |name: &str| bytes_of(&run.rows, "write", |file| file["path"] == name);
    assert!(named("[ext4 journal]") > 0 && named("[metadata]") > 0, "{:#?}", run.rows);
    assert_eq!(named("[ext4 journal]") + named("[metadata]"), grown.write_sectors * 512);
}

#[test]
fn the_log_of_xfs_has_a_name() {
    need!(bpf, xfs);
    let disk = LoopDisk::xfs();
    let watch = Watch::new(&disk, &[]);
    fs::create_dir(disk.dir().join("directory")).unwrap();
    let (run, grown) = watch.end(&disk);
    assert_whole(&run, grown);
    assert!(bytes_of(&run.rows, "write", |file| file["path"] == "[xfs log]") > 0, "{:#?}", run.rows);
}

#[test]
fn direct_io_has_its_file_where_the_kernel_tells_no_addresses() {
    need!(user_mechanism, loop_devices);
    let disk = LoopDisk::new(64);
    let path = disk.dir().join("direct");
    fs::write(&path, vec![1; 1 << 20]).unwrap();
    disk.sync();
    if kernel_before((5, 11)) {
        // Maps count as locked memory.
        use nix::sys::resource::{Resource, setrlimit};
        setrlimit(Resource::RLIMIT_MEMLOCK, libc::RLIM_INFINITY, libc::RLIM_INFINITY).unwrap();
    }
    // Without CAP_SYSLOG the ends of bios say nothing.
    let tracer = Iotrace::new("block").user(65_534).capabilities(&["bpf", "perfmon"]).json();
    let mut running = tracer.args(["--disk", disk.name()]).start();
    running.wait_tracing();
    let writer = dd(&["if=/dev/zero", &to(&path), "bs=64k", "count=11", "oflag=direct", "conv=notrunc"]);
    let reader = dd(&[&format!("if={}", path.display()), "of=/dev/null", "bs=64k", "count=7", "iflag=direct"]);
    let run = running.interrupt().complete();
    assert_eq!(written(&run.rows, &path, writer, &["submitter"]), 11 << 16);
    let read = bytes_of(&run.rows, "read", |file| is_at(file, &path) && file["pid"] == reader);
    assert_eq!(read, 7 << 16, "{:#?}", run.rows);
}

#[test]
fn a_device_without_a_file_system_is_its_own_file() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::raw(16);
    let watch = Watch::new(&disk, &[]);
    let buffered = dd(&["if=/dev/zero", &to(&disk.path()), "bs=4k", "count=13"]);
    let direct = dd(&["if=/dev/zero", &to(&disk.path()), "bs=64k", "count=3", "oflag=direct", "seek=5"]);
    let (run, grown) = watch.end(&disk);
    assert_whole(&run, grown);
    assert_eq!(written(&run.rows, &disk.path(), buffered, &["page"]), 13 << 12);
    assert_eq!(written(&run.rows, &disk.path(), direct, &["submitter"]), 3 << 16);
}

#[test]
fn swap_has_a_name() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::raw(64);
    run(Command::new("mkswap").arg(disk.path()).stdout(Stdio::null()));
    let swap = match Swap::on(&disk.path()) {
        Ok(swap) => swap,
        Err(error) => iotrace_tests::skip!(format!("needs swap: {error}")),
    };
    let watch = Watch::new(&disk, &[]);
    let length = 16 << 20;
    // SAFETY: a new mapping, and no address outside it.
    unsafe {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let address = libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0);
        assert_ne!(address, libc::MAP_FAILED);
        address.cast::<u8>().write_bytes(7, length);
        assert_eq!(libc::madvise(address, length, libc::MADV_PAGEOUT), 0);
        libc::munmap(address, length);
    }
    drop(swap);
    let (run, grown) = watch.end(&disk);
    assert_whole(&run, grown);
    let named = |op: &str| bytes_of(&run.rows, op, |file| file["path"] == "[swap]");
    assert!(grown.write_sectors > 0, "{grown:?}");
    assert_eq!((named("read"), named("write")), (grown.read_sectors * 512, grown.write_sectors * 512));
}

/// A device that the kernel swaps to until this is dropped.
struct Swap(std::ffi::CString);

impl Swap {
    fn on(path: &std::path::Path) -> nix::Result<Self> {
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a string that outlives the call.
        nix::errno::Errno::result(unsafe { libc::swapon(path.as_ptr(), 0) })?;
        Ok(Self(path))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // SAFETY: a string that outlives the call.
        let off = nix::errno::Errno::result(unsafe { libc::swapoff(self.0.as_ptr()) });
        assert!(off.is_ok() || std::thread::panicking(), "{off:?}");
    }
}

#[test]
fn filters_are_about_who_is_charged() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let other = disk.dir().join("other");
    let mine = disk.dir().join("mine");
    let own = std::process::id().to_string();
    let glob = format!("{}/m*", disk.dir().display());
    for options in [["-p", &own], ["--path", &glob]] {
        let watch = Watch::new(&disk, &options);
        fs::File::create(&mine).unwrap().write_all_at(&[7; 28672], 0).unwrap();
        dd(&["if=/dev/zero", &to(&other), "bs=64k", "count=5"]);
        run(Command::new("sync").arg("-f").arg(disk.dir()));
        let (run, _) = watch.end(&disk);
        assert_eq!(bytes_of(&run.rows, "write", |file| is_at(file, &mine)), 28672, "{options:?}: {:#?}", run.rows);
        let only = |row: &Value| row["path"] == mine.to_str().unwrap() || row["what"] != "file";
        assert!(run.rows.iter().all(only), "{options:?}: {:#?}", run.rows);
    }
}

#[test]
fn a_name_picks_who_wrote_and_not_who_has_it_written() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let watch = Watch::new(&disk, &["--comm", "d?"]);
    let (mine, other) = (disk.dir().join("mine"), disk.dir().join("other"));
    let pid = dd(&["if=/dev/zero", &to(&mine), "bs=64k", "count=5"]);
    run(Command::new("cp").args([&mine, &other]));
    let (run, _) = watch.end(&disk);
    assert_eq!(written(&run.rows, &mine, pid, &["page"]), 5 << 16);
    assert!(run.rows.iter().all(|row| row["pid"] == pid), "{:#?}", run.rows);
}

#[test]
fn a_program_has_the_requests_that_it_causes() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let path = disk.dir().join("file");
    let script = format!("dd if=/dev/zero {} bs=4k count=19 conv=fsync status=none", to(&path));
    let program = ["sh", "-c", &script];
    for command in ["block", "events"] {
        let tracer = Iotrace::new(command).args(["--disk", disk.name()]);
        let tracer = if command == "block" { tracer.json() } else { tracer.args(["--op", "block"]) };
        let run = tracer.program(program).run().complete();
        assert_eq!(bytes_of(&run.rows, "write", |file| is_at(file, &path)), 19 << 12, "{command}: {:#?}", run.rows);
    }
}

#[test]
fn the_table_has_a_line_for_each_request() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let path = disk.dir().join("file");
    let script = format!("dd if=/dev/zero {} bs=64k count=3 oflag=direct status=none", to(&path));
    let tracer = Iotrace::new("block").args(["--disk", disk.name()]);
    let run = tracer.program(["sh", "-c", &script]).run().exited(0);
    let (header, lines) = run.stdout.split_once('\n').unwrap();
    assert!(header.starts_with("TIME") && header.ends_with("PATH"), "{header}");
    let ours = lines.lines().filter(|line| line.ends_with(path.to_str().unwrap()) && line.contains(" dd "));
    assert_eq!(ours.count(), 3, "{}", run.stdout);
}

#[test]
fn a_request_that_hangs_is_told_in_the_end() {
    need!(bpf, loop_devices);
    let below = LoopDisk::new(32);
    let disk = LoopDisk::raw_on(&below, 8);
    let frozen = Frozen::new(&below);
    let tracers = [("block", true), ("block", false), ("latency", false)].map(|(command, json)| {
        let tracer = Iotrace::new(command).args(["--disk", disk.name()]);
        let mut running = if json { tracer.json() } else { tracer }.start();
        running.wait_tracing();
        running
    });
    let began = Instant::now();
    let write = ["if=/dev/zero", "bs=4k", "count=1", "oflag=direct", "conv=notrunc", "status=none"];
    let mut writer = Command::new("dd").args(write).arg(to(&disk.path())).spawn().unwrap();
    thread::sleep(Duration::from_millis(1500));
    let [lines, table, histograms] = tracers.map(|running| running.interrupt().exited(0));
    let longest = began.elapsed();
    drop(frozen);
    assert!(writer.wait().unwrap().success());
    let (requests, oldest) = lines.in_flight();
    assert_eq!((requests, &lines.summary["in_flight"][0]["disk"]), (1, &disk.name().into()), "{}", lines.summary);
    assert!(oldest > Duration::from_secs(1) && oldest < longest, "{oldest:?} of {longest:?}");
    assert!(lines.rows.is_empty(), "{:?}", lines.rows);
    let told = format!("not ended: a request to {}, for ", disk.name());
    for text in [&table.stdout, &histograms.stdout] {
        let age = text.lines().find_map(|line| line.strip_prefix(&told)).and_then(|age| age.strip_suffix('s'));
        let age = age.and_then(|age| age.parse::<f64>().ok());
        assert!(age.is_some_and(|age| age > 1.0 && age < longest.as_secs_f64()), "{text}");
    }
}
