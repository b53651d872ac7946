//! The file beside the checked-in object that says what it was built from and with.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Contents of `iotrace.bpf.json`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The object itself.
    pub(crate) object: Object,
    /// What it was built from.
    pub(crate) sources: Sources,
    /// What it was built with.
    pub(crate) toolchain: Versions,
}

/// Identity of an object.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    /// SHA-256 in hex.
    pub(crate) sha256: String,
    /// Bytes.
    pub(crate) size: usize,
}

/// Identity of the sources.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sources {
    /// SHA-256 in hex, see [`super::sources::hash`].
    pub(crate) sha256: String,
}

/// The tools as they name themselves. Equal versions give equal objects.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Versions {
    /// `rustc -V`
    pub(crate) rustc: String,
    /// `LLVM version` in `rustc -vV`
    pub(crate) rustc_llvm: String,
    /// `cargo -V`: it decides what goes into the names of symbols.
    pub(crate) cargo: String,
    /// `bpf-linker --version`
    pub(crate) linker: String,
    /// `llvm-config --version` of the LLVM that bpf-linker uses
    pub(crate) linker_llvm: String,
}

impl Manifest {
    /// The manifest of an object in memory.
    pub(crate) fn new(object: &[u8], sources: String, toolchain: Versions) -> Self {
        Self { object: Object::of(object), sources: Sources { sha256: sources }, toolchain }
    }

    /// Reads a manifest.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        serde_json::from_slice(&super::read(path)?).with_context(|| format!("parse {}", path.display()))
    }

    /// As JSON with one value a line, so that a change shows in a diff.
    pub(crate) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self).context("manifest as JSON")? + "\n")
    }
}

impl Object {
    /// Identity of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { sha256: hex(&Sha256::digest(bytes)), size: bytes.len() }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, rustc_llvm, cargo, linker, linker_llvm } = self;
        write!(f, "{rustc} with LLVM {rustc_llvm}, {cargo}, {linker} with LLVM {linker_llvm}")
    }
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_survives_json() -> Result<()> {
        let versions = Versions {
            rustc: "rustc 1.96.0".into(),
            rustc_llvm: "22.1.8".into(),
            cargo: "cargo 1.96.0".into(),
            linker: "bpf-linker 0.13.0".into(),
            linker_llvm: "22.1.8".into(),
        };
        let manifest = Manifest::new(b"", "00".into(), versions);
        assert_eq!(manifest.object.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(serde_json::from_str::<Manifest>(&manifest.to_json()?)?, manifest);
        Ok(())
    }
}
