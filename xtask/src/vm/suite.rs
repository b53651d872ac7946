//! What runs in the guest: iotrace with a freshly built kernel side, the end-to-end tests and their workload.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::ebpf;
use crate::workspace::Workspace;

/// The programs, built.
pub(crate) struct Suite {
    /// The program under test.
    pub(crate) iotrace: PathBuf,
    /// The tests have this path compiled into them.
    pub(crate) workload: PathBuf,
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

/// Builds them all.
pub(crate) fn build(workspace: &Workspace) -> Result<Suite> {
    let object = ebpf::build(workspace)?.object;
    let iotrace = artifacts(workspace, &object, &["build", "--package", "iotrace"])?;
    let tests = artifacts(workspace, &object, &["test", "--package", "iotrace-tests", "--no-run"])?;
    // The workload is there twice: as itself and as tests of its own, of which there are none.
    let workload = artifacts(workspace, &object, &["build", "--package", "iotrace-tests", "--bins"])?;
    Ok(Suite {
        iotrace: named(&iotrace, "bin", "iotrace")?,
        workload: named(&workload, "bin", "workload")?,
        tests: of_kind(&tests, "test").map(|(name, path)| (name.to_owned(), path.to_owned())).collect(),
    })
}

fn artifacts(workspace: &Workspace, object: &Path, args: &[&str]) -> Result<Vec<Artifact>> {
    let output = Command::new(&workspace.cargo)
        .args(args)
        .args([OsStr::new("--locked"), "--message-format=json-render-diagnostics".as_ref()])
        .current_dir(&workspace.root)
        .env("CARGO_TARGET_DIR", &workspace.target)
        .env("IOTRACE_BPF_OBJECT", object)
        .stderr(Stdio::inherit())
        .output()
        .context("start of cargo")?;
    ensure!(output.status.success(), "cargo {} failed", args.join(" "));
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
