//! What the kernel counts of each disk and partition: `/proc/diskstats` (Documentation/admin-guide/iostats.rst).

use std::{io, path::Path};

/// Fields of a line from Linux 5.5 on: device number and name, then 17 counters.
const FIELDS: usize = 20;

/// Requests of one kind, since the device exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completed {
    /// Completed requests.
    pub requests: u64,
    /// Requests that were merged into others before.
    pub merged: u64,
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// Time from a request's start to its completion, all added up, milliseconds. 32 bits in the kernel too: begins anew at 2^32
    /// (block/genhd.c, `diskstats_show`).
    pub ms: u32,
}

/// Counters of a disk or partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStat {
    /// Reads.
    pub reads: Completed,
    /// Writes, those too that only flush.
    pub writes: Completed,
    /// Discards.
    pub discards: Completed,
    /// Flushes that the device was sent, of disks alone. They have no sectors, and are not merged.
    pub flushes: Completed,
    /// Requests in flight now.
    pub in_flight: u64,
    /// Time with a request in flight, milliseconds, begins anew at 2^32. The kernel looks once per jiffy.
    pub busy_ms: u32,
    /// Time of all requests added up, milliseconds, begins anew at 2^32.
    pub queued_ms: u32,
}

/// A line: number in the kernel's encoding, name as in `/sys/class/block` (with `!` for `/`), counters.
pub type DiskLine = (u32, String, DiskStat);

/// All devices, in the kernel's order.
///
/// # Errors
/// When the file cannot be read.
pub fn read_diskstats(file: &Path) -> io::Result<Vec<DiskLine>> {
    let text = std::fs::read(file)?;
    Ok(String::from_utf8_lossy(&text).lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<DiskLine> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (head, counters) = words.split_at_checked(3)?;
    let numbers: Option<Vec<u64>> = counters.iter().take(FIELDS - 3).map(|word| word.parse().ok()).collect();
    let [
        reads,
        reads_merged,
        read_sectors,
        read_ms,
        writes,
        writes_merged,
        write_sectors,
        write_ms,
        in_flight,
        busy_ms,
        queued_ms,
        discards,
        discards_merged,
        discard_sectors,
        discard_ms,
        flushes,
        flush_ms,
    ] = <[u64; FIELDS - 3]>::try_from(numbers?).ok()?;
    let completed = |requests, merged, sectors, ms: u64| Completed {
        requests,
        merged,
        sectors,
        ms: (ms & u64::from(u32::MAX)) as u32,
    };
    let dev = (head.first()?.parse::<u32>().ok()? << 20) | (head.get(1)?.parse::<u32>().ok()? & 0xf_ffff);
    let stat = DiskStat {
        reads: completed(reads, reads_merged, read_sectors, read_ms),
        writes: completed(writes, writes_merged, write_sectors, write_ms),
        discards: completed(discards, discards_merged, discard_sectors, discard_ms),
        flushes: completed(flushes, 0, 0, flush_ms),
        in_flight,
        busy_ms: (busy_ms & u64::from(u32::MAX)) as u32,
        queued_ms: (queued_ms & u64::from(u32::MAX)) as u32,
    };
    Some((dev, (*head.get(2)?).to_owned(), stat))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_has_all_counters() {
        let (dev, name, stat) = parse(" 254       0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17").unwrap();
        assert_eq!((dev, name.as_str()), (254 << 20, "vda"));
        let completed = |requests, merged, sectors, ms| Completed { requests, merged, sectors, ms };
        let expected = DiskStat {
            reads: completed(1, 2, 3, 4),
            writes: completed(5, 6, 7, 8),
            discards: completed(12, 13, 14, 15),
            flushes: completed(16, 0, 0, 17),
            in_flight: 9,
            busy_ms: 10,
            queued_ms: 11,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn fields_of_a_later_kernel_are_ignored_and_a_short_line_is_no_line() {
        assert!(parse("8 1 sda1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19").is_some());
        assert_eq!(parse("8 1 sda1 1 2 3 4"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_hosts_devices_are_read() {
        let lines = read_diskstats(Path::new("/proc/diskstats")).unwrap();
        assert!(lines.iter().all(|(_, name, _)| Path::new("/sys/class/block").join(name).exists()), "{lines:?}");
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "([0-9]{1,20} ?){0,24}[a-z0-9 ]*") {
            let _ = parse(&line);
        }
    }
}
