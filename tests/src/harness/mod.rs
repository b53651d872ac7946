//! Runs iotrace and compares what it says with the truth.

mod blockstat;
mod charges;
mod containerd;
mod events;
mod iotrace;
mod loopdisk;
mod need;
mod peers;
mod peers_output;
mod postgres;
mod rows;
mod scene;

pub use blockstat::BlockStat;
pub use charges::{Watch, assert_whole, bytes_of, files, is_at, run};
pub use containerd::{Container, Containerd};
pub use events::{assert_events, assert_events_at};
pub use iotrace::{Iotrace, Output, Running, binary, slowdown};
pub use loopdisk::LoopDisk;
pub use need::{
    aio, bpf, btrfs, containers, fio, io_uring, loop_devices, note_skip, overlayfs, peers, postgresql, root, sqlite,
    xfs,
};
pub use peers::{Peer, share_one_processor};
pub use peers_output::{Counted, Opened, Requested, histogram_sum, maps};
pub use postgres::Postgres;
pub use rows::{
    Counts, assert_rows, assert_same, by, errno_name, path_of, path_text, process_and_path, process_and_path_of_row,
    rows_by, truth_by,
};
pub use scene::{Scene, io_uring_begins_at_the_position};
