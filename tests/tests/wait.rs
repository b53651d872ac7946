//! `iotrace wait`: how long threads were blocked, and on what. The truth are the clocks of those that wait.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need, skip};
use serde_json::Value;
use std::{
    fs::{File, OpenOptions},
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// `iotrace wait` for this process.
fn trace(options: &[&str]) -> Running {
    let pid = std::process::id().to_string();
    let mut run = Iotrace::new("wait").json().args(["-d", "1h", "-p", &pid]).args(options).start();
    run.wait_tracing();
    run
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row}"))
}

/// The rows about a file.
fn of<'a>(run: &'a Output, path: &str) -> Vec<&'a Value> {
    run.rows.iter().filter(|row| row["type"] == "wait" && row["path"] == path).collect()
}

/// The only row about a file.
#[track_caller]
fn only<'a>(run: &'a Output, path: &str) -> &'a Value {
    let rows = of(run, path);
    let [row] = rows.as_slice() else { panic!("{} rows about {path}: {:#?}", rows.len(), run.rows) };
    row
}

fn of_op<'a>(run: &'a Output, path: &str, op: &str) -> Vec<&'a Value> {
    of(run, path).into_iter().filter(|row| row["op"] == op).collect()
}

fn total(rows: &[&Value]) -> u64 {
    rows.iter().map(|row| number(row, "wait_ns")).sum()
}

#[track_caller]
fn between(ns: u64, least: Duration, most: Duration) {
    let waited = Duration::from_nanos(ns);
    assert!(least <= waited && waited <= most, "{waited:?} is not between {least:?} and {most:?}");
}

/// How `/proc` names a pipe.
fn name(pipe: &impl AsRawFd) -> String {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", pipe.as_raw_fd())).unwrap();
    link.to_str().unwrap().to_owned()
}

/// Waits until a thread sleeps in the call with this number; says when that was seen.
fn until_asleep(tid: i32, call: libc::c_long) -> Instant {
    loop {
        let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).unwrap();
        let now = Instant::now();
        // `running`, or the number of the call with its arguments.
        if text.split(' ').next() == Some(call.to_string().as_str()) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn gettid() -> i32 {
    // SAFETY: the call has no preconditions.
    unsafe { libc::gettid() }
}

/// What a thread of its own measured.
struct Measured<T> {
    tid: i32,
    thread: JoinHandle<(Instant, T, Instant)>,
}

/// Lets a thread do something, with its own clock before and after.
fn measured<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Measured<T> {
    let (send, tid) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        send.send(gettid()).unwrap();
        let before = Instant::now();
        let result = body();
        (before, result, Instant::now())
    });
    Measured { tid: tid.recv().unwrap(), thread }
}

/// A process that has a pipe open for reading, and reads nothing. Dropped, it is killed.
struct Sleeper(Child);

impl Sleeper {
    fn start(pipe: PipeReader) -> Self {
        let mut command = Command::new("sleep");
        Self(command.arg("1000").stdin(pipe).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Fills a pipe and blocks until nobody can read it any more.
fn fill(mut pipe: PipeWriter) -> Measured<std::io::ErrorKind> {
    measured(move || pipe.write_all(&vec![0; 1 << 20]).unwrap_err().kind())
}

#[test]
fn a_read_from_an_empty_pipe_waits_as_long_as_its_reader_measures() {
    need!(bpf);
    let (mut reader, mut writer) = pipe().unwrap();
    let pipe = name(&reader);
    let run = trace(&[]);
    let waiting = measured(move || reader.read(&mut [0; 64]).unwrap());
    let asleep = until_asleep(waiting.tid, libc::SYS_read);
    std::thread::sleep(Duration::from_millis(200));
    let written = Instant::now();
    writer.write_all(b"1234567").unwrap();
    let (before, bytes, after) = waiting.thread.join().unwrap();
    let run = run.interrupt().complete();
    let row = only(&run, &pipe);
    assert_eq!((bytes, row["op"].as_str(), row["reason"].as_str()), (7, Some("read"), Some("pipe-empty")));
    assert_eq!((number(row, "waits"), number(row, "waiting")), (1, 0), "{row}");
    between(number(row, "wait_ns"), written - asleep, after - before);
    assert_eq!(row["max_ns"], row["wait_ns"]);
}

#[test]
fn a_thread_that_was_blocked_all_the_time_shows_with_all_of_it_and_who_does_not_read() {
    need!(bpf);
    let (reader, writer) = pipe().unwrap();
    let pipe = name(&writer);
    let idle = Sleeper::start(reader);
    let blocked = fill(writer);
    until_asleep(blocked.tid, libc::SYS_write);
    let run = trace(&["--by", "thread"]);
    std::thread::sleep(Duration::from_millis(300));
    let run = run.interrupt().complete();
    let row = only(&run, &pipe);
    assert_eq!((row["op"].as_str(), row["reason"].as_str()), (Some("write"), Some("pipe-full")), "{row}");
    assert_eq!((number(row, "tid"), number(row, "waits"), number(row, "waiting")), (blocked.tid as u64, 0, 1), "{row}");
    let percent = row["wall_pct"].as_f64().unwrap();
    assert!((99.0..100.001).contains(&percent), "{row}");
    assert!(number(row, "wait_ns") <= run.summary["duration_ns"].as_u64().unwrap(), "{row}");
    let peer = &row["peers"][0];
    assert_eq!((peer["pid"].as_u64(), peer["comm"].as_str()), (Some(u64::from(idle.0.id())), Some("sleep")), "{row}");
    assert_eq!((peer["state"].as_str(), row["peers"].as_array().unwrap().len()), (Some("sleeping"), 1));
    drop(idle);
    assert_eq!(blocked.thread.join().unwrap().1, std::io::ErrorKind::BrokenPipe);
}

#[test]
fn a_wait_that_began_before_tracing_ends_when_the_reader_is_gone() {
    need!(bpf);
    let (reader, writer) = pipe().unwrap();
    let pipe = name(&writer);
    let idle = Sleeper::start(reader);
    let blocked = fill(writer);
    until_asleep(blocked.tid, libc::SYS_write);
    let started = Instant::now();
    let run = trace(&[]);
    let traced = Instant::now();
    std::thread::sleep(Duration::from_millis(100));
    let killed = Instant::now();
    drop(idle);
    let (_, error, after) = blocked.thread.join().unwrap();
    let run = run.interrupt().complete();
    let row = only(&run, &pipe);
    assert_eq!((error, row["reason"].as_str()), (std::io::ErrorKind::BrokenPipe, Some("pipe-full")));
    assert_eq!((number(row, "waits"), number(row, "waiting")), (1, 0), "{row}");
    // From when tracing began, not from when the call did.
    between(number(row, "wait_ns"), killed - traced, after - started);
    assert!(row["peers"].as_array().unwrap().iter().all(|peer| peer["state"] == "gone"), "{row}");
}

#[test]
fn intervals_have_each_its_part_of_a_wait() {
    need!(bpf);
    let (reader, writer) = pipe().unwrap();
    let pipe = name(&writer);
    let idle = Sleeper::start(reader);
    let run = Iotrace::new("wait").json().args(["-i", "200ms", "-n", "4", "-p", &std::process::id().to_string()]);
    let mut run = run.start();
    run.wait_tracing();
    let blocked = fill(writer);
    until_asleep(blocked.tid, libc::SYS_write);
    let run = run.wait().complete();
    let rows = of(&run, &pipe);
    assert!(rows.len() >= 2, "{:#?}", run.rows);
    let last = rows[rows.len() - 1]["wall_pct"].as_f64().unwrap();
    assert!((98.0..100.5).contains(&last), "{rows:#?}");
    assert!(total(&rows) <= run.summary["duration_ns"].as_u64().unwrap(), "{rows:#?}");
    drop(idle);
    blocked.thread.join().unwrap();
}

/// Time that this thread ran, and that it was ready to run and did not: since it began.
fn on_cpu_or_ready() -> Duration {
    // The first number there is that of the last tick, or switch: too old for calls in which the thread does not sleep.
    let ran = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let ready: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    Duration::from(ran) + Duration::from_nanos(ready)
}

/// Time in which the host of this machine ran others on its processors, in whole ticks. The clock of a thread that
/// was meant to run leaves it out (`PARAVIRT_TIME_ACCOUNTING`), and it is no wait either.
fn stolen() -> Duration {
    let text = std::fs::read_to_string("/proc/stat").unwrap();
    let all = text.lines().next().unwrap().split_whitespace().nth(8).unwrap().parse::<u64>().unwrap();
    Duration::from_millis(10 * all)
}

/// How often this thread gave up the processor by itself, since it began.
fn sleeps() -> u64 {
    nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_THREAD).unwrap().voluntary_context_switches()
        as u64
}

/// How long calls took, and how much of that the thread was not asleep.
#[derive(Default)]
struct Spent {
    calls: Duration,
    awake: Duration,
    /// How often it went to sleep.
    sleeps: u64,
}

/// Waits told, against what the thread measured that waited.
#[track_caller]
fn are_the_sleeps(waits: &[&Value], spent: &Spent, stolen: Duration) {
    assert_eq!(waits.iter().map(|row| number(row, "waits")).sum::<u64>(), spent.sleeps, "{waits:#?}");
    // What a thread does between falling asleep and running again is waiting, being ready included.
    between(total(waits), spent.calls.saturating_sub(spent.awake + stolen + Duration::from_millis(10)), spent.calls);
}

impl Spent {
    fn add<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let (sleeps, awake, before) = (sleeps(), on_cpu_or_ready(), Instant::now());
        let result = call();
        self.calls += before.elapsed();
        self.awake += on_cpu_or_ready() - awake;
        self.sleeps += self::sleeps() - sleeps;
        result
    }
}

#[test]
fn the_parts_of_an_fsync_are_its_whole() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let path = disk.dir().join("log");
    let run = trace(&[]);
    let mut ledger = Iotrace::new("fsync").json().args(["-d", "1h", "-p", &std::process::id().to_string()]).start();
    ledger.wait_tracing();
    let (place, before) = (path.clone(), stolen());
    let (_, spent, _) = measured(move || {
        let mut file = File::create(place).unwrap();
        let mut spent = Spent::default();
        for _ in 0..53 {
            file.write_all(&[7; 58]).unwrap();
            spent.add(|| file.sync_all().unwrap());
        }
        spent
    })
    .thread
    .join()
    .unwrap();
    let stolen = stolen() - before;
    let (run, ledger) = (run.interrupt().complete(), ledger.interrupt().complete());
    let path = path.to_str().unwrap();
    let rows = of(&run, path);
    let syncs: Vec<&Value> = rows.into_iter().filter(|row| row["op"] == "fsync").collect();
    let waited = total(&syncs);
    are_the_sleeps(&syncs, &spent, stolen);
    let told = ledger.rows.iter().find(|row| row["type"] == "fsync" && row["path"] == path).unwrap();
    assert_eq!(number(told, "syncs"), 53);
    assert!(waited <= number(told, "total_ns"), "{waited} of {told}");
    let reasons: Vec<&str> = syncs.iter().map(|row| row["reason"].as_str().unwrap_or("?")).collect();
    let known = ["writeback", "journal", "flush", "device-queue", "metadata", "lock"];
    assert!(reasons.iter().all(|reason| known.contains(reason)), "{syncs:#?}");
    assert!(reasons.contains(&"journal"), "{syncs:#?}");
    assert!(syncs.iter().all(|row| row["disk"] == disk.name() && row["function"].is_string()), "{syncs:#?}");
}

#[test]
fn direct_reads_of_a_disk_wait_for_it() {
    need!(bpf, loop_devices);
    /// O_DIRECT wants memory and lengths in whole blocks.
    #[repr(align(4096))]
    struct Block([u8; 4096]);
    let disk = LoopDisk::raw(16);
    let device = disk.path();
    let run = trace(&[]);
    let (place, before) = (device.clone(), stolen());
    let (_, spent, _) = measured(move || {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(place).unwrap();
        let (mut block, mut spent) = (Box::new(Block([0; 4096])), Spent::default());
        // Where what fetches the block takes the processor over at once, the thread is never asleep.
        for at in (0..101_i64).cycle().take(20_000) {
            if at == 0 && spent.sleeps > 0 {
                break;
            }
            let block = block.0.as_mut_ptr();
            // SAFETY: the block is as long as said.
            let read = spent.add(|| unsafe { libc::pread(file.as_raw_fd(), block.cast(), 4096, at * 8192) });
            assert_eq!(read, 4096);
        }
        spent
    })
    .thread
    .join()
    .unwrap();
    let stolen = stolen() - before;
    let run = run.interrupt().complete();
    let rows = of(&run, device.to_str().unwrap());
    let reads: Vec<&Value> = rows.into_iter().filter(|row| row["op"] == "read").collect();
    assert!(spent.sleeps > 0 && reads.iter().any(|row| row["reason"] == "read"), "{:#?}", run.rows);
    are_the_sleeps(&reads, &spent, stolen);
}

#[test]
fn who_has_the_lock_of_a_file_is_named() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(256);
    let path = disk.dir().join("both");
    File::create(&path).unwrap();
    let run = trace(&["--by", "thread"]);
    // A direct write that makes the file longer has the lock of its inode while it waits for the disk.
    let place = path.clone();
    let owner = measured(move || {
        let file = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(place).unwrap();
        let bytes = vec![7_u8; (32 << 20) + 4096];
        let aligned = bytes.as_ptr().align_offset(4096);
        for at in 0..3_i64 {
            // SAFETY: so much of the vector is behind that place.
            let wrote = unsafe {
                let from = bytes.as_ptr().add(aligned);
                libc::pwrite(file.as_raw_fd(), from.cast(), 32 << 20, at * (32 << 20))
            };
            assert_eq!(wrote, 32 << 20);
        }
    });
    let (place, owner_tid) = (path.clone(), owner.tid);
    let other = measured(move || {
        use std::os::unix::fs::FileExt;
        let file = OpenOptions::new().write(true).open(place).unwrap();
        while !owner.thread.is_finished() {
            file.write_at(&[1], 0).unwrap();
        }
        owner.thread.join().unwrap();
    });
    let tid = other.tid;
    let (before, (), after) = other.thread.join().unwrap();
    let run = run.interrupt().complete();
    let rows = of(&run, path.to_str().unwrap());
    let lock = rows.iter().find(|row| row["reason"] == "lock" && number(row, "tid") == tid as u64);
    let lock = lock.unwrap_or_else(|| panic!("nobody waited for the lock: {rows:#?}"));
    assert_eq!(number(&lock["holder"], "tid"), owner_tid as u64, "{lock}");
    between(number(lock, "wait_ns"), Duration::ZERO, after - before);
}

/// A control group of one's own. Dropped, it goes; its processes must be gone.
struct Group(PathBuf);

impl Group {
    /// One whose processes may write so many bytes to a disk in a second; `None` where there are no such limits.
    fn limited(disk: &LoopDisk, bytes: u64) -> Option<Self> {
        let dev = std::fs::read_to_string(format!("/sys/block/{}/dev", disk.name())).unwrap();
        let dev = dev.trim();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let root = |kind: &str, option: &str| {
            let words = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            let fits = |line: &Vec<&str>| line[2] == kind && line[3].split(',').any(|one| one == option);
            words.into_iter().find(fits).map(|line| Path::new(line[1]).to_owned())
        };
        let name = format!("iotrace-wait-{}", std::process::id());
        let (group, file, limit) = if let Some(root) = root("cgroup", "blkio") {
            (root.join(name), "blkio.throttle.write_bps_device", format!("{dev} {bytes}"))
        } else {
            let root = root("cgroup2", "rw")?;
            std::fs::write(root.join("cgroup.subtree_control"), "+io").ok()?;
            (root.join(name), "io.max", format!("{dev} wbps={bytes}"))
        };
        std::fs::create_dir(&group).ok()?;
        let group = Self(group);
        std::fs::write(group.0.join(file), limit).ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was just waited for may be in it for another moment.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_write_that_a_control_group_holds_back_has_its_limit() {
    const LIMIT: u64 = 1 << 20;
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let Some(group) = Group::limited(&disk, LIMIT) else { skip!("no limits of control groups on I/O here") };
    let path = disk.dir().join("copy");
    let of = format!("of={}", path.display());
    let script = "read line; exec dd if=/dev/zero \"$1\" bs=64k count=1000 oflag=direct";
    let mut command = Command::new("sh");
    let writer = command.args(["-c", script, "sh", &of]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut writer = Sleeper(writer.spawn().unwrap());
    std::fs::write(group.0.join("cgroup.procs"), writer.0.id().to_string()).unwrap();
    let pid = writer.0.id().to_string();
    let mut run = Iotrace::new("wait").json().args(["-d", "1h", "-p", &pid]).start();
    run.wait_tracing();
    writer.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    // Until so much is written that it was held back.
    while std::fs::metadata(&path).map_or(0, |file| file.len()) < LIMIT / 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let run = run.interrupt().complete();
    drop(writer);
    let rows = of_op(&run, path.to_str().unwrap(), "write");
    assert!(total(&rows) > 0, "{:#?}", run.rows);
    let name = group.0.file_name().unwrap().to_str().unwrap();
    for row in rows {
        let limit = &row["limit"];
        assert_eq!(
            (limit["write_bytes"].as_u64(), limit["cgroup"].as_str()),
            (Some(LIMIT), Some(&*format!("/{name}")))
        );
        assert!(limit["read_bytes"].is_null(), "{row}");
    }
}

#[test]
fn what_is_no_io_does_not_show() {
    need!(bpf);
    let pid = std::process::id();
    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    let socket = name(&reader);
    let wait = |options: &[&str]| {
        let run = trace(options);
        let (mut reader, mut writer) = (reader.try_clone().unwrap(), writer.try_clone().unwrap());
        let waiting = measured(move || reader.read(&mut [0; 64]).unwrap());
        // The standard library calls recvfrom for sockets, so a plain read it must be.
        std::thread::sleep(Duration::from_millis(100));
        writer.write_all(b"x").unwrap();
        waiting.thread.join().unwrap();
        run.interrupt().complete()
    };
    let run = wait(&[]);
    assert!(run.rows.iter().filter(|row| row["type"] == "wait").all(|row| row["path"] != socket), "{:#?}", run.rows);
    assert!(run.rows.iter().filter(|row| row["type"] == "wait").all(|row| number(row, "pid") == u64::from(pid)));
    let sleeping = trace(&["--all"]);
    let slept = Duration::from_millis(300);
    std::thread::sleep(slept);
    let run = sleeping.interrupt().complete();
    // Other tests of this process may start programs, which the kernel waits for.
    let mut told = run.rows.iter().filter(|row| row["type"] == "wait");
    let is_sleep =
        |row: &serde_json::Value| ["nanosleep", "clock_nanosleep", "other"].iter().any(|op| row["op"] == *op);
    assert!(told.all(|row| !is_sleep(row) || number(row, "max_ns") < slept.as_nanos() as u64), "{:#?}", run.rows);
}

#[test]
fn pressure_is_told_where_the_kernel_measures_it() {
    need!(bpf);
    let run = Iotrace::new("wait").json().args(["-d", "200ms"]).run().complete();
    let host = run.rows.iter().find(|row| row["type"] == "pressure" && row["cgroup"].is_null());
    assert_eq!(host.is_some(), std::fs::read(Path::new("/proc/pressure/io")).is_ok(), "{:#?}", run.rows);
    let share = |name: &str| host.is_none_or(|row| row[name].as_f64().is_some_and(|share| share <= 110.0));
    assert!(share("some_pct") && share("full_pct"), "{host:?}");
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let run = Iotrace::new("wait").args(["--failed"]).run().exited(2);
    assert!(run.stderr.contains("--failed"), "{}", run.stderr);
    Iotrace::new("wait").args(["--reason", "boredom"]).run().exited(2);
}
