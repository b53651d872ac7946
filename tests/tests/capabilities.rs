//! As an ordinary user with capabilities: the same rows as root, and nothing kept that is not needed.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{
    harness::*,
    log::{Kind, Op},
    need, skip,
};
use nix::sys::resource::{Resource, setrlimit};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ffi::CString,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const USER: u32 = 65_534;
const NEEDED: [&str; 2] = ["bpf", "perfmon"];
/// Of include/uapi/linux/capability.h.
const BPF: u64 = 1 << 39;
const SYS_PTRACE: u64 = 1 << 19;

/// Where maps count as locked memory, lets this process and what it starts have enough: what LimitMEMLOCK= of a service and `ulimit -l`
/// are for.
fn allow_maps() {
    if kernel_before((5, 11)) {
        setrlimit(Resource::RLIMIT_MEMLOCK, libc::RLIM_INFINITY, libc::RLIM_INFINITY).unwrap();
    }
}

/// A run as the user with what is needed.
fn user(command: &str) -> Iotrace {
    allow_maps();
    Iotrace::new(command).user(USER).capabilities(&NEEDED)
}

/// Root's workload, traced by the user from outside.
fn beside(scene: &Scene, scenario: &str, run: Iotrace) -> Output {
    let mut workload: Child = scene.alone(scenario, &["--wait"]).spawn().unwrap();
    let pid = workload.id().to_string();
    let mut run = run.args(["-p", &pid, "--children", "-d", "50s"]).start();
    run.wait_tracing();
    drop(workload.stdin.take());
    assert!(workload.wait().unwrap().success());
    run.interrupt().complete()
}

/// Compares by key what concerns the scene.
#[track_caller]
fn compare(
    scene: &Scene,
    run: &Output,
    of_op: impl Fn(&Op) -> Option<String>,
    of_event: impl Fn(&Value) -> Option<String>,
) {
    let mut truth = BTreeMap::<String, u64>::new();
    for op in &scene.log().ops {
        if let Some(key) = of_op(op) {
            *truth.entry(key).or_default() += op.count;
        }
    }
    let mut seen = BTreeMap::<String, u64>::new();
    for event in &run.rows {
        let ours = |key: &String| truth.contains_key(key) || path_of(event).is_some_and(|path| scene.holds(&path));
        if let Some(key) = of_event(event).filter(ours) {
            *seen.entry(key).or_default() += 1;
        }
    }
    assert_same(&seen, &truth);
}

fn key_of_op(op: &Op) -> String {
    format!("{} {} {:?} {}", op.comm, op.call, op.errno_name(), process_and_path(op))
}

fn key_of_event(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_else(|| panic!("no {name} in {event}"));
    let errno = errno_name(&event["errno"]);
    format!("{} {} {errno:?} {}", text("comm"), text("call"), process_and_path_of_row(event))
}

#[test]
fn top_has_every_row() {
    need!(user_mechanism);
    let scene = Scene::new(WORKLOAD);
    let run = beside(&scene, "calls", user("top").json().args(["-a", "-r", "0"]));
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn fsync_has_every_row() {
    need!(user_mechanism);
    let scene = Scene::new(WORKLOAD);
    let run = beside(&scene, "fsyncs", user("fsync").json());
    let sums = truth_by(&scene.log(), |op| Some(process_and_path(op)));
    let synced = sums.into_iter().filter(|(_, row)| row.syncs + row.sync_writes > 0);
    let truth: BTreeMap<_, _> =
        synced.map(|(key, row)| (key, [row.syncs, row.sync_writes, row.writes, row.write_bytes, row.errors])).collect();
    let cells = |row: &Value| {
        ["syncs", "sync_writes", "writes", "write_bytes", "errors"].map(|name| row[name].as_u64().unwrap())
    };
    let seen = run.rows.iter().map(|row| (process_and_path_of_row(row), cells(row))).collect();
    assert_same(&seen, &truth);
}

#[test]
fn open_has_every_event() {
    need!(user_mechanism);
    let scene = Scene::new(WORKLOAD);
    let run = beside(&scene, "opens", user("open").json());
    let of_op = |op: &Op| (op.kind == Kind::Open).then(|| key_of_op(op));
    compare(&scene, &run, of_op, |event| (event["type"] == "open").then(|| key_of_event(event)));
}

#[test]
fn events_has_every_event() {
    need!(user_mechanism);
    let scene = Scene::new(WORKLOAD);
    let run = beside(&scene, "opens", user("events").args(["--buffer", "64MiB"]));
    compare(&scene, &run, |op| Some(key_of_op(op)), |event| (event["type"] != "block").then(|| key_of_event(event)));
}

#[test]
fn latency_has_every_request() {
    need!(bpf, loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::raw(16));
    let mut run = user("latency").json().args(["--disk", disk.name(), "-d", "50s"]).start();
    run.wait_tracing();
    let before = BlockStat::of(disk.name());
    let status = scene.alone("block", &["--device", disk.path().to_str().unwrap()]).status().unwrap();
    assert!(status.success());
    let (run, grown) = (run.interrupt().complete(), BlockStat::of(disk.name()) - before);
    let sum = |op: &str, name: &str| -> u64 {
        let rows = run.rows.iter().filter(|row| row["op"].as_str().unwrap().starts_with(op));
        rows.map(|row| row[name].as_u64().unwrap()).sum()
    };
    assert!(grown.reads > 0 && grown.write_sectors > 0, "{grown:?}");
    assert_eq!((sum("read", "count"), sum("read", "bytes")), (grown.reads, grown.read_sectors * 512));
    assert_eq!((sum("flush", "count"), sum("write", "bytes")), (grown.flushes, grown.write_sectors * 512));
}

#[test]
fn the_doctor_finds_that_the_two_are_enough() {
    need!(bpf);
    let run = user("doctor").json().run().exited(0);
    let state = |name: &str| run.rows.iter().find(|row| row["check"] == name).unwrap()["state"].clone();
    assert_eq!(["CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN"].map(state), ["ok", "ok", "missing"]);
}

/// Of each thread: its name and the lines of its status.
fn threads(pid: u32) -> Vec<(String, BTreeMap<String, String>)> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let directories = entries.map(|entry| entry.unwrap().path());
    let lines = |text: String| {
        text.lines()
            .filter_map(|line| line.split_once(":\t"))
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    };
    let read = |directory: &Path| fs::read_to_string(directory.join("status")).ok().map(lines);
    directories
        .filter_map(|directory| read(&directory))
        .map(|status: BTreeMap<String, String>| (status["Name"].clone(), status))
        .collect()
}

/// What no thread may have more than, while it traces.
fn still_needed() -> u64 {
    let disabled = fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").unwrap();
    if kernel_before((5, 19)) && disabled.trim() != "0" { BPF } else { 0 }
}

/// Fails unless every thread comes to have these capabilities at most, and may not get more by another program.
#[track_caller]
fn assert_given_up(pid: u32, main_thread_keeps: u64) {
    let until = Instant::now() + Duration::from_secs(10) * slowdown();
    loop {
        let threads = threads(pid);
        let given_up = threads.iter().all(|(name, status)| {
            let set = |name: &str| u64::from_str_radix(&status[name], 16).unwrap();
            let may = if name == "iotrace" { main_thread_keeps } else { 0 };
            set("CapEff") == may
                && set("CapPrm") == may
                && set("CapInh") == 0
                && set("CapAmb") == 0
                && status["NoNewPrivs"] == "1"
        });
        if given_up {
            assert!(threads.len() > 1, "the thread that writes: {threads:?}");
            return;
        }
        // Threads that have just begun to give up are waited for.
        assert!(Instant::now() < until, "{threads:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn capabilities_are_given_up_once_it_traces_and_rows_still_come() {
    need!(user_mechanism);
    for run in [Iotrace::new("top"), user("top")] {
        let scene = Scene::new(WORKLOAD);
        let mut run = run.json().args(["-r", "0", "-d", "50s"]).start();
        run.wait_tracing();
        assert_given_up(run.pid(), still_needed());
        assert!(scene.alone("threads", &[]).status().unwrap().success());
        let run = run.interrupt().complete();
        assert_rows(&scene, &scene.log(), &run.rows, |_| true);
    }
}

#[test]
fn root_keeps_its_number_and_no_right_to_get_more() {
    need!(bpf);
    let mut run = Iotrace::new("top").args(["-d", "50s"]).start();
    run.wait_tracing();
    let (_, status) = threads(run.pid()).into_iter().find(|(name, _)| name == "iotrace").unwrap();
    assert_eq!(status["Uid"], "0\t0\t0\t0");
    assert_eq!(u64::from_str_radix(&status["CapBnd"], 16).unwrap(), 0);
    run.interrupt().exited(0);
}

#[test]
fn program_has_all_that_the_user_had() {
    need!(user_mechanism);
    let own = |text: &str| text.lines().filter(|line| line.starts_with("Cap")).map(String::from).collect::<Vec<_>>();
    let here = own(&fs::read_to_string("/proc/self/status").unwrap());
    let script = ["sh", "-c", "cat /proc/self/status"];
    let run = Iotrace::new("top").json().program(script).run().exited(0);
    assert_eq!(own(&run.stderr), here);
    assert!(run.stderr.contains("NoNewPrivs:\t0"), "{}", run.stderr);
    let run = user("top").json().program(script).run().exited(0);
    let caps = own(&run.stderr);
    assert_eq!(caps.len(), 5, "{}", run.stderr);
    assert!(caps.iter().all(|line| line.ends_with("000000c000000000")), "{caps:?}");
    assert!(run.stderr.contains("NoNewPrivs:\t0"), "a set-user-id program would not work: {}", run.stderr);
}

#[test]
fn while_program_runs_no_thread_keeps_anything() {
    need!(bpf);
    let mut run = Iotrace::new("top").program(["sleep", "1000"]).start();
    run.wait_tracing();
    assert_given_up(run.pid(), still_needed());
    drop(run);
}

/// A process that does nothing, until it is dropped.
struct Idle(Child);

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn hidden_processes_take_cap_sys_ptrace_which_then_stays() {
    need!(user_mechanism);
    const HIDE: &str = "mount -t proc -o hidepid=2 proc /proc"; // since Linux 5.8 it is for this mount alone
    let other = Idle(Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap());
    let pid = other.0.id().to_string();
    let refused = user("top").args(["-p", &pid, "-d", "50s"]).within(HIDE).run();
    let mut run = user("top").capabilities(&["bpf", "perfmon", "sys_ptrace"]);
    run = run.args(["-p", &pid, "-d", "50s"]).within(HIDE);
    let mut run = run.start();
    run.wait_tracing();
    assert_given_up(run.pid(), still_needed() | SYS_PTRACE);
    run.interrupt().exited(0);
    let doctor = user("doctor").json().within(HIDE).run().exited(0);
    assert!(refused.exited(1).stderr.contains("CAP_SYS_PTRACE"));
    let check = doctor.rows.iter().find(|row| row["check"] == "CAP_SYS_PTRACE").unwrap();
    assert!(check["detail"].as_str().unwrap().contains("hidepid"), "{check}");
}

#[test]
fn probes_that_are_kept_to_root_are_named_with_the_setting() {
    need!(bpf);
    let Err(_) = user_mechanism() else { return };
    let run = user("top").args(["-d", "100ms"]).run().exited(1);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(
        run.stderr.contains("kernel.perf_event_paranoid") && run.stderr.contains("CAP_SYS_ADMIN"),
        "{}",
        run.stderr
    );
}

#[test]
fn locked_memory_is_named_where_it_counts_and_is_too_little() {
    need!(bpf);
    let run = user("top").args(["-d", "100ms"]).within("ulimit -l 64").run();
    if !kernel_before((5, 11)) {
        need!(user_mechanism);
        run.exited(0);
        return;
    }
    // All processes of the user share the limit: beside another tracer not the smallest map can be made.
    let mut other = user("top").args(["-d", "50s"]).start();
    other.wait_tracing();
    let beside = user("top").args(["-d", "100ms"]).within("ulimit -l 64").run();
    other.interrupt().exited(0);
    for run in [run.exited(1), beside.exited(1)] {
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(run.stderr.contains("locked memory") && run.stderr.contains("ulimit -l"), "{}", run.stderr);
    }
}

/// What `setcap cap_bpf,cap_perfmon+ep` does: `struct vfs_cap_data` of include/uapi/linux/capability.h, revision 2.
fn set_capabilities(file: &Path) -> std::io::Result<()> {
    const REVISION_2_EFFECTIVE: u32 = 0x0200_0001;
    let needed: u64 = 1 << 39 | 1 << 38;
    let data: Vec<u8> = [REVISION_2_EFFECTIVE, needed as u32, 0, (needed >> 32) as u32, 0]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let path = CString::new(file.as_os_str().as_bytes()).unwrap();
    // SAFETY: the strings end with a zero, and the data has the length that is given.
    match unsafe { libc::setxattr(path.as_ptr(), c"security.capability".as_ptr(), data.as_ptr().cast(), data.len(), 0) }
    {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[test]
fn capabilities_of_the_file_leave_program_its_environment() {
    need!(bpf);
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("iotrace");
    fs::copy(binary(), &copy).unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if let Err(error) = set_capabilities(&copy) {
        skip!(format!("needs capabilities of files: {error}"));
    }
    allow_maps();
    let user = [format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".into()];
    let run = Command::new("setpriv")
        .args(user)
        .arg(&copy)
        .args(["top", "-q", "--", "sh", "-c", "echo $TMPDIR; cat /proc/self/status"])
        .env("TMPDIR", "/where the user wants it")
        .output()
        .unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    if stderr.contains("needs CAP_BPF") {
        skip!("capabilities of files do not work here: mounted with nosuid");
    }
    assert!(stderr.starts_with("/where the user wants it\n"), "{stderr}");
    assert!(stderr.contains("CapEff:\t0000000000000000\n"), "{stderr}");
}
