//! Options that several commands share.

use crate::{
    cli::Misused,
    kernel::{
        access,
        block::BlockOp,
        budget,
        mechanism::Mechanism,
        plan::{KernelFilters, Plan},
    },
    output::{Sink, SinkError},
    parse::{CommGlob, duration, latency, memory, size},
    resolve::{Disks, Mounts, descendants, exists, thread_exists, uid_of},
    view::select::Selection,
};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use globset::{GlobBuilder, GlobMatcher};
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// Options of every tracing command.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Whose operations count.
    #[command(flatten)]
    pub filters: Filters,
    /// Where the output goes.
    #[command(flatten)]
    pub output: Output,
    /// How tracing is done.
    #[command(flatten)]
    pub tracing: Tracing,
    /// What to run.
    #[command(flatten)]
    pub program: ProgramArgs,
}

/// Whose operations count.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub struct Filters {
    /// Only these processes, with all their threads
    #[arg(short, long, value_name = "PID,...", value_delimiter = ',', value_parser = number)]
    pub pid: Vec<u32>,
    /// With --pid: their children too, present and future
    #[arg(long, requires = "pid")]
    children: bool,
    /// Only these threads
    #[arg(long, value_name = "TID,...", value_delimiter = ',', value_parser = number)]
    tid: Vec<u32>,
    /// Only threads whose name matches
    #[arg(long, value_name = "GLOB")]
    comm: Option<CommGlob>,
    /// Only this user, by name or number (the real user id)
    #[arg(short, long, value_name = "USER", value_parser = uid_of)]
    uid: Option<u32>,
    /// Only this container: name, pod, unit, or the first characters of its id
    #[arg(long, value_name = "NAME|ID|POD")]
    container: Option<String>,
    /// Only this control group and those below it
    #[arg(long, value_name = "PATH")]
    cgroup: Option<String>,
    /// Only paths that match; * matches / too, as with find -path
    #[arg(long, value_name = "GLOB", value_parser = path_glob)]
    path: Option<GlobMatcher>,
    /// Only this disk or partition
    #[arg(long, value_name = "NAME")]
    disk: Option<String>,
    /// Only what takes at least so long
    #[arg(long, value_name = "TIME", value_parser = latency)]
    min_latency: Option<Duration>,
    /// Only what fails
    #[arg(short = 'x', long)]
    failed: bool,
}

/// A path glob as `find -path` has it: `*.log` is any log, `/var/*` all below `/var`.
fn path_glob(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).literal_separator(false).build().map_err(|error| error.to_string())?;
    Ok(glob.compile_matcher())
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "not the number of a process or thread".to_owned())
}

impl Filters {
    /// Whether a filter needs names that block requests do not have yet.
    pub fn by_name(&self) -> bool {
        self.path.is_some() || self.container.is_some() || self.cgroup.is_some()
    }

    /// The part that the kernel side applies.
    ///
    /// # Errors
    ///
    /// When a process, thread or disk does not exist.
    pub fn kernel(&self) -> Result<KernelFilters> {
        for pid in &self.pid {
            if !exists(*pid) {
                bail!("no process has the id {pid}{}", unless_hidden());
            }
        }
        for tid in &self.tid {
            if !thread_exists(*tid, *tid) && !any_thread(*tid) {
                bail!("no thread has the id {tid}{}", unless_hidden());
            }
        }
        Ok(KernelFilters {
            pids: (!self.pid.is_empty()).then(|| self.pid.clone()),
            follow: self.children,
            ignored: Vec::new(),
            tids: (!self.tid.is_empty()).then(|| self.tid.clone()),
            uids: self.uid.map(|uid| vec![uid]),
            comm: self.comm.as_ref().map(|glob| Box::new(*glob.filter())),
            disks: self.devices()?,
            min_latency_ns: self.shortest_ns(),
            failed: self.failed,
            block_ops: None,
        })
    }

    /// The devices of `--disk`, those included that stand on it and that it stands on.
    ///
    /// # Errors
    ///
    /// When the disk does not exist.
    pub fn devices(&self) -> Result<Option<Vec<u32>>> {
        let Some(name) = &self.disk else { return Ok(None) };
        let known = Disks::new();
        let mut devs = known.find(name)?;
        // Requests are seen where they are queued, at the disks below a stacked device; files where their file system is: on
        // a stacked device above, or under an anonymous number (btrfs).
        let below: Vec<u32> = devs.iter().flat_map(|dev| known.below(*dev)).collect();
        let above: Vec<u32> = devs.iter().flat_map(|dev| known.holders(*dev)).collect();
        devs.extend(above);
        let anonymous = Mounts::new().anonymous_on(&devs);
        devs.extend(anonymous);
        devs.extend(below);
        devs.sort_unstable();
        devs.dedup();
        Ok(Some(devs))
    }

    /// The device that `--disk` names.
    ///
    /// # Errors
    ///
    /// When it does not exist.
    pub fn device(&self) -> Result<Option<u32>> {
        let found = self.disk.as_deref().map(|name| Disks::new().find(name)).transpose()?;
        Ok(found.and_then(|devs| devs.first().copied()))
    }

    /// Whether a filter asks for how operations ended.
    pub fn by_result(&self) -> bool {
        self.min_latency.is_some() || self.failed
    }

    /// Whether a filter asks for some operations and not others, rather than for a disk.
    pub fn by_operation(&self) -> bool {
        self.by_thread_or_result() || self.by_name()
    }

    /// Whether one asks for the operations of some threads, or for some results.
    pub fn by_thread_or_result(&self) -> bool {
        self.by_task() || self.comm.is_some() || self.uid.is_some() || self.by_result()
    }

    /// Whether only what fails is asked for.
    pub fn by_failure(&self) -> bool {
        self.failed
    }

    /// The shortest time that counts, nanoseconds.
    pub fn shortest_ns(&self) -> u64 {
        self.min_latency.map_or(0, |latency| u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The part that needs names.
    pub fn selection(&self) -> Selection {
        let cgroup = self.cgroup.as_deref().map(control_group);
        Selection { path: self.path.clone(), container: self.container.clone(), cgroup }
    }

    /// Whether --pid or --tid says whom to trace, so that a PROGRAM is not meant.
    pub fn by_task(&self) -> bool {
        !self.pid.is_empty() || !self.tid.is_empty()
    }

    /// The processes whose descendants, made before the probes were attached, are to be followed.
    pub fn families(&self) -> Vec<u32> {
        if self.children { descendants(&self.pid) } else { Vec::new() }
    }
}

/// A control group's path below its hierarchy's root, for a path with or without the mount point of the hierarchy.
fn control_group(path: &str) -> String {
    let inside = path.strip_prefix("/sys/fs/cgroup").unwrap_or(path).trim_matches('/');
    // Where v1 hierarchies are mounted, each has a directory of its own there.
    let inside = match inside.split_once('/') {
        Some(("unified" | "systemd" | "memory" | "cpu,cpuacct" | "cpu" | "cpuacct" | "blkio" | "pids", below))
            if path.starts_with("/sys/fs/cgroup") =>
        {
            below
        }
        _ => inside,
    };
    format!("/{inside}")
}

/// What may be wrong with the word that something does not exist.
fn unless_hidden() -> &'static str {
    if access::blind() { ", or /proc hides it (hidepid) from who has no CAP_SYS_PTRACE" } else { "" }
}

/// Whether a thread that is not a main thread has this id.
fn any_thread(tid: u32) -> bool {
    std::fs::exists(format!("/proc/{tid}")).unwrap_or(false)
}

/// How long, how often.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Time")]
pub struct Timing {
    /// Trace for so long [default: 5s, or until PROGRAM ends]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Print a table each interval, until Ctrl-C
    #[arg(short, long, value_name = "TIME", value_parser = duration, conflicts_with = "every")]
    interval: Option<Duration>,
    /// Stop after so many intervals
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "times")]
    count: Option<u64>,
    /// Interval, as with -i
    #[arg(value_name = "INTERVAL", value_parser = duration, help_heading = "Arguments", display_order = 1001)]
    every: Option<Duration>,
    /// Count, as with -n
    #[arg(value_name = "COUNT", help_heading = "Arguments", display_order = 1002, value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
}

impl Timing {
    /// For commands that print events as they come.
    pub fn stream(duration: Option<Duration>) -> Self {
        Self { duration, ..Self::default() }
    }

    /// Time between two tables; `None`: one table at the end.
    pub fn interval(&self) -> Option<Duration> {
        self.interval.or(self.every).or_else(|| self.count().is_some().then_some(Duration::from_secs(1)))
    }

    /// The same, with an interval of a second unless another one is given.
    pub fn every_second(self) -> Self {
        let interval = self.interval().unwrap_or(Duration::from_secs(1));
        Self { interval: Some(interval), ..self }
    }

    /// Number of tables.
    pub fn count(&self) -> Option<u64> {
        self.count.or(self.times)
    }
}

/// Where the output goes, and in which form.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Write JSON lines instead of a table
    #[arg(long)]
    pub json: bool,
    /// Write to a file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Cut nothing to the width of the terminal
    #[arg(long)]
    pub wide: bool,
    /// Exit with 3 when events were lost
    #[arg(long)]
    pub strict: bool,
    /// Say nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
}

impl Output {
    /// Opens the output.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn sink(&self) -> Result<Sink, SinkError> {
        self.output.as_deref().map_or_else(Sink::stdout, Sink::create)
    }
}

/// How tracing is done.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Tracing")]
pub struct Tracing {
    /// Size of the ring buffer between kernel and iotrace [default: 8MiB; 4MiB where the kernel adds up]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    buffer: Option<u32>,
    /// Most memory for maps and caches together [default: 64MiB; 128MiB with diagnose]
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    max_memory: Option<u64>,
    /// The way into the kernel
    #[arg(long, value_enum, default_value_t)]
    mechanism: Wish,
    /// Print debug statements of the kernel programs on stderr
    #[arg(long, hide_short_help = true)]
    kernel_log: bool,
}

/// `--mechanism`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Wish {
    /// The best that works here
    #[default]
    Auto,
    /// Trampolines at the functions of system calls
    Fentry,
    /// Probes at the same functions
    Kprobe,
    /// BTF tracepoints at every system call
    Tracepoint,
}

impl Tracing {
    /// Adds these settings to a plan.
    ///
    /// # Errors
    ///
    /// When the ring buffer leaves too little of the memory.
    pub fn apply(&self, plan: &mut Plan) -> Result<(), Misused> {
        plan.buffer = self.buffer.unwrap_or_else(|| budget::buffer(plan));
        plan.max_memory = budget::limit(self.max_memory, plan);
        if self.max_memory.is_some_and(|most| u64::from(plan.buffer) > most / 2) {
            return Err(Misused("--buffer takes more than half of --max-memory".into()));
        }
        plan.mechanism = match self.mechanism {
            Wish::Auto => None,
            Wish::Fentry => Some(Mechanism::Fentry),
            Wish::Kprobe => Some(Mechanism::Kprobe),
            Wish::Tracepoint => Some(Mechanism::Tracepoint),
        };
        plan.log_level = if self.kernel_log { aya_log::Level::Debug as u8 } else { 0 };
        Ok(())
    }
}

/// What to run and trace.
#[derive(Clone, Debug, Default, Args)]
pub struct ProgramArgs {
    /// Run PROGRAM, trace it and all its descendants, and end with it
    #[arg(last = true, value_name = "PROGRAM", help_heading = "Arguments", display_order = 1003)]
    pub program: Vec<OsString>,
}

/// `--op` of the commands for block requests.
pub fn block_op(text: &str) -> Result<BlockOp, String> {
    BlockOp::from_name(text).ok_or_else(|| format!("no block operation named {text}: one of {}", BlockOp::list()))
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
