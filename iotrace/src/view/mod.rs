//! Aggregators, one per command: events and sums in, rows out. No kernel, no terminal, no clock of their own.

pub mod block;
mod differences;
pub mod disk;
pub mod fsync;
mod group;
pub mod heatmap;
pub mod latency;
pub mod select;
pub mod top;
pub mod truncates;
pub mod wait;
