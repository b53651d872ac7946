//! The container of a process: found by its control group when the process is first seen, named by the runtime's files.

use crate::resolve::{
    Container, Meanwhile, Runtimes,
    reader::{Answer, Reader},
    role,
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Most control groups remembered; when it is reached, all are forgotten. Processes keep what they have.
const GROUPS_MAX: usize = 4096;
/// How often at most a runtime is asked again about a container that has no names yet, or whose id can be used again.
const AGAIN: Duration = Duration::from_secs(1);

/// What a process runs in, with names that may still be on their way.
#[derive(Clone, Debug)]
pub struct Resident {
    /// What the path alone tells; `None` where it takes a runtime's file to be sure that it is a container at all.
    path: Option<Arc<Container>>,
    named: Answer<Option<Container>>,
}

impl Resident {
    /// The container, with its names once they are known. Waits a little for them.
    #[must_use]
    pub fn container(&self) -> Option<&Container> {
        match self.named.get() {
            Some(named) => named.as_ref(),
            None => self.path.as_deref(),
        }
    }

    /// Whether it is a systemd service, which mostly has the host's own mounts.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.named.now().and_then(Option::as_ref).is_some_and(|found| found.runtime == "systemd")
    }
}

impl PartialEq for Resident {
    fn eq(&self, other: &Self) -> bool {
        self.container() == other.container()
    }
}

impl Eq for Resident {}

impl From<Container> for Resident {
    fn from(container: Container) -> Self {
        Self { path: None, named: Some(container).into() }
    }
}

/// Containers by the paths of their control groups.
#[derive(Debug, Default)]
pub struct Containers {
    runtimes: Arc<Runtimes>,
    reader: Reader,
    known: HashMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    resident: Resident,
    asked: Instant,
}

impl Containers {
    /// Those of other runtimes.
    #[must_use]
    pub fn of(runtimes: Runtimes) -> Self {
        Self { runtimes: Arc::new(runtimes), ..Self::default() }
    }

    /// Keeps from now on what is on disk of a container only while it lives.
    pub fn watch(&self) {
        self.runtimes.watch();
    }

    /// What has to be done from now on while somebody waits for names.
    pub(super) fn meanwhile(&self, meanwhile: Meanwhile) {
        self.reader.meanwhile(meanwhile);
    }

    /// The container that a runtime's process serves, and that its I/O is charged to. `None` when it serves none, or all.
    pub fn served_by(&mut self, pid: u32, comm: &[u8], cgroup: &str) -> Option<Resident> {
        let monitored = role::monitored(cgroup);
        if monitored.is_none() && !role::is_shim(comm) {
            return None;
        }
        let (runtimes, path) = (self.runtimes.clone(), cgroup.to_owned());
        let named = self.reader.ask(move || {
            let served = monitored.or_else(|| role::served(pid))?;
            Some(runtimes.describe(&served, &path).unwrap_or(served))
        });
        Some(Resident { path: None, named })
    }

    /// What a process in this control group runs in. Its runtime's files are read in the background.
    pub fn find(&mut self, cgroup: &str, now: Instant) -> Option<Resident> {
        let sure = Container::from_cgroup(cgroup);
        let found = sure.clone().or_else(|| Container::possible(cgroup))?;
        if !found.has_files() {
            return Some(found.into());
        }
        let before = self.known.get(cgroup);
        let last = before.and_then(|known| known.resident.named.now()).cloned().flatten();
        if let Some(known) = before {
            let settled = last.as_ref().is_some_and(|last| last.known && last.has_unique_id());
            if settled || now.duration_since(known.asked) < AGAIN {
                return Some(known.resident.clone());
            }
        }
        if self.known.len() >= GROUPS_MAX {
            self.known.clear();
        }
        // What is gone by now was there before.
        let fallback = last.or_else(|| sure.clone());
        let (runtimes, path, container) = (self.runtimes.clone(), cgroup.to_owned(), found);
        let resident = Resident {
            path: fallback.clone().map(Arc::new),
            named: self.reader.ask(move || runtimes.describe(&container, &path).or(fallback)),
        };
        self.known.insert(cgroup.to_owned(), Known { resident: resident.clone(), asked: now });
        Some(resident)
    }
}

#[cfg(test)]
#[path = "containers_tests.rs"]
mod tests;
