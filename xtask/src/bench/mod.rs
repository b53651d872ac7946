//! `cargo xtask bench`: what tracing costs here, measured while the machine does other things too.
//!
//! A shared machine is never the same for two minutes. Hence: everything is measured in rounds, traced and untraced in
//! turn; costs are CPU time of the thread that pays; medians and quartiles are told; and a control, traced by nothing,
//! shows how much of a difference is noise.

mod cost;
mod foreign;
mod host;
mod interrupt;
mod load;
mod markdown;
mod memory;
mod report;
mod speed;
mod startup;
mod stats;
mod tracer;
mod worker;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;
use xshell::cmd;

use self::host::Host;
use self::report::Figures;
use self::tracer::{Output, Tracer};
use self::worker::Worker;
use crate::workspace::Workspace;

/// Where the figures go, relative to the workspace.
const DOCUMENT: &str = "docs/overhead.md";

/// Measure what tracing costs on this machine, and write docs/overhead.md; needs root
///
/// Builds iotrace and runs its commands beside a process that repeats system calls. Takes up to four minutes, or one
/// with --quick.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rounds of traced and untraced measurements; fewer where the machine is busy [default: 9, 3 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Shorter measurements and fewer rounds
    #[arg(long)]
    quick: bool,
    /// Be the process that repeats system calls, with files in DIR
    #[arg(long, hide = true, value_name = "DIR")]
    load: Option<PathBuf>,
}

/// How much is measured.
struct Plan {
    /// Rounds of the cost of operations.
    rounds: usize,
    /// Slices per measurement, see [`load::SLICE`].
    slices: usize,
    /// Starts per command.
    starts: usize,
    /// How long to write as fast as possible.
    flood: Duration,
    /// How long to write at a rate.
    pace: Duration,
}

impl Plan {
    fn new(args: &Args) -> Self {
        let (rounds, slices, starts, flood, pace) =
            if args.quick { (3, 16, 3, 800, 500) } else { (9, 40, 11, 2000, 1000) };
        let (flood, pace) = (Duration::from_millis(flood), Duration::from_millis(pace));
        Self { rounds: args.rounds.map_or(rounds, |rounds| rounds as usize), slices, starts, flood, pace }
    }
}

/// A command whose price is measured.
#[derive(Debug, PartialEq, Eq)]
struct Traced {
    /// For people.
    name: &'static str,
    arguments: &'static [&'static str],
    /// Filter on a process that is not the load: this one.
    stranger: bool,
}

impl Traced {
    const ALL: &[Self] = &[
        Self { name: "top", arguments: &["top"], stranger: false },
        Self { name: "top -p OTHER", arguments: &["top"], stranger: true },
        Self { name: "fsync", arguments: &["fsync"], stranger: false },
        Self { name: "open", arguments: &["open"], stranger: false },
        Self { name: "latency", arguments: &["latency"], stranger: false },
        Self { name: "events", arguments: &["events", "-o", "/dev/null"], stranger: false },
    ];

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let mut arguments: Vec<_> = self.arguments.iter().chain(more).map(|&argument| argument.to_owned()).collect();
        if self.stranger {
            arguments.extend(["--pid".to_owned(), std::process::id().to_string()]);
        }
        arguments
    }
}

/// What all measurements use. Dropped from the top, so that files go last.
struct Bench {
    worker: Worker,
    iotrace: PathBuf,
    scratch: TempDir,
}

/// Builds, measures, prints and writes.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if let Some(dir) = &args.load {
        return load::serve(dir);
    }
    interrupt::install()?;
    let plan = Plan::new(args);
    let mut bench = prepare(workspace)?;
    let began = Instant::now();
    let mechanism = try_all(&bench)?;
    let load_before = host::load_average()?;
    let startups = startup::measure(&bench, &plan)?;
    let costs = cost::measure(&mut bench, &plan)?;
    let memory = memory::measure(&mut bench)?;
    let speeds = speed::measure(&mut bench, &plan)?;
    let figures = Figures {
        host: Host::look(bench.scratch.path())?,
        load: (load_before, host::load_average()?),
        quick: args.quick,
        mechanism,
        costs,
        startups,
        memory,
        speeds,
    };
    print!("{}", report::tables(&figures));
    let document = workspace.root.join(DOCUMENT);
    if let Some(dir) = document.parent() {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    }
    fs::write(&document, report::document(&figures)).with_context(|| format!("write {DOCUMENT}"))?;
    eprintln!("xtask: measured in {} s, written to {DOCUMENT}", began.elapsed().as_secs());
    Ok(())
}

fn prepare(workspace: &Workspace) -> Result<Bench> {
    let Workspace { cargo, shell, target, .. } = workspace;
    cmd!(shell, "{cargo} build --release --locked --package iotrace --bin iotrace")
        .run()
        .context("build of iotrace")?;
    let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(target).context("scratch directory")?;
    // A build beside the run replaces the original.
    let iotrace = scratch.path().join("iotrace");
    fs::copy(target.join("release/iotrace"), &iotrace).context("copy of iotrace")?;
    Ok(Bench { worker: Worker::start(scratch.path())?, iotrace, scratch })
}

/// Starts each command once: what does not work here is told before anything is measured.
fn try_all(bench: &Bench) -> Result<String> {
    let mut mechanism = String::new();
    for command in Traced::ALL {
        let tracer = Tracer::start(&bench.iotrace, &command.arguments(&[]), Output::Discarded)?;
        mechanism.clone_from(&tracer.mechanism);
        tracer.stop()?;
    }
    Ok(mechanism)
}
