//! Whose latency: `--by`.

use crate::{
    output::{
        escape,
        json::{LatencyOwner, Owner, Text, exact},
    },
    resolve::names::ProcessInfo,
    view::latency::{By, Subject},
};

/// The line above a subject's histograms.
pub(super) fn title(subject: &Subject, by: By) -> String {
    if subject.others {
        return "== (others)\n".to_owned();
    }
    let container = subject.process.as_deref().and_then(ProcessInfo::container);
    let container = container.map(|container| escape(container.label().as_bytes()).into_owned());
    let name = match by {
        By::File => subject.path.as_deref().map(|path| escape(path).into_owned()),
        By::Container => Some(container.unwrap_or_else(|| "-".to_owned())),
        By::Process => subject.comm.as_ref().zip(subject.pid).map(|(comm, pid)| {
            let within = container.map(|container| format!(" in {container}")).unwrap_or_default();
            format!("{} ({pid}){within}", escape(comm.bytes()))
        }),
    };
    format!("== {}\n", name.unwrap_or_else(|| "?".to_owned()))
}

/// The same for machines.
pub(super) fn json(subject: &Subject) -> LatencyOwner<'_> {
    let comm = subject.comm.as_ref().map(|comm| comm.bytes());
    let path = subject.path.as_deref();
    LatencyOwner {
        owner: Owner {
            pid: subject.pid,
            tid: None,
            comm: comm.map(Text),
            comm_bytes: exact(comm),
            container: subject.process.as_deref().and_then(ProcessInfo::container),
            role: subject.process.as_ref().and_then(|process| process.role),
        },
        path: path.map(Text),
        path_bytes: exact(path),
        others: subject.others,
    }
}
