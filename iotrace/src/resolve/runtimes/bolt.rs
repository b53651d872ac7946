//! Bolt databases (go.etcd.io/bbolt), in which containerd and podman keep what they know: one value is read, without a lock.
//!
//! Their owner holds an exclusive lock as long as it runs, so a lock cannot be waited for. It is not needed either: a
//! transaction writes only to pages that were free when it began, and then the meta page that leads to them. Of what the
//! newest meta page leads to, nothing is overwritten before the transaction after the next. So a value is good if the
//! newest meta page is still the same when it has been read.

use super::FILE_MAX;
use std::{fs::File, os::unix::fs::FileExt, path::Path};

/// How often a value is read again because somebody wrote meanwhile.
const TRIES: usize = 4;
/// Most pages from the root of a bucket to a leaf: one has at least two keys, so this is more than there can be.
const DEPTH_MAX: usize = 64;
/// `magic` and `version` of db.go.
const MAGIC: u32 = 0xed0c_daed;
const VERSION: u32 = 2;
/// Bytes of a page's header, and of an element of a page: `page`, `branchPageElement` and `leafPageElement` of page.go.
const HEADER: usize = 16;
const ELEMENT: usize = 16;
/// `branchPageFlag` and `leafPageFlag` of page.go.
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
/// `bucketLeafFlag`: the value is a bucket.
const BUCKET: u32 = 1;
/// Page sizes of the systems that a database may come from; the first meta page tells it, unless it is torn.
const PAGE_SIZES: [u64; 3] = [4 << 10, 16 << 10, 64 << 10];

/// The value of a key in a bucket, which is named by the way to it. `None` when it is not there, the file cannot be read or is
/// no such database, or its owner writes without pause.
pub(super) fn value(file: &Path, buckets: &[&str], key: &str) -> Option<Vec<u8>> {
    let file = File::open(file).ok()?;
    for _ in 0..TRIES {
        let meta = Meta::newest(&file)?;
        let found = Reader { file: &file, page_size: meta.page_size }.find(meta.root, buckets, key);
        if Meta::newest(&file)?.transaction == meta.transaction {
            return found;
        }
    }
    None
}

/// A page that leads to all others (`meta` of db.go).
#[derive(Clone, Copy, Debug)]
struct Meta {
    page_size: u64,
    /// Page of the bucket that has all others.
    root: u64,
    transaction: u64,
}

impl Meta {
    /// Of the two, the one that was written last.
    fn newest(file: &File) -> Option<Self> {
        let first = Self::at(file, 0);
        let second = match first {
            Some(first) => Self::at(file, first.page_size),
            None => PAGE_SIZES.into_iter().find_map(|size| Self::at(file, size).filter(|meta| meta.page_size == size)),
        };
        first.into_iter().chain(second).max_by_key(|meta| meta.transaction)
    }

    /// `None` when it is torn.
    fn at(file: &File, offset: u64) -> Option<Self> {
        let mut page = [0; HEADER + 64];
        file.read_exact_at(&mut page, offset).ok()?;
        let meta = page.get(HEADER..)?;
        let valid = u32_at(meta, 0)? == MAGIC && u32_at(meta, 4)? == VERSION;
        let same = u64_at(meta, 56)? == fnv(meta.get(..56)?);
        let page_size = u64::from(u32_at(meta, 8)?);
        (valid && same && page_size >= 512).then_some(Self {
            page_size,
            root: u64_at(meta, 16)?,
            transaction: u64_at(meta, 48)?,
        })
    }
}

struct Reader<'a> {
    file: &'a File,
    page_size: u64,
}

impl Reader<'_> {
    fn find(&self, root: u64, buckets: &[&str], key: &str) -> Option<Vec<u8>> {
        let mut page = self.page(root)?;
        for name in buckets {
            let (flags, bucket) = self.search(page, name.as_bytes())?;
            if flags & BUCKET == 0 {
                return None;
            }
            page = match u64_at(&bucket, 0)? {
                // A small bucket's only page is in its value (`InBucket` and bucket.go).
                0 => bucket.get(HEADER..)?.to_vec(),
                root => self.page(root)?,
            };
        }
        let (flags, value) = self.search(page, key.as_bytes())?;
        (flags & BUCKET == 0).then_some(value)
    }

    /// A page with those that it overflows into.
    fn page(&self, number: u64) -> Option<Vec<u8>> {
        let offset = number.checked_mul(self.page_size)?;
        let mut header = [0; HEADER];
        self.file.read_exact_at(&mut header, offset).ok()?;
        let length =
            self.page_size.checked_mul(u64::from(u32_at(&header, 12)?) + 1).filter(|size| *size <= FILE_MAX)?;
        let mut page = vec![0; usize::try_from(length).ok()?];
        self.file.read_exact_at(&mut page, offset).ok()?;
        Some(page)
    }

    /// Flags and value of a key, from the root page of a bucket.
    fn search(&self, root: Vec<u8>, key: &[u8]) -> Option<(u32, Vec<u8>)> {
        let mut page = root;
        for _ in 0..DEPTH_MAX {
            let (flags, count) = (u16_at(&page, 8)?, usize::from(u16_at(&page, 10)?));
            let mut elements = (0..count).map(|index| HEADER + index * ELEMENT);
            if flags & LEAF != 0 {
                return elements.find_map(|at| {
                    let from = at + u32_at(&page, at + 4)? as usize;
                    let to = from + u32_at(&page, at + 8)? as usize;
                    let value = page.get(to..to + u32_at(&page, at + 12)? as usize)?;
                    (page.get(from..to)? == key).then(|| (u32_at(&page, at).unwrap_or(0), value.to_vec()))
                });
            }
            if flags & BRANCH == 0 {
                return None;
            }
            let first = |at: &usize| {
                let from = at + u32_at(&page, *at)? as usize;
                page.get(from..from + u32_at(&page, at + 4)? as usize)
            };
            let below = elements.take_while(|at| first(at).is_some_and(|first| first <= key)).last()?;
            page = self.page(u64_at(&page, below + 8)?)?;
        }
        None
    }
}

/// FNV-1a with 64 bits, Go's `fnv.New64a`.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Numbers are as the machine has them: a database is not read on another.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_ne_bytes)
}

#[cfg(test)]
#[path = "bolt_tests.rs"]
pub(super) mod tests;
