//! Records out of the ring buffer, in the order in which the kernel side made them.
//!
//! They are copied before they are looked at, so that the ring buffer can go on being emptied while somebody waits for what a record needs.

use aya::maps::{MapData, RingBuf};
use std::{
    mem,
    os::fd::{AsFd, BorrowedFd},
};

/// Bytes that are copied at once: a part that stays in a processor's cache until it is looked at.
const PART: usize = 64 << 10;
/// Bytes of the length before each record.
const LENGTH: usize = size_of::<u32>();

/// Where records come from.
pub struct Intake {
    ring: RingBuf<MapData>,
    kept: Records,
    most: usize,
}

impl Intake {
    /// `most`: bytes that [`Intake::keep`] may keep.
    pub fn new(ring: RingBuf<MapData>, most: usize) -> Self {
        Self { ring, kept: Records::default(), most }
    }

    /// Fills `records` with the next ones; what was in it is gone. None when there are none.
    pub fn take(&mut self, records: &mut Records) {
        records.clear();
        if self.kept.bytes.is_empty() {
            fill(&mut self.ring, records, PART);
        } else {
            mem::swap(&mut self.kept, records);
        }
    }

    /// Empties the ring buffer; whether there is room to do so again.
    pub fn keep(&mut self) -> bool {
        fill(&mut self.ring, &mut self.kept, self.most);
        self.kept.bytes.len() < self.most
    }
}

impl AsFd for Intake {
    /// Readable when the kernel side says that there are records.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

fn fill(ring: &mut RingBuf<MapData>, records: &mut Records, most: usize) {
    while records.bytes.len() < most
        && let Some(record) = ring.next()
    {
        records.push(&record);
    }
}

/// Records, each with its length before it.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    /// Where the next one begins.
    next: usize,
}

impl Records {
    fn push(&mut self, record: &[u8]) {
        // The kernel knows no longer ones than 2^30 bytes (kernel/bpf/ringbuf.c: RINGBUF_MAX_RECORD_SZ).
        self.bytes.extend_from_slice(&(record.len() as u32).to_ne_bytes());
        self.bytes.extend_from_slice(record);
    }

    /// The next one.
    #[expect(clippy::should_implement_trait, reason = "what it gives is borrowed from it")]
    pub fn next(&mut self) -> Option<&[u8]> {
        let (length, rest) = self.bytes.get(self.next..)?.split_first_chunk::<LENGTH>()?;
        let record = rest.get(..u32::from_ne_bytes(*length) as usize)?;
        self.next += LENGTH + record.len();
        Some(record)
    }

    /// Whether nothing was put in, or all is out.
    pub fn is_empty(&self) -> bool {
        self.next >= self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.next = 0;
        // What was kept once needs its memory no longer.
        self.bytes.shrink_to(2 * PART);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in_whatever_their_lengths() {
        let records: Vec<Vec<u8>> = [0, 1, 7, 4096, 3, 65_537].map(|length| vec![length as u8; length]).into();
        let mut all = Records::default();
        for round in 0..3 {
            records.iter().for_each(|record| all.push(record));
            for record in &records {
                assert_eq!(all.next(), Some(record.as_slice()), "round {round}");
            }
            assert!(all.is_empty() && all.next().is_none(), "round {round}");
            all.clear();
            assert!(all.bytes.capacity() <= 2 * PART);
        }
    }
}
