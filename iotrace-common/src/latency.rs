//! Histograms of block latency, added up in the kernel.

use bytemuck::{Pod, Zeroable};

/// Buckets per power of two: a bucket's width is at most 1/64 of its value.
pub const SUB_BUCKETS: usize = 64;
const SUB_BITS: u32 = SUB_BUCKETS.trailing_zeros();
/// Powers of two above the first [`SUB_BUCKETS`] values: the last ends at 2^37 ns, 137 seconds.
pub const OCTAVES: usize = 31;
/// Buckets of a histogram, a power of two. The last one also holds all that is longer.
pub const BUCKETS: usize = SUB_BUCKETS * (OCTAVES + 1);
const _: () = assert!(BUCKETS.is_power_of_two());

/// The bucket of a value: values below 64 exactly, then 64 buckets per power of two.
pub const fn bucket_of(ns: u64) -> usize {
    if ns < SUB_BUCKETS as u64 {
        return ns as usize;
    }
    let octave = 63 - ns.leading_zeros() - SUB_BITS;
    let bucket = (octave as usize + 1) * SUB_BUCKETS + ((ns >> octave) as usize & (SUB_BUCKETS - 1));
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

/// The smallest value in a bucket.
pub const fn bucket_low(bucket: usize) -> u64 {
    if bucket < SUB_BUCKETS {
        return bucket as u64;
    }
    let octave = bucket / SUB_BUCKETS - 1;
    ((SUB_BUCKETS + bucket % SUB_BUCKETS) as u64) << octave
}

/// Whose histogram.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct HistogramKey {
    /// The whole disk, as in [`crate::file::FileKey::dev`].
    pub disk: u32,
    /// `request.cmd_flags`, masked with `Config::histogram_flags`.
    pub cmd_flags: u32,
}

/// Extremes of one distribution, kept per CPU: no atomic maximum exists before Linux 5.12.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Range {
    /// Smallest value, nanoseconds.
    pub min_ns: u64,
    /// Largest value, nanoseconds.
    pub max_ns: u64,
}

/// Extremes of a [`Histogram`] on one CPU; meaningful only where `count` is not 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Extremes {
    /// Requests completed on this CPU.
    pub count: u64,
    /// Of the whole latency.
    pub total: Range,
    /// Of the time in the queue.
    pub queue: Range,
    /// Of the time in the device.
    pub device: Range,
}

/// One distribution. Several CPUs add to it, atomically.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Distribution {
    /// Sum of all values, nanoseconds.
    pub sum_ns: u64,
    /// Values by bucket.
    pub buckets: [u64; BUCKETS],
}

/// Everything about one disk and operation.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Histogram {
    /// Completed requests.
    pub count: u64,
    /// Completed bytes.
    pub bytes: u64,
    /// Requests that failed.
    pub errors: u64,
    /// From entering the block layer to completion.
    pub total: Distribution,
    /// Until given to the device.
    pub queue: Distribution,
    /// In the device.
    pub device: Distribution,
}

#[cfg(feature = "user")]
impl Range {
    /// The range of both.
    pub fn merge(&mut self, other: &Self) {
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

#[cfg(feature = "user")]
impl Extremes {
    /// Adds what other CPUs, or other operations, have.
    pub fn merge(&mut self, other: &Self) {
        match (self.count, other.count) {
            (_, 0) => {}
            (0, _) => *self = *other,
            _ => {
                self.count += other.count;
                self.total.merge(&other.total);
                self.queue.merge(&other.queue);
                self.device.merge(&other.device);
            }
        }
    }
}

#[cfg(feature = "user")]
impl Distribution {
    fn merge(&mut self, other: &Self) {
        self.sum_ns += other.sum_ns;
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(sum, count)| *sum += count);
    }
}

#[cfg(feature = "user")]
impl Histogram {
    /// Adds the requests of another one.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.total.merge(&other.total);
        self.queue.merge(&other.queue);
        self.device.merge(&other.device);
    }
}

#[cfg(all(test, feature = "user"))]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_begins_where_the_one_before_ends() {
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(bucket_low(bucket)), bucket);
            if bucket > 0 {
                assert_eq!(bucket_of(bucket_low(bucket) - 1), bucket - 1);
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }
}
