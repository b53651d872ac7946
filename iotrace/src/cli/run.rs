//! The loop of every tracing command: records in, lines out, until time, count, PROGRAM, a signal or the reader ends it.

use crate::{
    cli::{
        Exit,
        form::Form,
        options::{Filters, Output, ProgramArgs, Timing, Tracing},
        program::Program,
    },
    event::{Event, decode},
    kernel::{access, block::BlockFacts, losses::Losses, plan::Plan, tracer::Tracer},
    output::{
        Clock, Sink, SinkError,
        json::{SummaryLine, append},
    },
    resolve::{names::Names, pipeline},
    view::select::Selection,
};
use anyhow::{Context, Result};
use aya::maps::{MapData, RingBuf};
use nix::time::{ClockId, clock_gettime};
use std::{
    future::pending,
    io,
    os::fd::AsFd,
    process::ExitStatus,
    time::{Duration, Instant},
};
use tokio::{
    io::unix::AsyncFd,
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval_at, sleep_until},
};

/// How long a summary command traces by default.
const DEFAULT_DURATION: Duration = Duration::from_secs(5);
/// Records that are handled before time and signals are looked at again.
const BATCH: usize = 8192;
/// Bytes of output that are collected before they are handed to the writer.
const CHUNK: usize = 64 << 10;
/// How often what is collected is handed over, and the clock is read.
const BEAT: Duration = Duration::from_millis(100);
/// How long a PROGRAM that got a signal together with iotrace may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// What every command gives to the loop.
pub struct Setup<'a> {
    /// Its name.
    pub command: &'static str,
    /// Whether it prints events as they come.
    pub stream: bool,
    /// Whether a PROGRAM only says how long to trace, not whom.
    pub everyone: bool,
    /// What it needs from the kernel side; filters and settings are added.
    pub plan: Plan,
    /// Options.
    pub filters: &'a Filters,
    /// Options.
    pub timing: &'a Timing,
    /// Options.
    pub output: &'a Output,
    /// Options.
    pub tracing: &'a Tracing,
    /// Options.
    pub program: &'a ProgramArgs,
}

/// What a view may use.
pub struct World {
    /// Files, processes, disks.
    pub names: Names,
    /// Wall-clock times.
    pub clock: Clock,
    /// Filters that need names.
    pub selection: Selection,
    /// How this kernel numbers block operations.
    pub block: BlockFacts,
    /// The form of the output.
    pub form: Form,
}

/// A part of the time traced.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// Its end, nanoseconds of CLOCK_MONOTONIC.
    pub end_ns: u64,
    /// Its length.
    pub length: Duration,
    /// Whether tables come at intervals, so that each needs a time.
    pub repeated: bool,
}

/// What a command does with what comes.
pub trait Command {
    /// Before the first event.
    fn begin(&mut self, _world: &mut World, _out: &mut Vec<u8>) {}

    /// A record about an operation. Those about files and processes are in `world.names` already.
    ///
    /// # Errors
    ///
    /// When a line cannot be made.
    fn event(&mut self, event: Event, world: &mut World, out: &mut Vec<u8>) -> Result<()>;

    /// The end of an interval, or of all.
    ///
    /// # Errors
    ///
    /// When the kernel side's sums cannot be read.
    fn report(
        &mut self,
        _interval: Interval,
        _tracer: &mut Tracer,
        _world: &mut World,
        _out: &mut Vec<u8>,
    ) -> Result<()> {
        Ok(())
    }
}

/// Runs a command to its end.
///
/// # Errors
///
/// When a filter names nothing, the output cannot be written, or the kernel refuses.
pub fn run(setup: Setup<'_>, command: &mut dyn Command) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting")?;
    let result = runtime.block_on(Session::run(setup, command));
    // A writer that is stuck in a pipe must not hold up the end.
    runtime.shutdown_background();
    result
}

struct Session<'a> {
    setup: Setup<'a>,
    command: &'a mut dyn Command,
    world: World,
    tracer: Tracer,
    ring: AsyncFd<RingBuf<MapData>>,
    sink: Sink,
    out: Vec<u8>,
    began: Instant,
    interval_began: Instant,
    /// Operations whose record came.
    received: u64,
}

impl<'a> Session<'a> {
    async fn run(mut setup: Setup<'a>, command: &'a mut dyn Command) -> Result<Exit> {
        // All that can be wrong is found out before anything is attached.
        access::check()?;
        let mut filters = setup.filters.kernel()?;
        filters.block_ops = setup.plan.filters.block_ops.take();
        setup.tracing.apply(&mut setup.plan);
        let mut signals = Signals::new()?;
        let mut sink = setup.output.sink()?;
        let mut program = Program::hold(&setup.program.program, setup.output.output.is_some())?;
        if let Some(program) = program.as_ref().filter(|_| !setup.everyone && !setup.filters.by_task()) {
            filters.pids = Some(vec![program.pid]);
            filters.follow = true;
        }
        // What prints iotrace's output would otherwise be seen printing it, and so on without end.
        if filters.pids.is_none() && setup.output.output.is_none() {
            filters.ignored = pipeline(io::stdout().as_fd());
        }
        setup.plan.filters = filters;
        let (mut tracer, ring) = Tracer::start(&setup.plan)?;
        follow_families(&mut tracer, setup.filters)?;
        let world = World {
            names: Names::default(),
            clock: Clock::now(),
            selection: setup.filters.selection(),
            block: tracer.block.clone(),
            form: Form::new(setup.output.json, setup.output.output.is_some()),
        };
        if !setup.output.quiet {
            eprintln!("iotrace: tracing with {}; ctrl-c to stop", tracer.mechanism);
        }
        // SAFETY: the ring buffer owns its descriptor and closes it only when it is dropped, together with this.
        let ring = unsafe { AsyncFd::register(ring) }.context("watching the ring buffer")?;
        let out = sink.buffer();
        let mut session = Session {
            setup,
            command,
            world,
            tracer,
            ring,
            sink,
            out,
            began: Instant::now(),
            interval_began: Instant::now(),
            received: 0,
        };
        let result = session.trace_and_report(&mut program, &mut signals).await;
        match result {
            Ok((_, losses)) if session.setup.output.strict && losses.any() => Ok(Exit::Lost),
            Ok((Some(status), _)) => Ok(status.into()),
            Ok((None, _)) => session.outlive(&mut program, &mut signals).await,
            // The reader has what it wants.
            Err(error) if matches!(error.downcast_ref(), Some(SinkError::Closed)) => Ok(Exit::Done),
            Err(error) => Err(error),
        }
    }

    async fn trace_and_report(
        &mut self,
        program: &mut Option<Program>,
        signals: &mut Signals,
    ) -> Result<(Option<ExitStatus>, Losses)> {
        self.command.begin(&mut self.world, &mut self.out);
        self.hand_over().await?;
        if let Some(program) = program {
            program.release();
        }
        let status = self.trace(program, signals).await?;
        self.tracer.detach();
        while self.drain()? {
            self.hand_over_unless(signals).await?;
        }
        // With a count of tables, the last one has been printed already.
        if self.setup.timing.count().is_none() {
            self.report()?;
        }
        let losses = self.summary()?;
        // A pipe that nobody reads does not keep iotrace from ending on a signal.
        let patience = signals.came.then(|| Instant::now() + GRACE);
        tokio::select! {
            written = self.write_all() => written?,
            () = until(patience) => {}
            () = signals.any() => {}
        }
        Ok((status, losses))
    }

    /// Waits until everything is written.
    async fn write_all(&mut self) -> Result<()> {
        self.hand_over().await?;
        Ok(std::mem::replace(&mut self.sink, Sink::nowhere()).finish().await?)
    }

    /// Until something ends it; the status when that was PROGRAM.
    async fn trace(&mut self, program: &mut Option<Program>, signals: &mut Signals) -> Result<Option<ExitStatus>> {
        let timing = self.setup.timing;
        let default = !self.setup.stream && timing.interval().is_none() && program.is_none();
        let deadline = timing.duration.or(default.then_some(DEFAULT_DURATION)).map(|length| self.began + length);
        let mut remaining = timing.count();
        let mut beat = interval_at((self.began + BEAT).into(), BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let every = timing.interval();
        let mut table = every.map(|every| interval_at((self.began + every).into(), every));
        // Whether records may be left: then the next batch is taken at once, but signals, time and PROGRAM go first.
        let mut more = false;
        loop {
            tokio::select! {
                biased;
                () = signals.any() => return self.grace(program).await,
                status = ended(program) => return status.map(Some),
                () = until(deadline) => return Ok(None),
                () = next(&mut table) => {
                    self.drain_all().await?;
                    self.report()?;
                    self.hand_over().await?;
                    remaining = remaining.map(|remaining| remaining - 1);
                    if remaining == Some(0) {
                        return Ok(None);
                    }
                }
                _ = beat.tick() => {
                    self.world.clock.resample();
                    self.tracer.flush_log();
                    more |= self.drain()?;
                    self.hand_over_unless(signals).await?;
                }
                () = tokio::task::yield_now(), if more => {
                    more = self.drain()?;
                    if self.out.len() >= CHUNK {
                        self.hand_over_unless(signals).await?;
                    }
                }
                ready = self.ring.readable_mut(), if !more => {
                    // Marked as not ready first: what comes while draining wakes again.
                    ready.context("waiting for the ring buffer")?.clear_ready();
                    more = true;
                }
            }
            if signals.came {
                return self.grace(program).await;
            }
        }
    }

    /// Handles the records that are there now, but not forever where they come faster than they can be handled.
    async fn drain_all(&mut self) -> Result<()> {
        let deadline = Instant::now() + BEAT;
        while self.drain()? {
            if self.out.len() >= CHUNK {
                self.hand_over().await?;
            }
            if Instant::now() > deadline {
                break;
            }
        }
        Ok(())
    }

    /// A signal came: PROGRAM, which got it too when it came from the keyboard, may end first.
    async fn grace(&mut self, program: &mut Option<Program>) -> Result<Option<ExitStatus>> {
        if program.is_none() {
            return Ok(None);
        }
        let deadline = Instant::now() + GRACE;
        loop {
            tokio::select! {
                biased;
                status = ended(program) => return status.map(Some),
                () = until(Some(deadline)) => return Ok(None),
                () = tokio::time::sleep(BEAT) => {
                    self.drain()?;
                }
            }
        }
    }

    /// Tracing ended before PROGRAM, by --duration or a signal: its status is the end, unless another signal comes.
    async fn outlive(&mut self, program: &mut Option<Program>, signals: &mut Signals) -> Result<Exit> {
        if program.is_none() || signals.came {
            return Ok(Exit::Done);
        }
        tokio::select! {
            status = ended(program) => status.map(Exit::from),
            () = signals.any() => Ok(Exit::Done),
        }
    }

    /// Handles up to [`BATCH`] records; whether there may be more.
    fn drain(&mut self) -> Result<bool> {
        let ring = self.ring.get_mut();
        for _ in 0..BATCH {
            let Some(record) = ring.next() else { return Ok(false) };
            match decode(&record).context("the kernel side sent a record that makes no sense")? {
                Event::File(file) => self.world.names.add_file(file),
                Event::Process(process) => self.world.names.add_process(process),
                event => {
                    self.received += 1;
                    self.command.event(event, &mut self.world, &mut self.out)?;
                }
            }
            if self.out.len() >= CHUNK {
                return Ok(true);
            }
        }
        Ok(true)
    }

    fn report(&mut self) -> Result<()> {
        let interval = Interval {
            end_ns: monotonic_ns(),
            length: self.interval_began.elapsed(),
            repeated: self.setup.timing.interval().is_some(),
        };
        self.interval_began = Instant::now();
        self.command.report(interval, &mut self.tracer, &mut self.world, &mut self.out)
    }

    /// The last line of JSON, or what was lost below a table.
    fn summary(&mut self) -> Result<Losses> {
        let losses = self.tracer.losses()?;
        let events = losses.seen - losses.events;
        if self.world.form.json {
            let line = SummaryLine {
                kind: "summary",
                command: self.setup.command,
                mechanism: &self.tracer.mechanism.to_string(),
                duration_ns: u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX),
                events,
                lost: losses.events,
                unmatched: losses.unmatched,
                paths_cut: losses.cut,
                names_lost: losses.paths + losses.processes,
                maps_full: losses.maps_full,
                other_files: losses.other_files,
                skipped: losses.skipped,
            };
            append(&mut self.out, &line)?;
        } else {
            self.out.extend_from_slice(footer(&losses).as_bytes());
        }
        Ok(losses)
    }

    /// Hands what was collected to the writer.
    async fn hand_over(&mut self) -> Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.sink.room().await?;
        let next = self.sink.buffer();
        let full = std::mem::replace(&mut self.out, next);
        Ok(self.sink.send(full).await?)
    }

    /// The same, unless a signal comes: it ends the program though the writer is stuck in a pipe that nobody reads. Meanwhile the
    /// kernel counts what does not fit into the ring buffer.
    async fn hand_over_unless(&mut self, signals: &mut Signals) -> Result<()> {
        tokio::select! {
            handed = self.hand_over() => handed,
            () = signals.any() => Ok(()),
        }
    }
}

/// Children that processes made before the probes were attached. A child made while /proc is read is found in the next round, or was
/// seen by the kernel side.
fn follow_families(tracer: &mut Tracer, filters: &Filters) -> Result<()> {
    let mut known = filters.pid.clone();
    loop {
        let found: Vec<u32> = filters.families().into_iter().filter(|pid| !known.contains(pid)).collect();
        if found.is_empty() {
            return Ok(());
        }
        for pid in &found {
            tracer.follow(*pid)?;
        }
        known.extend(found);
    }
}

/// What was lost, in words; empty when nothing was.
fn footer(losses: &Losses) -> String {
    let lines = [
        (losses.events, "events did not fit into the ring buffer and are missing: try a larger --buffer"),
        (losses.paths + losses.processes, "names did not fit into the ring buffer: shown as ?"),
        (losses.unmatched, "operations ended whose begin was not seen, and are not counted"),
        (losses.maps_full, "threads, requests or disks found no room in the kernel's maps, and are not counted"),
        (losses.other_files, "operations found no row of their own: they are under (other files)"),
        (losses.skipped, "runs of a kernel program were skipped, because it interrupted itself"),
        (losses.cut, "paths were too long, and are cut at their front"),
    ];
    lines.iter().filter(|(count, _)| *count > 0).map(|(count, text)| format!("lost: {count} {text}\n")).collect()
}

/// Now, nanoseconds of CLOCK_MONOTONIC.
fn monotonic_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
        u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0)
    })
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => pending().await,
    }
}

async fn next(table: &mut Option<tokio::time::Interval>) {
    match table {
        Some(table) => {
            table.tick().await;
        }
        None => pending().await,
    }
}

async fn ended(program: &mut Option<Program>) -> Result<ExitStatus> {
    match program {
        Some(program) => program.ended().await,
        None => pending().await,
    }
}

/// SIGINT, SIGTERM and SIGHUP.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// Whether one came.
    came: bool,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            came: false,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
        self.came = true;
    }
}
