//! `cargo xtask bench`: what tracing costs, here or in a virtual machine, measured while the machine does other things too.
//!
//! A shared machine is never the same for two minutes. Hence: everything is measured in rounds, traced and untraced in
//! turn; costs are CPU time of the thread that pays; medians and quartiles are told; and a control, traced by nothing,
//! shows how much of a difference is noise.

mod btf;
mod contestants;
mod cost;
mod disk;
mod document;
mod figures;
mod floor;
mod foreign;
mod goals;
mod guest;
mod host;
mod interrupt;
mod load;
mod loops;
mod markdown;
mod memory;
mod operation;
mod peer;
mod programs;
mod report;
mod running;
mod speed;
mod startup;
mod stats;
mod storm;
mod stream;
mod tracer;
mod worker;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;
use xshell::cmd;

use self::disk::Disk;
use self::figures::Place;
use self::worker::Worker;
use crate::workspace::Workspace;

/// Where the figures go, relative to the workspace.
const DOCUMENT: &str = "docs/overhead.md";
/// A file system in memory.
const MEMORY: &str = "/dev/shm";

/// Measure what tracing costs on this machine, or in a virtual one, and write docs/overhead.md; needs root
///
/// Builds iotrace and runs its commands, empty programs and other tracers, each in turn, beside a process that repeats system
/// calls. Takes up to a quarter of an hour here and twenty minutes in virtual machines, or a third with --quick.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// In virtual machines with Debian's 6.12, where all mechanisms and the peers work: starts and speeds by the clock of one, the
    /// cost of operations in another that counts instructions instead of time, so that what else this machine does changes nothing
    #[arg(long)]
    vm: bool,
    /// Only the second of them
    #[arg(long)]
    instructions: bool,
    /// Rounds of traced and untraced measurements; fewer where the machine is busy [default: 9, 3 in a virtual machine; with --quick
    /// 2 and 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Shorter measurements and fewer rounds
    #[arg(long)]
    quick: bool,
    /// Leave out other tracers
    #[arg(long)]
    no_peers: bool,
    /// Be the process that repeats system calls, with files in DIR
    #[arg(long, hide = true, value_name = "DIR")]
    load: Option<PathBuf>,
    /// And read this disk
    #[arg(long, hide = true, value_name = "DEVICE")]
    disk: Option<PathBuf>,
    /// Be inside the virtual machine, with this iotrace
    #[arg(long, hide = true, value_name = "IOTRACE")]
    inside: Option<PathBuf>,
}

/// How much is measured.
struct Plan {
    /// Rounds of the cost of operations; 0: it is not measured.
    rounds: usize,
    /// No more rounds after that.
    cost_limit: Duration,
    /// Slices per measurement, see [`load::SLICE`].
    slices: usize,
    /// Before each slice, so that a tracer can take in what it was sent: an event that finds no room costs less than one that is sent.
    pause: Duration,
    /// Starts per command.
    starts: usize,
    /// How long to write as fast as possible.
    flood: Duration,
    /// How long to write at a rate.
    pace: Duration,
    /// Measure other tracers too.
    peers: bool,
    place: Place,
    quick: bool,
}

impl Plan {
    fn new(args: &Args, place: Place) -> Self {
        let (rounds, limit, slices, starts) = match (place, args.quick) {
            (Place::Here, false) => (9, 420, 16, 11),
            (Place::Here, true) => (2, 100, 16, 3),
            (Place::Vm, false) => (0, 0, 16, 5),
            (Place::Vm, true) => (0, 0, 8, 2),
            (Place::Instructions, false) => (3, 540, 6, 1),
            (Place::Instructions, true) => (1, 0, 5, 1),
        };
        let (flood, pace) = if args.quick { (800, 500) } else { (2000, 1000) };
        Self {
            rounds: args.rounds.filter(|_| place != Place::Vm).map_or(rounds, |rounds| rounds as usize),
            cost_limit: Duration::from_secs(limit),
            slices,
            // Where idle time is skipped, there is enough of it for the slowest.
            pause: Duration::from_millis(if place == Place::Instructions { 100 } else { 4 }),
            starts,
            flood: Duration::from_millis(flood),
            pace: Duration::from_millis(pace),
            peers: !args.no_peers,
            place,
            quick: args.quick,
        }
    }

    /// As typed.
    fn command(&self) -> String {
        let place = match self.place {
            Place::Here => "",
            Place::Vm => " --vm",
            Place::Instructions => " --instructions",
        };
        let more = [(self.quick, " --quick"), (!self.peers, " --no-peers")];
        let more: String = more.iter().filter(|(given, _)| *given).map(|(_, word)| *word).collect();
        format!("cargo xtask bench{place}{more}")
    }
}

/// What all measurements use. Dropped from the top, so that files go last.
struct Bench {
    worker: Worker,
    disk: Option<Disk>,
    iotrace: PathBuf,
    scratch: TempDir,
    /// Where files are created: ext4 looks for inodes that were not deleted a short time ago, which would be most of the time.
    _memory: Option<TempDir>,
}

impl Bench {
    /// Starts the load, with its files below `dir`.
    fn new(iotrace: &Path, dir: &Path) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(dir).context("scratch directory")?;
        // A build beside the run replaces the original.
        let copy = scratch.path().join("iotrace");
        fs::copy(iotrace, &copy).context("copy of iotrace")?;
        let disk = Disk::new(scratch.path()).inspect_err(|error| eprintln!("xtask: no disk to read: {error:#}")).ok();
        let memory = tempfile::Builder::new().prefix("bench-").tempdir_in(MEMORY).ok();
        if let Some(memory) = &memory {
            symlink(memory.path(), scratch.path().join(loops::CREATED_IN)).context("link to a directory in memory")?;
        }
        let worker = Worker::start(scratch.path(), disk.as_ref().map(|disk| disk.device.as_path()))?;
        Ok(Self { worker, disk, iotrace: copy, scratch, _memory: memory })
    }
}

/// Builds, measures, prints and writes.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if let Some(dir) = &args.load {
        return load::serve(dir, args.disk.as_deref());
    }
    interrupt::install()?;
    if let Some(iotrace) = &args.inside {
        let place = if args.instructions { Place::Instructions } else { Place::Vm };
        let figures = figures::measure(&mut Bench::new(iotrace, Path::new("/var/tmp"))?, &Plan::new(args, place))?;
        return guest::send(&figures);
    }
    let places: &[Place] = match args {
        Args { instructions: true, .. } => &[Place::Instructions],
        Args { vm: true, .. } => &[Place::Vm, Place::Instructions],
        _ => &[Place::Here],
    };
    places.iter().try_for_each(|place| measure(workspace, &Plan::new(args, *place)))
}

/// Measures in one place.
fn measure(workspace: &Workspace, plan: &Plan) -> Result<()> {
    let began = Instant::now();
    let Workspace { cargo, shell, target, .. } = workspace;
    cmd!(shell, "{cargo} build --release --locked --package iotrace --bin iotrace")
        .run()
        .context("build of iotrace")?;
    let iotrace = target.join("release/iotrace");
    let figures = match plan.place {
        Place::Here => figures::measure(&mut Bench::new(&iotrace, target)?, plan)?,
        Place::Vm | Place::Instructions => guest::measure(workspace, &iotrace, plan)?,
    };
    print!("{}", document::tables(&figures));
    let document = workspace.root.join(DOCUMENT);
    let before = fs::read_to_string(&document).unwrap_or_default();
    fs::write(&document, document::document(&figures, &before)).with_context(|| format!("write {DOCUMENT}"))?;
    eprintln!("xtask: measured in {} s, written to {DOCUMENT}", began.elapsed().as_secs());
    Ok(())
}
