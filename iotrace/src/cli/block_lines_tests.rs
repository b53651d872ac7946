#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    cli::{
        form::Form,
        lines::tests::{APP, EVIL, HOSTILE, LOG, NGINX, VDA, VDA1, task, world},
    },
    event::block::{Agent, Dirtied, Inode, Share},
    view::block::{By, Sort, Sums},
};
use serde_json::Value;

/// REQ_SYNC, REQ_META and REQ_FUA of the kernel of `world`.
const SYNC: u32 = 1 << 11;
const META: u32 = 1 << 12;
const FUA: u32 = 1 << 17;

fn agent(pid: u32, name: &[u8]) -> Agent {
    Agent { task: task(pid, name), start_ns: 1, wanted: true }
}

/// 3,000 bytes of a file, written by a process, and 1,096 of another.
pub(in crate::cli) fn block() -> Block {
    Block {
        id: 1,
        begin_ns: 2_000_000_000,
        queue_ns: 1_000,
        device_ns: 2_200_000,
        issuer: agent(2, b"kworker/u8:1"),
        by_kernel: true,
        sector: 2048,
        bytes: 4096,
        cmd_flags: 1 | SYNC | FUA,
        disk: VDA,
        part: VDA1,
        error: 0,
        shares: vec![share(1096, HOSTILE, APP, Dirtied::File), share(3000, LOG, NGINX, Dirtied::Page)],
    }
}

fn share(bytes: u64, file: u64, pid: u32, how: Dirtied) -> Share {
    let inode = Inode { ino: 1000 + file, dev: VDA1, mode: libc::S_IFREG };
    Share { bytes, file, inode: Some(inode), dirtier: Some((agent(pid, b"worker"), how)), ..Share::default() }
}

fn line(block: &Block) -> String {
    let mut out = Vec::new();
    block_line(block, &mut world(Form::default()), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn value(block: &Block) -> Value {
    serde_json::from_str(&line(block)).unwrap()
}

fn of_share(share: Share) -> Value {
    value(&Block { shares: vec![Share { bytes: 4096, ..share }], ..block() })
}

#[test]
fn json_of_a_block_request() {
    insta::assert_snapshot!(line(&block()));
}

#[test]
fn json_of_a_row_of_sums() {
    let (mut sums, mut world, mut out) = (Sums::new(By::ProcessFile), world(Form::default()), Vec::new());
    let charges = charges(&block(), &mut world);
    sums.add(&block(), BlockOp::Write, false, &charges, |_| true);
    block_sum_line(&sums.take(Sort::Bytes)[0], "2026-11-20T12:00:00.000000000Z", &mut world, &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn a_flush_has_neither_sector_nor_file_and_nobody_when_the_kernel_sends_it() {
    let flush = value(&Block { cmd_flags: 2, bytes: 0, shares: Vec::new(), ..block() });
    for key in ["sector", "path", "what", "pid", "charged_by"] {
        assert_eq!(flush[key], Value::Null, "{key}");
    }
    assert_eq!((&flush["files"], &flush["issuer"]["comm"]), (&Value::Array(Vec::new()), &"kworker/u8:1".into()));
}

#[test]
fn an_error_has_its_name() {
    assert_eq!(value(&Block { error: 3, ..block() })["errno"], "ENOSPC");
}

#[test]
fn bytes_that_no_share_has_are_nobodys() {
    let more = value(&Block { bytes: 8192, ..block() });
    let rest = &more["files"][0];
    assert_eq!((&rest["bytes"], &rest["path"], &rest["pid"]), (&4096.into(), &Value::Null, &Value::Null));
    let less = value(&Block { bytes: 2000, ..block() });
    let files = less["files"].as_array().unwrap().iter();
    assert_eq!(files.map(|file| file["bytes"].as_u64().unwrap()).sum::<u64>(), 2000, "{less}");
}

#[test]
fn metadata_of_a_device_has_no_path_of_it() {
    let inode = Inode { ino: 5, dev: VDA1, mode: libc::S_IFBLK };
    let block = |flags| {
        let share = Share { bytes: 4096, inode: Some(inode), ..Share::default() };
        value(&Block { cmd_flags: 1 | flags, shares: vec![share], ..block() })
    };
    assert_eq!((&block(META)["what"], &block(META)["path"]), (&"metadata".into(), &"[metadata]".into()));
    assert_eq!((&block(0)["what"], &block(0)["path"]), (&"device".into(), &"/dev/vda1".into()));
}

#[test]
fn the_kernels_own_inodes_are_metadata() {
    let inode = Some(Inode { ino: 1, dev: 41, mode: 0 });
    assert_eq!(of_share(Share { inode, ..Share::default() })["what"], "metadata");
    assert_eq!(of_share(Share { swap: true, ..Share::default() })["path"], "[swap]");
    assert_eq!(of_share(Share { anonymous: true, ..Share::default() })["what"], Value::Null);
}

#[test]
fn requests_without_pages_are_named_by_their_operation() {
    let mut world = world(Form::default());
    world.block.operations.extend([(3, BlockOp::Discard), (9, BlockOp::WriteZeroes)]);
    let mut named = |op| {
        let shares = vec![Share { bytes: 4096, ..Share::default() }];
        let charges = charges(&Block { cmd_flags: op, shares, ..block() }, &mut world);
        charges[0].path.clone()
    };
    assert_eq!(named(3).as_deref(), Some(&b"[discard]"[..]));
    assert_eq!(named(9).as_deref(), Some(&b"[zeroes]"[..]));
    assert_eq!(named(1), None);
}

#[test]
fn without_addresses_the_journals_thread_tells_the_journal() {
    let inode = Some(Inode { ino: 5, dev: VDA1, mode: libc::S_IFBLK });
    let shares = vec![Share { bytes: 4096, inode, ..Share::default() }];
    let journal = value(&Block { issuer: agent(3, b"jbd2/vda1-8"), shares, ..block() });
    assert_eq!((&journal["what"], &journal["path"]), (&"journal".into(), &"[ext4 journal]".into()));
}

#[test]
fn who_submits_is_charged_unless_it_only_writes_what_others_made_dirty() {
    let by = |op: u32, by_kernel, share: Share| {
        let shares = vec![Share { bytes: 4096, ..share }];
        value(&Block { cmd_flags: op, by_kernel, issuer: agent(APP, b"app"), shares, ..block() })["charged_by"].clone()
    };
    let dirty = || Share { dirtier: None, ..share(0, LOG, APP, Dirtied::Page) };
    assert_eq!(by(0, false, dirty()), "submitter");
    assert_eq!(by(0, true, dirty()), "submitter");
    assert_eq!(by(1, false, Share { anonymous: true, ..dirty() }), "submitter");
    assert_eq!(by(1, false, dirty()), "issuer");
    assert_eq!(by(1, true, dirty()), Value::Null);
    assert_eq!(by(1, true, share(0, LOG, APP, Dirtied::Page)), "page");
    assert_eq!(by(1, true, share(0, LOG, APP, Dirtied::File)), "inode");
    // Of what a mapped device has sent on, it is who sent it there.
    let sent = |by_kernel, anonymous| Share { by_kernel, anonymous, ..share(0, LOG, APP, Dirtied::Sent) };
    assert_eq!(by(1, true, sent(false, true)), "submitter");
    assert_eq!(by(1, true, sent(false, false)), "issuer");
    assert_eq!(by(1, true, sent(true, true)), Value::Null);
}

#[test]
fn a_request_is_shown_for_any_of_its_files() {
    let mut world = world(Form::default());
    world.selection.path = Some(globset::Glob::new("/tmp/*").unwrap().compile_matcher());
    let mut out = Vec::new();
    block_line(&block(), &mut world, &mut out).unwrap();
    let shown: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((shown["pid"].as_u64(), shown["files"].as_array().unwrap().len()), (Some(APP.into()), 2));
    assert_eq!(shown["path_bytes"], exact(Some(EVIL)).unwrap());
    out.clear();
    world.selection.path = Some(globset::Glob::new("/etc/*").unwrap().compile_matcher());
    block_line(&block(), &mut world, &mut out).unwrap();
    assert!(out.is_empty());
}

#[test]
fn who_does_not_pass_the_kernels_filters_has_no_line() {
    let mut block = block();
    for share in &mut block.shares {
        share.dirtier.as_mut().unwrap().0.wanted = false;
    }
    assert_eq!(line(&block), "");
}
