//! Counters of what the kernel side could not tell: indexes into the `LOSS` map, one value per CPU.

/// Records of operations that did not fit into the ring buffer.
pub const EVENTS: u32 = 0;
/// Records of paths that did not fit.
pub const PATHS: u32 = 1;
/// Records of processes that did not fit.
pub const PROCESSES: u32 = 2;
/// Ends without a begin: the call or request was under way when tracing began, or its begin found no room.
pub const UNMATCHED: u32 = 3;
/// Paths that were cut at their front.
pub const CUT: u32 = 4;
/// Threads that found no room: their calls are not counted.
pub const THREADS_FULL: u32 = 5;
/// Operations that found no free sum: counted under `(other files)`.
pub const SUMS_FULL: u32 = 6;
/// Requests that found no room: not counted.
pub const REQUESTS_FULL: u32 = 7;
/// Followed processes that found no room: not followed.
pub const FOLLOWED_FULL: u32 = 8;
/// Requests whose disk and operation found no free histogram.
pub const HISTOGRAMS_FULL: u32 = 9;
/// Operations that were counted or sent: not a loss, but the number losses are compared with.
pub const SEEN: u32 = 10;
/// Asynchronous requests that found no room: not counted.
pub const PENDING_FULL: u32 = 11;
/// Waits that found no room: not counted.
pub const WAITS_FULL: u32 = 13;
/// Failures that found no room: their errno is not known.
pub const ERRNOS_FULL: u32 = 12;
/// Number of counters.
pub const COUNT: u32 = 14;
