#![allow(clippy::unwrap_used)]
use super::*;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio, id};
use std::time::Duration;

#[test]
fn this_process_exists_and_its_neighbours_ids_tell_apart() {
    assert!(exists(id()));
    assert!(!exists(0) && !exists(u32::MAX));
    assert!(thread_exists(id(), id()));
    assert!(!thread_exists(id(), 1) && !thread_exists(u32::MAX, 1));
}

#[test]
fn a_thread_is_no_process() {
    // A test runs in a thread of its own.
    let tid = nix::unistd::gettid().as_raw() as u32;
    assert_ne!(tid, id());
    assert!(!exists(tid) && thread_exists(id(), tid));
}

#[test]
fn family_is_closed_and_survives_a_cycle() {
    let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (8, 9), (9, 8), (1, 0)];
    assert_eq!(family(&[2], parents.into_iter()), [2, 3, 4]);
    assert_eq!(family(&[3, 5], parents.into_iter()), [3, 4, 5]);
    assert_eq!(family(&[8], parents.into_iter()), [8, 9]);
    assert_eq!(family(&[77], parents.into_iter()), [77]);
    assert_eq!(family(&[], parents.into_iter()), [0; 0]);
}

#[test]
fn a_grandchild_is_found() {
    // The colon after it keeps the shell from replacing itself with sleep.
    let mut child =
        Command::new("sh").args(["-c", "sleep 60; :"]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut found = Vec::new();
    for _ in 0..500 {
        found = descendants(&[child.id()]);
        if found.len() == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let grandchild = found.iter().copied().find(|&pid| pid != child.id()).unwrap();
    assert_eq!(from_proc(grandchild).unwrap().ppid, child.id());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(grandchild as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    child.wait().unwrap();
}

#[test]
fn from_proc_tells_what_the_kernel_would() {
    let info = from_proc(id()).unwrap();
    assert_eq!(info.pid, id());
    assert_eq!(info.ppid, std::os::unix::process::parent_id());
    assert_eq!(info.uid, nix::unistd::getuid().as_raw());
    assert!(info.comm.starts_with(b"iotrace") && info.comm.len() <= 15, "{:?}", info.comm);
    let uptime: f64 = fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    let age = uptime - info.start_ns as f64 / 1e9;
    assert!((-0.1..600.0).contains(&age), "{age}");
    assert_eq!(from_proc(u32::MAX), None);
}

#[test]
fn a_name_that_is_not_utf8_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join(std::ffi::OsString::from_vec(b"caf\xe9 (1) x".to_vec()));
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    let mut child = Command::new(&program).arg("60").spawn().unwrap();
    let info = from_proc(child.id());
    let alive = exists(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(info.unwrap().comm, b"caf\xe9 (1) x");
    assert!(alive);
}

#[test]
fn the_most_telling_control_group_is_chosen() {
    for (file, path) in [
        ("0::/system.slice/docker-1.scope\n", "/system.slice/docker-1.scope"),
        ("0::/\n", "/"),
        ("", "/"),
        ("5:memory:/docker/1\n1:name=systemd:/\n0::/\n", "/docker/1"),
        ("5:memory:/user.slice\n1:name=systemd:/user.slice/session-1.scope\n0::/\n", "/user.slice/session-1.scope"),
        ("5:memory:/a\n1:name=systemd:/b\n0::/c\n", "/c"),
        ("3:cpu,cpuacct:/\n0::/a.slice:cri-containerd:1\n", "/a.slice:cri-containerd:1"),
        ("garbage\n1\n", "/"),
    ] {
        assert_eq!(cgroup_path(file.as_bytes()), path, "{file}");
    }
}
