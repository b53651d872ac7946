//! What `diagnose` says.

use super::{BlockSumLine, CopyUpSumLine, DiskLine, LifeLine, Owner, Place, TopLine, WaitLine};
use schemars::JsonSchema;
use serde::Serialize;
use std::borrow::Cow;

/// A finding.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FindingLine<'a> {
    /// `finding`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the time traced, UTC.
    pub ts: &'a str,
    /// 1 for what matters most.
    pub rank: usize,
    /// Name of the rule, as `--explain` takes it.
    pub rule: &'static str,
    /// `critical`, `warning` or `info`.
    pub severity: &'static str,
    /// Whose I/O it is.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// Which file.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// One sentence.
    pub headline: &'a str,
    /// What it follows from, in words.
    pub details: &'a [String],
    /// Time that it cost, of all threads together.
    pub cost_ns: u64,
    /// What it follows from: rows as other commands have them, of the same time.
    pub evidence: Vec<EvidenceLine<'a>>,
    /// What to look at.
    pub advice: &'a str,
}

/// A row of another command.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant)] // a few of them, once
pub enum EvidenceLine<'a> {
    /// Of `top`.
    Top(TopLine<'a>),
    /// Of `disk`.
    Disk(DiskLine<'a>),
    /// Of `block --summary`.
    Block(BlockSumLine<'a>),
    /// Of `life`.
    Life(LifeLine<'a>),
    /// Of `copyup --summary`.
    CopyUp(CopyUpSumLine<'a>),
    /// Of `wait`.
    Wait(WaitLine<'a>),
    /// Failed operations.
    Failure(FailureLine<'a>),
    /// Writes by their size.
    WriteSizes(WriteSizesLine<'a>),
}

/// Writes of a process to a file that succeeded, by their size.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WriteSizesLine<'a> {
    /// `write_sizes`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whose.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// Which file.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// How many, by powers of two.
    pub buckets: Vec<SizeBucket>,
}

/// A part of a histogram of sizes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SizeBucket {
    /// Sizes up to this one, and above the bucket before; `null` when it has all that are larger.
    pub le_bytes: Option<u64>,
    /// How many.
    pub count: u64,
}

/// Operations of a process on a file that failed in the same way.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FailureLine<'a> {
    /// `failure`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whose.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// Which file.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// `open`, `read`, `write`, `fsync`, `fallocate`, `truncate`.
    pub op: &'static str,
    /// Name of the errno.
    pub errno: Cow<'static, str>,
    /// How many failed.
    pub count: u64,
}
