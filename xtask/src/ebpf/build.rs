//! One build of the kernel side, the same bytes on every machine and in every directory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xshell::{Cmd, cmd};

use super::toolchain::Toolchain;
use super::{lines, wrapper};
use crate::workspace::Workspace;

/// All machines that iotrace runs on are little endian.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Which registers aya's `pt_regs` helpers name. Fixed, so that the object does not depend on where it is built.
pub(crate) const ARCH_CFG: &str = "--cfg=bpf_target_arch=\"x86_64\"";

/// Settings of the caller that must not reach the object.
const NOT_OURS: &[&str] = &[
    "CARGO",
    "CARGO_INCREMENTAL",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];
const NOT_OURS_PREFIXES: &[&str] = &["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_UNSTABLE_"];

/// Builds the object below the target directory and strips it.
pub(crate) fn object(workspace: &Workspace, toolchain: &Toolchain, linker: &Path) -> Result<PathBuf> {
    let (shell, cargo) = (&workspace.shell, &toolchain.cargo);
    let (manifest, target) = (workspace.ebpf_manifest(), workspace.ebpf_target());
    let places = places(workspace, toolchain)?;
    let mut flags = vec![
        ARCH_CFG.to_owned(),
        "-Cdebuginfo=2".to_owned(), // BTF is made from it
        "-Clink-arg=--btf".to_owned(),
        format!("-Clinker={}", linker.display()),
    ];
    flags.extend(places.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())));

    let command = cmd!(
        shell,
        "{cargo} build --release --locked --manifest-path {manifest} --target-dir {target}
         --target {TARGET} -Z build-std=core"
    );
    wrapper::install(environment(command, toolchain), &workspace.root)?
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .run()
        .context("build of the kernel side")?;

    let linked = target.join(TARGET).join("release/iotrace");
    let stripped = target.join("stripped.bpf.o");
    strip(workspace, toolchain, &linked, &stripped)?;
    let bytes = super::read(&stripped)?;
    verify(&bytes, &places).with_context(|| format!("{}", stripped.display()))?;

    let object = target.join("iotrace.bpf.o");
    // An equal one keeps its time stamp, or cargo would rebuild the program that embeds it.
    if fs::read(&object).ok() != Some(bytes) {
        fs::rename(&stripped, &object).with_context(|| format!("write {}", object.display()))?;
    }
    Ok(object)
}

/// Takes out of the linked object what no loader needs: DWARF, from which BTF was made, several times its size, and the lines of sources.
fn strip(workspace: &Workspace, toolchain: &Toolchain, linked: &Path, stripped: &Path) -> Result<()> {
    let shell = &workspace.shell;
    let objcopy = toolchain.llvm_tool("llvm-objcopy");
    let extension = stripped.with_extension("btf.ext");
    cmd!(shell, "{objcopy} --dump-section=.BTF.ext={extension} {linked} /dev/null").quiet().run().context("objcopy")?;
    let kept = lines::drop_from(&super::read(&extension)?)?;
    fs::write(&extension, kept).with_context(|| format!("write {}", extension.display()))?;
    cmd!(
        shell,
        "{objcopy} --strip-debug --remove-section=.rel.BTF.ext --update-section=.BTF.ext={extension} {linked} {stripped}"
    )
    .quiet()
    .run()
    .context("objcopy")
}

/// Runs a cargo of the kernel side's toolchain, with none of the caller's settings.
pub(crate) fn environment<'a>(command: Cmd<'a>, toolchain: &Toolchain) -> Cmd<'a> {
    let is_setting = |name: &OsString| {
        name.to_str().is_some_and(|name| NOT_OURS_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
    };
    let settings = env::vars_os().map(|(name, _)| name).filter(is_setting);
    NOT_OURS
        .iter()
        .map(OsString::from)
        .chain(settings)
        .fold(command, |command, name| command.env_remove(name))
        .env("CARGO", &toolchain.cargo)
        .env("RUSTC", &toolchain.rustc)
        // `-Z build-std`, and inline assembly for BPF, are not stable.
        .env("RUSTC_BOOTSTRAP", "1")
}

/// Directories that sources come from, and what debug information calls them instead.
fn places(workspace: &Workspace, toolchain: &Toolchain) -> Result<Vec<(PathBuf, &'static str)>> {
    let rust_src = toolchain.rust_src();
    let real_rust_src = fs::canonicalize(&rust_src).with_context(|| format!("resolve {}", rust_src.display()))?;
    let mut places = vec![(workspace.root.clone(), "/iotrace"), (rust_src, "/rust"), (real_rust_src, "/rust")];
    // The last match counts, so that a cargo home inside the workspace comes out right too.
    places.extend(dependency_dirs(workspace, toolchain)?.into_iter().map(|dir| (dir, "/deps")));
    Ok(places)
}

/// The directories in which the unpacked dependencies lie.
fn dependency_dirs(workspace: &Workspace, toolchain: &Toolchain) -> Result<BTreeSet<PathBuf>> {
    let (shell, cargo, manifest) = (&workspace.shell, &toolchain.cargo, workspace.ebpf_manifest());
    let command = cmd!(shell, "{cargo} metadata --format-version 1 --locked --manifest-path {manifest}").quiet();
    let metadata = environment(command, toolchain).read().context("cargo metadata of the kernel side")?;
    let metadata: Value = serde_json::from_str(&metadata).context("output of cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    Ok(packages
        .iter()
        .filter(|package| !package["source"].is_null())
        .filter_map(|package| Path::new(package["manifest_path"].as_str()?).ancestors().nth(2))
        .map(Path::to_path_buf)
        .collect())
}

/// Fails if the object lacks type information or names a directory of this machine.
fn verify(object: &[u8], places: &[(PathBuf, &str)]) -> Result<()> {
    for section in [".BTF", ".BTF.ext"] {
        // The end of a string only: `.BTF` shares its bytes with `.rel.BTF`.
        if !contains(object, format!("{section}\0").as_bytes()) {
            bail!("no section {section}");
        }
    }
    for (place, _) in places {
        // At the start of a string only: a short path may well be the middle of another.
        if contains(object, format!("\0{}/", place.display()).as_bytes()) {
            bail!("names {}, which only this machine knows", place.display());
        }
    }
    Ok(())
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_that_names_this_machine_is_refused() {
        let places = [(PathBuf::from("/src"), "/iotrace")];
        assert!(verify(b"\0.BTF\0.BTF.ext\0/src/main.rs\0", &places).is_err());
        assert!(verify(b"\0.BTF\0.BTF.ext\0/deps/aya-ebpf/src/lib.rs\0", &places).is_ok());
    }

    #[test]
    fn object_without_type_information_is_refused() {
        assert!(verify(b"\0.rel.BTF\0", &[]).is_err());
    }
}
