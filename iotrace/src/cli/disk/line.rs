//! JSON lines of disks.

use super::causes;
use crate::{
    cli::command::World,
    output::json::{DeviceCounts, DiskLine, KindCounts, OpRequests, Requests, Text, exact},
    resolve::dev_text,
    view::{
        disk::{Counted, Row, Sum},
        latency,
    },
};

/// The line of a row.
pub(in crate::cli) fn line<'a>(row: &'a Row, ts: &'a str, interval_ns: u64, world: &World) -> DiskLine<'a> {
    let device = row.device.as_deref();
    let backing = device.and_then(|device| device.backing.as_deref());
    let op = |of_op: &latency::Row| OpRequests {
        op: world.block.operation(of_op.key.cmd_flags).name(),
        requests: requests(of_op),
    };
    DiskLine {
        kind: "disk",
        ts,
        interval_ns,
        name: row.name(),
        disk: device.map(|device| device.disk.as_str()),
        dev: dev_text(row.dev),
        device_type: device.map(|device| device.kind.as_str()),
        on: device.and_then(|device| Some(device.on.as_ref()?.iter().map(|dev| dev_text(*dev)).collect())),
        backing_file: backing.map(Text),
        backing_file_bytes: exact(backing),
        counted: row.counted.as_ref().map(|counted| counts(counted, interval_ns)),
        requests: row.all.as_ref().map(requests),
        ops: row.by_op.iter().map(op).collect(),
        causes: row.causes.iter().map(causes::json).collect(),
    }
}

fn requests(row: &latency::Row) -> Requests {
    Requests {
        count: row.count,
        bytes: row.bytes,
        errors: row.errors,
        total: row.total.distribution,
        queue: row.queue.distribution,
        device: row.device.distribution,
    }
}

fn counts(counted: &Counted, interval_ns: u64) -> DeviceCounts {
    let kind = |sum: &Sum| KindCounts { count: sum.requests, merged: sum.merged, bytes: sum.bytes, sum_ns: sum.ns };
    let busy_ns = counted.busy_ns.unwrap_or_default();
    let part = |ns: u64| ns as f64 / interval_ns.max(1) as f64;
    DeviceCounts {
        reads: kind(&counted.reads),
        writes: kind(&counted.writes),
        discards: kind(&counted.discards),
        flushes: kind(&counted.flushes),
        in_flight: counted.in_flight,
        queue_len: part(counted.queued_ns),
        busy_ns,
        util_pct: (part(busy_ns) * 100.0).min(100.0),
    }
}
