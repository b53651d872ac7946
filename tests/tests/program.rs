//! `-- PROGRAM`: its exit status, its output, its end.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn shell(script: &str) -> Vec<std::ffi::OsString> {
    ["sh", "-c", script].map(Into::into).to_vec()
}

#[test]
fn the_exit_status_is_the_programs_own() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    for status in [0, 7, 255] {
        let run = Iotrace::new("top").json().program(scene.command("exit", &["--status", &status.to_string()]));
        run.run().exited(status);
    }
}

#[test]
fn a_program_killed_by_a_signal_gives_128_and_its_number() {
    need!(bpf);
    for (script, status) in [("kill -TERM $$", 143), ("kill -KILL $$", 137), ("kill -INT $$", 130)] {
        Iotrace::new("top").json().program(shell(script)).run().exited(status);
    }
}

#[test]
fn the_programs_output_goes_to_stderr() {
    need!(bpf);
    let run = Iotrace::new("top").json().program(shell("echo to-stdout; echo to-stderr >&2")).run().complete();
    assert!(run.stderr.contains("to-stdout\n") && run.stderr.contains("to-stderr\n"), "{}", run.stderr);
    assert!(run.stdout.lines().all(|line| line.starts_with('{')), "{}", run.stdout);
}

#[test]
fn with_an_output_file_the_programs_output_is_left_alone() {
    need!(bpf);
    let place = tempfile::tempdir().unwrap();
    let run = Iotrace::new("top").json().output(&place.path().join("report"));
    let run = run.program(shell("echo to-stdout")).run().complete();
    assert_eq!(run.stdout, "to-stdout\n");
}

#[test]
fn a_program_is_found_in_path_and_gets_its_arguments_as_they_are() {
    need!(bpf);
    let run = Iotrace::new("top").json().program(["printf", "<%s>", "-d", "a b", "--json", "--"]).run().complete();
    assert!(run.stderr.contains("<-d><a b><--json><-->"), "{}", run.stderr);
}

#[test]
fn the_run_is_exact_from_the_first_byte_to_the_last() {
    need!(bpf);
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    std::fs::write(&from, "x".repeat(31)).unwrap();
    let words = ["dd".into(), format!("if={}", from.display()), format!("of={}", to.display()), "bs=10".into()];
    let run = Iotrace::new("top").json().args(["-r", "0"]).program(words).run().complete();
    let row = |path: &std::path::Path| {
        let row = run.rows.iter().find(|row| row["path"] == path.to_str().unwrap()).expect("a row for the file");
        Counts::of_row(row)
    };
    assert_eq!(row(&from), Counts { reads: 5, read_bytes: 31, ..Counts::default() }); // the last finds the end
    assert_eq!(row(&to), Counts { writes: 4, write_bytes: 31, ..Counts::default() });
}

#[test]
fn other_processes_are_left_out() {
    need!(bpf);
    let (scene, other) = (Scene::new(WORKLOAD), Scene::new(WORKLOAD));
    let mut beside = other.alone("flood", &["--count", "100003"]).spawn().unwrap();
    let run =
        Iotrace::new("top").json().args(["-a", "-r", "0"]).program(scene.command("threads", &[])).run().complete();
    assert!(beside.wait().unwrap().success());
    assert!(run.rows.iter().all(|row| !path_of(row).is_some_and(|path| other.holds(&path))), "{:?}", run.rows);
}

#[test]
fn iotrace_itself_is_never_traced() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let mut run = Iotrace::new("events").start();
    run.wait_tracing();
    assert!(scene.alone("threads", &[]).status().unwrap().success());
    let pid = run.pid();
    let run = run.interrupt().exited(0);
    assert!(!run.rows.is_empty());
    assert!(run.rows.iter().all(|event| event["type"] == "block" || event["pid"] != pid));
}

#[test]
fn the_kernel_log_has_statements_of_the_kernel_programs() {
    need!(bpf);
    for (command, statement) in [("top", "kernel debug: exit: "), ("latency", "kernel debug: request completed: ")] {
        let run = Iotrace::new(command)
            .args(["--kernel-log"])
            .program(shell("file=$(mktemp); echo text >$file; sync $file; rm $file"))
            .run();
        let run = run.exited(0);
        assert!(run.stderr.contains(statement), "{command}: {}", run.stderr);
    }
}
