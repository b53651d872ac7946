//! Measuring in a virtual machine: this program runs inside too, and sends its figures over the console.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::figures::{Figures, Place};
use super::{Plan, host, interrupt};
use crate::vm::single::{self, Guest};
use crate::workspace::Workspace;

/// The kernel.
const SERIES: &str = "6.12";
/// How a line begins that holds the figures.
const FIGURES: &str = "@@ figures ";
/// What runs as the first process.
const INIT: &str = include_str!("guest.sh");
/// Where things are in the guest.
const XTASK: &str = "guest/xtask";
const IOTRACE: &str = "guest/iotrace";

/// From inside: sends the figures.
pub(super) fn send(figures: &Figures) -> Result<()> {
    println!("{FIGURES}{}", serde_json::to_string(figures)?);
    Ok(())
}

/// From outside: runs the machine with this iotrace and takes its figures.
pub(super) fn measure(workspace: &Workspace, iotrace: &Path, plan: &Plan) -> Result<Figures> {
    let scratch = tempfile::tempdir().context("temporary directory")?;
    let me = scratch.path().join("xtask");
    // A build beside the run replaces the file.
    fs::copy("/proc/self/exe", &me).context("copy of this program")?;
    let instructions = plan.place == Place::Instructions;
    let place = if instructions { "--instructions" } else { "--vm" };
    let rounds = if plan.rounds > 0 { format!(" --rounds {}", plan.rounds) } else { String::new() };
    let mut words = format!("{place}{rounds}");
    let given = [(plan.quick, " --quick"), (!plan.peers, " --no-peers")];
    words.extend(given.iter().filter(|(given, _)| *given).map(|(_, word)| *word));
    let guest = Guest {
        series: SERIES,
        init: INIT.replace("ARGUMENTS", &words),
        files: vec![(me, XTASK), (iotrace.to_owned(), IOTRACE)],
        peers: plan.peers,
        instructions,
    };
    let load_before = host::load_average()?;
    let mut figures = None;
    single::run(workspace, &guest, |line| {
        match line.strip_prefix(FIGURES) {
            Some(json) => figures = Some(serde_json::from_str::<Figures>(json)),
            None => eprintln!("{line}"),
        }
        interrupt::check()
    })?;
    let mut figures = figures.context("the machine ended without figures")?.context("figures of the machine")?;
    figures.load = (load_before, host::load_average()?);
    Ok(figures)
}
