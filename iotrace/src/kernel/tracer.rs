//! Loading, attaching, and everything that comes out of the kernel side.

use crate::kernel::{
    attach::{self, Attached, Kernel},
    background,
    block::BlockFacts,
    btf::{self, Btf},
    budget::{self, Shares},
    calls::{self, FileOps, QuickKind},
    copyup,
    endings::{Ending, Endings},
    errnos::Errnos,
    functions::{self, Function},
    histograms::Histograms,
    layout::kernel_layout,
    log::KernelLog,
    losses::{LossReader, Losses},
    marks::Constants,
    mechanism::{Mechanism, Subject},
    object::{Object, Settings, Wanted},
    plan::Plan,
    preemption,
    program::Refused,
    sums::Sums,
    waits::Waits,
    wanted,
    write_sizes::SizesOfWrites,
};
use anyhow::{Context, Result, bail};
use aya::{
    Pod,
    maps::{Array, HashMap, MapData, RingBuf},
};
use iotrace_common::{
    config::{self, CommFilter, Config},
    file::kind_bit,
    layout::ABSENT,
};
use nix::time::{ClockId, clock_gettime};
use std::{os::fd::OwnedFd, path::Path};

/// The compiled kernel side.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("IOTRACE_BPF_OBJECT"));

/// Entries of a map that a command does not use.
const UNUSED: u32 = 1;
/// So much may wait in the ring buffer until its reader looks by itself.
const WAKE_BYTES: u32 = 256 << 10;
/// A ring buffer must at least be a page (the largest page size of arm64 included).
const SMALLEST_RING: u32 = 65536;

/// A running trace. Dropping it detaches everything.
pub struct Tracer {
    attached: Attached,
    /// What was asked for, and cannot be seen here.
    pub unseen: Vec<Subject>,
    /// What is still in its place, and does nothing any more.
    stopped: Vec<OwnedFd>,
    /// Ends without a begin until the programs were stopped: one after the other, they leave some more.
    unmatched: Option<u64>,
    /// How the memory of maps and caches is divided.
    pub shares: Shares,
    /// Sums by thread and file, when the plan asks for them.
    pub sums: Option<Sums>,
    /// Failures by errno, when the plan asks for them.
    pub errnos: Option<Errnos>,
    /// Writes of sums by their size.
    pub write_sizes: Option<SizesOfWrites>,
    /// Block latency, when the plan asks for it.
    pub histograms: Option<Histograms>,
    /// What threads wait for, when the plan asks for it.
    pub waits: Option<Waits>,
    /// When all programs were attached, nanoseconds of CLOCK_MONOTONIC.
    pub began_ns: u64,
    /// When the programs were stopped, nanoseconds of CLOCK_MONOTONIC.
    pub stopped_ns: Option<u64>,
    /// What the kernel side could not tell.
    losses: LossReader,
    pids: HashMap<MapData, u32, u8>,
    /// How this kernel numbers block operations.
    pub block: BlockFacts,
    /// What the ends of bios say; empty unless requests are streamed.
    pub endings: Endings,
    /// The way in that is used.
    pub mechanism: Mechanism,
    log: Option<KernelLog>,
}

impl Tracer {
    /// Loads and attaches what the plan needs, and gives the ring buffer of records. When this returns, no event is missed any more.
    ///
    /// # Errors
    ///
    /// When capabilities are missing, the kernel has no BTF or lacks a structure member, or refuses a program.
    pub fn start(plan: &Plan) -> Result<(Self, RingBuf<MapData>)> {
        raise_memlock();
        let btf = Btf::from_sys_fs()?;
        let layout = kernel_layout(&btf, Path::new(btf::SYS_FS))?;
        let block = BlockFacts::from_btf(&btf);
        let endings = if plan.stream_block { Endings::read() } else { Endings::default() };
        // Waits alone need to know every call, and count none.
        let called = if plan.waits && !plan.files.any() { FileOps::ALL } else { plan.files };
        let (calls, compat) = calls::table(called);
        let file_calls = calls::file_calls();
        let constants = Constants::new(&btf, layout, config(plan, &btf, &block, &endings, compat));
        let comm = plan.filters.comm.as_deref().copied().unwrap_or(CommFilter { class: [0; 256], star: 0, accept: 0 });

        let shares = budget::divide(plan, histogram_entries(Path::new("/sys/block")));
        let mut settings = Settings::new(&constants)
            .global("CALLS", &calls)
            .global("FILE_CALLS", &file_calls)
            .global("COMM", &comm)
            .global("AYA_LOG_LEVEL", &plan.log_level)
            .size("EVENTS", plan.buffer)
            .size("FILES", shares.files)
            .size("PROCESSES", shares.processes)
            .size("SUMS", shares.rows)
            .size("SUM_INDEX", shares.rows)
            .size("FREE_SUMS", shares.rows)
            .size("WRITE_SIZES", shares.rows)
            .size("DIRTY_PAGES", shares.dirty_pages)
            .size("DIRTY_FILES", shares.dirty_files)
            .size("HISTOGRAMS", shares.histograms)
            .size("EXTREMES", shares.histograms);
        for (map, used) in [
            ("THREADS", plan.files.any()),
            ("PLACE_OWNERS", plan.files.any()),
            ("PENDING", plan.files.any()),
            ("ADDING", plan.counts_mappings()),
            ("RECENT", plan.sum),
            ("ERRNOS", plan.errnos),
            ("WRITE_SIZES", plan.write_sizes),
            ("REQUESTS", plan.block()),
            ("CHARGES", plan.stream_block),
            ("FLUSHERS", plan.stream_block),
            ("SENDERS", plan.stream_block && layout.mapped_whole != ABSENT),
            ("COPY_UPS", plan.copy_ups),
            ("WAITING", plan.waits),
            ("WAITS", plan.waits),
            ("STACKS", plan.waits),
        ] {
            if !used {
                settings = settings.size(map, UNUSED);
            }
        }
        if plan.log_level == 0 {
            settings = settings.size("AYA_LOGS", SMALLEST_RING);
        }
        let mut object = Object::open(OBJECT, settings)?;

        let events = RingBuf::try_from(object.take_map("EVENTS")?)?;
        let sums = if plan.sum { Some(Sums::new(&mut object, &shares)?) } else { None };
        let errnos = if plan.errnos { Some(Errnos::new(&mut object)?) } else { None };
        let write_sizes = if plan.write_sizes { Some(SizesOfWrites::new(&mut object)?) } else { None };
        let histograms = if plan.histogram.is_some() { Some(Histograms::new(&mut object)?) } else { None };
        let mut waits = if plan.waits { Some(Waits::new(&mut object)?) } else { None };
        let losses = LossReader::new(&mut object)?;
        fill(&mut object, "IGNORED", Some(&plan.filters.ignored))?;
        fill(&mut object, "TIDS", plan.filters.tids.as_deref())?;
        fill(&mut object, "UIDS", plan.filters.uids.as_deref())?;
        fill(&mut object, "DISKS", plan.filters.disks.as_deref())?;
        let mut pids = HashMap::try_from(object.take_map("PIDS")?)?;
        for pid in plan.filters.pids.iter().flatten() {
            pids.insert(pid, 1, 0).context("giving the process ids to the kernel side")?;
        }
        let mut began = Array::<_, u64>::try_from(object.take_map("BEGAN")?)?;

        let functions = if plan.files.any() { call_functions(plan, &btf, &constants) } else { Ok(Vec::new()) };
        let kernel = Kernel { btf: &btf, block: &block, functions: &[] };
        let asked_for = plan.mechanism == Some(Mechanism::Tracepoint);
        let preempted = !asked_for && preemption::of_tracepoints(&btf, Path::new("/"));
        let (mut attached, mut mechanism) = (Attached::default(), Mechanism::Tracepoint);
        let subjects = Subject::ALL.into_iter().filter(|subject| match subject {
            Subject::Files => plan.files.any(),
            Subject::Processes => plan.files.any() || plan.stream_block || plan.waits,
            Subject::Dirtiers | Subject::Flushes => plan.stream_block,
            Subject::Uring => plan.files.read || plan.files.write || plan.files.sync,
            Subject::Mmap => plan.counts_mappings(),
            Subject::Children => plan.filters.follow,
            Subject::Block => plan.block(),
            Subject::CopyUps => plan.copy_ups,
            Subject::Waits => plan.waits,
        });
        let mut subjects: Vec<Subject> = subjects.collect();
        // Calls on files are counted from the moment on in which their programs are attached, before the time that is told: so they come
        // last, when all else is ready.
        subjects.sort_by_key(|subject| *subject == Subject::Files);
        let ways = if plan.files.any() { ways(plan, &functions) } else { Ways::default() };
        object.load_ahead(subjects.iter().flat_map(|subject| match subject {
            Subject::Files => ways.programs(&kernel),
            // Which way is taken is found out by trying.
            Subject::CopyUps => Vec::new(),
            other => wanted::programs(*other, best(*other, preempted), &kernel),
        }));
        let mut unseen = Vec::new();
        let mut earlier = waits.as_mut();
        for subject in subjects {
            let new = if subject == Subject::Files {
                if let Some(waits) = earlier.take() {
                    waits.add_earlier(&plan.filters, plan.wait_kinds);
                }
                let (used, new) = files(&object, &ways, &kernel)?;
                mechanism = used;
                new
            } else {
                let new = match subject {
                    Subject::CopyUps => copyup::attach(&object, plan.mechanism, &layout, &kernel),
                    _ => other(&object, subject, preempted, &kernel).map_err(Into::into),
                };
                let new = new.with_context(|| format!("cannot trace {subject}"));
                let optional = matches!(subject, Subject::Uring | Subject::Mmap | Subject::Dirtiers | Subject::Flushes)
                    || subject == Subject::CopyUps && (plan.sum || !plan.stream_copy_ups);
                if let (Err(error), true) = (&new, optional) {
                    // The rest is worth having: `iotrace doctor` says what is missing, and why.
                    eprintln!("iotrace: not seen: {subject}: {:#}", error.root_cause());
                    unseen.push(subject);
                    continue;
                }
                new?
            };
            attached.join(new);
        }
        let log = (plan.log_level != 0).then(|| KernelLog::new(attached.programs())).transpose()?;
        if let Some(waits) = earlier {
            waits.add_earlier(&plan.filters, plan.wait_kinds);
        }
        let began_ns = monotonic_ns();
        began.set(0, began_ns, 0).context("telling the kernel side that tracing began")?;
        if let Some(waits) = &mut waits {
            waits.began_ns = began_ns;
        }
        let tracer = Self {
            attached,
            unseen,
            stopped: Vec::new(),
            unmatched: None,
            shares,
            sums,
            errnos,
            write_sizes,
            histograms,
            waits,
            began_ns,
            stopped_ns: None,
            losses,
            pids,
            block,
            endings,
            mechanism,
            log,
        };
        Ok((tracer, events))
    }

    /// Adds a process to those that are traced, when processes are filtered.
    ///
    /// # Errors
    ///
    /// When the kernel side's map is full.
    pub fn follow(&mut self, pid: u32) -> Result<()> {
        self.pids.insert(pid, 1, 0).with_context(|| format!("following process {pid}"))
    }

    /// What was lost so far.
    ///
    /// # Errors
    ///
    /// When the kernel does not let its counters be read.
    pub fn losses(&self) -> Result<Losses> {
        let losses = self.losses.read()?;
        let unmatched = self.unmatched.unwrap_or(losses.unmatched);
        Ok(Losses { skipped: self.attached.misses(), unmatched, ..losses })
    }

    /// Prints what the kernel programs logged, where that was asked for.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Stops all programs; maps and ring buffer stay readable.
    pub fn detach(&mut self) {
        if self.unmatched.is_none() {
            self.unmatched = self.losses.read().ok().map(|losses| losses.unmatched);
        }
        self.stopped.extend(self.attached.stop());
        self.stopped_ns.get_or_insert_with(monotonic_ns);
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.detach();
        background::close(std::mem::take(&mut self.stopped));
    }
}

/// The functions of system calls, in the ways there are, or a call that has none.
type CallFunctions<'a> = Result<Vec<Vec<Function>>, &'a str>;

/// The functions of the system calls that count.
fn call_functions<'a>(plan: &Plan, btf: &Btf<'_>, constants: &Constants) -> CallFunctions<'a> {
    let (native, compat) = calls::traced(plan.files);
    let mut ways = functions::of_calls(btf, &native, &compat, |call| !plan.no_latency || calls::must_begin(call))?;
    // See `quick.rs` of the kernel side.
    let is_possible = plan.filters.comm.is_none() && constants.have_typed_files();
    let sums_only = plan.sum && !plan.stream_io;
    for function in ways.iter_mut().flatten() {
        function.quick = function.quick.filter(|call| is_possible && (sums_only || call.kind == QuickKind::Named));
    }
    Ok(ways)
}

/// The ways in for calls on files.
#[derive(Default)]
struct Ways<'a> {
    /// Those that may work, the best first, with the functions where programs go.
    fit: Vec<(Mechanism, &'a [Function])>,
    /// Why others cannot.
    unfit: Vec<String>,
}

impl Ways<'_> {
    /// The programs of the first way that has any: no other is likely to be used.
    fn programs(&self, kernel: &Kernel<'_>) -> Vec<Wanted> {
        let of_way = |(mechanism, functions): &(Mechanism, &[Function])| {
            wanted::programs(Subject::Files, *mechanism, &Kernel { functions, ..*kernel })
        };
        self.fit.iter().map(of_way).find(|programs| !programs.is_empty()).unwrap_or_default()
    }
}

/// The ways in for calls on files, or those of the mechanism that is asked for.
fn ways<'a>(plan: &Plan, functions: &'a CallFunctions<'_>) -> Ways<'a> {
    let mut ways = Ways::default();
    for mechanism in Mechanism::ALL.into_iter().filter(|one| plan.mechanism.is_none_or(|wanted| wanted == *one)) {
        if let Some(reason) = unfit(mechanism, functions.as_ref().err().copied()) {
            ways.unfit.push(format!("{mechanism}: {reason}"));
            continue;
        }
        if mechanism == Mechanism::Kprobe && wanted::probe_kind().is_none() {
            // Otherwise that would show only when a program for all ends of calls is loaded, which takes long.
            ways.unfit.push(format!("{mechanism}: this kernel has no kprobes"));
            continue;
        }
        let choices = functions.as_deref().unwrap_or_default();
        let choices = if mechanism == Mechanism::Tracepoint { &[] } else { choices };
        let all = choices.iter().map(Vec::as_slice).chain(choices.is_empty().then_some(&[] as &[Function]));
        ways.fit.extend(all.map(|functions| (mechanism, functions)));
    }
    ways
}

/// Attaches what traces files, with the first way that works.
fn files(object: &Object, ways: &Ways<'_>, kernel: &Kernel<'_>) -> Result<(Mechanism, Attached)> {
    let mut refusals = ways.unfit.clone();
    for (mechanism, functions) in &ways.fit {
        let kernel = Kernel { functions, ..*kernel };
        object.load_ahead(wanted::programs(Subject::Files, *mechanism, &kernel));
        match attach::subject(object, Subject::Files, *mechanism, &kernel) {
            Ok(attached) => return Ok((*mechanism, attached)),
            Err(refused) => refusals.push(format!("{mechanism}: {refused}")),
        }
    }
    bail!("cannot trace {}: {}", Subject::Files, refusals.join("; "))
}

/// The best mechanism for anything but files.
fn best(subject: Subject, preempted: bool) -> Mechanism {
    subject.mechanisms(preempted).first().copied().unwrap_or(Mechanism::Tracepoint)
}

/// Attaches what traces anything but files: with probes where tracepoints would miss something and probes work, else with tracepoints.
fn other(object: &Object, subject: Subject, preempted: bool, kernel: &Kernel<'_>) -> Result<Attached, Refused> {
    let best = best(subject, preempted);
    match attach::subject(object, subject, best, kernel) {
        Err(_) if best != Mechanism::Tracepoint => attach::subject(object, subject, Mechanism::Tracepoint, kernel),
        result => result,
    }
}

/// Why a mechanism is not even tried.
pub fn unfit(mechanism: Mechanism, missing: Option<&str>) -> Option<String> {
    if mechanism == Mechanism::Tracepoint {
        return None;
    }
    if let Some(call) = missing {
        return Some(format!("this kernel has no function of its own for the system call {call}"));
    }
    if mechanism == Mechanism::Fentry { unfit_for_functions() } else { None }
}

/// Why trampolines would miss calls.
pub fn unfit_for_functions() -> Option<String> {
    let preemption = preemption::read(Path::new("/"));
    preemption.possible.then(|| {
        format!("this kernel may preempt programs there (preempt: {}), and calls would be missed", preemption.mode)
    })
}

/// Now, nanoseconds of CLOCK_MONOTONIC.
pub fn monotonic_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
        u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0)
    })
}

/// Room for the histograms of reads, writes, flushes and discards of all disks. Each takes 49 KB of the kernel's memory, so there are limits.
fn histogram_entries(disks: &Path) -> u32 {
    let disks = std::fs::read_dir(disks).map_or(0, Iterator::count);
    u32::try_from(disks.saturating_mul(4)).unwrap_or(u32::MAX).clamp(64, 1024)
}

/// Puts the members of a filter into its map.
fn fill<K: Pod>(object: &mut Object, name: &str, members: Option<&[K]>) -> Result<()> {
    let Some(members) = members else { return Ok(()) };
    let mut map = HashMap::<_, K, u8>::try_from(object.take_map(name)?)?;
    for member in members {
        map.insert(member, 1, 0).with_context(|| format!("filling the filter {name}"))?;
    }
    Ok(())
}

/// Settings for the kernel side.
fn config(plan: &Plan, btf: &Btf<'_>, block: &BlockFacts, endings: &Endings, compat: bool) -> Config {
    let filters = &plan.filters;
    let flags = [
        (plan.sum, config::SUM),
        (plan.stream_sync, config::STREAM_SYNC),
        (plan.stream_io, config::STREAM_IO),
        (plan.stream_block, config::STREAM_BLOCK),
        (plan.copy_ups, config::COPY_UPS),
        (plan.stream_copy_ups, config::STREAM_COPY_UPS),
        (plan.histogram.is_some(), config::HISTOGRAM),
        (plan.errnos, config::ERRNOS),
        (plan.write_sizes, config::WRITE_SIZES),
        (plan.failed_opens, config::FAILED_OPENS),
        (plan.open_names, config::OPEN_NAMES),
        (filters.pids.is_some(), config::FILTER_PID),
        (filters.tids.is_some(), config::FILTER_TID),
        (filters.uids.is_some(), config::FILTER_UID),
        (filters.comm.is_some(), config::FILTER_COMM),
        (filters.disks.is_some(), config::FILTER_DISK),
        (filters.failed, config::FILTER_FAILED),
        (filters.by_thread(), config::FILTER_THREAD),
        (filters.failed || filters.min_latency_ns != 0, config::FILTER_RESULT),
        (filters.follow, config::FOLLOW),
        (!filters.ignored.is_empty(), config::IGNORE),
        (compat, config::COMPAT),
        (plan.files.open || plan.files.truncate, config::OPENS),
        (plan.files.naming(), config::NAMING),
        (plan.files.read, config::READS),
        (plan.files.write, config::WRITES),
        (plan.files.sync, config::SYNCS),
        (plan.no_latency, config::AT_END),
        (plan.waits, config::WAITS),
        (cfg!(target_arch = "aarch64"), config::ONLY_64_BIT),
        (btf.function_exists("bpf_task_pt_regs"), config::TASK_REGS),
        (completion_arguments(btf) == Some(4), config::URING_BY_DATA),
        (btf.function_exists("bpf_get_current_task_btf"), config::TASK_BTF),
    ];
    let value = |name| btf.enumerator(name).and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
    Config {
        min_latency_ns: filters.min_latency_ns,
        block_ops: block.mask(filters.block_ops.as_deref()),
        flags: flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum(),
        self_pid: std::process::id(),
        kinds: plan.kinds,
        wait_kinds: plan.wait_kinds,
        iowait_bit: btf.bit_offset("task_struct.in_iowait").ok().and_then(|bit| u32::try_from(bit).ok()).unwrap_or(0),
        histogram_flags: plan.histogram.map_or(0, |grouping| block.grouping(grouping)),
        wake_bytes: (plan.buffer / 4).min(WAKE_BYTES),
        page_shift: page_size().trailing_zeros(),
        page_head: value("PG_head"),
        page_swap: match (value("PG_swapcache"), value("PG_swapbacked")) {
            (cache @ 1..32, backed @ 1..32) => 1 << cache | 1 << backed,
            _ => 0,
        },
        direct_flag: libc::O_DIRECT as u32,
        flush_flags: block.flushing(),
        end_direct: endings.address(Ending::Direct),
        end_chain: endings.address(Ending::Chain),
        end_buffer: endings.address(Ending::Buffer),
        end_btrfs: endings.address(Ending::Btrfs),
        end_mapped: endings.address(Ending::Mapped),
        end_crypt: endings.address(Ending::Crypt),
        uring_again: value("REQ_F_REISSUE"),
    }
}

/// Arguments of io_uring's completions: without the request, `user_data` has to tell them apart.
fn completion_arguments(btf: &Btf<'_>) -> Option<usize> {
    Some(btf.tracepoint_parameters("io_uring_complete")?.len() - 1)
}

fn page_size() -> u64 {
    use nix::unistd::{SysconfVar, sysconf};
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

/// Before 5.11 maps count as locked memory. Where the limit may not be raised, the kernel tells when it matters.
fn raise_memlock() {
    use nix::sys::resource::{Resource, setrlimit};
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, libc::RLIM_INFINITY, libc::RLIM_INFINITY);
}

/// File types that count by default: regular files, and syncs of everything.
pub const REGULAR: u32 = kind_bit(libc::S_IFREG);
/// All file types, and calls without a file.
pub const ALL_KINDS: u32 = u32::MAX;
