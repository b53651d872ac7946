//! `cargo xtask test`: everything that has to hold before a change goes in.

mod outcome;
mod skips;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, io};

use anyhow::{Context, Result, ensure};

use self::outcome::Counts;
use self::skips::Skip;
use crate::workspace::Workspace;
use crate::{ebpf, lint, packages, vm};

/// Lint, check the object, and run all tests with a freshly built kernel side, here and in virtual machines
///
/// Installs what the tests need when it is root on Debian, and names it elsewhere. With FILTER, only those tests run:
/// no lint, no check of the checked-in object, no virtual machines.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests whose names contain one of these
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// Leave out the virtual machines
    #[arg(long)]
    no_vm: bool,
}

/// Runs checks and tests, and prints what was skipped and how many tests passed.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    require_packages(workspace)?;
    if args.filters.is_empty() {
        lint::run(workspace, &lint::Args {})?;
        ebpf::check(workspace)?;
    }
    let built = ebpf::build(workspace)?;
    let machines = args.filters.is_empty() && !args.no_vm;
    // What the machines run is built once, and runs here too.
    let profile = if machines { vm::PROFILE } else { "--profile=dev" };

    let skips = workspace.target.join("skips.txt");
    fs::write(&skips, "").with_context(|| format!("create {}", skips.display()))?;
    build_programs(workspace, &built.object, profile)?;
    let (mut counts, mut all_passed) = cargo_test(workspace, &args.filters, &built.object, profile, &skips)?;
    if !all_passed && !counts.doubtful().is_empty() {
        let names = [&["--exact".to_owned()], counts.doubtful()].concat();
        println!("once more, alone: {}", counts.doubtful().join(" "));
        let (again, passed) = cargo_test(workspace, &names, &built.object, profile, &skips)?;
        all_passed = passed && counts.settle(&again);
    }
    let mut skips = skips::read(&skips)?;
    let summary = counts.summary(skips::distinct_tests(&skips));
    skips.extend(std::mem::take(&mut counts.ignored));
    for skip in &skips {
        println!("skipped: {skip}");
    }
    for test in counts.unstable() {
        println!("unstable: {test} failed, and passed when it was run again");
    }
    println!("{summary}");
    ensure!(all_passed, "cargo test failed");
    if is_ci() {
        skips::refuse_unknown(&skips)?;
    }
    if machines { run_machines(workspace) } else { Ok(()) }
}

/// Runs the tests on other kernels, where those can be had.
fn run_machines(workspace: &Workspace) -> Result<()> {
    match vm::prepare(workspace) {
        Ok(matrix) => matrix.run(workspace),
        Err(error) => {
            let skip = Skip::new("vm", &format!("{error:#}"));
            println!("skipped: {skip}");
            if is_ci() { skips::refuse_unknown(&[skip]) } else { Ok(()) }
        }
    }
}

fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|ci| !ci.is_empty())
}

fn require_packages(workspace: &Workspace) -> Result<()> {
    let missing = packages::missing(&workspace.shell, packages::TESTS);
    if !packages::install(&workspace.shell, &missing)? {
        // Not an error: the tests that need them say so and are skipped.
        eprintln!("xtask: not installed, as this is not root on Debian: {}", missing.join(" "));
    }
    Ok(())
}

/// The end-to-end tests run the program, which `cargo test` builds only for a package's own integration tests.
fn build_programs(workspace: &Workspace, object: &Path, profile: &str) -> Result<()> {
    let status = Command::new(&workspace.cargo)
        .args(["build", "--package=iotrace", profile, "--locked"])
        .current_dir(&workspace.root)
        .env("CARGO_TARGET_DIR", &workspace.target)
        .env("IOTRACE_BPF_OBJECT", object)
        .status()
        .context("start of cargo build")?;
    ensure!(status.success(), "cargo build failed");
    Ok(())
}

/// Shows cargo's output as it comes and counts the results in it; false if cargo was not content.
fn cargo_test(
    workspace: &Workspace,
    filters: &[String],
    object: &Path,
    profile: &str,
    skips: &Path,
) -> Result<(Counts, bool)> {
    let mut args: Vec<_> = ["test", "--workspace", profile, "--locked", "--no-fail-fast"].map(OsStr::new).into();
    args.push("--".as_ref());
    args.extend(filters.iter().map(OsStr::new));
    let mut child = Command::new(&workspace.cargo)
        .args(args)
        .current_dir(&workspace.root)
        .env("CARGO_TARGET_DIR", &workspace.target)
        // The program prefers this object to the one it carries.
        .env("IOTRACE_BPF_OBJECT", object)
        .env("IOTRACE_SKIPS", skips)
        .stdout(Stdio::piped())
        .spawn()
        .context("start of cargo test")?;
    let mut counts = Counts::default();
    let mut reader = BufReader::new(child.stdout.take().context("output of cargo test")?);
    // Bytes and not text: a test may print what is not UTF-8.
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).context("output of cargo test")? > 0 {
        io::stdout().write_all(&line).context("standard output")?;
        counts.add_line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait().context("end of cargo test")?;
    Ok((counts, status.success()))
}
