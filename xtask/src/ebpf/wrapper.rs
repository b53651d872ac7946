//! This program as cargo's `RUSTC_WRAPPER`, so that names of symbols do not depend on the directory.
//!
//! cargo hashes the absolute path of a path dependency outside of the workspace (iotrace-common, seen from iotrace-ebpf)
//! into `-C metadata`, rustc hashes that into the name of every function that is not inlined, and the object would differ
//! from directory to directory (rust-lang/cargo#7645, open). Here our own crates get their name and version instead.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use xshell::Cmd;

/// Set for the processes that shall act as the wrapper; holds the workspace's directory.
const ROOT: &str = "XTASK_RUSTC_WRAPPER_ROOT";

/// Makes cargo call this program instead of rustc.
pub(crate) fn install<'a>(command: Cmd<'a>, root: &Path) -> Result<Cmd<'a>> {
    let ourselves = env::current_exe().context("path of this program")?;
    Ok(command.env("RUSTC_WRAPPER", ourselves).env(ROOT, root))
}

/// Becomes rustc if cargo called us for it; does not come back then, except with an error.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let root = env::var_os(ROOT)?;
    let mut args = env::args_os().skip(1);
    let rustc = args.next()?;
    let mut args: Vec<OsString> = args.collect();
    if env::var_os("CARGO_MANIFEST_DIR").is_some_and(|dir| Path::new(&dir).starts_with(&root)) {
        // Both are set by cargo for each crate.
        let part = |name| env::var(name).unwrap_or_default();
        replace_metadata(&mut args, &format!("{}-{}", part("CARGO_PKG_NAME"), part("CARGO_PKG_VERSION")));
    }
    let error = Command::new(&rustc).args(args).exec();
    eprintln!("xtask: {}: {error}", rustc.display());
    Some(ExitCode::FAILURE)
}

/// rustc hashes the same crate types and versions into its names by itself.
fn replace_metadata(args: &mut [OsString], metadata: &str) {
    for arg in args {
        if arg.to_str().is_some_and(|arg| arg.starts_with("metadata=")) {
            *arg = format!("metadata={metadata}").into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_metadata_is_replaced() {
        let mut args: Vec<OsString> =
            ["-C", "metadata=0f01", "-C", "extra-filename=-0f01"].into_iter().map(OsString::from).collect();
        replace_metadata(&mut args, "iotrace-common-0.1.0");
        assert_eq!(args, ["-C", "metadata=iotrace-common-0.1.0", "-C", "extra-filename=-0f01"]);
    }
}
