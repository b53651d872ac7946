//! What `diagnose` says.

use super::{BlockSumLine, DiskLine, Owner, Place, TopLine};
use schemars::JsonSchema;
use serde::Serialize;

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
}
