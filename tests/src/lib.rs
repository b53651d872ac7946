//! What the end-to-end tests share: the [`workload`] that knows the truth, its [`log`], and the [`harness`] that runs iotrace.
//!
//! The workload is a program of its own (`workload SCENARIO --dir DIR --log FILE`). It makes system calls by number, notes
//! what each returned, and compares its sums with the kernel's own accounting ([`procio`]).
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

pub mod harness;
pub mod log;
pub mod procio;
pub mod workload;
