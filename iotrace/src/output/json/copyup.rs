//! Lines about copy-ups.

use super::{Head, Owner, Place, Text};
use schemars::JsonSchema;
use serde::Serialize;
use std::borrow::Cow;

/// A copy-up of overlayfs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CopyUpLine<'a> {
    /// `copyup`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The system call that waited for it; `null` where it is not known.
    pub call: Option<&'static str>,
    /// When it began, and who.
    #[serde(flatten)]
    pub head: Head<'a>,
    /// The overlay's file; `disk` is the one of the upper directory.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// Where the copy lies on the host.
    pub upper_path: Option<Text<'a>>,
    /// Exact bytes of `upper_path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper_path_bytes: Option<String>,
    /// Where the original lies on the host.
    pub lower_path: Option<Text<'a>>,
    /// Exact bytes of `lower_path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower_path_bytes: Option<String>,
    /// Only directories were copied up, of which this is the last.
    pub directory: bool,
    /// Directories that were copied up, with the file or alone.
    pub directories: u64,
    /// Bytes of the file in the lower layer.
    pub size: Option<u64>,
    /// Bytes that were copied.
    pub bytes: Option<u64>,
    /// From its begin until the call returned.
    pub latency_ns: Option<u64>,
    /// Its own syncs.
    pub syncs: u64,
    /// Time in them.
    pub sync_ns: u64,
    /// Name of the error that the call returned.
    pub errno: Option<Cow<'static, str>>,
}

/// A row of `copyup --summary`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CopyUpSumLine<'a> {
    /// `copyup_summary`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the interval, UTC.
    pub ts: &'a str,
    /// Who.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// The file.
    pub path: Option<Text<'a>>,
    /// Exact bytes of `path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// Files that were copied up.
    pub files: u64,
    /// Directories that were copied up.
    pub directories: u64,
    /// Bytes copied, without those of copies whose bytes are not known.
    pub bytes: u64,
    /// Copies whose bytes are not known.
    pub unknown: u64,
    /// Time that calls waited for them.
    pub latency_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// Their own syncs.
    pub syncs: u64,
    /// Time in them.
    pub sync_ns: u64,
    /// Copy-ups in calls that failed.
    pub errors: u64,
}
