//! JSON lines: one object a line, `type` first, bytes and nanoseconds as integers, unknown is `null`.
//!
//! Fields are added, never renamed. [`schema`] describes every line; `docs/json.md` says what each field means.

mod copyup;
mod disk;
mod event;
mod finding;
mod life;
mod row;
mod summary;
mod wait;

pub use copyup::{CopyUpLine, CopyUpSumLine};
pub use disk::{DeviceCounts, DiskCause, DiskLine, KindCounts, OpRequests, Requests};
pub use event::{
    BlockFile, BlockLine, Cause, Head, HostPlace, IoDone, IoHow, IoLine, Issuer, NamingLine, OpenLine, Place, Stored,
    Who,
};
pub use finding::{EvidenceLine, FailureLine, FindingLine, SizeBucket, WriteSizesLine};
pub use life::{LifeEndLine, LifeLine};
pub use row::{BlockSumLine, Bucket, Distribution, FsyncLine, LatencyLine, LatencyOwner, Owner, TopLine};
pub use summary::{InFlightLine, SummaryLine};
pub use wait::{Holder, Limit, PeerProcess, PressureLine, WaitLine};

use crate::{output::lossy, resolve::DevNumber};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io;

/// A name of any bytes, given as text; where it is not UTF-8, as near as text comes.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct Text<'a>(#[schemars(with = "String")] pub &'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&lossy(self.0).0)
    }
}

/// A device in the kernel's encoding, as `MAJOR:MINOR`.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct Dev(#[schemars(with = "String")] pub u32);

impl Serialize for Dev {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&DevNumber(self.0))
    }
}

/// Permission bits, octal.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct Mode(#[schemars(with = "String")] pub u32);

impl Serialize for Mode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04o}", self.0 & 0o7777))
    }
}

/// The exact bytes, in base64, of a name that is not UTF-8.
pub fn exact(name: Option<&[u8]>) -> Option<String> {
    name.and_then(|name| lossy(name).1)
}

/// Any line of output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, clippy::large_enum_variant)] // only for the schema
pub enum Line<'a> {
    /// An operation on a file other than an open.
    Io(IoLine<'a>),
    /// An open.
    Open(OpenLine<'a>),
    /// An unlink, rename or link.
    Naming(NamingLine<'a>),
    /// A block request.
    Block(BlockLine<'a>),
    /// A row of `block --summary`.
    BlockSum(BlockSumLine<'a>),
    /// A copy-up of overlayfs.
    CopyUp(CopyUpLine<'a>),
    /// A row of `copyup --summary`.
    CopyUpSum(CopyUpSumLine<'a>),
    /// A row of `top`.
    Top(TopLine<'a>),
    /// A row of the sync ledger.
    Fsync(FsyncLine<'a>),
    /// A row of `latency`.
    Latency(LatencyLine<'a>),
    /// A row of `life`.
    Life(LifeLine<'a>),
    /// A file that is gone.
    LifeEnd(LifeEndLine<'a>),
    /// What `diagnose` found.
    Finding(FindingLine<'a>),
    /// A row of `wait`.
    Wait(WaitLine<'a>),
    /// Pressure of I/O, below the rows of `wait`.
    Pressure(PressureLine<'a>),
    /// A row of `disk`.
    Disk(DiskLine<'a>),
    /// The last line.
    Summary(SummaryLine<'a>),
}

/// JSON Schema of every line that any command prints.
pub fn schema() -> Schema {
    schema_for!(Line<'static>)
}

/// Writes compact JSON in which control characters stand as escapes, those too that JSON itself would allow: DEL and U+0080 to
/// U+009F, which some terminals obey.
#[derive(Default)]
struct Harmless {
    /// It is at a key: those are names of fields, which are harmless.
    at_key: bool,
}

impl Formatter for Harmless {
    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.at_key = true;
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn end_object_key<W: io::Write + ?Sized>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.at_key = false;
        Ok(())
    }

    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let control = |c: char| matches!(c, '\u{7f}'..='\u{9f}');
        // Without a way out of the loop it is done for many bytes at once.
        if self.at_key || fragment.bytes().fold(true, |all, byte| all & (byte < 0x7f)) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, found)) = rest.char_indices().find(|(_, c)| control(*c)) {
            let (before, after) = rest.split_at(at);
            write!(writer, "{before}\\u{:04x}", u32::from(found))?;
            rest = after.strip_prefix(found).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Appends a line.
///
/// # Errors
///
/// Never for these types; serde's signature has it.
pub fn append(out: &mut Vec<u8>, line: &impl Serialize) -> serde_json::Result<()> {
    line.serialize(&mut Serializer::with_formatter(&mut *out, Harmless::default()))?;
    out.push(b'\n');
    Ok(())
}

/// The fields of an object, for [`append_between`]; there must be one.
///
/// # Errors
///
/// As [`append`].
pub fn render(fields: &impl Serialize, into: &mut Vec<u8>) -> serde_json::Result<()> {
    into.clear();
    fields.serialize(&mut Serializer::with_formatter(&mut *into, Harmless::default()))?;
    into.pop();
    into.remove(0);
    Ok(())
}

/// Appends a line: the fields that were rendered before, and between them those of two objects.
///
/// # Errors
///
/// As [`append`].
pub fn append_between(
    out: &mut Vec<u8>,
    [first, second, third]: [&[u8]; 3],
    between: &impl Serialize,
    behind: &impl Serialize,
) -> serde_json::Result<()> {
    out.push(b'{');
    out.extend_from_slice(first);
    append_fields(out, between)?;
    out.extend_from_slice(second);
    append_fields(out, behind)?;
    out.extend_from_slice(third);
    out.extend_from_slice(b"}\n");
    Ok(())
}

/// Appends the fields of an object, with a comma before them and one behind.
fn append_fields(out: &mut Vec<u8>, object: &impl Serialize) -> serde_json::Result<()> {
    let brace = out.len();
    object.serialize(&mut Serializer::with_formatter(&mut *out, Harmless::default()))?;
    out[brace] = b',';
    out.pop();
    out.push(b',');
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_read_back_and_holds_no_control_character(text in any::<String>()) {
            let mut out = Vec::new();
            append(&mut out, &text).unwrap();
            prop_assert_eq!(&serde_json::from_slice::<String>(&out).unwrap(), &text);
            let line = String::from_utf8(out).unwrap();
            prop_assert!(!line.trim_end_matches('\n').chars().any(char::is_control));
        }
    }
}
