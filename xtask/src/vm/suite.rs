//! What runs in the guest: iotrace with a freshly built kernel side, the end-to-end tests and their workload.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::arch::Arch;
use super::cross;
use crate::ebpf;
use crate::workspace::Workspace;

/// How it is built.
pub(crate) const PROFILE: &str = "--profile=guest";

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
    package_id: String,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// What is built besides iotrace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tests {
    /// The tests, and those beside peers.
    #[default]
    WithPeers,
    /// Without those, and all in one go with those of the other packages: `cargo xtask test` has done that already.
    OfWorkspace,
    /// None.
    None,
}

/// Builds iotrace, and what tests it if asked for.
pub(crate) fn build(workspace: &Workspace, arch: Arch, tests: Tests) -> Result<Suite> {
    let object = ebpf::build(workspace)?.object;
    let artifacts = |words: &[&str]| artifacts(cargo(workspace, arch)?, &object, words);
    let iotrace = named(&artifacts(&["build", "--package=iotrace"])?, "bin", "iotrace")?;
    let built = match tests {
        Tests::None => return Ok(Suite { iotrace, workload: None, tests: Vec::new() }),
        Tests::WithPeers => artifacts(&["test", "--package=iotrace-tests", "--no-run", "--features=peers"])?,
        Tests::OfWorkspace => artifacts(&["test", "--workspace", "--no-run"])?,
    };
    let tests = of_kind(&built, "test").filter(|artifact| artifact.package_id.contains("iotrace-tests"));
    let tests = tests.filter_map(|artifact| Some((artifact.target.name.clone(), artifact.executable.clone()?)));
    Ok(Suite { iotrace, workload: Some(named(&built, "bin", "workload")?), tests: tests.collect() })
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
        .args([PROFILE, "--locked", "--message-format=json-render-diagnostics"])
        .env("IOTRACE_BPF_OBJECT", object)
        .stderr(Stdio::inherit())
        .output()
        .context("start of cargo")?;
    ensure!(output.status.success(), "cargo {} failed", words.join(" "));
    let lines = String::from_utf8_lossy(&output.stdout);
    Ok(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn of_kind<'a>(artifacts: &'a [Artifact], kind: &'static str) -> impl Iterator<Item = &'a Artifact> {
    artifacts.iter().filter(move |artifact| artifact.target.kind.iter().any(|k| k == kind))
}

/// A program itself, and not the tests in it.
fn named(artifacts: &[Artifact], kind: &'static str, name: &str) -> Result<PathBuf> {
    let is_wanted = |artifact: &&Artifact| artifact.target.name == name && !artifact.profile.test;
    let found = of_kind(artifacts, kind).filter(is_wanted).find_map(|artifact| artifact.executable.clone());
    found.with_context(|| format!("cargo built no {name}"))
}
