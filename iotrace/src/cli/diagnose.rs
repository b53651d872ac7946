//! `iotrace diagnose`: what is wrong, in order of what it costs.

use crate::{
    cli::{
        Exit, Misused,
        command::{Command, Interval, Setup, World},
        host::locate,
        life::{named, opened},
        lines::{selected, timestamp, truncate_place},
        options::{Common, Timing},
        run::run,
        summary,
        tables::{keep_names, look},
        wait,
    },
    event::Event,
    findings::{Facts, Pressure, RULES, Severity, all, nothing},
    kernel::{
        calls::FileOps,
        losses::Losses,
        plan::{Grouping, Plan},
        tracer::{REGULAR, Tracer},
    },
    resolve::{Waited, waited_for_io},
    view::{
        life::{self, Lives},
        opens::Opens,
        top::{By, Delta, Differences, Sort, rows},
        truncates::Truncates,
    },
};
use anyhow::Result;
use iotrace_common::{errno::tells_of_the_disk, write_sizes::WriteSizes};
use std::{collections::HashMap, io::Write, time::Duration};

mod blocks;
mod copy_ups;
mod failures;
mod growth;
mod held;
mod json;
mod text;
mod waits;

use blocks::Blocks;
use copy_ups::CopyUps;
use failures::Failures;
use growth::Sizing;
use held::Holders;
use json::finding_line;
use text::text;
use waits::Waiting;

/// How long it watches when nobody says.
const DURATION: Duration = Duration::from_secs(10);
/// What is wrong with this host's I/O, in order of what it costs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace diagnose                        watch for 10 seconds, then say what is wrong
  iotrace diagnose -- ./job.sh            watch a program and its children
  iotrace diagnose --container web        only one container
  iotrace diagnose --explain runaway-log  what a finding means, and what to do")]
pub struct Args {
    /// Stop tracing after this time
    #[arg(short, long, value_name = "TIME", value_parser = crate::parse::duration, help_heading = "Timing")]
    duration: Option<Duration>,
    /// Only findings at least so bad
    #[arg(long, value_enum, default_value = "info")]
    severity: Severity,
    /// Exit with 10 when something was found and PROGRAM, if there is one, succeeded
    #[arg(long)]
    exit_code: bool,
    /// Explain a finding, and trace nothing
    #[arg(long, value_name = "RULE")]
    explain: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Args {
    /// Traces and prints.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub fn run(self) -> Result<Exit> {
        if let Some(name) = &self.explain {
            return explain(name);
        }
        let timing = Timing::stream(self.duration);
        let filters = &self.common.filters;
        let mut diagnose = Diagnose {
            severity: self.severity,
            differences: Differences::default(),
            truncates: Truncates::default(),
            sizing: Sizing::default(),
            blocks: Blocks::new(filters)?,
            failures: Failures::default(),
            lives: (!filters.by_result()).then(|| Lives::new(life::By::default(), filters.selection())),
            opens: Opens::default(),
            copy_ups: CopyUps::default(),
            waiting: Waiting::new(filters.shortest_ns()),
            // Before the others give up what it needs.
            holders: Holders::start(),
            waited: None,
            filtered: filters.by_operation() || filters.device()?.is_some() || !self.common.program.program.is_empty(),
            found: false,
        };
        // Where filters hide opens, those are left that fail because of the disk.
        let all_opens = diagnose.lives.is_some();
        let files = if all_opens { FileOps::ALL } else { FileOps { open: true, ..FileOps::FILES } };
        let setup = Setup {
            command: "diagnose",
            stream: false,
            everyone: false,
            host_paths: true,
            plan: Plan {
                files: FileOps { copy_up: true, ..files },
                copy_ups: true,
                stream_copy_ups: true,
                failed_opens: !all_opens,
                sum: true,
                lives: all_opens,
                errnos: true,
                write_sizes: true,
                // Waits do not fail.
                waits: !filters.by_failure(),
                wait_kinds: wait::kinds(false),
                kinds: REGULAR,
                stream_block: true,
                histogram: Some(Grouping::Operation),
                ..Plan::default()
            },
            timing: &timing,
            common: &self.common,
        };
        let exit = run(setup, &mut diagnose)?;
        let asked = self.exit_code && diagnose.found && matches!(exit, Exit::Done | Exit::Program(0));
        Ok(if asked { Exit::Found } else { exit })
    }
}

/// Prints a rule's page.
fn explain(name: &str) -> Result<Exit> {
    let rule = RULES.iter().find(|rule| rule.name == name).ok_or_else(|| {
        let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        Misused(format!("no rule is named {name}: there are {}", names.join(", ")))
    })?;
    // A closed pipe does not matter.
    let _ = std::io::stdout().write_all(rule.page.as_bytes());
    Ok(Exit::Done)
}

struct Diagnose {
    severity: Severity,
    differences: Differences,
    truncates: Truncates,
    sizing: Sizing,
    blocks: Blocks,
    failures: Failures,
    /// Files that come and go; `None` where filters hide parts of their lives.
    lives: Option<Lives>,
    opens: Opens,
    copy_ups: CopyUps,
    waiting: Waiting,
    holders: Option<Holders>,
    /// What had been waited for I/O when tracing began.
    waited: Option<Waited>,
    /// Filters leave something out.
    filtered: bool,
    found: bool,
}

impl Diagnose {
    fn facts(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World) -> Result<Facts> {
        self.sizing.measure(tracer, world)?;
        let Some(sums) = &mut tracer.sums else { return Ok(Facts::default()) };
        let (mut look, mut other) = look(&mut self.differences, sums, world, false)?;
        if let Some(more) = self.truncates.take(&mut look).filter(|_| world.selection.is_empty()) {
            other.get_or_insert_default().add(&more);
        }
        let failed: Vec<_> = look.calls.iter().filter(|delta| delta.counters.errors > 0).cloned().collect();
        let write_sizes = write_sizes(&look.calls, tracer)?;
        let mut rows = rows(&look, other, By::ProcessFile, Sort::Time);
        // What found no room is of many files and processes: it proves nothing of any.
        rows.retain(|row| !row.is_rest());
        rows.iter_mut().for_each(|row| locate(row, &mut world.names));
        let pressure = self.waited.zip(waited_for_io()).map(|(before, now)| Pressure {
            some: now.some.saturating_sub(before.some),
            full: now.full.saturating_sub(before.full),
        });
        let growth = self.sizing.growth();
        let mut facts = Facts { length: interval.length, rows, growth, write_sizes, pressure, ..Facts::default() };
        facts.opens = self.opens.take();
        let others = self.opens.others;
        facts.unseen.extend((others > 0).then(|| format!("how often files were opened, of {others} opens")));
        if let (Some(sums), Some(lives)) = (&tracer.sums, &mut self.lives) {
            lives.moved_bytes(sums.iter());
            facts.lives = lives.rows(None);
        }
        facts.failures = self.failures.report(&failed, &facts.rows, tracer, world)?;
        self.blocks.report(&mut facts, interval.end_ns, tracer, world)?;
        self.copy_ups.report(&mut facts, world);
        self.waiting.report(&mut facts, interval.end_ns, tracer, world)?;
        if let Some(holders) = &self.holders {
            holders.report(&mut facts);
        }
        let missing = tracer.unseen.iter();
        facts.unseen.extend(missing.map(|subject| format!("{subject}: `iotrace doctor` says why")));
        facts.unseen.extend(unseen(&tracer.losses()?, self.filtered, pressure.is_none()));
        Ok(facts)
    }
}

/// Writes of processes to files by their size.
fn write_sizes(deltas: &[Delta], tracer: &Tracer) -> Result<HashMap<(u32, u32, u64), WriteSizes>> {
    let mut found = HashMap::<_, WriteSizes>::new();
    let Some(sizes) = &tracer.write_sizes else { return Ok(found) };
    for delta in deltas.iter().filter(|delta| delta.counters.writes > 0) {
        let Some((dev, ino)) = delta.inode else { continue };
        found.entry((delta.pid, dev, ino)).or_default().add(&sizes.of(delta.slot)?);
    }
    Ok(found)
}

/// What could not be seen, in words.
fn unseen(losses: &Losses, filtered: bool, no_pressure: bool) -> Vec<String> {
    let lost = summary::footer(losses);
    let mut unseen: Vec<String> = lost.lines().map(|line| line.trim_start_matches("lost: ").to_owned()).collect();
    if filtered {
        unseen.push("what the filters leave out".into());
    }
    if no_pressure {
        unseen.push("pressure: this kernel has no /proc/pressure/io".into());
    }
    unseen
}

impl Command for Diagnose {
    fn keep_names(&mut self, tracer: &mut Tracer, world: &mut World) {
        keep_names(&mut self.differences, tracer, world);
    }

    fn duration(&self) -> Duration {
        DURATION
    }

    fn begin(&mut self, _world: &mut World, _out: &mut Vec<u8>) {
        self.blocks.begin();
        self.waited = waited_for_io();
    }

    fn sample(&mut self, tracer: &mut Tracer, world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        self.waiting.sample(tracer, world)?;
        if let (Some(sums), Some(lives)) = (&tracer.sums, &mut self.lives) {
            lives.limit(tracer.shares.of_lives());
            lives.moved_bytes(sums.iter());
        }
        self.sizing.measure(tracer, world)
    }

    fn event(&mut self, event: Event, world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        match event {
            Event::Block(block) => self.blocks.add(&block, world),
            Event::Open(open) => {
                self.opens.add(&open);
                if let Some(lives) = &mut self.lives {
                    opened(lives, &open, world);
                }
                if open.result.is_err_and(|errno| tells_of_the_disk(errno.unsigned_abs().into())) {
                    self.failures.open(&open, world);
                }
            }
            Event::CopyUp(copy_up) => self.copy_ups.add(copy_up, world),
            Event::Naming(naming) => {
                if let Some(lives) = &mut self.lives {
                    named(lives, &naming, world);
                }
            }
            Event::Truncate(truncate) => {
                let (path, base) = truncate_place(&truncate, world);
                if let Some(process) = selected(world, &truncate.task, path.as_deref()) {
                    self.truncates.add(&truncate, path, base.as_deref(), process);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn report(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let facts = self.facts(interval, tracer, world)?;
        let mut findings = all(&facts);
        // That nothing is wrong is said in any case.
        findings.retain(|finding| finding.severity >= self.severity || finding.is_nothing());
        if findings.is_empty() {
            findings.push(nothing(&facts));
        }
        self.found = findings.iter().any(|finding| !finding.is_nothing());
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            let mut ranked = findings.iter().zip(1..);
            let wall_ns = u64::try_from(interval.length.as_nanos()).unwrap_or(u64::MAX);
            return ranked.try_for_each(|(finding, rank)| finding_line(finding, rank, &ts, wall_ns, world, out));
        }
        out.extend_from_slice(text(&findings, &world.form).as_bytes());
        Ok(())
    }
}

#[cfg(test)]
#[path = "diagnose_tests.rs"]
mod tests;
