//! The running kernel: structure layout, mechanisms, maps.
