#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    event::{Task, block::Agent},
    view::block::{ChargedBy, Payer},
};

fn charge(pid: u32, path: &str) -> Charge {
    let task = Task { pid, tid: pid, ..Task::default() };
    let payer = Payer { agent: Agent { task, start_ns: 1, wanted: true }, process: None, by: ChargedBy::Page };
    Charge { path: Some(path.into()), payer: Some(payer), wanted: true, ..Charge::default() }
}

fn block(cmd_flags: u32, device_ns: u64) -> Block {
    Block { bytes: 4096, queue_ns: 7, device_ns, disk: 1, cmd_flags, ..Block::default() }
}

#[test]
fn rows_are_of_what_they_are_asked_to_be() {
    let counts = |by| {
        let mut sums = Sums::new(by, 0xff);
        for (pid, path, ns) in [(1, "/a", 1009), (2, "/a", 2003), (2, "/b", 101)] {
            sums.add(&block(0x801, ns), false, &charge(pid, path));
        }
        let all = sums.take();
        assert!(sums.take().is_empty());
        all.iter().map(|(subject, rows)| (subject.pid, subject.path.clone(), rows[0].count)).collect::<Vec<_>>()
    };
    let path = |path: &str| Some(path.as_bytes().to_vec());
    assert_eq!(counts(None), [(None, None, 3)]);
    assert_eq!(counts(Some(By::File)), [(None, path("/a"), 2), (None, path("/b"), 1)]);
    assert_eq!(counts(Some(By::Process)), [(Some(2), None, 2), (Some(1), None, 1)]);
    assert_eq!(counts(Some(By::Container)), [(None, None, 3)]);
}

#[test]
fn times_are_exact() {
    let mut sums = Sums::new(Some(By::File), 0xff);
    sums.add(&block(1, 1_000_003), false, &charge(1, "/a"));
    sums.add(&block(1, 3_000_017), true, &charge(1, "/a"));
    sums.add(&block(0, 53), false, &charge(1, "/a"));
    let all = sums.take();
    let [(_, rows)] = &all[..] else { panic!("{all:?}") };
    assert_eq!(rows.iter().map(|row| row.key.cmd_flags).collect::<Vec<_>>(), [0, 1]);
    let (write, device) = (&rows[1], &rows[1].device.distribution);
    assert_eq!((write.count, write.bytes, write.errors), (2, 8192, 1));
    assert_eq!((device.sum_ns, device.min_ns, device.max_ns), (4_000_020, 1_000_003, 3_000_017));
    assert_eq!(write.queue.distribution.sum_ns, 14);
    assert_eq!(write.total.distribution.max_ns, 3_000_024);
}

#[test]
fn what_finds_no_room_is_added_up_without_names() {
    let mut sums = Sums::new(Some(By::File), 0xff);
    for number in 0..SUBJECTS_MAX + 3 {
        sums.add(&block(1, 1), false, &charge(1, &number.to_string()));
    }
    let all = sums.take();
    let others: Vec<_> = all.iter().filter(|(subject, _)| subject.others).map(|(_, rows)| rows[0].count).collect();
    assert_eq!((all.len(), others), (SUBJECTS_MAX + 1, vec![3]));
}
