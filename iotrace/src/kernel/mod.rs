//! The running kernel: structure layout, mechanisms, maps.

pub mod access;
pub mod attach;
pub mod block;
pub mod btf;
pub mod calls;
pub mod doctor;
pub mod histograms;
pub mod layout;
pub mod log;
pub mod losses;
pub mod mechanism;
pub mod plan;
pub mod sums;
pub mod tracer;
