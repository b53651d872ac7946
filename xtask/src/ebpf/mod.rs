//! `cargo xtask ebpf`: builds the kernel side, and keeps the checked-in object true to its sources.
//!
//! The object is checked in so that `cargo build` needs nothing but stable Rust. [`manifest`] says what it was built from
//! and with; `--check` proves it.

mod build;
mod lines;
mod linker;
mod manifest;
mod sources;
mod toolchain;
pub(crate) mod wrapper;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::cmd;

use self::build::TARGET;
use self::manifest::Manifest;
pub(crate) use self::toolchain::Toolchain;
use crate::workspace::Workspace;

/// Where the checked-in object lies, relative to the workspace.
const OBJECT: &str = "iotrace/ebpf/iotrace.bpf.o";
/// Where its manifest lies, relative to the workspace.
const MANIFEST: &str = "iotrace/ebpf/iotrace.bpf.json";

/// Build the kernel side and check its object in to iotrace/ebpf
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing: fail if the checked-in object is not what the sources give
    #[arg(long)]
    check: bool,
}

/// A kernel side that was just built, below the target directory.
pub(crate) struct Built {
    /// The stripped object.
    pub(crate) object: PathBuf,
    /// What it was built from and with.
    manifest: Manifest,
}

/// Builds the kernel side and replaces the checked-in object, or compares with it.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if args.check {
        return check(workspace);
    }
    let built = build(workspace)?;
    let (object, manifest) = (workspace.root.join(OBJECT), workspace.root.join(MANIFEST));
    if let Some(dir) = object.parent() {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    }
    fs::copy(&built.object, &object).with_context(|| format!("write {OBJECT}"))?;
    fs::write(manifest, built.manifest.to_json()?).with_context(|| format!("write {MANIFEST}"))?;
    println!("{OBJECT}: {} bytes, sha256 {}", built.manifest.object.size, built.manifest.object.sha256);
    Ok(())
}

/// Builds the kernel side below the target directory; the tree stays as it is.
pub(crate) fn build(workspace: &Workspace) -> Result<Built> {
    // Hashed first: a file changed during the build must make the object stale.
    let sources = sources::hash(&workspace.root)?;
    let toolchain = Toolchain::find(workspace)?;
    let linker = linker::ensure(workspace, &toolchain)?;
    let object = build::object(workspace, &toolchain, &linker)?;
    let bytes = read(&object)?;
    let manifest = Manifest::new(&bytes, sources, toolchain.versions(workspace, &linker)?);
    Ok(Built { object, manifest })
}

/// Fails unless the checked-in object is what the sources give.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let stale = |why: &str| format!("{OBJECT} is stale ({why}): run cargo xtask ebpf");
    let recorded = Manifest::read(&workspace.root.join(MANIFEST)).with_context(|| stale("no readable manifest"))?;
    ensure!(recorded.sources.sha256 == sources::hash(&workspace.root)?, stale("its sources have changed"));
    let checked_in = read(&workspace.root.join(OBJECT)).with_context(|| stale("not there"))?;
    ensure!(recorded.object == manifest::Object::of(&checked_in), stale("its hash is not the one in its manifest"));

    // Only the recorded tools give the recorded bytes, and not every machine has them.
    let toolchain = match Toolchain::find(workspace) {
        Ok(toolchain) => toolchain,
        Err(error) => {
            println!("{OBJECT}: hashes match; not compared with a build: {error:#}");
            return Ok(());
        }
    };
    let here = toolchain.versions(workspace, &linker::ensure(workspace, &toolchain)?)?;
    if here != recorded.toolchain {
        println!("{OBJECT}: hashes match; not compared with a build, since it was made with other tools:");
        println!("  recorded: {}\n  here:     {here}", recorded.toolchain);
        return Ok(());
    }
    let fresh = read(&build(workspace)?.object)?;
    let difference = first_difference(&fresh, &checked_in);
    ensure!(fresh == checked_in, stale(&format!("the recorded tools build another one, from byte {difference} on")));
    println!("{OBJECT}: the same as a fresh build with {here}");
    Ok(())
}

/// Lints the kernel side for its own target, with and without its optional parts.
pub(crate) fn clippy(workspace: &Workspace) -> Result<()> {
    let toolchain = Toolchain::find(workspace)?;
    let (shell, clippy) = (&workspace.shell, toolchain.clippy()?);
    let (manifest, target) = (workspace.ebpf_manifest(), workspace.ebpf_target());
    for features in [None, Some("--all-features")] {
        let command = cmd!(
            shell,
            "{clippy} clippy --release --locked --manifest-path {manifest} --target-dir {target}
             --target {TARGET} -Z build-std=core {features...} -- -D warnings"
        );
        build::environment(command, &toolchain).env("CARGO_ENCODED_RUSTFLAGS", build::ARCH_CFG).run()?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

fn first_difference(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()))
}
