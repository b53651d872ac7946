//! iotrace beside other tracers that watch the same run: what agrees, and who is right by the log where it does not.
//! docs/peers.md tells it in words.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

mod block;
mod bpftrace;
mod filetop;
mod opensnoop;

use iotrace_tests::harness::{Iotrace, Output, Peer, Scene, share_one_processor};
use std::collections::BTreeMap;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Runs a scenario under iotrace and a peer; what both say, the peer on stdout and on stderr.
#[track_caller]
fn beside(
    (peer, peer_args): (&str, &[&str]),
    iotrace: Iotrace,
    scene: &Scene,
    (scenario, options): (&str, &[&str]),
) -> (Output, String, String) {
    share_one_processor();
    let peer = Peer::start(peer, peer_args);
    let run = iotrace.program(scene.command(scenario, options)).run().complete();
    let (output, errors) = peer.interrupt();
    (run, output, errors)
}

/// How often each key occurs.
fn tally(keys: impl IntoIterator<Item = (String, u64)>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (key, count) in keys {
        *sums.entry(key).or_default() += count;
    }
    sums
}
