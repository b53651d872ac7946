//! Asks the kernel by trying: makes maps, loads programs and attaches them for a moment.

use super::{
    facts::{KnownTypes, Maps, Memlock, Refusal, Step, Trial, Words},
    report::Way,
};
use crate::kernel::{
    attach::{self, Kernel},
    background,
    block::BlockFacts,
    calls::{self, FileOps},
    functions,
    mechanism::{Mechanism, Subject},
    object::{Object, Settings},
    program::Refused,
    tracer::{OBJECT, unfit},
};
use aya::{maps::MapType, sys::is_map_supported};
use iotrace_common::{
    config::{self, CommFilter, Config},
    layout::KernelLayout,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{error::Error, io};

/// Makes maps of the kinds that matter; and lifts the limit of locked memory, where the kernel wants that.
pub fn maps() -> Maps {
    let errno = |error: aya::sys::SyscallError| error.io_error.raw_os_error();
    // The limit first: it may be what stops the ring buffer.
    let memlock = memlock();
    Maps { ring_buffer: is_map_supported(MapType::RingBuf).map_err(errno), memlock }
}

/// Makes a map with no memory to lock: works since 5.11, where control groups count the memory of maps instead.
fn memlock() -> Memlock {
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
        false => Memlock::Unknown,
    }
}

/// Tries each mechanism for each subject that it has programs for. All are detached on return.
///
/// Trampolines and probes are put at one function only: there may be sixty, and the kernel takes long to take them away.
pub fn mechanisms(known: Option<&KnownTypes>) -> Vec<Trial> {
    let object = object(known).map_err(Refusal::Object);
    let ways = |subject: Subject| subject.mechanisms().iter().rev().map(move |mechanism| (subject, *mechanism));
    let attempt = |(subject, mechanism): (Subject, Mechanism)| Trial {
        way: Way::from(mechanism),
        subject,
        outcome: match (&object, known) {
            (Ok(object), Some(known)) => trial(object, subject, mechanism, known),
            (Err(refusal), _) => Err(refusal.clone()),
            (Ok(_), None) => Err(Refusal::NoTypes),
        },
    };
    Subject::ALL.into_iter().flat_map(ways).map(attempt).collect()
}

/// The object as [`crate::kernel::tracer::Tracer`] loads it, with all that a program can do switched on, and no process to trace.
fn object(known: Option<&KnownTypes>) -> Result<Object, Words> {
    let (calls, compat) = calls::table(FileOps::ALL);
    let mut flags = config::SUM | config::STREAM_SYNC | config::STREAM_IO | config::STREAM_BLOCK | config::HISTOGRAM;
    flags |= config::FILTER_PID | config::FOLLOW | config::OPENS;
    if known.is_some_and(|known| known.btf.function_exists("bpf_get_current_task_btf")) {
        flags |= config::TASK_BTF;
    }
    if compat {
        flags |= config::COMPAT;
    }
    // Without block operations that count, and with an empty map of processes, nothing is recorded while attached.
    let config = Config { flags, self_pid: std::process::id(), kinds: u32::MAX, ..Config::default() };
    let layout = known.map_or(KernelLayout::UNKNOWN, |known| known.layout);
    let comm = CommFilter { class: [0; 256], star: 0, accept: 0 };
    let settings = Settings::default()
        .global("LAYOUT", &layout)
        .global("CONFIG", &config)
        .global("CALLS", &calls)
        .global("COMM", &comm)
        .global("AYA_LOG_LEVEL", &0_u8);
    Object::open(OBJECT, settings).map_err(|error| words(error.as_ref()))
}

fn trial(object: &Object, subject: Subject, mechanism: Mechanism, known: &KnownTypes) -> Result<(), Refusal> {
    let (native, _) = calls::traced(FileOps::ALL);
    let functions = functions::of_calls(&known.btf, &native, &[]);
    if subject == Subject::Files
        && let Some(reason) = unfit(mechanism, functions.as_ref().err().copied())
    {
        return Err(Refusal::Unfit(reason));
    }
    let functions = functions.unwrap_or_default();
    let kernel = Kernel {
        btf: &known.btf,
        block: &BlockFacts::from_btf(&known.btf),
        functions: functions.first().and_then(|all| all.get(..1)).unwrap_or_default(),
    };
    let mut attached = attach::subject(object, subject, mechanism, &kernel).map_err(refusal)?;
    background::close(attached.stop());
    Ok(())
}

fn refusal(refused: Refused) -> Refusal {
    let Refused { program, reason, errno, loaded } = refused;
    if program.contains("probe") && errno.is_none() {
        return Refusal::NoProbes;
    }
    let step = if loaded { Step::Attach } else { Step::Load };
    Refusal::Program { program, step: Some(step), words: Words { errno, text: reason } }
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

    #[test]
    fn the_innermost_error_has_the_kernels_words() {
        let inner = io::Error::from_raw_os_error(libc::EPERM);
        let outer = aya::sys::SyscallError { call: "bpf_map_create", io_error: inner };
        let Words { errno, text } = words(&outer);
        assert_eq!(errno, Some(libc::EPERM));
        assert!(text.starts_with("Operation not permitted"), "{text}");
    }
}
