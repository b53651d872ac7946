//! A contestant while it runs.

use std::path::Path;

use anyhow::Result;

use super::Bench;
use super::contestants::{Contestant, What, fill};
use super::floor::Attached;
use super::peer::Peer;
use super::tracer::{Output, Tracer};

/// Dropped, it is gone.
pub(crate) enum Running {
    /// The control.
    Nothing,
    /// iotrace.
    Iotrace(Tracer),
    /// Empty programs.
    Floor(Attached),
    /// Another program.
    Peer(Peer),
}

impl Running {
    /// Starts it; when this returns, it traces.
    pub(crate) fn start(bench: &Bench, contestant: &Contestant) -> Result<Self> {
        let load = bench.worker.pid();
        Ok(match contestant.what {
            What::Nothing => Self::Nothing,
            What::Iotrace(arguments) => {
                let mut arguments = fill(arguments, load);
                arguments.push("--strict".to_owned());
                Self::Iotrace(Tracer::start(&bench.iotrace, &arguments, Output::Discarded)?)
            }
            What::Floor(floor) => Self::Floor(floor.attach()?),
            What::Peer(words) => {
                Self::Peer(Peer::start(&fill(words, load), Path::new("/dev/null"), bench.scratch.path())?)
            }
        })
    }

    /// Ends it, and says whether it told that something was lost.
    pub(crate) fn stop(self) -> Result<bool> {
        match self {
            Self::Iotrace(tracer) => Ok(tracer.stop()?.lost),
            Self::Peer(peer) => peer.stop().map(|()| false),
            Self::Floor(attached) => {
                drop(attached);
                Ok(false)
            }
            Self::Nothing => Ok(false),
        }
    }

    /// What iotrace says that it traces with.
    pub(crate) fn mechanism(&self) -> Option<&str> {
        match self {
            Self::Iotrace(tracer) => Some(&tracer.mechanism),
            _ => None,
        }
    }
}
