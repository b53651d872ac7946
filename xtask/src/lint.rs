//! `cargo xtask lint`: format, clippy and documentation of both sides; every warning is an error.

use anyhow::{Context, Result};
use xshell::cmd;

use crate::ebpf;
use crate::workspace::Workspace;

/// Check format, clippy and documentation of both sides
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs every check; the first that fails ends the run.
pub(crate) fn run(workspace: &Workspace, _args: &Args) -> Result<()> {
    let Workspace { cargo, shell, .. } = workspace;
    let ebpf_manifest = workspace.ebpf_manifest();

    cmd!(shell, "{cargo} fmt --all --check").run().context("format; to repair it: cargo fmt --all")?;
    cmd!(shell, "{cargo} fmt --manifest-path {ebpf_manifest} --check")
        .run()
        .context("format of the kernel side; to repair it: cargo fmt --manifest-path iotrace-ebpf/Cargo.toml")?;
    cmd!(shell, "{cargo} clippy --workspace --all-targets --features iotrace-tests/peers --locked -- -D warnings")
        .run()
        .context("clippy")?;
    ebpf::clippy(workspace).context("clippy of the kernel side")?;
    cmd!(shell, "{cargo} doc --workspace --no-deps --locked")
        .env("RUSTDOCFLAGS", "-Dwarnings")
        .run()
        .context("documentation")
}
