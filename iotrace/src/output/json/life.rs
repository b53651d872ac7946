//! Lines of `life`.

use super::{Head, Owner, Place, Text};
use schemars::JsonSchema;
use serde::Serialize;

/// A row of `life`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LifeLine<'a> {
    /// `life`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the interval, UTC.
    pub ts: &'a str,
    /// Who made the files; of those that were there before, who opened or removed them first.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// Which files.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// `path` is a pattern.
    pub pattern: bool,
    /// The path of one of the files, where it is.
    pub example: Option<Text<'a>>,
    /// Exact bytes of `example` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example_bytes: Option<String>,
    /// Files that were made or lost their last name.
    pub files: u64,
    /// Those that were made.
    pub created: u64,
    /// Those that lost their last name, in whatever way.
    pub deleted: u64,
    /// Of `deleted`, those whose name another file took.
    pub replaced: u64,
    /// Of `deleted`, those that never had a name.
    pub nameless: u64,
    /// Of `deleted`, those that were not seen to be made.
    pub not_made: u64,
    /// Opens of them that succeeded.
    pub opens: u64,
    /// New names that took the place of old ones.
    pub renames: u64,
    /// Bytes that reads of the files returned of which that is known; `null` where it is known of none.
    pub read_bytes: Option<u64>,
    /// Bytes that writes returned; likewise.
    pub write_bytes: Option<u64>,
    /// Files whose bytes are not known.
    pub bytes_unknown: u64,
    /// Files whose lifetime is known.
    pub lives: u64,
    /// Mean lifetime.
    pub life_avg_ns: Option<u64>,
    /// Shortest lifetime.
    pub life_min_ns: Option<u64>,
    /// Longest lifetime.
    pub life_max_ns: Option<u64>,
    /// From the first birth or end to the last.
    pub span_ns: Option<u64>,
}

/// A file that is gone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LifeEndLine<'a> {
    /// `life_end`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// When the call had returned that took its last name, and who made that call.
    #[serde(flatten)]
    pub head: Head<'a>,
    /// Which file, under its last name.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// `unlinked`, `replaced` or `nameless`.
    pub how: &'static str,
    /// By what it is known which file it was: `directory`, `path` or `asked`; `null` where it was not seen before, or never had a name.
    pub matched_by: Option<&'static str>,
    /// Whether it was made while tracing.
    pub created: bool,
    /// When the call had returned that made it, UTC.
    pub created_ts: Option<String>,
    /// The process that made it.
    pub created_by: Option<u32>,
    /// The path under which it was made, where it has another one now.
    pub created_as: Option<Text<'a>>,
    /// Exact bytes of `created_as` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_as_bytes: Option<String>,
    /// Lifetime.
    pub life_ns: Option<u64>,
    /// Opens that succeeded.
    pub opens: u64,
    /// New names that took the place of old ones.
    pub renames: u64,
    /// Bytes that reads returned until now.
    pub read_bytes: Option<u64>,
    /// Bytes that writes returned until now.
    pub write_bytes: Option<u64>,
}
