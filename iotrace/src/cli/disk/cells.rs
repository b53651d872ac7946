//! Cells of the table of disks.

use crate::{
    cli::lines::UNKNOWN,
    kernel::block::{BlockFacts, BlockOp},
    output::{Align, Column, bytes, escape, nanos, percent, ratio},
    resolve::dev_text,
    view::{
        disk::{Counted, Place, Row, Sum},
        latency::Row as Requests,
    },
};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

const fn number(key: &'static str, header: &'static str, doc: &'static str) -> Column {
    Column::new(key, header, Align::Right, 0, doc)
}

/// The columns; the last ones only on demand.
pub const COLUMNS: &[Column] = &[
    number("r", "R/S", "Reads per second"),
    number("w", "W/S", "Writes per second, those too that only flush"),
    number("f", "F/S", "Flushes per second that the device was sent"),
    number("d", "D/S", "Discards per second"),
    number("r_kb", "RKB/S", "Bytes read per second, in units of 1024"),
    number("w_kb", "WKB/S", "Bytes written per second, in units of 1024"),
    number("qlen", "QLEN", "Mean number of requests in flight"),
    number("queue", "QUEUE", "Mean time in the queue, of traced requests"),
    number("device", "DEVICE", "Mean time in the device, of traced requests"),
    number("p99", "P99", "99th percentile of both together, of traced requests"),
    number("util", "%UTIL", "Time with a request in flight, in per cent"),
    Column::new("disk", "DISK", Align::Left, 0, "The device, under what it stands on"),
    number("d_kb", "DKB/S", "Bytes discarded per second, in units of 1024"),
    number("r_await", "R_AWAIT", "Mean time of a read, from its start to its completion, as the kernel counts"),
    number("w_await", "W_AWAIT", "The same of a write"),
    number("f_await", "F_AWAIT", "The same of a flush"),
    number("d_await", "D_AWAIT", "The same of a discard"),
    number("r_queue", "R_QUEUE", "Mean time of traced reads in the queue"),
    number("r_device", "R_DEVICE", "Mean time of traced reads in the device"),
    number("r_p99", "R_P99", "99th percentile of both together"),
    number("w_queue", "W_QUEUE", "Mean time of traced writes in the queue"),
    number("w_device", "W_DEVICE", "Mean time of traced writes in the device"),
    number("w_p99", "W_P99", "99th percentile of both together"),
    number("f_queue", "F_QUEUE", "Mean time of traced flushes in the queue"),
    number("f_device", "F_DEVICE", "Mean time of traced flushes in the device"),
    number("f_p99", "F_P99", "99th percentile of both together"),
    number("r_size", "R_SIZE", "Mean size of a read"),
    number("w_size", "W_SIZE", "Mean size of a write"),
    number("r_merged", "RRQM/S", "Reads per second that were merged into others"),
    number("w_merged", "WRQM/S", "Writes per second that were merged into others"),
    number("in_flight", "NOW", "Requests in flight at the end of the interval"),
    number("errors", "ERRORS", "Traced requests that failed"),
    Column::new("type", "TYPE", Align::Left, 0, "What the device is, in the words of lsblk"),
    Column::new("file", "FILE", Align::Left, 0, "The file that a loop device is in"),
];

/// A cell other than the name. `interval_ns`: between the two looks at the kernel's counters.
pub(super) fn cell(key: &str, row: &Row, interval_ns: u64, block: &BlockFacts) -> String {
    match key {
        "queue" => time(row.all.as_ref(), mean_queue),
        "device" => time(row.all.as_ref(), mean_device),
        "p99" => time(row.all.as_ref(), p99),
        "errors" => row.all.as_ref().map_or_else(none, |requests| requests.errors.to_string()),
        "type" => row.device.as_ref().map_or_else(none, |device| escape(device.kind.as_bytes()).into_owned()),
        "file" => {
            let backing = row.device.as_ref().and_then(|device| device.backing.as_deref());
            backing.map_or_else(none, |backing| escape(backing).into_owned())
        }
        _ => match of_operation(key) {
            Some((op, value)) => time(requests_of(row, op, block), value),
            None => {
                row.counted.as_ref().map_or_else(|| UNKNOWN.to_owned(), |counted| of_counted(key, counted, interval_ns))
            }
        },
    }
}

/// A time of traced requests, nanoseconds.
type Time = fn(&Requests) -> u64;

/// The columns about traced requests of one operation.
fn of_operation(key: &str) -> Option<(BlockOp, Time)> {
    let (op, value) = key.split_once('_')?;
    let op = match op {
        "r" => BlockOp::Read,
        "w" => BlockOp::Write,
        "f" => BlockOp::Flush,
        _ => return None,
    };
    match value {
        "queue" => Some((op, mean_queue)),
        "device" => Some((op, mean_device)),
        "p99" => Some((op, p99)),
        _ => None,
    }
}

fn requests_of<'a>(row: &'a Row, op: BlockOp, block: &BlockFacts) -> Option<&'a Requests> {
    row.by_op.iter().find(|requests| block.operation(requests.key.cmd_flags) == op)
}

fn mean_queue(requests: &Requests) -> u64 {
    requests.queue.distribution.sum_ns / requests.count.max(1)
}

fn mean_device(requests: &Requests) -> u64 {
    requests.device.distribution.sum_ns / requests.count.max(1)
}

fn p99(requests: &Requests) -> u64 {
    requests.total.distribution.p99_ns
}

fn time(requests: Option<&Requests>, value: Time) -> String {
    requests.map_or_else(none, |requests| nanos(value(requests)))
}

fn none() -> String {
    "-".to_owned()
}

fn of_counted(key: &str, counted: &Counted, interval_ns: u64) -> String {
    let per_second = |count: u64| rate(count, interval_ns);
    let wait = |sum: &Sum| sum.mean_ns().map_or_else(none, nanos);
    let size = |sum: &Sum| sum.bytes.checked_div(sum.requests).map_or_else(none, bytes);
    match key {
        "r" => per_second(counted.reads.requests),
        "w" => per_second(counted.writes.requests),
        "f" => per_second(counted.flushes.requests),
        "d" => per_second(counted.discards.requests),
        "r_kb" => kib_rate(counted.reads.bytes, interval_ns),
        "w_kb" => kib_rate(counted.writes.bytes, interval_ns),
        "d_kb" => kib_rate(counted.discards.bytes, interval_ns),
        "qlen" => ratio(counted.queued_ns, interval_ns),
        "util" => counted.busy_ns.map_or_else(none, |busy_ns| percent(busy_ns.min(interval_ns), interval_ns)),
        "r_await" => wait(&counted.reads),
        "w_await" => wait(&counted.writes),
        "f_await" => wait(&counted.flushes),
        "d_await" => wait(&counted.discards),
        "r_size" => size(&counted.reads),
        "w_size" => size(&counted.writes),
        "r_merged" => per_second(counted.reads.merged),
        "w_merged" => per_second(counted.writes.merged),
        _ => counted.in_flight.to_string(),
    }
}

fn rate(count: u64, interval_ns: u64) -> String {
    ratio(count.saturating_mul(SECOND), interval_ns)
}

/// Bytes per second in units of 1024.
fn kib_rate(bytes: u64, interval_ns: u64) -> String {
    // Microseconds: nanoseconds times bytes times 1024 would not fit for a fast disk and a long interval.
    ratio(bytes.saturating_mul(SECOND / 1000), (interval_ns / 1000).saturating_mul(1024))
}

/// The name of a device behind its branch of the tree.
pub(super) fn branch(place: &Place, row: &Row, utf8: bool) -> String {
    let (through, gap, on, end) = if utf8 { ("│", " ", "├", "└") } else { ("|", " ", "|", "`") };
    let mut text = String::new();
    if let Some((own, levels)) = place.last.split_last() {
        levels.iter().for_each(|last| text.push_str(if *last { gap } else { through }));
        text.push_str(if *own { end } else { on });
    }
    match row.name() {
        Some(name) => text.push_str(&escape(name.as_bytes())),
        None => text.push_str(&dev_text(row.dev)),
    }
    if place.again {
        text.push_str(" (above)");
    }
    text
}
