//! Loading, attaching, and everything that comes out of the kernel side.

use crate::kernel::{
    attach::{self, applies},
    block::BlockFacts,
    btf::Btf,
    calls,
    histograms::Histograms,
    layout::kernel_layout,
    log::KernelLog,
    losses::{LossReader, Losses},
    mechanism::{Mechanism, Subject, entries},
    plan::Plan,
    sums::Sums,
};
use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, HashMap, Map, MapData, RingBuf},
    programs::tp_btf::BtfTracePointLink,
};
use iotrace_common::{
    config::{self, CommFilter, Config},
    file::kind_bit,
};
use nix::time::{ClockId, clock_gettime};

/// The compiled kernel side.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("IOTRACE_BPF_OBJECT"));

/// Entries of a map that a command does not use.
const UNUSED: u32 = 1;
/// A ring buffer must at least be a page (the largest page size of arm64 included).
const SMALLEST_RING: u32 = 65536;

/// A running trace. Dropping it detaches everything.
pub struct Tracer {
    ebpf: Ebpf,
    attached: Vec<&'static str>,
    links: Vec<BtfTracePointLink>,
    /// Sums by thread and file, when the plan asks for them.
    pub sums: Option<Sums>,
    /// Block latency, when the plan asks for it.
    pub histograms: Option<Histograms>,
    /// What the kernel side could not tell.
    losses: LossReader,
    pids: HashMap<MapData, u32, u8>,
    /// How this kernel numbers block operations.
    pub block: BlockFacts,
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
        let layout = kernel_layout(&btf)?;
        let block = BlockFacts::from_btf(&btf);
        let (calls, compat) = calls::table(plan.files);
        let config = config(plan, &btf, &block, compat);
        let comm = plan.filters.comm.as_deref().copied().unwrap_or(CommFilter { class: [0; 256], star: 0, accept: 0 });

        let mut loader = EbpfLoader::new();
        loader
            .btf(None)
            .override_global("LAYOUT", &layout, true)
            .override_global("CONFIG", &config, true)
            .override_global("CALLS", &calls, true)
            .override_global("COMM", &comm, true)
            .override_global("AYA_LOG_LEVEL", &plan.log_level, true)
            .map_max_entries("EVENTS", plan.buffer);
        for (map, used) in [
            ("THREADS", plan.files.any()),
            ("FILES", plan.files.any()),
            ("SUMS", plan.sum),
            ("SUM_INDEX", plan.sum),
            ("FREE_SUMS", plan.sum),
            ("REQUESTS", plan.block()),
            ("HISTOGRAMS", plan.histogram.is_some()),
            ("EXTREMES", plan.histogram.is_some()),
        ] {
            if !used {
                loader.map_max_entries(map, UNUSED);
            }
        }
        if plan.log_level == 0 {
            loader.map_max_entries("AYA_LOGS", SMALLEST_RING);
        }
        let mut ebpf = loader.load(OBJECT).context("cannot make the maps of the kernel side")?;
        drop(loader);
        let log = if plan.log_level == 0 { None } else { Some(KernelLog::new(&mut ebpf)?) };

        let events = RingBuf::try_from(take(&mut ebpf, "EVENTS")?)?;
        let sums = if plan.sum { Some(Sums::new(&mut ebpf)?) } else { None };
        let histograms = if plan.histogram.is_some() { Some(Histograms::new(&mut ebpf)?) } else { None };
        let losses = LossReader::new(&mut ebpf)?;
        fill(&mut ebpf, "IGNORED", Some(&plan.filters.ignored))?;
        fill(&mut ebpf, "TIDS", plan.filters.tids.as_deref())?;
        fill(&mut ebpf, "UIDS", plan.filters.uids.as_deref())?;
        fill(&mut ebpf, "DISKS", plan.filters.disks.as_deref())?;
        let mut pids = HashMap::try_from(take(&mut ebpf, "PIDS")?)?;
        for pid in plan.filters.pids.iter().flatten() {
            pids.insert(pid, 1, 0).context("giving the process ids to the kernel side")?;
        }
        let mut began = Array::<_, u64>::try_from(take(&mut ebpf, "BEGAN")?)?;
        let mut tracer = Self {
            ebpf,
            attached: Vec::new(),
            links: Vec::new(),
            sums,
            histograms,
            losses,
            pids,
            block,
            mechanism: plan.mechanism.unwrap_or(Mechanism::Tracepoint),
            log,
        };
        let subjects = Subject::ALL.into_iter().filter(|subject| match subject {
            Subject::Files | Subject::Processes => plan.files.any(),
            Subject::Children => plan.filters.follow,
            Subject::Block => plan.block(),
        });
        let subjects: Vec<Subject> = subjects.collect();
        let stub = attach::stub(&btf, subjects.iter().flat_map(|subject| entries(*subject, tracer.mechanism)))?;
        for subject in subjects {
            tracer.attach(subject, &btf, &stub)?;
        }
        began.set(0, monotonic_ns(), 0).context("telling the kernel side that tracing began")?;
        Ok((tracer, events))
    }

    /// Attaches the programs of one subject.
    fn attach(&mut self, subject: Subject, btf: &Btf, stub: &aya::Btf) -> Result<()> {
        for entry in entries(subject, self.mechanism) {
            if applies(entry, btf, &self.block) {
                let link = attach::tracepoint(&mut self.ebpf, entry, stub)
                    .with_context(|| format!("cannot trace {subject} with {}", self.mechanism))?;
                self.links.push(link);
                self.attached.push(entry.program);
            }
        }
        Ok(())
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
        let skipped = self.attached.iter().map(|program| attach::misses(&self.ebpf, program)).sum();
        Ok(Losses { skipped, ..self.losses.read()? })
    }

    /// Prints what the kernel programs logged, where that was asked for.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Detaches all programs; maps and ring buffer stay readable.
    pub fn detach(&mut self) {
        self.links.clear();
    }
}

/// Now, nanoseconds of CLOCK_MONOTONIC.
pub fn monotonic_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
        u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0)
    })
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).with_context(|| format!("the object has no map {name}"))
}

/// Puts the members of a filter into its map.
fn fill<K: Pod>(ebpf: &mut Ebpf, name: &str, members: Option<&[K]>) -> Result<()> {
    let Some(members) = members else { return Ok(()) };
    let map = ebpf.map_mut(name).with_context(|| format!("the object has no map {name}"))?;
    let mut map = HashMap::<_, K, u8>::try_from(map)?;
    for member in members {
        map.insert(member, 1, 0).with_context(|| format!("filling the filter {name}"))?;
    }
    Ok(())
}

/// Settings for the kernel side.
fn config(plan: &Plan, btf: &Btf, block: &BlockFacts, compat: bool) -> Config {
    let filters = &plan.filters;
    let flags = [
        (plan.sum, config::SUM),
        (plan.stream_sync, config::STREAM_SYNC),
        (plan.stream_io, config::STREAM_IO),
        (plan.stream_block, config::STREAM_BLOCK),
        (plan.histogram.is_some(), config::HISTOGRAM),
        (filters.pids.is_some(), config::FILTER_PID),
        (filters.tids.is_some(), config::FILTER_TID),
        (filters.uids.is_some(), config::FILTER_UID),
        (filters.comm.is_some(), config::FILTER_COMM),
        (filters.disks.is_some(), config::FILTER_DISK),
        (filters.failed, config::FILTER_FAILED),
        (filters.follow, config::FOLLOW),
        (!filters.ignored.is_empty(), config::IGNORE),
        (compat, config::COMPAT),
        (plan.files.open, config::OPENS),
        (btf.function_exists("bpf_get_current_task_btf"), config::TASK_BTF),
    ];
    Config {
        min_latency_ns: filters.min_latency_ns,
        block_ops: block.mask(filters.block_ops.as_deref()),
        flags: flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum(),
        self_pid: std::process::id(),
        kinds: plan.kinds,
        histogram_flags: plan.histogram.unwrap_or_default(),
    }
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
