//! Which programs are used on this kernel, and what they are made for.

use crate::kernel::{
    attach::Kernel,
    functions::Function,
    link,
    mechanism::{self, Entry, Mechanism, Place, Subject, When, entries},
    object::Wanted,
    program::Kind,
};

/// Whether an entry is used on this kernel.
pub fn applies(entry: &Entry, kernel: &Kernel<'_>) -> bool {
    let arguments = || match entry.place {
        // The first parameter is the tracepoint's own.
        Place::Tracepoint(name) => kernel.btf.tracepoint_parameters(name).map(|all| all.len() - 1),
        _ => None,
    };
    match entry.when {
        When::Always => true,
        When::IfPresent => arguments().is_some(),
        When::Arguments(wanted) => arguments() == Some(wanted),
        When::QueueFirst => kernel.block.queue_argument,
        When::RequestFirst => !kernel.block.queue_argument,
        When::FindsMappings => kernel.btf.function_exists("bpf_find_vma"),
        When::NoMappings => !kernel.btf.function_exists("bpf_find_vma"),
        When::ProbesAtOnce => link::has_probe_multi(),
        When::ProbesOneByOne => !link::has_probe_multi(),
    }
}

/// The programs that [`super::attach::subject`] loads first, so that they can be loaded ahead.
pub fn programs(subject: Subject, mechanism: Mechanism, kernel: &Kernel<'_>) -> Vec<Wanted> {
    let used = entries(subject, mechanism).iter().filter(|entry| applies(entry, kernel));
    let of_entry = |entry: &Entry| match (entry.place, mechanism) {
        (Place::Tracepoint(name), _) => {
            let id = kernel.btf.tracepoint_type_id(name);
            let probe = before_tracepoint(entry, subject, kernel);
            let behind = id.into_iter().flat_map(|id| at_tracepoint(entry, subject, id, kernel, probe.is_some()));
            probe.into_iter().chain(behind).collect()
        }
        (_, Mechanism::Kprobe) => probe_kind().map(|kind| (entry.program, kind)).into_iter().collect(),
        _ => bodies(entry, kernel).into_iter().map(|body| (body.program, body.kind)).collect::<Vec<_>>(),
    };
    used.flat_map(of_entry).collect()
}

/// What stands before the programs at a tracepoint, where those can be preempted.
pub fn before_tracepoint(entry: &Entry, subject: Subject, kernel: &Kernel<'_>) -> Option<Wanted> {
    let several = kernel.preempted && subject.turns() > 1;
    let program = mechanism::before_tracepoint(entry.program).filter(|_| several && link::has_probe_multi())?;
    Some((program, Kind::ProbeMulti))
}

/// What is loaded for a tracepoint, in this order. `again`: behind a program that has done it already, unless the kernel skipped that.
pub fn at_tracepoint(entry: &Entry, subject: Subject, id: u32, kernel: &Kernel<'_>, again: bool) -> Vec<Wanted> {
    let turns = if kernel.preempted { subject.turns() } else { 1 };
    let kind = |turn| if turn == 0 { Kind::Tracepoint(id) } else { Kind::Again(id, turn) };
    (u16::from(again)..turns).map(|turn| (entry.program, kind(turn))).collect()
}

/// A program that others at functions of one prototype go on with.
pub struct Body<'a> {
    /// Name in the object.
    pub program: &'static str,
    /// What it is made for.
    pub kind: Kind,
    /// Where others go on with it.
    pub places: Vec<&'a Function>,
}

/// The bodies of an entry for trampolines. The kernel lets a program go on with another only where both were made for functions with
/// the same prototype (since 5.19).
pub fn bodies<'a>(entry: &Entry, kernel: &Kernel<'a>) -> Vec<Body<'a>> {
    let (numbered, at_end) = match entry.place {
        Place::CallEnd { numbered } => (numbered, true),
        _ => (None, false),
    };
    let functions = || kernel.functions.iter().filter(|function| at_end || function.begins);
    // What has no type of its own goes with the first that has: only kernels before 5.19 have such functions.
    let fallback = |function: &Function| {
        let typed = |other: &&Function| other.typed && other.parameters == function.parameters;
        kernel.functions.iter().find(typed).map_or(function.prototype, |other| other.prototype)
    };
    let group_of = |function: &Function| if function.typed { function.prototype } else { fallback(function) };
    let mut groups: Vec<u32> = functions().map(group_of).collect();
    groups.sort_unstable();
    groups.dedup();
    let body = |prototype: u32| {
        let is_of_group = |function: &&Function| group_of(function) == prototype;
        // The program need not be made for a function at which it is put.
        let first = kernel.functions.iter().filter(is_of_group).max_by_key(|function| function.typed)?;
        let program = numbered.filter(|_| first.parameters > 1).unwrap_or(entry.program);
        Some(Body { program, kind: at_function(entry, first), places: functions().filter(is_of_group).collect() })
    };
    groups.into_iter().filter_map(body).collect()
}

/// What a program of an entry for trampolines is put on.
pub fn at_function(entry: &Entry, function: &Function) -> Kind {
    match entry.place {
        Place::CallEnd { .. } => Kind::Fexit(function.id),
        _ => Kind::Fentry(function.id),
    }
}

/// How probes are put: at many functions at once, one by one, or not at all.
pub fn probe_kind() -> Option<Kind> {
    if link::has_probe_multi() {
        return Some(Kind::ProbeMulti);
    }
    link::probe_type().map(|_| Kind::Probe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{block::BlockFacts, btf::testing::Blob};

    #[test]
    fn programs_are_those_of_the_tracepoints_that_the_kernel_has() {
        let mut blob = Blob::default();
        let int = blob.int("int", 4);
        blob.tracepoint("sys_exit", &[int; 3]);
        // The first parameter is the tracepoint's own.
        blob.tracepoint("io_uring_complete", &[int; 8]);
        let btf = blob.btf();
        let kernel = Kernel { btf: &btf, block: &BlockFacts::from_btf(&btf), functions: &[], preempted: false };
        let named = |subject| {
            let programs = programs(subject, Mechanism::Tracepoint, &kernel);
            programs.into_iter().map(|(name, kind)| (name, Some(kind))).collect::<Vec<_>>()
        };
        let kind = |name| btf.tracepoint_type_id(name).map(Kind::Tracepoint);
        assert_eq!(named(Subject::Files), [("sys_exit", kind("sys_exit"))]);
        assert_eq!(named(Subject::Uring), [("io_uring_complete", kind("io_uring_complete"))]);
        assert_eq!(named(Subject::Mmap), []);
    }

    #[test]
    fn where_programs_are_preempted_equal_ones_stand_behind_the_first() {
        let mut blob = Blob::default();
        let int = blob.int("int", 4);
        blob.tracepoint("block_rq_merge", &[int; 2]);
        let btf = blob.btf();
        let id = btf.tracepoint_type_id("block_rq_merge").unwrap_or_default();
        let entry = Entry { program: "block_rq_merge", place: Place::Tracepoint("block_rq_merge"), when: When::Always };
        let kinds = |preempted, again| {
            let kernel = Kernel { btf: &btf, block: &BlockFacts::from_btf(&btf), functions: &[], preempted };
            let wanted = at_tracepoint(&entry, Subject::Block, id, &kernel, again);
            wanted.into_iter().map(|(_, kind)| kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(false, false), [Kind::Tracepoint(id)]);
        assert_eq!(kinds(true, false), [Kind::Tracepoint(id), Kind::Again(id, 1), Kind::Again(id, 2)]);
        assert_eq!(kinds(true, true), [Kind::Again(id, 1), Kind::Again(id, 2)]);
    }
}
