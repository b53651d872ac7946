//! Rows to text: tables for people, JSON lines for machines.
//!
//! Nothing here knows of the kernel; time comes in as numbers, and only [`Sink`] writes.

mod errno;
mod flags;
mod heatmap;
mod histogram;
pub mod json;
mod sink;
mod table;
mod text;
mod time;
mod units;

pub use errno::errno_name;
pub use flags::{OpenFlags, open_flags};
pub use heatmap::{Ink, heatmap};
pub use histogram::{Bars, histogram};
pub use sink::{Flow, Sink, SinkError};
pub use table::{Align, Column, Table, select};
pub use text::{escape, lossy, shorten_front};
pub use time::{Clock, Stamp};
pub use units::{bytes, kib, nanos, percent, ratio};
