//! `cargo xtask vm`: the end-to-end tests in virtual machines, on other kernels than the running one.
//!
//! [`kernels`] fetches Debian's kernels through [`apt`], [`suite`] builds the tests ([`cross`] for another architecture),
//! [`image`] makes a root file system of them, [`initrd`] what loads a kernel's modules, [`peers`] fetches what iotrace is
//! compared with, [`qemu`] runs it all, [`console`] reads what comes out, [`report`] and [`verifier`] show it.

mod apt;
mod arch;
mod console;
mod cross;
mod image;
mod initrd;
mod kernels;
mod matrix;
mod modules;
mod peers;
mod qemu;
mod report;
pub(crate) mod single;
mod stage;
mod suite;
mod verifier;

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use self::arch::Arch;
use self::image::Image;
use self::kernels::Kernel;
use self::report::Run;
use crate::packages;
use crate::workspace::Workspace;

pub(crate) use self::matrix::prepare;

/// What iotrace can be told to use, the best first.
const MECHANISMS: &[&str] = &["fentry", "kprobe", "tracepoint"];

/// What a guest is told to do: run the tests.
const TEST: &str = "test";
/// Or load all programs.
const VERIFIER: &str = "verifier";

/// Groups of tests that do not depend on the mechanism: block requests are always seen by tracepoints.
const ONCE: &[&str] = &["bad_input", "disk", "doctor", "latency", "peers", "truth", "wait"];

/// Run the end-to-end tests on other kernels, in virtual machines
///
/// Boots Debian's cloud kernels under QEMU, runs the tests inside as root with each mechanism, and prints what passed, what
/// failed and what is not possible there. Kernels are fetched once and kept in $XDG_CACHE_HOME/iotrace/vm. Consoles are left in
/// target/vm.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Debian kernels to run: 5.10, 6.1, 6.12, newest [default: all of them, unless --kernel names one]; parts of names of
    /// tests, or of whole groups
    #[arg(value_name = "KERNEL|FILTER")]
    words: Vec<String>,
    /// Another kernel: a directory, a .deb or an image; what it lacks in modules must be built in
    #[arg(long, value_name = "PATH")]
    kernel: Vec<PathBuf>,
    /// Architecture of the machines; others than this machine's are cross-built
    #[arg(long, value_enum, default_value_t)]
    arch: Arch,
    /// Mechanisms, one after the other; "auto" is what iotrace chooses [default: fentry,kprobe,tracepoint]
    #[arg(long, value_name = "MECHANISM", value_delimiter = ',')]
    mechanism: Vec<String>,
    /// Print what the kernel's verifier says of each program, instead of running tests
    #[arg(long)]
    verifier: bool,
    /// Leave out what `cargo xtask test` leaves out
    #[arg(long)]
    quick: bool,
    /// Also run the tests that compare with peers, bpftrace and libbpf-tools, which are fetched like the kernels
    #[arg(long)]
    peers: bool,
    /// Look for newer packages of the kernels, and of the peers
    #[arg(long)]
    refresh: bool,
    /// So many machines side by side
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// End a machine that takes longer
    #[arg(long, value_name = "DURATION", default_value = "90m", value_parser = humantime::parse_duration)]
    limit: Duration,
}

/// What each machine does.
#[derive(Default)]
struct Job {
    /// The machines' architecture.
    arch: Arch,
    /// [`TEST`] or [`VERIFIER`].
    mode: &'static str,
    /// One after the other.
    mechanisms: Vec<String>,
    /// Parts of names of tests; none stands for all.
    filters: Vec<String>,
    /// Groups of tests, and parts of names of tests, that are left out.
    except: &'static [&'static str],
    /// Groups of tests that run with one mechanism and no other.
    once: &'static [&'static str],
    /// Groups of tests that run with each mechanism, if not all do.
    each: &'static [&'static str],
    /// So many at a time.
    machines: usize,
    /// None takes longer.
    limit: Duration,
}

/// Runs the tests on each kernel; an error if one of them failed.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    require_packages(workspace, args.arch)?;
    let (names, filters): (Vec<_>, Vec<_>) = args.words.iter().cloned().partition(|word| kernels::is_known(word));
    for word in filters.iter().chain(&args.mechanism) {
        // They go to the guest on the kernel's command line.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_:-".contains(c);
        ensure!(word.chars().all(is_plain), "{word:?} is neither a kernel nor part of a test's name");
    }
    let mut kernels = Vec::new();
    if args.kernel.is_empty() || !names.is_empty() {
        kernels = kernels::fetch(workspace, args.arch, &names, args.refresh)?;
    }
    for path in &args.kernel {
        kernels.push(kernels::open(workspace, path)?);
    }
    if args.peers {
        peers::add(workspace, args.arch, args.refresh, kernels.iter_mut())?;
    } else if args.quick {
        matrix::add_peers(workspace, &mut kernels)?;
    }
    let job = Job {
        arch: args.arch,
        mode: if args.verifier { VERIFIER } else { TEST },
        mechanisms: if args.mechanism.is_empty() { mechanisms() } else { args.mechanism.clone() },
        filters,
        machines: args.jobs,
        limit: args.limit,
        ..if args.quick { matrix::job() } else { Job { once: ONCE, ..Job::default() } }
    };
    let runs = machines(workspace, &kernels, &job)?;
    if args.verifier {
        return verifier::show(&runs);
    }
    print!("{}", report::text(&runs));
    ensure!(runs.iter().any(Run::ran_tests), "no test has such a name");
    require_success(&runs)
}

/// All mechanisms, as words for a guest.
fn mechanisms() -> Vec<String> {
    MECHANISMS.iter().map(|&name| name.to_owned()).collect()
}

/// Builds what the machines run, and runs them.
fn machines(workspace: &Workspace, kernels: &[Kernel], job: &Job) -> Result<Vec<Run>> {
    let suite = suite::build(workspace, job.arch, job.mode == TEST)?;
    let image = Image::build(workspace, &suite, job.arch)?;
    qemu::run_all(workspace, &image, kernels, job)
}

fn require_success(runs: &[Run]) -> Result<()> {
    let failed = runs.iter().filter(|run| !run.succeeded()).count();
    ensure!(failed == 0, "{failed} of {} machines had failures", runs.len());
    Ok(())
}

fn require_packages(workspace: &Workspace, arch: Arch) -> Result<()> {
    let mut needed = [packages::TESTS, packages::MACHINES].concat();
    if arch == Arch::Arm64 {
        needed.extend(packages::ARM64);
    }
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
