//! Names for numbers: disks, mounts, processes, containers, users.
//!
//! Caches have limits, and what cannot be found is `None`, never a guess.

pub mod blocked;
mod container;
mod containers;
mod devices;
mod disk;
mod diskstats;
mod held;
mod host_finder;
mod host_paths;
mod io_limits;
mod mount_table;
mod mounts;
pub mod names;
mod numbers;
mod overlay;
pub mod pipe_ends;
mod pipeline;
mod points;
mod pressure;
mod process;
mod program;
mod reader;
mod role;
mod runtimes;
mod users;
mod volume;

pub use container::Container;
pub use containers::{Containers, Resident};
pub use devices::{Device, Devices};
pub use disk::{DevNumber, Disk, Disks, UnknownDisk, dev_of_rdev, dev_text};
pub use diskstats::{Completed, DiskLine, DiskStat, read_diskstats};
pub use held::{Deleted, deleted};
pub use host_finder::HostPath;
pub use host_paths::Free;
pub use io_limits::{IoLimit, io_limit};
pub use mounts::{Mounts, hides_processes};
pub use pipeline::pipeline;
pub use points::Points;
pub use pressure::{Pressures, Waited, waited_for_io};
pub use process::{ProcessInfo, cgroup_path, descendants, exists, from_proc, thread_exists};
pub use program::find_program;
pub use reader::Meanwhile;
pub use runtimes::{ROOT_VARIABLE, Runtimes};
pub use users::uid_of;
