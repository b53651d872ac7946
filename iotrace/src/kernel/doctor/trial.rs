//! Asks the kernel by trying: makes maps, loads programs and attaches them for a moment.

use super::{
    facts::{KnownTypes, Maps, Memlock, Refusal, Step, Trial, Words},
    report::Way,
};
use crate::kernel::{
    attach::{self, AttachError, applies},
    block::BlockFacts,
    calls::{self, FileOps},
    mechanism::{Mechanism, Subject, entries},
    tracer::OBJECT,
};
use aya::{
    Btf, Ebpf, EbpfLoader, Endianness,
    maps::MapType,
    programs::{FEntry, FExit, KProbe, ProgramError, kprobe::KProbeError},
    sys::is_map_supported,
};
use iotrace_common::{
    config::{self, CommFilter, Config},
    layout::KernelLayout,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{error::Error, io};

/// The function that programs of the other mechanisms are put on: every kernel has it, and always as one of its own.
const FUNCTION: &str = "vfs_read";

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

/// Tries each mechanism for each subject that it has programs for. All are detached and unloaded on return.
pub fn mechanisms(known: Option<&KnownTypes>) -> Vec<Trial> {
    let btf = known.and_then(|known| Btf::parse_file(&known.path, Endianness::default()).ok());
    let mut object = object(known).map_err(Refusal::Object);
    let mut trial = |way, subject, attempt: &dyn Fn(&mut Ebpf) -> Result<(), Refusal>| Trial {
        way,
        subject,
        outcome: match &mut object {
            Ok(ebpf) => attempt(ebpf),
            Err(refusal) => Err(refusal.clone()),
        },
    };
    let types = || known.zip(btf.as_ref()).ok_or(Refusal::NoTypes);
    let mut trials: Vec<Trial> = Subject::ALL
        .into_iter()
        .map(|subject| {
            trial(Way::Tracepoint, subject, &|ebpf| types().and_then(|types| tracepoints(ebpf, subject, types)))
        })
        .collect();
    trials.push(trial(Way::Fentry, Subject::Files, &|ebpf| types().and_then(|(_, btf)| trampolines(ebpf, btf))));
    trials.push(trial(Way::Kprobe, Subject::Files, &probes));
    trials
}

/// The object as [`crate::kernel::tracer::Tracer`] loads it, with all that a program can do switched on, and no process to trace.
fn object(known: Option<&KnownTypes>) -> Result<Ebpf, Words> {
    let all = FileOps { read: true, write: true, sync: true, open: true };
    let (calls, compat) = calls::table(all);
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
    EbpfLoader::new()
        .btf(None)
        .override_global("LAYOUT", &layout, true)
        .override_global("CONFIG", &config, true)
        .override_global("CALLS", &calls, true)
        .override_global("COMM", &CommFilter { class: [0; 256], star: 0, accept: 0 }, true)
        .override_global("AYA_LOG_LEVEL", &0_u8, true)
        .load(OBJECT)
        .map_err(|error| words(&error))
}

/// The programs that trace with tracepoints.
fn tracepoints(ebpf: &mut Ebpf, subject: Subject, (known, btf): (&KnownTypes, &Btf)) -> Result<(), Refusal> {
    let block = BlockFacts::from_btf(&known.btf);
    for entry in entries(subject, Mechanism::Tracepoint).iter().filter(|entry| applies(entry, &known.btf, &block)) {
        attach::tracepoint(ebpf, entry, btf).map(drop).map_err(|error| attach_error(error, entry.program, None))?;
    }
    Ok(())
}

/// Loads a trial program, attaches it, and takes both back: the link goes with the program.
macro_rules! attempt {
    ($ebpf:ident, $name:literal as $kind:ty, load($($load:expr),*), attach($($attach:expr),*)) => {{
        let refused = |step| move |error: ProgramError| refusal($name, step, &error);
        let program: &mut $kind = $ebpf
            .program_mut($name)
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| attach_error(AttachError::NoProgram($name), $name, None))?;
        program.load($($load),*).map_err(refused(Step::Load))?;
        program.attach($($attach),*).map_err(refused(Step::Attach))?;
        program.unload().map_err(refused(Step::Attach))?;
    }};
}

/// Entry and exit of a function, by trampolines.
fn trampolines(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), Refusal> {
    attempt!(ebpf, "trial_fentry" as FEntry, load(FUNCTION, btf), attach());
    attempt!(ebpf, "trial_fexit" as FExit, load(FUNCTION, btf), attach());
    Ok(())
}

/// Entry and exit of a function, by probes. aya asks sysfs and perf_event_open, not tracefs (programs/probe.rs).
fn probes(ebpf: &mut Ebpf) -> Result<(), Refusal> {
    attempt!(ebpf, "trial_kprobe" as KProbe, load(), attach(FUNCTION, 0));
    attempt!(ebpf, "trial_kretprobe" as KProbe, load(), attach(FUNCTION, 0));
    Ok(())
}

fn refusal(program: &'static str, step: Step, error: &ProgramError) -> Refusal {
    if let ProgramError::KProbeError(KProbeError::FileError { io_error, .. }) = error
        && io_error.kind() == io::ErrorKind::NotFound
    {
        return Refusal::NoProbes;
    }
    attach_error(attach::refusal(program, error), program, Some(step))
}

fn attach_error(error: AttachError, program: &'static str, step: Option<Step>) -> Refusal {
    let words = match error {
        AttachError::Refused { reason, errno, .. } => Words { errno, text: reason },
        error => Words { errno: None, text: error.to_string() },
    };
    Refusal::Program { program, step, words }
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

    #[test]
    fn kprobes_missing_from_the_list_of_event_sources_is_told_from_other_errors() {
        let file = |kind: io::ErrorKind| {
            ProgramError::from(KProbeError::FileError { filename: "type".into(), io_error: kind.into() })
        };
        assert_eq!(refusal("trial_kprobe", Step::Attach, &file(io::ErrorKind::NotFound)), Refusal::NoProbes);
        let other = refusal("trial_kprobe", Step::Attach, &file(io::ErrorKind::PermissionDenied));
        assert!(matches!(other, Refusal::Program { .. }), "{other:?}");
    }
}
