//! `cargo xtask vm`: the end-to-end tests in virtual machines, on other kernels than the running one.
//!
//! [`kernels`] fetches Debian's kernels through [`apt`], [`suite`] builds the tests, [`image`] makes a root file system of them,
//! [`initrd`] what loads a kernel's modules, [`qemu`] runs it all, [`console`] reads what comes out and [`report`] shows it.

mod apt;
mod console;
mod image;
mod initrd;
mod kernels;
mod modules;
mod qemu;
mod report;
mod suite;

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use self::image::Image;
use self::kernels::Kernel;
use self::report::Run;
use crate::packages;
use crate::workspace::Workspace;

/// Run the end-to-end tests on other kernels, in virtual machines
///
/// Boots Debian's cloud kernels under QEMU, runs the tests inside as root, and prints what passed, what failed and what is not
/// possible there. Kernels are fetched once and kept in $XDG_CACHE_HOME/iotrace/vm. Consoles are left in target/vm.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Debian kernels to run: 5.10, 6.1, 6.12, newest [default: all of them, unless --kernel names one]
    #[arg(value_name = "KERNEL|FILTER")]
    words: Vec<String>,
    /// Another kernel: a directory, a .deb or an image; what it lacks in modules must be built in
    #[arg(long, value_name = "PATH")]
    kernel: Vec<PathBuf>,
    /// Force a mechanism, one machine for each [default: what iotrace chooses]
    #[arg(long, value_name = "MECHANISM", value_delimiter = ',')]
    mechanism: Vec<String>,
    /// Look for newer packages of the kernels
    #[arg(long)]
    refresh: bool,
    /// So many machines side by side
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// End a machine that takes longer
    #[arg(long, value_name = "DURATION", default_value = "40m", value_parser = humantime::parse_duration)]
    limit: Duration,
}

/// What one machine does.
struct Job<'a> {
    kernel: &'a Kernel,
    /// Forced, or none.
    mechanism: Option<&'a str>,
    /// Parts of names of tests; none stands for all.
    filters: &'a [String],
}

/// Runs the tests on each kernel; an error if one of them failed.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    require_packages(workspace)?;
    let (names, filters): (Vec<_>, Vec<_>) = args.words.iter().cloned().partition(|word| kernels::is_known(word));
    for word in filters.iter().chain(&args.mechanism) {
        // They go to the guest on the kernel's command line.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_:-".contains(c);
        ensure!(word.chars().all(is_plain), "{word:?} is neither a kernel nor part of a test's name");
    }
    let mut kernels = Vec::new();
    if args.kernel.is_empty() || !names.is_empty() {
        kernels = kernels::fetch(workspace, &names, args.refresh)?;
    }
    for path in &args.kernel {
        kernels.push(kernels::open(workspace, path)?);
    }

    let suite = suite::build(workspace)?;
    let image = Image::build(workspace, &suite)?;
    let mechanisms: Vec<_> = args.mechanism.iter().map(|name| Some(name.as_str())).collect();
    let mechanisms = if mechanisms.is_empty() { vec![None] } else { mechanisms };
    let jobs: Vec<_> = kernels
        .iter()
        .flat_map(|kernel| mechanisms.iter().map(move |mechanism| (kernel, *mechanism)))
        .map(|(kernel, mechanism)| Job { kernel, mechanism, filters: &filters })
        .collect();
    let runs = qemu::run_all(workspace, &image, &jobs, args)?;
    print!("{}", report::text(&runs));
    let failed = runs.iter().filter(|run| !run.succeeded()).count();
    ensure!(failed == 0, "{failed} of {} machines had failures", runs.len());
    ensure!(runs.iter().any(Run::ran_tests), "no test has such a name");
    Ok(())
}

fn require_packages(workspace: &Workspace) -> Result<()> {
    let needed = [packages::TESTS, packages::MACHINES].concat();
    let missing = packages::missing(&workspace.shell, &needed);
    if !packages::install(&workspace.shell, &missing)? {
        bail!("needs {}: install them (Debian's names)", missing.join(" "));
    }
    Ok(())
}

/// Where kernels are kept, outside the tree: `$XDG_CACHE_HOME/iotrace/vm`, or below `~/.cache`.
fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache"),
    };
    let dir = base.join("iotrace/vm");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    Ok(dir)
}

/// Where images and consoles of this tree are left.
fn scratch(workspace: &Workspace) -> Result<PathBuf> {
    let dir = workspace.target.join("vm");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    Ok(dir)
}
