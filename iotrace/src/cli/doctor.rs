//! `iotrace doctor`: what this kernel and this user allow.

use crate::{
    cli::{Exit, form::Form, options::Output},
    kernel::{
        doctor::{Attempt, Check, Report, State, examine, report::cost},
        mechanism::Mechanism,
    },
    output::{errno_name, escape, json},
};
use anyhow::{Context, Result};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;
use std::{
    borrow::Cow,
    io::{self, ErrorKind, Write},
};

/// Columns of the output where no terminal says how many it has.
const WIDTH: usize = 80;
/// Lines longer than this are hard to read.
const WIDEST: usize = 110;
/// Below this, the last column is a ladder of single words.
const NARROWEST: usize = 60;

/// What this kernel and this user allow, which mechanism is used, what is missing and why
///
/// Tries each mechanism by loading its programs and attaching them for a moment. Exits with 0 if `iotrace top` can run, else with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo iotrace doctor                  before the first trace on a host
  iotrace doctor                       what an ordinary user lacks
  sudo iotrace doctor --json | jq -c 'select(.state == \"refused\")'")]
pub struct Args {
    /// Write JSON lines
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Looks and prints.
    ///
    /// # Errors
    ///
    /// When the output cannot be written.
    pub fn run(self) -> Result<Exit> {
        let report = examine();
        let form = Form::new(&Output { json: self.json, ..Output::default() });
        let text = if self.json { lines(&report)? } else { page(&report, &form).into_bytes() };
        match io::stdout().write_all(&text) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Exit::Done),
            written => written.context("cannot write stdout")?,
        }
        Ok(if report.ok { Exit::Done } else { Exit::Failed })
    }
}

/// Something that was looked at.
#[derive(Debug, Serialize)]
struct CheckLine<'a> {
    /// `doctor`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What was looked at.
    check: &'a str,
    /// `ok`, `missing`, `refused` or `unknown`.
    state: String,
    /// Whether tracing is impossible without it.
    needed: bool,
    /// What was found, and what it means.
    detail: &'a str,
    /// What to do about it.
    advice: Option<&'a str>,
}

/// A mechanism tried for a subject.
#[derive(Debug, Serialize)]
struct MechanismLine<'a> {
    /// `doctor`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// `fentry`, `kprobe` or `tracepoint`.
    mechanism: String,
    /// What would be traced.
    subject: String,
    /// `ok`, `missing`, `refused` or `unknown`.
    state: String,
    /// Whether iotrace uses it for this.
    used: bool,
    /// Name of the kernel's error.
    errno: Option<Cow<'static, str>>,
    /// What was found, and what it means.
    detail: &'a str,
    /// What to do about it.
    advice: Option<&'a str>,
}

/// The last line.
#[derive(Debug, Serialize)]
struct SummaryLine<'a> {
    /// `summary`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// `doctor`.
    command: &'static str,
    /// Whether `iotrace top` can run.
    ok: bool,
    /// The mechanism for files; `null` where none works.
    mechanism: Option<String>,
    /// Why tracing is impossible, or what else is.
    problems: &'a [String],
    /// What to do about that.
    advice: &'a [String],
    /// What is not seen here.
    unseen: &'a [&'static str],
}

/// The report as JSON lines.
fn lines(report: &Report) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for Check { name, state, needed, detail, advice } in &report.checks {
        let (state, advice) = (state.to_string(), advice.as_deref());
        json::append(&mut out, &CheckLine { kind: "doctor", check: name, state, needed: *needed, detail, advice })?;
    }
    for attempt in &report.attempts {
        let line = MechanismLine {
            kind: "doctor",
            mechanism: attempt.mechanism.to_string(),
            subject: attempt.subject.to_string(),
            state: attempt.state.to_string(),
            used: attempt.used,
            errno: name(attempt),
            detail: &attempt.detail,
            advice: attempt.advice.as_deref(),
        };
        json::append(&mut out, &line)?;
    }
    let mechanism = report.mechanism().map(|mechanism| mechanism.to_string());
    let Report { ok, problems, advice, .. } = report;
    let unseen = &report.unseen();
    json::append(
        &mut out,
        &SummaryLine { kind: "summary", command: "doctor", ok: *ok, mechanism, problems, advice, unseen },
    )?;
    Ok(out)
}

fn name(attempt: &Attempt) -> Option<Cow<'static, str>> {
    attempt.errno.map(|errno| errno_name(errno.unsigned_abs()))
}

/// The report for people: three tables, the last column wrapped.
fn page(report: &Report, form: &Form) -> String {
    let width = form.width.unwrap_or(WIDTH).clamp(NARROWEST, WIDEST);
    // Advice that the last table gives need not be given twice.
    let with_advice = |text: String, state: State, advice: &Option<String>| match advice {
        Some(advice) if state != State::Ok && !report.advice.contains(advice) => format!("{text}\nto do: {advice}"),
        _ => text,
    };
    let checks = report.checks.iter().map(|check| {
        let detail = with_advice(check.detail.clone(), check.state, &check.advice);
        [check.name.to_owned(), check.state.to_string(), detail]
    });
    let attempts = report.attempts.iter().map(|attempt| {
        let reason = name(attempt).map_or_else(String::new, |errno| format!("{errno}: ")) + &attempt.detail;
        let reason = with_advice(reason, attempt.state, &attempt.advice);
        [attempt.mechanism.to_string(), attempt.subject.to_string(), attempt.state.to_string(), reason]
    });
    let mut text = table(form, ["CHECK", "STATE", "FINDING"], checks, width);
    text.push('\n');
    text += &table(form, ["MECHANISM", "SUBJECT", "STATE", "REASON"], attempts, width);
    text.push('\n');
    text + &table(form, [if report.ok { "YES" } else { "NO" }, verdict(report)], conclusions(report), width)
}

fn verdict(report: &Report) -> &'static str {
    if report.ok { "iotrace can trace here" } else { "iotrace cannot trace here" }
}

/// What follows, each with a label.
fn conclusions(report: &Report) -> impl Iterator<Item = [String; 2]> {
    let mut rows: Vec<(&str, String)> = Vec::new();
    if let Some(for_files) = report.mechanism() {
        rows.extend(Mechanism::ALL.into_iter().filter_map(|mechanism| Some(("used", subjects(report, mechanism)?))));
        rows.extend(report.unseen().into_iter().map(|what| ("not seen", what.to_owned())));
        rows.push(("cost", cost(for_files).into()));
    }
    rows.extend(report.problems.iter().map(|problem| ("problem", problem.clone())));
    rows.extend(report.advice.iter().map(|advice| ("to do", advice.clone())));
    // A label stands once above what it is for.
    let mut last = "";
    rows.into_iter().map(move |(label, text)| {
        let shown = if label == last { "" } else { label };
        last = label;
        [shown.to_owned(), text]
    })
}

/// What a mechanism is used for.
fn subjects(report: &Report, mechanism: Mechanism) -> Option<String> {
    let used = report.attempts.iter().filter(|attempt| attempt.used && attempt.mechanism == mechanism);
    let subjects: Vec<String> = used.map(|attempt| attempt.subject.to_string()).collect();
    (!subjects.is_empty()).then(|| format!("{mechanism}, for {}", subjects.join(", ")))
}

/// A table whose last column is wrapped at the width.
fn table<const N: usize>(
    form: &Form,
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    width: usize,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    // One column more: the padding behind the last is not shown.
    table.set_width(u16::try_from(width + 1).unwrap_or(u16::MAX)).set_header(header);
    for row in rows {
        table.add_row(
            row.iter().map(|cell| cell.split('\n').map(|line| escape(line.as_bytes())).collect::<Vec<_>>().join("\n")),
        );
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index + 1 < N {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let text = table.trim_fmt() + "\n";
    match text.split_once('\n') {
        Some((header, rows)) => form.header(&format!("{header}\n")) + rows,
        None => text,
    }
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
