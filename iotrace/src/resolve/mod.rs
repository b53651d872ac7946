//! Names for numbers: disks, mounts, processes, containers, users.
