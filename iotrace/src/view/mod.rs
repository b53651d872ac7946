//! Aggregators, one per command: events and sums in, rows out. No kernel, no terminal, no clock of their own.

pub mod block;
pub mod copyup;
mod differences;
pub mod disk;
pub mod folding;
pub mod fsync;
mod group;
pub mod heatmap;
mod latencies;
pub mod latency;
pub mod life;
pub mod opens;
pub mod pattern;
pub mod select;
pub mod top;
pub mod truncates;
pub mod wait;
