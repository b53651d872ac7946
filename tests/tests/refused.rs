//! Kernels on which nothing can be traced: one sentence says why, and the exit status is 1.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use std::{
    io,
    os::unix::process::CommandExt,
    process::{Command, Output},
};

const USER: u32 = 65_534;
const COMMANDS: [&str; 8] = ["top", "fsync", "open", "events", "block", "latency", "disk", "diagnose"];
// Commands of bpf(2), include/uapi/linux/bpf.h.
const MAP_CREATE: u32 = 0;
const RAW_TRACEPOINT_OPEN: u32 = 17;
const LINK_CREATE: u32 = 28;

/// Installs a filter of system calls: these commands of bpf(2), and all of perf_event_open(2), fail with this error.
fn refuse(commands: &[u32], errno: i32) -> io::Result<()> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let unless = |value: u32, skip: u8| {
        let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        libc::sock_filter { code, jt: 0, jf: skip, k: value }
    };
    // Offsets in struct seccomp_data: the number, and the lower half of the first argument.
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let answer = |action: u32| statement(libc::BPF_RET | libc::BPF_K, action);
    let error = libc::SECCOMP_RET_ERRNO | errno as u32;
    let first_argument = if cfg!(target_endian = "little") { 16 } else { 20 };
    let mut filter = vec![load(0), unless(libc::SYS_perf_event_open as u32, 1), answer(error)];
    filter.extend([unless(libc::SYS_bpf as u32, 1 + 2 * commands.len() as u8), load(first_argument)]);
    filter.extend(commands.iter().flat_map(|command| [unless(*command, 1), answer(error)]));
    filter.push(answer(libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the filter outlives the call, which copies it.
    match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs iotrace as root under such a filter.
fn under(commands: &'static [u32], errno: i32, args: &[&str]) -> Output {
    let mut run = Command::new(binary());
    // SAFETY: one thread is left after fork, and the C library's allocator works there.
    unsafe { run.args(args).pre_exec(move || refuse(commands, errno)) };
    run.output().unwrap()
}

/// One line on stderr that has these words, nothing on stdout, exit status 1.
#[track_caller]
fn assert_refused(run: &Output, says: &[&str]) {
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("iotrace: "), "{stderr}");
    assert!(says.iter().all(|word| stderr.contains(word)), "{says:?} in {stderr}");
    assert!(run.stdout.is_empty(), "{run:?}");
}

#[test]
fn a_missing_capability_is_named_and_no_other() {
    need!(bpf);
    for (given, missing, other) in [("bpf", "CAP_PERFMON", "CAP_BPF"), ("perfmon", "CAP_BPF", "CAP_PERFMON")] {
        for command in COMMANDS {
            let run = Iotrace::new(command).args(["-d", "1s"]).user(USER).capabilities(&[given]).run().exited(1);
            assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
            assert!(run.stderr.contains(missing) && !run.stderr.contains(other), "{}", run.stderr);
        }
        let doctor = Iotrace::new("doctor").json().user(USER).capabilities(&[given]).run().exited(1);
        let problem = format!("needs {missing}, which this user does not have");
        assert_eq!(doctor.summary["problems"][0], problem.as_str(), "{}", doctor.summary);
    }
}

#[test]
fn a_kernel_without_btf() {
    need!(bpf);
    let hide = |command| Iotrace::new(command).within("mount -t tmpfs none /sys/kernel/btf");
    for command in COMMANDS {
        let run = hide(command).args(["-d", "1s"]).run().exited(1);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        for word in ["no BTF at /sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"] {
            assert!(run.stderr.contains(word), "{word} is not in {}", run.stderr);
        }
        assert_eq!(run.stdout, "");
    }
    let doctor = hide("doctor").json().run().exited(1);
    assert!(doctor.summary["problems"][0].as_str().unwrap().contains("no BTF"), "{}", doctor.summary);
}

#[test]
fn a_kernel_without_ring_buffers() {
    need!(bpf);
    // A kernel that does not know a type of map says EINVAL (find_and_alloc_map, map_create of kernel/bpf/syscall.c).
    for command in COMMANDS {
        let run = under(&[MAP_CREATE], libc::EINVAL, &[command, "-d", "1s"]);
        assert_refused(&run, &["ring buffer", "Linux 5.8", "5.10 or newer"]);
    }
    let doctor = under(&[MAP_CREATE], libc::EINVAL, &["doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("problem the kernel has no ring buffers"), "{doctor:?}");
}

#[test]
fn a_kernel_on_which_no_mechanism_works() {
    need!(bpf);
    const REASONS: [&str; 5] = ["no mechanism works here", "tracepoint: ", "fentry: ", "kprobe: ", "seccomp"];
    const ATTACHING: &[u32] = &[RAW_TRACEPOINT_OPEN, LINK_CREATE];
    for command in COMMANDS {
        assert_refused(&under(ATTACHING, libc::EPERM, &[command, "-d", "1s"]), &REASONS);
    }
    let doctor = under(ATTACHING, libc::EPERM, &["doctor", "--json"]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("seccomp"), "{doctor:?}");
}

#[test]
fn a_kernel_that_is_locked_down() {
    need!(confidentiality);
    for command in COMMANDS {
        let run = Command::new(binary()).args([command, "-d", "1s"]).output().unwrap();
        assert_refused(&run, &["lockdown", "confidentiality"]);
    }
    let doctor = Iotrace::new("doctor").json().run().exited(1);
    assert!(doctor.summary["problems"][0].as_str().unwrap().contains("confidentiality"), "{}", doctor.summary);
}

#[test]
fn capabilities_of_a_user_namespace_are_none() {
    need!(bpf);
    let words = ["--user", "--map-root-user", "--", binary().to_str().unwrap(), "top", "-d", "1s"].map(String::from);
    let run = Command::new("unshare").args(words).output().unwrap();
    if String::from_utf8_lossy(&run.stderr).starts_with("unshare:") {
        iotrace_tests::skip!("needs user namespaces");
    }
    assert_refused(&run, &["user namespace"]);
}
