//! `iotrace diagnose`: what is wrong, in order of what it costs.

use crate::{
    cli::{
        Exit, Misused,
        command::{Command, Interval, Setup, World},
        form::Form,
        host::locate,
        lines::{finding_line, timestamp},
        options::{Common, Timing},
        run::run,
        tables::{keep_names, look},
    },
    event::Event,
    findings::{Facts, Finding, Growth, RULES, Severity, all},
    kernel::{
        calls::FileOps,
        plan::Plan,
        tracer::{REGULAR, Tracer},
    },
    view::top::{By, Differences, Sort, rows},
};
use anyhow::Result;
use std::{
    collections::{HashMap, hash_map::Entry},
    io::Write,
    time::{Duration, Instant},
};
use textwrap::{Options, WordSplitter, fill};

/// How long it watches when nobody says.
const DURATION: Duration = Duration::from_secs(10);
/// Files that move fewer bytes in a second are not measured again each second.
const BUSY_BYTES: u64 = 64 << 10;
/// Columns of text, where the terminal does not have fewer.
const WIDTH: usize = 80;
/// What belongs to a finding stands under its headline.
const INDENT: &str = "   ";
/// Most files that are measured.
const MEASURED_MAX: usize = 4096;

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
        let mut diagnose = Diagnose {
            severity: self.severity,
            differences: Differences::default(),
            recent: Differences::default(),
            growth: HashMap::new(),
            found: false,
        };
        let setup = Setup {
            command: "diagnose",
            stream: false,
            everyone: false,
            host_paths: true,
            plan: Plan { files: FileOps { open: false, ..FileOps::ALL }, sum: true, kinds: REGULAR, ..Plan::default() },
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

/// A file's size, and when it was seen.
#[derive(Clone, Copy)]
struct Sizes {
    first: (u64, Instant),
    last: (u64, Instant),
    steps: u32,
}

impl Sizes {
    fn add(&mut self, size: (u64, Instant)) {
        self.steps += u32::from(size.0 > self.last.0);
        self.last = size;
    }

    fn growth(&self) -> Growth {
        let between = self.last.1.saturating_duration_since(self.first.1);
        Growth { first: self.first.0, last: self.last.0, between, steps: self.steps }
    }
}

struct Diagnose {
    severity: Severity,
    differences: Differences,
    /// The same sums, looked at each second.
    recent: Differences,
    growth: HashMap<(u32, u64), Sizes>,
    found: bool,
}

impl Diagnose {
    /// Measures the files that were busy since the last look.
    fn measure(&mut self, tracer: &mut Tracer, world: &mut World) -> Result<()> {
        let Some(sums) = &mut tracer.sums else { return Ok(()) };
        let (look, _) = look(&mut self.recent, sums, world, false)?;
        for delta in look.calls.iter().filter(|delta| delta.counters.bytes() >= BUSY_BYTES) {
            let (Some(inode), Some(file), Some(process)) = (delta.inode, &delta.file, &delta.process) else { continue };
            let host = world.names.host_path(file, process, delta.counters.writes != 0);
            let Some(size) = host.and_then(|host| host.size) else { continue };
            let full = self.growth.len() >= MEASURED_MAX;
            match self.growth.entry(inode) {
                Entry::Occupied(mut known) => known.get_mut().add(size),
                Entry::Vacant(new) if !full => {
                    new.insert(Sizes { first: size, last: size, steps: 0 });
                }
                Entry::Vacant(_) => {}
            }
        }
        Ok(())
    }

    fn facts(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World) -> Result<Facts> {
        self.measure(tracer, world)?;
        let Some(sums) = &mut tracer.sums else { return Ok(Facts::default()) };
        let (look, other) = look(&mut self.differences, sums, world, false)?;
        let mut rows = rows(&look, other, By::ProcessFile, Sort::Time);
        rows.iter_mut().for_each(|row| locate(row, &mut world.names));
        let growth = self.growth.iter().map(|(inode, sizes)| (*inode, sizes.growth()));
        Ok(Facts { length: interval.length, rows, growth: growth.collect() })
    }
}

impl Command for Diagnose {
    fn keep_names(&mut self, tracer: &mut Tracer, world: &mut World) {
        keep_names(&mut self.differences, tracer, world);
    }

    fn duration(&self) -> Duration {
        DURATION
    }

    fn sample(&mut self, tracer: &mut Tracer, world: &mut World) -> Result<()> {
        self.measure(tracer, world)
    }

    fn event(&mut self, _event: Event, _world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn report(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let facts = self.facts(interval, tracer, world)?;
        let mut findings = all(&facts);
        findings.retain(|finding| finding.severity >= self.severity);
        self.found = !findings.is_empty();
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            return findings.iter().zip(1..).try_for_each(|(finding, rank)| finding_line(finding, rank, &ts, out));
        }
        out.extend_from_slice(text(&findings, &facts, &world.form).as_bytes());
        Ok(())
    }
}

/// Findings for people.
fn text(findings: &[Finding], facts: &Facts, form: &Form) -> String {
    let width = form.width.unwrap_or(WIDTH).min(WIDTH);
    // Names are not cut: a path goes on a line of its own.
    let wrapped = |text: &str, first: &str| {
        let options = Options::new(width)
            .initial_indent(first)
            .subsequent_indent(INDENT)
            .break_words(false)
            .word_splitter(WordSplitter::NoHyphenation);
        fill(text, options) + "\n"
    };
    let mut text = String::new();
    for (finding, rank) in findings.iter().zip(1..) {
        let head = wrapped(&format!("{}: {}", finding.severity.name(), finding.headline), &format!("{rank}. "));
        text += &head.lines().map(|line| form.header(&format!("{line}\n"))).collect::<String>();
        text += &finding.evidence.iter().map(|line| wrapped(line, INDENT)).collect::<String>();
        text += &wrapped(&format!("-> {} (--explain {})", finding.advice, finding.rule), INDENT);
        text.push('\n');
    }
    if findings.is_empty() {
        let seconds = facts.length.as_secs_f64();
        text += &format!("nothing wrong found in {seconds:.0} s: {} pairs of process and file\n", facts.rows.len());
    }
    text
}

#[cfg(test)]
#[path = "diagnose_tests.rs"]
mod tests;
