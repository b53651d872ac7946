//! Runs iotrace and compares what it says with the truth.

mod blockstat;
mod charges;
mod contained;
mod containerd;
mod events;
mod groups;
mod image;
mod iotrace;
mod loopdisk;
mod memory;
mod need;
mod overlay;
mod partition;
mod peers;
mod peers_output;
mod podman;
mod postgres;
mod rows;
mod scene;
mod stacked;
mod tmpfs;

pub use blockstat::BlockStat;
pub use charges::{Watch, assert_whole, bytes_of, files, is_at, run};
pub use contained::{WAIT, expected, hosts, rows_of_all, while_they_run, writes, written};
pub use containerd::{Container, Containerd};
pub use events::{assert_events, assert_events_at};
pub use image::IMAGE;
pub use iotrace::{Iotrace, Output, Running, binary, slowdown};
pub use loopdisk::{Frozen, LoopDisk};
pub use memory::{map_memory, own_memory};
pub use need::{
    aio, bpf, btrfs, compiler, confidentiality, containers, copy_ups, device_mapper, dm_crypt, fio, io_uring, iostat,
    kernel_before, loop_devices, md, module_types, note_skip, overlayfs, partitions, peers, podman, postgresql, python,
    root, sqlite, tmux, user_mechanism, xfs,
};
pub use overlay::Overlay;
pub use partition::Partition;
pub use peers::{Peer, share_one_processor};
pub use peers_output::{Counted, Opened, Requested, histogram_sum, maps};
pub use podman::Podman;
pub use postgres::Postgres;
pub use rows::{
    Counts, assert_rows, assert_same, by, errno_name, path_of, path_text, process_and_path, process_and_path_of_row,
    rows_by, truth_by,
};
pub use scene::{Scene, io_uring_begins_at_the_position};
pub use stacked::{Array, Mapped, Mounted};
pub use tmpfs::Tmpfs;

/// What a command wrote, which must succeed.
#[track_caller]
fn succeeds(command: &mut std::process::Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
