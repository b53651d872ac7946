//! Names for numbers: disks, mounts, processes, containers, users.
//!
//! Caches have limits, and what cannot be found is `None`, never a guess.

mod container;
mod containers;
mod disk;
mod mounts;
pub mod names;
mod pipeline;
mod points;
mod process;
mod program;
mod reader;
mod runtimes;
mod users;

pub use container::Container;
pub use containers::{Containers, Resident};
pub use disk::{Disk, Disks, UnknownDisk, dev_of_rdev, dev_text};
pub use mounts::{Mounts, hides_processes};
pub use pipeline::pipeline;
pub use points::Points;
pub use process::{ProcessInfo, cgroup_path, descendants, exists, from_proc, thread_exists};
pub use program::find_program;
pub use runtimes::{ROOT_VARIABLE, Runtimes};
pub use users::uid_of;
