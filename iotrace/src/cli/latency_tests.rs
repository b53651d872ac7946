#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    cli::{
        Cli, Command as Parsed,
        form::Form,
        lines::tests::{parsed, world},
    },
    output::Bars,
};
use bytemuck::Zeroable;
use clap::Parser;
use iotrace_common::latency::{Distribution, Extremes, Histogram, HistogramKey, Range, bucket_of};
use unicode_width::UnicodeWidthStr;

fn args(options: &[&str]) -> Args {
    let words = ["iotrace", "latency"].iter().chain(options);
    match Cli::try_parse_from(words).unwrap().command {
        Parsed::Latency(args) => args,
        other => panic!("{other:?}"),
    }
}

fn add(wire: &mut Distribution, range: &mut Range, ns: u64) {
    wire.sum_ns += ns;
    wire.buckets[bucket_of(ns)] += 1;
    range.min_ns = range.min_ns.min(ns);
    range.max_ns = range.max_ns.max(ns);
}

/// Requests of 4 KiB: time in the queue, time in the device.
fn row(key: HistogramKey, requests: impl Iterator<Item = (u64, u64)>) -> Row {
    let mut histogram = Box::new(Histogram::zeroed());
    let none = Range { min_ns: u64::MAX, max_ns: 0 };
    let mut extremes = Extremes { count: 1, total: none, queue: none, device: none };
    for (queue_ns, device_ns) in requests {
        histogram.count += 1;
        histogram.bytes += 4096;
        add(&mut histogram.total, &mut extremes.total, queue_ns + device_ns);
        add(&mut histogram.queue, &mut extremes.queue, queue_ns);
        add(&mut histogram.device, &mut extremes.device, device_ns);
    }
    Differences::default().since(vec![(key, histogram, extremes)]).remove(0)
}

/// 1009 writes, some of which wait long; the same every time.
fn writes() -> Row {
    let key = HistogramKey { disk: 254 << 20, cmd_flags: 1 | 1 << 11 | 1 << 12 };
    let wait = |number: u64| if number.is_multiple_of(97) { 290_000_000 + number } else { number * 31 };
    row(key, (0..1009).map(|number| (wait(number), 2_000_000 + number * number)))
}

/// A disk that is not there any more, and requests that never waited.
fn flushes() -> Row {
    let key = HistogramKey { disk: 7 << 20 | 3, cmd_flags: 2 };
    Row { errors: 2, bytes: 0, ..row(key, (1..8).map(|number| (0, number))) }
}

fn text(options: &[&str], row: &Row, width: Option<usize>, utf8: bool) -> String {
    let args = args(options);
    let latency = Latency::new(&args, Grouping::Operation, false);
    let text = latency.text(row, &mut world(Form { width, utf8, ..Form::default() }));
    for line in text.lines() {
        assert!(line.width() <= width.unwrap_or(WIDTH), "{line}");
    }
    text
}

#[test]
fn text_at_80_columns() {
    insta::assert_snapshot!(text(&[], &writes(), Some(80), true));
}

#[test]
fn text_at_120_columns() {
    insta::assert_snapshot!(text(&[], &writes(), Some(120), true));
}

#[test]
fn text_in_ascii_at_80_columns() {
    insta::assert_snapshot!(text(&[], &writes(), Some(80), false));
}

#[test]
fn text_in_ascii_at_120_columns() {
    insta::assert_snapshot!(text(&[], &writes(), Some(120), false));
}

#[test]
fn text_by_flags_without_parts() {
    insta::assert_snapshot!(text(&["-F", "--no-split"], &writes(), Some(80), true));
}

#[test]
fn text_of_a_disk_without_a_name_that_failed() {
    insta::assert_snapshot!(text(&[], &flushes(), None, true));
}

#[test]
fn ascii_is_ascii_and_utf8_has_blocks() {
    assert!(text(&[], &writes(), None, false).is_ascii());
    assert!(text(&[], &writes(), None, true).contains('█'));
    assert_eq!(Form { utf8: true, ..Form::default() }.bars(), Bars::Blocks);
}

#[test]
fn output_that_goes_to_no_terminal_is_as_wide_as_80_columns() {
    assert_eq!(text(&[], &writes(), None, true), text(&[], &writes(), Some(80), true));
}

fn json(options: &[&str], row: &Row) -> String {
    let args = args(options);
    let latency = Latency::new(&args, Grouping::Operation, false);
    let (mut world, mut out) = (world(Form { json: true, ..Form::default() }), Vec::new());
    let ts = timestamp(&mut world.clock, 5_000_000_000);
    latency.json(row, &Subject::default(), &ts, &mut world, &mut out).unwrap();
    parsed(&out);
    String::from_utf8(out).unwrap()
}

#[test]
fn json_of_a_row() {
    insta::assert_snapshot!(json(&[], &writes()));
}

#[test]
fn json_by_flags_without_parts() {
    insta::assert_snapshot!(json(&["-F", "--no-split"], &writes()));
}

#[test]
fn json_of_a_disk_without_a_name() {
    let line = parsed(json(&[], &flushes()).as_bytes());
    assert_eq!((&line["disk"], &line["dev"]), (&serde_json::Value::Null, &"7:3".into()));
}

#[test]
fn bars_are_half_open_and_meet() {
    let bucket = |le_ns, count| Bucket { le_ns, count };
    let buckets = [bucket(1, 5), bucket(3, 0), bucket(7, 2), bucket(15, 1)];
    assert_eq!(ranges(&buckets), [(0, 2, 5), (2, 4, 0), (4, 8, 2), (8, 16, 1)]);
}

/// What is printed of so many intervals with requests in each.
fn map(form: Form, intervals: usize) -> String {
    let args = args(&["--heatmap"]);
    let mut latency = Latency::new(&args, Grouping::Operation, false);
    let (mut world, mut out) = (world(form), Vec::new());
    for interval in 0..intervals as u64 {
        latency.map.add(vec![writes(), flushes()], interval * 1_000_000_000, (interval + 1) * 1_000_000_000);
    }
    latency.draw(&mut world, &mut out);
    let end = out.len();
    latency.end(&mut world, &mut out);
    assert_eq!(out.len(), end, "nothing is drawn twice");
    String::from_utf8(out).unwrap()
}

#[test]
fn a_map_of_as_many_intervals_as_there_is_room_for_is_80_columns_wide() {
    let text = map(Form { width: Some(80), utf8: true, ..Form::default() }, WIDTH - LABEL);
    assert!(text.lines().all(|line| line.width() <= WIDTH), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_map_has_colours_where_they_are_wanted() {
    assert!(!map(Form { utf8: true, ..Form::default() }, 3).contains('\x1b'));
    assert!(map(Form { utf8: true, colour: true, ..Form::default() }, 3).contains("\x1b[38;5;"));
}
