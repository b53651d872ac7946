//! The running kernel: structure layout, mechanisms, maps.

pub mod access;
pub mod attach;
pub mod background;
pub mod block;
pub mod btf;
pub mod calls;
pub mod doctor;
pub mod endings;
pub mod functions;
pub mod histograms;
pub mod layout;
pub mod link;
pub mod log;
pub mod losses;
pub mod marks;
pub mod mechanism;
pub mod object;
pub mod plan;
pub mod preemption;
pub mod program;
pub mod reasons;
pub mod sums;
pub mod symbols;
pub mod sys;
pub mod tracer;
pub mod waits;
