//! All that was measured: what a guest sends and what the report shows.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::disk::Disk;
use super::host::{self, Host};
use super::memory::Use;
use super::speed::Speed;
use super::startup::Startup;
use super::storm::Weathered;
use super::stream::Stream;
use super::{Bench, Plan, cost, memory, speed, startup, storm, stream};

/// On what it was measured, and in which unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// This machine, by its clock.
    Here,
    /// A virtual machine, by its clock.
    Vm,
    /// A virtual machine whose clock goes on by a nanosecond with each instruction.
    Instructions,
}

impl Place {
    /// Of an operation's price.
    pub(crate) fn unit(self) -> &'static str {
        if self == Self::Instructions { "instructions" } else { "ns" }
    }
}

/// Figures of one machine.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Where, in short.
    pub(crate) place: Place,
    /// Where.
    pub(crate) host: Host,
    /// Load average before and after; a machine in a machine has that of the outer one.
    pub(crate) load: (f64, f64),
    /// The command that was given.
    pub(crate) command: String,
    /// What is read directly.
    pub(crate) disk: Option<String>,
    /// Cost of operations, the control first.
    pub(crate) costs: Vec<Cost>,
    /// Start and end.
    pub(crate) startups: Vec<Startup>,
    /// Memory.
    pub(crate) memory: Vec<Use>,
    /// Memory in storms.
    pub(crate) storms: Vec<Weathered>,
    /// CPU time.
    pub(crate) speeds: Vec<Speed>,
    /// Events without loss.
    pub(crate) streams: Vec<Stream>,
}

/// Measures all that is planned.
pub(crate) fn measure(bench: &mut Bench, plan: &Plan) -> Result<Figures> {
    let load_before = host::load_average()?;
    let (here, timed) = (plan.place == Place::Here, plan.place != Place::Instructions);
    let startups = if timed { startup::measure(bench, plan)? } else { Vec::new() };
    let costs = if plan.rounds > 0 { cost::measure(bench, plan)? } else { Vec::new() };
    let memory = if here { memory::measure(bench)? } else { Vec::new() };
    let storms = if here { storm::measure(bench, plan)? } else { Vec::new() };
    let speeds = if here { speed::measure(bench, plan)? } else { Vec::new() };
    let streams = if timed { stream::measure(bench, plan)? } else { Vec::new() };
    Ok(Figures {
        place: plan.place,
        host: Host::look(bench.scratch.path())?,
        load: (load_before, host::load_average()?),
        command: plan.command(),
        disk: bench.disk.as_ref().map(Disk::kind).map(str::to_owned),
        costs,
        startups,
        memory,
        storms,
        speeds,
        streams,
    })
}
