#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    event::{Task, block::Agent},
    view::block::{ChargedBy, Payer},
};
use proptest::prelude::*;

fn charge(pid: u32, path: &str, bytes: u64) -> Charge {
    let task = Task { pid, tid: pid, ..Task::default() };
    Charge {
        bytes,
        what: Some(What::File),
        path: Some(path.into()),
        payer: Some(Payer { agent: Agent { task, start_ns: 1, wanted: true }, process: None, by: ChargedBy::Page }),
        wanted: true,
        ..Charge::default()
    }
}

fn block(bytes: u64) -> Block {
    Block { bytes, queue_ns: 100, device_ns: 1001, disk: 7, ..Block::default() }
}

fn all(sums: &mut Sums, op: BlockOp, charges: &[Charge]) {
    sums.add(&block(charges.iter().map(|charge| charge.bytes).sum()), op, false, charges, |_| true);
}

#[test]
fn a_request_of_two_files_counts_once_and_its_bytes_and_times_are_divided() {
    let mut sums = Sums::new(By::File);
    all(&mut sums, BlockOp::Write, &[charge(1, "/a", 3000), charge(1, "/b", 1000)]);
    let rows = sums.take(Sort::Bytes);
    let of = |row: &Row| (row.totals.writes, row.totals.write_bytes, row.totals.queue_ns, row.totals.device_ns);
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), [(1, 3000, 75, 751), (0, 1000, 25, 250)]);
    assert!(sums.take(Sort::Bytes).is_empty());
}

#[test]
fn rows_are_of_what_they_are_asked_to_be() {
    let charges = [charge(1, "/a", 4096), charge(2, "/a", 512), charge(2, "/b", 256)];
    let rows = |by| {
        let mut sums = Sums::new(by);
        all(&mut sums, BlockOp::Read, &charges);
        sums.take(Sort::ReadBytes).iter().map(|row| row.totals.read_bytes).collect::<Vec<_>>()
    };
    assert_eq!(rows(By::ProcessFile), [4096, 512, 256]);
    assert_eq!(rows(By::Process), [4096, 768]);
    assert_eq!(rows(By::File), [4608, 256]);
    assert_eq!(rows(By::Disk), [4864]);
    assert_eq!(rows(By::Container), [4864]);
}

#[test]
fn what_does_not_pass_is_left_out() {
    let mut sums = Sums::new(By::File);
    let charges = [charge(1, "/a", 3000), charge(1, "/b", 1000)];
    sums.add(&block(4000), BlockOp::Write, true, &charges, |charge| charge.path.as_deref() == Some(b"/b"));
    let rows = sums.take(Sort::Errors);
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].totals.writes, rows[0].totals.write_bytes, rows[0].totals.errors), (1, 1000, 1));
}

#[test]
fn a_flush_has_all_of_its_time() {
    let mut sums = Sums::new(By::Disk);
    all(&mut sums, BlockOp::Flush, &[Charge::default()]);
    let rows = sums.take(Sort::Device);
    assert_eq!((rows[0].totals.flushes, rows[0].totals.device_ns, rows[0].totals.max_ns), (1, 1001, 1101));
}

proptest! {
    #[test]
    fn rows_add_up_to_the_requests(
        requests in proptest::collection::vec(
            (0u64..1 << 40, 0u64..1 << 40, proptest::collection::vec((0u32..3, 0u64..1 << 20), 1..6)), 1..20)
    ) {
        let mut sums = Sums::new(By::Process);
        let (mut bytes, mut time) = (0, 0);
        for (queue_ns, device_ns, parts) in &requests {
            let charges: Vec<Charge> = parts.iter().map(|(pid, bytes)| charge(*pid, "/a", *bytes)).collect();
            let whole = charges.iter().map(|charge| charge.bytes).sum();
            let block = Block { bytes: whole, queue_ns: *queue_ns, device_ns: *device_ns, ..Block::default() };
            sums.add(&block, BlockOp::Read, false, &charges, |_| true);
            bytes += whole;
            time += queue_ns + device_ns;
        }
        let rows = sums.take(Sort::Requests);
        prop_assert_eq!(rows.iter().map(|row| row.totals.bytes()).sum::<u64>(), bytes);
        prop_assert_eq!(rows.iter().map(|row| row.totals.queue_ns + row.totals.device_ns).sum::<u64>(), time);
        prop_assert_eq!(rows.iter().map(|row| row.totals.requests()).sum::<u64>(), requests.len() as u64);
    }
}
