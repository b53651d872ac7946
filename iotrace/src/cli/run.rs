//! The loop of every tracing command: records in, lines out, until time, count, PROGRAM, a signal or the reader ends it.

use crate::{
    cli::{
        Exit,
        block::disk_cell,
        command::{Command, Interval, Setup, World},
        form::Form,
        io_lines::Rendered,
        options::Filters,
        program::Program,
        progress::Progress,
        signals::Signals,
        summary,
    },
    event::{Event, block::Parts, decode, open::Created},
    kernel::{
        access, doctor,
        intake::{Intake, Records},
        losses::Losses,
        requests::InFlight,
        tracer::{Tracer, monotonic_ns},
        waits::Waits,
    },
    output::{
        Clock, Flow, Sink, SinkError,
        json::{InFlightLine, append},
    },
    resolve::{Meanwhile, names::Names, pipeline},
};
use anyhow::{Context, Result, bail};
use std::{
    future::pending,
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{MissedTickBehavior, interval_at, sleep_until},
};

/// How often a command may look at what has come so far.
const SAMPLE: Duration = Duration::from_secs(1);
/// Records that are handled before time and signals are looked at again.
const BATCH: usize = 8192;
/// Bytes of output that are collected before they are handed to the writer.
const CHUNK: usize = 64 << 10;
/// How often what is collected is handed over, and the clock is read.
const BEAT: Duration = Duration::from_millis(50);
/// After a signal: how long PROGRAM may take to end, and how long the reader of the output may take nothing.
const GRACE: Duration = Duration::from_secs(1);

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
    /// Shares of block requests that have not completed.
    parts: Parts,
    tracer: Tracer,
    intake: Arc<Mutex<Intake>>,
    /// What was taken in last.
    records: Records,
    /// Says when there is more.
    ready: AsyncFd<Watched>,
    sink: Sink,
    out: Vec<u8>,
    began: Instant,
    interval_began_ns: u64,
    /// As many tables as were asked for have been printed.
    counted: bool,
    /// How much time is left, on a terminal.
    progress: Progress,
}

/// The descriptor by which the kernel side says that there are records, and its owner.
struct Watched {
    fd: RawFd,
    _intake: Arc<Mutex<Intake>>,
}

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}

impl<'a> Session<'a> {
    async fn run(mut setup: Setup<'a>, command: &'a mut dyn Command) -> Result<Exit> {
        // All that can be wrong is found out before anything is attached.
        access::check()?;
        let mut filters = setup.common.filters.kernel()?;
        filters.block_ops = setup.plan.filters.block_ops.take();
        setup.common.tracing.apply(&mut setup.plan)?;
        let mut signals = Signals::new()?;
        let mut sink = setup.common.output.sink()?;
        let mut program = Program::hold(&setup.common.program.program, setup.common.output.output.is_some())?;
        if let Some(program) = program.as_ref().filter(|_| !setup.everyone && !setup.common.filters.by_task()) {
            filters.pids = Some(vec![program.pid]);
            filters.follow = true;
        }
        // What prints iotrace's output would otherwise be seen printing it, and so on without end.
        if filters.pids.is_none() && setup.common.output.output.is_none() {
            filters.ignored = pipeline(io::stdout().as_fd());
        }
        setup.plan.filters = filters;
        // Tables have the path, which the file itself tells.
        setup.plan.open_names = setup.common.output.json;
        let explain = |error| doctor::cause(setup.plan.mechanism).unwrap_or(error);
        let (mut tracer, intake) = Tracer::start(&setup.plan).map_err(explain)?;
        follow_families(&mut tracer, &setup.common.filters)?;
        // PROGRAM is a process of its own by now, and keeps what the user has.
        access::restrict(setup.plan.waits, || tracer.losses().is_ok())?;
        let mut names = Names::limited(tracer.shares.limits());
        names.watch();
        tracer.waits.iter_mut().flat_map(Waits::take_files).for_each(|file| names.add_file(file));
        names.wants_host_paths = setup.common.output.json || setup.host_paths;
        let world = World {
            names,
            clock: Clock::now(),
            devices: setup.plan.filters.disks.clone(),
            selection: setup.common.filters.selection(),
            block: tracer.block.clone(),
            endings: tracer.endings.clone(),
            created: Created::default(),
            form: Form::new(&setup.common.output),
            folded: 0,
            asked: Vec::new(),
            rendered: Rendered::default(),
        };
        if !setup.common.output.quiet {
            eprintln!("iotrace: tracing with {}; ctrl-c to stop", tracer.mechanism);
        }
        let fd = intake.as_fd().as_raw_fd();
        let intake = Arc::new(Mutex::new(intake));
        // SAFETY: the descriptor stays open and the same as long as the intake, which this holds.
        let ready =
            unsafe { AsyncFd::register_with_interest(Watched { fd, _intake: intake.clone() }, Interest::READABLE) };
        let ready = ready.context("watching the ring buffer")?;
        let meanwhile = intake.clone();
        world.names.meanwhile(Meanwhile::new(move || lock(&meanwhile).keep()));
        let out = sink.buffer();
        // From when on the kernel side counts.
        let interval_began_ns = tracer.began_ns;
        let before = Duration::from_nanos(monotonic_ns().saturating_sub(interval_began_ns));
        let began = Instant::now().checked_sub(before).unwrap_or_else(Instant::now);
        let mut session = Session {
            setup,
            command,
            world,
            parts: Parts::default(),
            tracer,
            intake,
            records: Records::default(),
            ready,
            sink,
            out,
            began,
            interval_began_ns,
            counted: false,
            progress: Progress::default(),
        };
        let result = session.trace_and_report(&mut program, &mut signals).await;
        match result {
            Ok((_, losses)) if session.setup.common.output.strict && losses.any() => Ok(Exit::Lost),
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
        self.progress.clear();
        if signals.came {
            // The terminal has written ^C where the table would begin.
            self.world.form.new_line();
        }
        self.tracer.detach();
        // A pipe that nobody reads does not keep iotrace from ending on a signal; one that is read slowly gets everything.
        let (flow, came) = (self.sink.flow(), signals.came);
        let losses = tokio::select! {
            losses = self.finish() => losses?,
            () = standstill(&flow), if came => bail!("nobody reads the output: its end is missing"),
            () = signals.any() => bail!("interrupted: the end of the output is missing"),
        };
        Ok((status, losses))
    }

    /// Everything that is left to be told, until it is written.
    async fn finish(&mut self) -> Result<Losses> {
        while self.drain()? {
            self.hand_over().await?;
        }
        self.tracer.flush_log();
        // After the last of a count of tables nothing is left to print.
        if !self.counted {
            self.report()?;
        }
        self.command.end(&mut self.world, &mut self.out);
        let losses = self.summary()?;
        self.hand_over().await?;
        std::mem::replace(&mut self.sink, Sink::nowhere()).finish().await?;
        Ok(losses)
    }

    /// Until something ends it; the status when that was PROGRAM.
    async fn trace(&mut self, program: &mut Option<Program>, signals: &mut Signals) -> Result<Option<ExitStatus>> {
        let timing = self.setup.timing;
        let default = !self.setup.stream && timing.interval().is_none() && program.is_none();
        let deadline = timing.duration.or(default.then(|| self.command.duration())).map(|length| self.began + length);
        self.progress = Progress::new(deadline.filter(|_| default && !self.setup.common.output.quiet));
        let mut remaining = timing.count();
        let mut beat = interval_at((self.began + BEAT).into(), BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut sample = interval_at((self.began + SAMPLE).into(), SAMPLE);
        sample.set_missed_tick_behavior(MissedTickBehavior::Skip);
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
                    self.drain_all(signals).await?;
                    self.report()?;
                    self.hand_over_unless(signals).await?;
                    remaining = remaining.map(|remaining| remaining - 1);
                    if remaining == Some(0) {
                        self.counted = true;
                        return Ok(None);
                    }
                }
                _ = sample.tick(), if every.is_none() => {
                    self.world.names.look_at_the_clock();
                    self.command.sample(&mut self.tracer, &mut self.world, &mut self.out)?;
                }
                _ = beat.tick() => {
                    self.world.clock.resample();
                    self.progress.show();
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
                ready = self.ready.readable(), if !more => {
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
    async fn drain_all(&mut self, signals: &mut Signals) -> Result<()> {
        let deadline = Instant::now() + BEAT;
        while self.drain()? {
            if self.out.len() >= CHUNK {
                self.hand_over_unless(signals).await?;
            }
            if signals.came || Instant::now() > deadline {
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
        self.world.names.look_at_the_clock();
        for _ in 0..BATCH {
            let Some(record) = self.records.next() else {
                lock(&self.intake).take(&mut self.records);
                if self.records.is_empty() {
                    return Ok(false);
                }
                continue;
            };
            match decode(record).context("the kernel side sent a record that makes no sense")? {
                Event::File(file) => {
                    if self.world.names.is_full_for(&file) {
                        self.command.keep_names(&mut self.tracer, &mut self.world);
                    }
                    self.world.names.add_file(file);
                }
                Event::Process(process) => self.world.names.add_process(process),
                Event::BlockPart(part) => self.parts.add(part),
                Event::Block(mut block) => {
                    self.parts.complete(&mut block);
                    self.command.event(Event::Block(block), &mut self.world, &mut self.out)?;
                }
                event => self.command.event(event, &mut self.world, &mut self.out)?,
            }
            if self.out.len() >= CHUNK {
                return Ok(true);
            }
        }
        Ok(true)
    }

    fn report(&mut self) -> Result<()> {
        // The last one ends when tracing does, however long what came by then takes.
        let end_ns = self.tracer.stopped_ns.unwrap_or_else(monotonic_ns);
        let interval = Interval {
            end_ns,
            length: Duration::from_nanos(end_ns.saturating_sub(self.interval_began_ns)),
            repeated: self.setup.timing.interval().is_some(),
        };
        self.interval_began_ns = end_ns;
        self.world.names.look_at_the_clock();
        self.command.report(interval, &mut self.tracer, &mut self.world, &mut self.out)
    }

    /// The last line of JSON, or what was lost below a table.
    fn summary(&mut self) -> Result<Losses> {
        let mut losses = self.tracer.losses()?;
        losses.other_files += self.world.folded;
        let in_flight = self.in_flight()?;
        if self.world.form.json {
            let mechanism = self.tracer.mechanism.to_string();
            append(
                &mut self.out,
                &summary::line(self.setup.command, &mechanism, self.began.elapsed(), &losses, in_flight),
            )?;
        } else {
            self.out.extend_from_slice(summary::hanging(in_flight.as_deref().unwrap_or_default()).as_bytes());
            self.out.extend_from_slice(summary::footer(&losses).as_bytes());
        }
        Ok(losses)
    }

    /// Requests that have not ended, by disk; `None` when none are followed.
    fn in_flight(&mut self) -> Result<Option<Vec<InFlightLine>>> {
        let Some(requests) = &self.tracer.requests else { return Ok(None) };
        let found = requests.in_flight(self.tracer.stopped_ns.unwrap_or_else(monotonic_ns))?.into_iter();
        let line = |(disk, InFlight { requests, oldest_ns, .. })| InFlightLine {
            disk: disk_cell(disk, &mut self.world),
            requests,
            oldest_ns,
        };
        Ok(Some(found.map(line).collect()))
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

/// Until nothing was written for a while of what waits to be. That there is nothing to write yet, as it is being computed, is none.
async fn standstill(flow: &Flow) {
    let mut before = flow.behind();
    loop {
        tokio::time::sleep(GRACE).await;
        let now = flow.behind();
        if now.is_some() && now == before {
            return;
        }
        before = now;
    }
}

fn lock(intake: &Mutex<Intake>) -> MutexGuard<'_, Intake> {
    intake.lock().unwrap_or_else(PoisonError::into_inner)
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
