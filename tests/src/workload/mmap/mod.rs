//! Reads and writes by mapped memory. The kernel says how many bytes they were: what it charges the process in
//! /proc/PID/io, and which pages it has (`mincore`).

mod mapping;

use super::{Args, rec::Rec, sys, threads::in_thread};
use crate::log::Kind;
use mapping::{Mapping, charged, cold, drop_cache, note, warm};
use std::path::Path;

/// The scenario. What the program itself needs from the disk comes in a rehearsal, so that it is not charged later.
pub fn run(rec: &mut Rec, args: &Args) {
    let rehearsal = args.dir.join("rehearsal");
    std::fs::create_dir(&rehearsal).unwrap();
    for dir in [&rehearsal, &args.dir] {
        let exact = *dir == args.dir;
        in_thread(rec, "in-order", |rec| reads_in_order(rec, &dir.join("in order"), exact));
        reads_at_random(rec, &dir.join("at random"), exact);
        writes(rec, &dir.join("dirtied"));
        private_writes(rec, &dir.join("private"), exact);
        plain(rec, &dir.join("plain"));
    }
}

/// The scenario of faults inside system calls.
pub fn run_inside_calls(rec: &mut Rec, args: &Args) {
    let rehearsal = args.dir.join("rehearsal");
    std::fs::create_dir(&rehearsal).unwrap();
    for dir in [&rehearsal, &args.dir] {
        write_from_mapping(rec, dir, *dir == args.dir);
        read_to_mapping(rec, dir);
    }
}

/// Every page, in order: the kernel reads ahead.
fn reads_in_order(rec: &mut Rec, path: &Path, exact: bool) {
    let file = cold(rec, path, 1_009);
    let mapping = Mapping::new(&file, libc::PROT_READ, libc::MAP_SHARED);
    let io = charged(rec, |_| mapping.read(0..mapping.pages()));
    let resident = mapping.resident();
    assert_eq!(resident.len(), 1_009);
    note_reads(rec, &file, io.read_bytes, &resident, exact);
    // They are there now: nothing is brought in.
    let io = charged(rec, |_| mapping.read(0..mapping.pages()));
    assert!(!exact || io.read_bytes == 0, "{io:?}");
    drop(mapping);
    file.close();
}

/// Some pages, one by one.
fn reads_at_random(rec: &mut Rec, path: &Path, exact: bool) {
    let file = cold(rec, path, 1_009);
    let mapping = Mapping::new(&file, libc::PROT_READ, libc::MAP_PRIVATE);
    mapping.without_readahead();
    let io = charged(rec, |_| mapping.read((0..101).map(|i| (i * 499 + 3) % 1_009)));
    let resident = mapping.resident();
    assert!(resident.len() >= 101);
    note_reads(rec, &file, io.read_bytes, &resident, exact);
    drop(mapping);
    file.close();
}

/// Pages that are in the page cache, made dirty twice with a sync between.
fn writes(rec: &mut Rec, path: &Path) {
    let file = warm(rec, path, 503);
    let mapping = Mapping::shared(&file);
    for (first, count) in [(0, 211), (1, 101)] {
        let pages: Vec<usize> = (0..count).map(|i| first + i * 2).collect();
        let io = charged(rec, |_| mapping.write(pages.iter().copied()));
        // More where the kernel marks several pages dirty at a time.
        assert!(io.write_bytes >= (count * sys::page_size()) as u64, "{io:?}");
        note(rec, Kind::MmapWrite, &file, io.write_bytes, &pages);
        // They are dirty already.
        let io = charged(rec, |_| mapping.write(pages.iter().copied()));
        assert_eq!(io.write_bytes, 0);
        mapping.sync(rec, &file);
    }
    drop(mapping);
    file.close();
}

/// A write to a private mapping reads the page, and changes a copy.
fn private_writes(rec: &mut Rec, path: &Path, exact: bool) {
    let file = cold(rec, path, 211);
    let mapping = Mapping::new(&file, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE);
    mapping.without_readahead();
    let io = charged(rec, |_| mapping.write((0..31).map(|i| i * 5)));
    assert_eq!(io.write_bytes, 0);
    drop(mapping);
    let resident = Mapping::new(&file, libc::PROT_READ, libc::MAP_SHARED).resident();
    assert!(resident.len() >= 31);
    note_reads(rec, &file, io.read_bytes, &resident, exact);
    file.close();
}

/// The same bytes by read(2) and write(2): no fault of a mapping moved them, mapped or not.
fn plain(rec: &mut Rec, path: &Path) {
    let page = sys::page_size();
    let file = cold(rec, path, 307);
    for at in 0..307 {
        assert_eq!(rec.pread(&file, page, (at * page) as i64), page as i64);
    }
    let mapping = Mapping::shared(&file);
    mapping.read(0..mapping.pages());
    for at in 0..103 {
        assert_eq!(rec.pwrite(&file, page, (at * page) as i64), page as i64);
    }
    drop(mapping);
    assert_eq!(rec.fsync(&file), 0);
    drop_cache(&file);
    file.close();
}

/// write(2) of mapped memory brings in the file that is mapped.
fn write_from_mapping(rec: &mut Rec, dir: &Path, exact: bool) {
    let (source, sink) = (cold(rec, &dir.join("mapped source"), 211), warm(rec, &dir.join("written"), 211));
    let mapping = Mapping::new(&source, libc::PROT_READ, libc::MAP_SHARED);
    let len = 211 * sys::page_size();
    let io = charged(rec, |rec| assert_eq!(rec.write_from(&sink, mapping.address, len), len as i64));
    let resident = mapping.resident();
    assert_eq!(resident.len(), 211);
    note_reads(rec, &source, io.read_bytes, &resident, exact);
    drop(mapping);
    source.close();
    sink.close();
}

/// read(2) into mapped memory makes the file dirty that is mapped.
fn read_to_mapping(rec: &mut Rec, dir: &Path) {
    let (source, sink) = (warm(rec, &dir.join("read"), 101), warm(rec, &dir.join("mapped sink"), 101));
    let mapping = Mapping::shared(&sink);
    let len = 101 * sys::page_size();
    let io = charged(rec, |rec| assert_eq!(rec.read_to(&source, mapping.address, len), len as i64));
    assert!(io.write_bytes >= len as u64, "{io:?}");
    note(rec, Kind::MmapWrite, &sink, io.write_bytes, &(0..101).collect::<Vec<_>>());
    mapping.sync(rec, &sink);
    drop(mapping);
    source.close();
    sink.close();
}

/// The two truths, what was charged and what is there, must be the same; but for a rehearsal.
fn note_reads(rec: &mut Rec, file: &super::rec::Target, charged: u64, resident: &[usize], exact: bool) {
    let there = (resident.len() * sys::page_size()) as u64;
    assert!(!exact || charged == there, "{charged} bytes charged, {there} there");
    note(rec, Kind::MmapRead, file, there, resident);
}
