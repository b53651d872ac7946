//! What runs in the guest: iotrace with a freshly built kernel side, the end-to-end tests and their workload.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::arch::Arch;
use super::cross;
use crate::ebpf;
use crate::workspace::Workspace;

/// How it is built: as a release, since the guest is slow, but without what takes long to build and gains little there.
const PROFILE: &[&str] = &[
    "--profile=guest",
    "--config=profile.guest.inherits='release'",
    "--config=profile.guest.opt-level=1",
    "--config=profile.guest.lto=false",
    "--config=profile.guest.codegen-units=16",
    "--config=profile.guest.debug=false",
    "--config=profile.guest.strip=true",
];

/// The programs, built.
pub(crate) struct Suite {
    /// The program under test.
    pub(crate) iotrace: PathBuf,
    /// The tests' program, if there are tests: they have this path compiled into them.
    pub(crate) workload: Option<PathBuf>,
    /// Names and executables of the tests.
    pub(crate) tests: Vec<(String, PathBuf)>,
}

/// A line that cargo prints for what it has built; other lines have other fields.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds iotrace, and what tests it if asked for.
pub(crate) fn build(workspace: &Workspace, arch: Arch, with_tests: bool) -> Result<Suite> {
    let object = ebpf::build(workspace)?.object;
    let artifacts = |words: &[&str]| artifacts(cargo(workspace, arch)?, &object, words);
    let iotrace = named(&artifacts(&["build", "--package=iotrace"])?, "bin", "iotrace")?;
    if !with_tests {
        return Ok(Suite { iotrace, workload: None, tests: Vec::new() });
    }
    let tests = artifacts(&["test", "--package=iotrace-tests", "--no-run", "--features=peers"])?;
    // The workload is there twice: as itself and as tests of its own, of which there are none.
    let workload = artifacts(&["build", "--package=iotrace-tests", "--bins", "--features=peers"])?;
    Ok(Suite {
        iotrace,
        workload: Some(named(&workload, "bin", "workload")?),
        tests: of_kind(&tests, "test").map(|(name, path)| (name.to_owned(), path.to_owned())).collect(),
    })
}

/// A cargo that builds for the architecture.
fn cargo(workspace: &Workspace, arch: Arch) -> Result<Command> {
    match arch {
        Arch::Amd64 => {
            let mut command = Command::new(&workspace.cargo);
            command.current_dir(&workspace.root);
            command.env("CARGO_TARGET_DIR", &workspace.target);
            Ok(command)
        }
        Arch::Arm64 => cross::cargo(workspace),
    }
}

fn artifacts(mut cargo: Command, object: &Path, words: &[&str]) -> Result<Vec<Artifact>> {
    let output = cargo
        .args(words)
        .args(PROFILE)
        .args(["--locked", "--message-format=json-render-diagnostics"])
        .env("IOTRACE_BPF_OBJECT", object)
        .stderr(Stdio::inherit())
        .output()
        .context("start of cargo")?;
    ensure!(output.status.success(), "cargo {} failed", words.join(" "));
    let lines = String::from_utf8_lossy(&output.stdout);
    Ok(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn of_kind<'a>(artifacts: &'a [Artifact], kind: &'static str) -> impl Iterator<Item = (&'a str, &'a Path)> {
    let of_kind = artifacts.iter().filter(move |artifact| artifact.target.kind.iter().any(|k| k == kind));
    of_kind.filter_map(|artifact| Some((artifact.target.name.as_str(), artifact.executable.as_deref()?)))
}

fn named(artifacts: &[Artifact], kind: &'static str, name: &str) -> Result<PathBuf> {
    let found = of_kind(artifacts, kind).find(|(found, _)| *found == name);
    Ok(found.with_context(|| format!("cargo built no {name}"))?.1.to_owned())
}
