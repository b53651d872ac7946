//! Signals: Ctrl-C and SIGTERM print what there is; nothing stays attached, whatever happens.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// `BPF_PROG_GET_FD_BY_ID`, `BPF_LINK_GET_FD_BY_ID` (include/uapi/linux/bpf.h).
const BY_ID: [(&str, i32); 2] = [("prog_id:", 13), ("link_id:", 30)];

/// Ids of the kernel programs and links that a process holds, by the command that looks them up.
fn held(pid: u32) -> BTreeSet<(i32, u32)> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for (field, command) in BY_ID {
            let id = text.lines().find_map(|line| line.strip_prefix(field)?.trim().parse().ok());
            all.extend(id.map(|id| (command, id)));
        }
    }
    all
}

fn exists((command, id): (i32, u32)) -> bool {
    let attributes = [u64::from(id), 0, 0];
    // SAFETY: the attributes outlive the call; the command only looks an id up.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(&attributes)) };
    if fd >= 0 {
        // SAFETY: the descriptor was just made and is nobody else's.
        unsafe { libc::close(fd as i32) };
    }
    fd >= 0
}

#[test]
fn after_any_signal_nothing_stays_attached() {
    need!(bpf);
    for signal in [libc::SIGKILL, libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let mut run = Iotrace::new("events").args(["-d", "50s", "-p", &std::process::id().to_string()]).start();
        run.wait_tracing();
        let ids = held(run.pid());
        assert!(!ids.is_empty() && ids.iter().all(|id| exists(*id)), "it holds programs: {ids:?}");
        run.signal(signal);
        run.wait();
        let until = Instant::now() + Duration::from_secs(10); // the kernel frees programs a little later
        while ids.iter().any(|id| exists(*id)) {
            assert!(Instant::now() < until, "still there after signal {signal}: {ids:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn ctrl_c_and_sigterm_print_what_was_collected() {
    need!(bpf);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let scene = Scene::new(WORKLOAD);
        let mut workload = scene.alone("threads", &["--wait"]).spawn().unwrap();
        let run = Iotrace::new("top").json().args(["-r", "0", "-d", "50s", "-p", &workload.id().to_string()]);
        let mut run = run.start();
        run.wait_tracing();
        drop(workload.stdin.take());
        assert!(workload.wait().unwrap().success());
        run.signal(signal);
        let run = run.wait().complete();
        assert_rows(&scene, &scene.log(), &run.rows, |_| true);
    }
}

#[test]
fn every_command_ends_at_ctrl_c_with_its_summary() {
    need!(bpf);
    for command in ["top", "fsync", "open", "latency", "block", "events"] {
        let args: &[&str] = if command == "latency" { &["--json"] } else { &["--json", "--comm", "nobody-has-this"] };
        let args = if command == "events" { &args[1..] } else { args };
        let mut run = Iotrace::new(command).args(["-d", "50s"]).args(args.iter().copied()).start();
        run.wait_tracing();
        let run = run.interrupt().exited(0);
        assert_eq!(run.summary["command"], command, "{}", run.stdout);
    }
}

#[test]
fn duration_ends_a_run() {
    need!(bpf);
    let began = Instant::now();
    let run = Iotrace::new("top").json().args(["-d", "300ms", "-p", &std::process::id().to_string()]).run().exited(0);
    assert!(began.elapsed() >= Duration::from_millis(300) && began.elapsed() < Duration::from_secs(20) * slowdown());
    assert!(run.summary["duration_ns"].as_u64().unwrap() >= 300_000_000, "{}", run.summary);
}

#[test]
fn an_interval_prints_a_table_each_time() {
    need!(bpf);
    let own = std::process::id().to_string();
    let run = Iotrace::new("top").args(["-i", "200ms", "-n", "3", "-p", &own]).run().exited(0);
    assert_eq!(run.stdout.lines().filter(|line| line.ends_with("PATH")).count(), 3, "{}", run.stdout);
    let run = Iotrace::new("top").args(["-p", &own, "1", "2"]).run().exited(0);
    assert_eq!(run.stdout.lines().filter(|line| line.ends_with("PATH")).count(), 2, "{}", run.stdout);
}
