//! Loading, attaching, and everything that comes out of the kernel side.

use crate::kernel::{
    attach::{Attached, Kernel},
    background,
    block::BlockFacts,
    btf::{self, Btf},
    budget::{self, Shares},
    calls::{self, FileOps},
    config, copyup,
    endings::Endings,
    errnos::Errnos,
    histograms::Histograms,
    intake::Intake,
    kallsyms::Coming,
    layout::kernel_layout,
    log::KernelLog,
    losses::{LossReader, Losses},
    marks::Constants,
    mechanism::{Mechanism, Subject},
    object::{Globals, Object, Parsed, Sizes, Wanted},
    plan::Plan,
    preemption,
    requests::Requests,
    sizes,
    sums::Sums,
    symbols::Symbols,
    waits::Waits,
    wanted,
    ways::{self, CallFunctions, Ways},
    write_sizes::SizesOfWrites,
};
use anyhow::{Context, Result};
use aya::{
    Pod,
    maps::{self, Array, MapData, RingBuf},
};
use iotrace_common::{call::CallTable, config::CommFilter, file::kind_bit};
use nix::time::{ClockId, clock_gettime};
use std::{os::fd::OwnedFd, path::Path};

/// The compiled kernel side.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("IOTRACE_BPF_OBJECT"));

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
    /// Requests under way, when the plan asks for requests.
    pub requests: Option<Requests>,
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
    pids: maps::HashMap<MapData, u32, u8>,
    /// How this kernel numbers block operations.
    pub block: BlockFacts,
    /// What the ends of bios say; empty unless requests are streamed.
    pub endings: Endings,
    /// The way in that is used.
    pub mechanism: Mechanism,
    log: Option<KernelLog>,
}

impl Tracer {
    /// Loads and attaches what the plan needs, and gives what takes records in. When this returns, no event is missed any more.
    ///
    /// # Errors
    ///
    /// When capabilities are missing, the kernel has no BTF or lacks a structure member, or refuses a program.
    pub fn start(plan: &Plan) -> Result<(Self, Intake)> {
        raise_memlock();
        let shares = budget::divide(plan, sizes::histogram_entries(Path::new("/sys/block")));
        let mut sizes = sizes::known(plan, &shares);
        // Waits alone need to know every call, and count none.
        let (calls, compat) = calls::table(if plan.waits && !plan.files.any() { FileOps::ALL } else { plan.files });
        let (known, parsed) = background::both(|| Known::find(plan, compat), || with_maps(plan, &calls, &sizes))
            .context("cannot start one more thread")?;
        let Known { btf, block, endings, constants, functions, preempted } = known?;
        sizes.extend(sizes::by_types(plan, &constants, preempted));
        let mut object = parsed?.open(&sizes, &constants)?;

        let ring = RingBuf::try_from(object.take_map("EVENTS")?)?;
        let events = Intake::new(ring, budget::kept(plan) as usize);
        let sums = if plan.sum { Some(Sums::new(&mut object, &shares)?) } else { None };
        let errnos = if plan.errnos { Some(Errnos::new(&mut object)?) } else { None };
        let write_sizes = if plan.write_sizes { Some(SizesOfWrites::new(&mut object)?) } else { None };
        let requests = if plan.block() { Some(Requests::new(&mut object, plan.filters.disks.clone())?) } else { None };
        let histograms = if plan.histogram.is_some() { Some(Histograms::new(&mut object)?) } else { None };
        let mut waits = if plan.waits { Some(Waits::new(&mut object)?) } else { None };
        let losses = LossReader::new(&mut object)?;
        fill(&mut object, "IGNORED", Some(&plan.filters.ignored))?;
        fill(&mut object, "TIDS", plan.filters.tids.as_deref())?;
        fill(&mut object, "UIDS", plan.filters.uids.as_deref())?;
        fill(&mut object, "DISKS", plan.filters.disks.as_deref())?;
        let mut pids = maps::HashMap::try_from(object.take_map("PIDS")?)?;
        for pid in plan.filters.pids.iter().flatten() {
            pids.insert(pid, 1, 0).context("giving the process ids to the kernel side")?;
        }
        let mut began = Array::<_, u64>::try_from(object.take_map("BEGAN")?)?;

        let kernel = Kernel { btf: &btf, block: &block, functions: &[], preempted };
        let by_probes = preempted && plan.mechanism != Some(Mechanism::Tracepoint);
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
        let ways = if plan.files.any() { Ways::of(plan, &functions) } else { Ways::default() };
        let mut others: Vec<Wanted> = subjects
            .iter()
            .flat_map(|subject| match subject {
                Subject::Files => Vec::new(),
                Subject::CopyUps => copyup::programs(ways.first(), &constants.layout, &kernel),
                other => wanted::programs(*other, ways::best(*other, by_probes), &kernel),
            })
            .collect();
        object.longest_first(&mut others);
        // Those of calls on files call most.
        object.load_ahead(ways.programs(&kernel).into_iter().chain(others));
        let mut unseen = Vec::new();
        let mut earlier = waits.as_mut();
        for subject in subjects {
            let new = if subject == Subject::Files {
                if let Some(waits) = earlier.take() {
                    waits.add_earlier(&plan.filters, plan.wait_kinds);
                }
                let (used, new) = ways::files(&object, &ways, &kernel)?;
                mechanism = used;
                new
            } else {
                let new = match subject {
                    Subject::CopyUps => copyup::attach(&object, plan.mechanism, &constants.layout, &kernel),
                    _ => ways::other(&object, subject, by_probes, &kernel).map_err(Into::into),
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
            // It takes long, and nobody needs it before the first stack is shown.
            waits.symbols = Coming::read(Symbols::parse);
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
            requests,
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

/// What is found out about the running kernel.
struct Known {
    btf: Btf<'static>,
    block: BlockFacts,
    endings: Endings,
    constants: Constants,
    /// Functions of the calls that count.
    functions: CallFunctions<'static>,
    /// Whether programs at tracepoints can be preempted.
    preempted: bool,
}

impl Known {
    /// `compat`: whether calls of 32-bit tasks are known.
    fn find(plan: &Plan, compat: bool) -> Result<Self> {
        let btf = Btf::from_sys_fs()?;
        let layout = kernel_layout(&btf, Path::new(btf::SYS_FS))?;
        let block = BlockFacts::from_btf(&btf);
        let endings = if plan.stream_block { Endings::find(&btf) } else { Endings::default() };
        let constants = Constants::new(&btf, layout, config::of(plan, &btf, &block, &endings, compat));
        let functions = ways::call_functions(plan, &btf, &constants);
        if plan.files.any() {
            // It is going to be asked for, and is read here, beside the making of maps.
            preemption::here();
        }
        let preempted = preemption::of_tracepoints(&btf);
        Ok(Self { btf, block, endings, constants, functions, preempted })
    }
}

/// The object with the maps whose size is known without the kernel's types.
fn with_maps(plan: &Plan, calls: &CallTable, sizes: &Sizes<'_>) -> Result<Parsed> {
    let comm = plan.filters.comm.as_deref().copied();
    let comm = comm.unwrap_or(CommFilter { class: [0; 256], star: 0, accept: 0 });
    let file_calls = calls::file_calls();
    let globals = Globals::default()
        .set("CALLS", calls)
        .set("FILE_CALLS", &file_calls)
        .set("COMM", &comm)
        .set("AYA_LOG_LEVEL", &plan.log_level);
    let mut parsed = Parsed::new(OBJECT, globals)?;
    parsed.make_maps(sizes, |map| !sizes::BY_TYPES.contains(&map))?;
    Ok(parsed)
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.detach();
        background::close(std::mem::take(&mut self.stopped));
    }
}

/// Now, nanoseconds of CLOCK_MONOTONIC.
pub fn monotonic_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
        u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0)
    })
}

/// Puts the members of a filter into its map.
fn fill<K: Pod>(object: &mut Object, name: &str, members: Option<&[K]>) -> Result<()> {
    let Some(members) = members else { return Ok(()) };
    let mut map = maps::HashMap::<_, K, u8>::try_from(object.take_map(name)?)?;
    for member in members {
        map.insert(member, 1, 0).with_context(|| format!("filling the filter {name}"))?;
    }
    Ok(())
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
