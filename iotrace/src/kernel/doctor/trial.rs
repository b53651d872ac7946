//! Asks the kernel by trying: makes maps, loads programs and attaches them for a moment.

use super::{
    facts::{KnownTypes, Maps, Memlock},
    outcome::{Refusal, Step, Trial, Words},
};
use crate::kernel::{
    attach::{self, Kernel},
    background,
    block::BlockFacts,
    calls::{self, FileOps},
    copyup, functions,
    marks::Constants,
    mechanism::{Mechanism, Place, Subject, entries},
    object::{Globals, Object, Parsed, Sizes},
    preemption,
    program::Refused,
    tracer::OBJECT,
    wanted,
    ways::unfit,
};
use aya::{maps::MapType, sys::is_map_supported};
use iotrace_common::config::{self, CommFilter, Config};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{error::Error, io};

/// Makes maps of the kinds that matter; and lifts the limit of locked memory, where the kernel wants that.
pub fn maps(known: Option<&KnownTypes>) -> Maps {
    let errno = |error: aya::sys::SyscallError| error.io_error.raw_os_error();
    // The limit first: it may be what stops the ring buffer.
    // Which user pays for a map (kernel/bpf/syscall.c until 5.10).
    let counted = known.is_some_and(|known| known.btf.byte_offset("bpf_map.memory").is_ok());
    let memlock = memlock(counted);
    Maps { ring_buffer: is_map_supported(MapType::RingBuf).map_err(errno), memlock }
}

/// Makes a map with no memory to lock: works since 5.11, where control groups count the memory of maps instead. `counted`: the kernel's
/// types say that maps do count.
fn memlock(counted: bool) -> Memlock {
    let makes_map = || matches!(is_map_supported(MapType::Array), Ok(true));
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK) else { return Memlock::Unknown };
    // One's own soft limit can always be lowered, and raised again up to the hard one.
    let lowered = setrlimit(Resource::RLIMIT_MEMLOCK, 0, hard).is_ok();
    let made = lowered && makes_map();
    // Where it must, aya lifts the limit and tries again (with_raised_rlimit_retry in sys/bpf.rs).
    let still_low = getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(now, _)| now == 0);
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard);
    if made && still_low {
        return Memlock::Free;
    }
    let lifted = setrlimit(Resource::RLIMIT_MEMLOCK, libc::RLIM_INFINITY, libc::RLIM_INFINITY).is_ok();
    match makes_map() {
        true if lifted => Memlock::Counted(None),
        true => Memlock::Counted(Some(soft)),
        // The limit is one for all processes of a user, and they may have used it up.
        false if counted && !lifted => Memlock::Counted(Some(soft)),
        false => Memlock::Unknown,
    }
}

/// Tries each mechanism for each subject that it has programs for. All are detached on return.
///
/// Trampolines and probes are put at one function only: there may be sixty, and the kernel takes long to take them away.
pub fn mechanisms(known: Option<&KnownTypes>) -> Vec<Trial> {
    let constants = constants(known);
    let object = object(&constants).map_err(Refusal::Object);
    let preempted = known.is_some_and(|known| preemption::of_tracepoints(&known.btf));
    let pairs = |subject: Subject| subject.mechanisms(preempted).iter().map(move |mechanism| (subject, *mechanism));
    let attempt = |(subject, mechanism): (Subject, Mechanism)| Trial {
        mechanism,
        subject,
        outcome: match (&object, known) {
            (Ok(object), Some(known)) => trial(object, &constants, subject, mechanism, known),
            (Err(refusal), _) => Err(refusal.clone()),
            (Ok(_), None) => Err(Refusal::NoTypes),
        },
    };
    Subject::ALL.into_iter().flat_map(pairs).map(attempt).collect()
}

/// The settings of [`crate::kernel::tracer::Tracer`] with all that a program can do switched on, and no process to trace.
fn constants(known: Option<&KnownTypes>) -> Constants {
    let (_, compat) = calls::table(FileOps::ALL);
    let mut flags = config::SUM | config::STREAM_SYNC | config::STREAM_IO | config::STREAM_BLOCK | config::HISTOGRAM;
    flags |= config::FILTER_THREAD
        | config::FILTER_PID
        | config::FOLLOW
        | config::OPENS
        | config::COPY_UPS
        | config::STREAM_COPY_UPS;
    if known.is_some_and(|known| known.btf.function_exists("bpf_get_current_task_btf")) {
        flags |= config::TASK_BTF;
    }
    if compat {
        flags |= config::COMPAT;
    }
    // Without block operations that count, and with an empty map of processes, nothing is recorded while attached.
    let config = Config { flags, self_pid: std::process::id(), kinds: u32::MAX, ..Config::default() };
    match known {
        Some(known) => Constants::new(&known.btf, known.layout, config),
        None => Constants::unknown(config),
    }
}

/// The object as it is loaded for tracing.
fn object(constants: &Constants) -> Result<Object, Words> {
    let (calls, _) = calls::table(FileOps::ALL);
    let comm = CommFilter { class: [0; 256], star: 0, accept: 0 };
    let globals = Globals::default().set("CALLS", &calls).set("COMM", &comm).set("AYA_LOG_LEVEL", &0_u8);
    let object = Parsed::new(OBJECT, globals).and_then(|parsed| parsed.open(&Sizes::new(), constants));
    object.map_err(|error| words(error.as_ref()))
}

fn trial(
    object: &Object,
    constants: &Constants,
    subject: Subject,
    mechanism: Mechanism,
    known: &KnownTypes,
) -> Result<(), Refusal> {
    let (native, _) = calls::traced(FileOps::ALL);
    let functions = functions::of_calls(&known.btf, &native, &[], |_| true);
    if subject == Subject::Files
        && let Some(reason) = unfit(mechanism, functions.as_ref().err().copied())
    {
        return Err(Refusal::Unfit(reason));
    }
    if subject == Subject::CopyUps
        && let Some(reason) = copyup::unfit(mechanism, &known.layout)
    {
        return Err(Refusal::Unfit(reason));
    }
    let mut functions = functions.unwrap_or_default();
    // As tracing does.
    for function in functions.iter_mut().flatten() {
        function.quick = function.quick.filter(|_| constants.have_typed_files());
    }
    let kernel = Kernel {
        btf: &known.btf,
        block: &BlockFacts::from_btf(&known.btf),
        functions: functions.first().and_then(|all| all.get(..1)).unwrap_or_default(),
        preempted: preemption::of_tracepoints(&known.btf),
    };
    if let Some(refusal) = lacking(subject, &kernel) {
        return Err(refusal);
    }
    let mut attached = attach::subject(object, subject, mechanism, &kernel).map_err(refusal)?;
    background::close(attached.stop());
    Ok(())
}

/// Tracepoints without which a subject is not seen, or only half: one of each line, of which the kernel has one or another.
fn tracepoints(subject: Subject) -> &'static [&'static [&'static str]] {
    match subject {
        Subject::Uring => &[&["io_uring_complete"], &["io_uring_submit_req", "io_uring_submit_sqe"]],
        Subject::Mmap => &[&["mm_filemap_add_to_page_cache"], &["writeback_dirty_folio", "writeback_dirty_page"]],
        Subject::Dirtiers => &[&["writeback_dirty_folio", "writeback_dirty_page"]],
        Subject::Flushes => &[&["block_bio_queue"]],
        Subject::Waits => &[&["sched_switch"]],
        Subject::Files | Subject::Block | Subject::Processes | Subject::Children | Subject::CopyUps => &[],
    }
}

/// What a subject needs and this kernel has not, or with other arguments than programs read.
fn lacking(subject: Subject, kernel: &Kernel<'_>) -> Option<Refusal> {
    let there = |name: &str| kernel.btf.tracepoint_parameters(name).is_some();
    let read = |name: &str| {
        let at = |place| matches!(place, Place::Tracepoint(other) if other == name);
        let mut entries = entries(subject, Mechanism::Tracepoint).iter();
        there(name) && entries.any(|entry| at(entry.place) && wanted::applies(entry, kernel))
    };
    let names = *tracepoints(subject).iter().find(|names| !names.iter().any(|name| read(name)))?;
    Some(Refusal::NoTracepoint { names, known: names.iter().any(|name| there(name)) })
}

fn refusal(refused: Refused) -> Refusal {
    let Refused { program, reason, errno, loaded } = refused;
    if program.contains("probe") && errno.is_none() {
        return Refusal::NoProbes;
    }
    let step = if loaded { Step::Attach } else { Step::Load };
    // Without an error of the kernel nothing was tried: there is no such place, or no such program.
    Refusal::Program { program, step: errno.map(|_| step), words: Words { errno, text: reason } }
}

/// The words of the innermost error, which is the kernel's where a system call failed.
fn words(error: &(dyn Error + 'static)) -> Words {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let errno = innermost.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    Words { errno, text: innermost.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::testing::Blob;

    #[test]
    fn subjects_that_would_be_seen_half_are_lacking() {
        let lacking = |blob: &Blob, subject| {
            let btf = blob.btf();
            let block = BlockFacts::from_btf(&btf);
            lacking(subject, &Kernel { btf: &btf, block: &block, functions: &[], preempted: false })
        };
        let mut blob = Blob::default();
        let int = blob.int("int", 4);
        let none = |names: &'static [&'static str], known| Some(Refusal::NoTracepoint { names, known });
        assert_eq!(lacking(&blob, Subject::Uring), none(&["io_uring_complete"], false));
        assert_eq!(lacking(&blob, Subject::Mmap), none(&["mm_filemap_add_to_page_cache"], false));
        assert_eq!(lacking(&blob, Subject::Files), None);
        // The first parameter is the tracepoint's own.
        blob.tracepoint("io_uring_complete", &[int; 5]);
        let submissions = &["io_uring_submit_req", "io_uring_submit_sqe"];
        assert_eq!(lacking(&blob, Subject::Uring), none(submissions, false));
        let mut other = blob.clone();
        other.tracepoint("io_uring_submit_sqe", &[int; 6]);
        assert_eq!(lacking(&other, Subject::Uring), none(submissions, true));
        blob.tracepoint("io_uring_submit_sqe", &[int; 8]);
        assert_eq!(lacking(&blob, Subject::Uring), None);
    }

    #[test]
    fn the_innermost_error_has_the_kernels_words() {
        let inner = io::Error::from_raw_os_error(libc::EPERM);
        let outer = aya::sys::SyscallError { call: "bpf_map_create", io_error: inner };
        let Words { errno, text } = words(&outer);
        assert_eq!(errno, Some(libc::EPERM));
        assert!(text.starts_with("Operation not permitted"), "{text}");
    }
}
