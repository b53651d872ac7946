//! What containers do, and what iotrace says of it.

use super::{Iotrace, Running};
use serde_json::Value;
use std::{collections::BTreeMap, process::Child};

/// Writes of a size to a file, by one process.
pub fn writes(file: &str, size: u32, count: u32) -> String {
    format!("dd if=/dev/zero of={file} bs={size} count={count} 2>/dev/null")
}

/// Writes and their bytes of the rows of a path, by the value of a field of `container`.
pub fn written(rows: &[Value], path: &str, field: &str) -> BTreeMap<String, (u64, u64)> {
    let mut found = BTreeMap::<String, (u64, u64)>::new();
    for row in rows.iter().filter(|row| row["path"] == path && row["writes"] != 0) {
        let sum = found.entry(row["container"][field].as_str().unwrap_or("null").into()).or_default();
        *sum = (sum.0 + row["writes"].as_u64().unwrap(), sum.1 + row["write_bytes"].as_u64().unwrap());
    }
    found
}

/// All rows up to now. Of the whole host, calls that were under way when tracing began have no begin.
#[track_caller]
pub fn rows_of_all(run: Running) -> Vec<Value> {
    let output = run.interrupt().exited(0);
    assert_eq!([&output.summary["lost"], &output.summary["maps_full"]], [0, 0], "{}", output.summary);
    output.rows
}

/// Writes and their bytes, as [`written`] gives them: by name, size and count.
pub fn expected<const N: usize>(rows: [(&str, u64, u64); N]) -> BTreeMap<String, (u64, u64)> {
    rows.into_iter().map(|(name, size, count)| (name.to_owned(), (count, size * count))).collect()
}

/// The first rows or events of each container on a path: its name, host path and volume.
pub fn hosts<'a>(rows: &'a [Value], path: &str) -> BTreeMap<&'a str, (Option<&'a str>, Option<&'a str>)> {
    let of_path = rows.iter().filter(|row| row["path"] == path);
    of_path
        .map(|row| (row["container"]["name"].as_str().unwrap(), (row["host_path"].as_str(), row["volume"].as_str())))
        .collect()
}

/// What containers do at the end of their script: they wait until what they wrote was looked for on the host.
pub const WAIT: &str = "; echo done; while [ ! -e /go/on ]; do usleep 10000; done";

/// Runs containers that end with [`WAIT`], and looks at what they did before it. `start` is given the directory for `/go`.
pub fn while_they_run(iotrace: Iotrace, start: impl FnOnce(&str) -> Vec<Child>, look: impl Fn(&[Value])) {
    let go = tempfile::tempdir().unwrap();
    let mut run = iotrace.start();
    run.wait_tracing();
    let mut started = start(go.path().to_str().unwrap());
    for child in &mut started {
        let mut line = [0; 5];
        if std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).is_err() {
            let mut why = String::new();
            std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut why).unwrap();
            panic!("a container ended: {why}");
        }
        assert_eq!(&line, b"done\n");
    }
    let seen = rows_of_all(run);
    look(&seen);
    std::fs::write(go.path().join("on"), "").unwrap();
    for child in started {
        assert!(child.wait_with_output().unwrap().status.success());
    }
}
