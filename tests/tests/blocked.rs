//! Calls that wait: probes have a limited number of places for functions that have not returned.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use std::{
    io::{Read, Write, pipe},
    sync::{Arc, Barrier},
    time::Duration,
};

/// Threads that wait, a prime.
const THREADS: usize = 151;
/// Bytes that each gets, a prime.
const BYTES: usize = 7;

#[test]
fn each_of_many_reads_that_wait_is_counted_or_told_to_be_missing() {
    need!(bpf);
    let pid = std::process::id().to_string();
    let mut run = Iotrace::new("top").json().args(["-a", "--op", "read", "-p", &pid, "-d", "1h"]).start();
    run.wait_tracing();
    let begun = Arc::new(Barrier::new(THREADS + 1));
    let (readers, mut writers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| pipe().unwrap()).unzip();
    let waiting: Vec<_> = readers
        .into_iter()
        .map(|mut reader| {
            let begun = Arc::clone(&begun);
            std::thread::spawn(move || {
                begun.wait();
                reader.read(&mut [0; 64]).unwrap()
            })
        })
        .collect();
    begun.wait();
    // Until all of them wait in the kernel; one that does not yet is counted just the same.
    std::thread::sleep(Duration::from_millis(200) * slowdown());
    for writer in &mut writers {
        writer.write_all(&[1; BYTES]).unwrap();
    }
    assert!(waiting.into_iter().all(|thread| thread.join().unwrap() == BYTES));
    let run = run.interrupt().exited(0);
    let of_pipes = |field: &str| -> u64 {
        let pipes = run.rows.iter().filter(|row| row["path"].as_str().is_some_and(|path| path.starts_with("pipe:")));
        pipes
            .filter(|row| row["read_bytes"].as_u64() == Some(BYTES as u64))
            .map(|row| row[field].as_u64().unwrap())
            .sum()
    };
    let missing = THREADS as u64 - of_pipes("reads");
    let told = run.summary["skipped"].as_u64().unwrap() + run.summary["unmatched"].as_u64().unwrap();
    assert!(missing == 0 || told >= missing, "{missing} of {THREADS} are missing: {}", run.summary);
    assert_eq!(of_pipes("read_bytes"), (THREADS as u64 - missing) * BYTES as u64);
}
