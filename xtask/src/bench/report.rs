//! The figures as tables for the terminal, and as a document.

use super::cost::Cost;
use super::host::Host;
use super::load::Operation;
use super::markdown::table;
use super::memory::{FILES, Use};
use super::speed::Speeds;
use super::startup::Startup;
use super::stats::Spread;

/// Goal for the start, milliseconds.
const START_GOAL_MS: f64 = 150.0;
/// Goal for resident memory, MiB.
const MEMORY_GOAL_MIB: f64 = 48.0;

/// All that was measured.
pub(crate) struct Figures {
    /// Where.
    pub(crate) host: Host,
    /// Load average before and after.
    pub(crate) load: (f64, f64),
    /// Whether `--quick` was given.
    pub(crate) quick: bool,
    /// What iotrace traced with.
    pub(crate) mechanism: String,
    /// Cost of operations, the control first.
    pub(crate) costs: Vec<Cost>,
    /// Start-up.
    pub(crate) startups: Vec<Startup>,
    /// Memory.
    pub(crate) memory: Vec<Use>,
    /// CPU time and events.
    pub(crate) speeds: Speeds,
}

/// A part of the report.
struct Section {
    title: &'static str,
    /// What the columns mean; only in the document.
    text: String,
    tables: Vec<String>,
}

/// For the terminal.
pub(crate) fn tables(figures: &Figures) -> String {
    sections(figures).iter().map(|section| format!("\n{}\n\n{}", section.title, section.tables.join("\n"))).collect()
}

/// For the documentation.
pub(crate) fn document(figures: &Figures) -> String {
    let Host { kernel, cpu, cores, memory_gib, file_system, date } = &figures.host;
    let (load_before, load_after) = figures.load;
    let command = if figures.quick { "cargo xtask bench --quick" } else { "cargo xtask bench" };
    let mechanism = &figures.mechanism;
    let mut text = format!(
        "# What tracing costs

Written by `{command}` on {date}; to measure your own machine, run it there as root.
It replaces this file.

Linux {kernel} on {cores} cores of {cpu}, {memory_gib:.0} GiB, files on {file_system}, traced with: {mechanism}.
Load average {load_before:.1} before, {load_after:.1} after.

**Read the ratios.** This machine is shared with others, and nanoseconds here are not nanoseconds elsewhere. Figures of
one table were measured in turns within one run and can be compared with each other; figures of two runs cannot.
Each figure is a median, with the quartiles beside it: half of the rounds lie between them.
"
    );
    for section in sections(figures) {
        text += &format!("\n## {}\n\n{}\n\n{}", section.title, section.text, section.tables.join("\n"));
    }
    text
}

fn sections(figures: &Figures) -> [Section; 5] {
    [
        cost(&figures.costs),
        startup(&figures.startups),
        memory(&figures.memory),
        speed(&figures.speeds),
        lossless(&figures.speeds),
    ]
}

fn cost(costs: &[Cost]) -> Section {
    let name = |cost: &Cost| cost.command.map_or_else(|| "(nothing)".to_owned(), |command| code(command.name));
    let header: Vec<&str> = ["command"].into_iter().chain(Operation::ALL.map(Operation::name)).collect();
    let rows = |cells: fn(&Cost) -> [String; Operation::ALL.len()]| -> Vec<Vec<String>> {
        costs.iter().map(|cost| [name(cost)].into_iter().chain(cells(cost)).collect()).collect()
    };
    let ratio = rows(|cost| cost.ratio.map(|spread| spread_of(spread, |value| format!("{value:.2}"))));
    let mut added = rows(|cost| cost.added.map(|spread| spread_of(spread, |value| format!("{value:+.0}"))));
    if let Some(control) = costs.iter().find(|cost| cost.command.is_none()) {
        let untraced = control.untraced.map(|spread| spread_of(spread, |value| format!("{value:.0}")));
        added.insert(0, ["untraced".to_owned()].into_iter().chain(untraced).collect());
    }
    let rounds = |of: fn(&Cost) -> usize| {
        let (least, most) = (costs.iter().map(of).min().unwrap_or(0), costs.iter().map(of).max().unwrap_or(0));
        if least == most { most.to_string() } else { format!("{least} to {most}") }
    };
    let lossy: Vec<_> = costs.iter().filter(|cost| cost.lossy > 0).collect();
    let lossy: Vec<_> =
        lossy.iter().map(|cost| format!("{} in {} of {}", name(cost), cost.lossy, cost.rounds)).collect();
    let lost = match lossy.as_slice() {
        [] => "Nothing was lost in any round.".to_owned(),
        _ => format!(
            "Rounds in which something was lost: {}. An event that finds no room in the ring buffer costs less than one
  that is sent.",
            lossy.join(", ")
        ),
    };
    let disturbed = match costs.iter().map(|cost| cost.disturbed).max() {
        None | Some(0) => "No other program was seen tracing with BPF during these rounds.".to_owned(),
        _ => format!(
            "Another program was seen tracing with BPF in {} more rounds; those are left out, unless they are all.",
            rounds(|cost| cost.disturbed)
        ),
    };
    let rounds = rounds(|cost| cost.rounds);
    let text = format!(
        "First table: time with the command running, divided by time without. Second table: nanoseconds without, and what
the command adds to them. Medians of {rounds} rounds.

- getppid does next to nothing and is shown by no command: what it pays, every system call of the host pays.
- pwrite and pread move one byte at the start of one file; open+close is two system calls on a file that exists.
- `(nothing)` is the control: measured like the rest, with no command started. Its distance from 1, or from 0, is noise.
- `top -p OTHER` is filtered to a process that does none of this. It is the price that strangers pay, and the nearest
  thing here to a floor: programs that return at once would need a loader of their own.
- {lost}
- {disturbed}

Measured by a process bound to one core, which repeats each operation in slices of 2 ms with pauses of 4 ms, in which a
tracer can take in what it was sent, and tells the median slice. Time is CPU time of its thread, so that what others run
on that core meanwhile does not count. Each command's measurement stands between two untraced ones, and is compared with
their mean; the order of the commands changes from round to round. Output goes to /dev/null."
    );
    Section { title: "Cost of an operation", text, tables: vec![table(&header, &ratio), table(&header, &added)] }
}

fn startup(startups: &[Startup]) -> Section {
    let rows: Vec<_> = startups
        .iter()
        .map(|startup| {
            let number = |value| format!("{value:.0}");
            let (wall, cpu) = (spread_of(startup.wall_ms, number), spread_of(startup.cpu_ms, number));
            let met = met(startup.wall_ms.median <= START_GOAL_MS);
            vec![code(startup.command.name), startup.starts.to_string(), wall, cpu, met]
        })
        .collect();
    let text = format!(
        "From just before the program is started to its line `iotrace: tracing`, after which nothing is missed; and the CPU
time that it has used by then, which other processes disturb less. Goal: {START_GOAL_MS} ms or less."
    );
    let table = table(&["command", "starts", "ms", "CPU ms", "goal met"], &rows);
    Section { title: "Time until it traces", text, tables: vec![table] }
}

fn memory(uses: &[Use]) -> Section {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let show = |bytes| format!("{:.1}", mib(bytes));
    let rows: Vec<_> = uses
        .iter()
        .map(|Use { command, before, after }| {
            let met = met(mib(after.peak) <= MEMORY_GOAL_MIB);
            let figures = [before.resident, after.resident, after.anonymous, after.peak, after.maps].map(show);
            [code(command)].into_iter().chain(figures).chain([met]).collect()
        })
        .collect();
    let text = format!(
        "MiB. Resident (`VmRSS`) before and after another process, to which the command is filtered, has created {FILES} files
and written a byte to each; anonymous is the part of the latter that no file backs (`RssAnon`). Peak is `VmHWM`. Maps
are kernel memory, as their descriptors tell it; what iotrace maps of it counts as resident too. `top` prints all files
in one table. Goal: a peak of {MEMORY_GOAL_MIB} MiB or less."
    );
    let table = table(&["command", "before", "after", "anonymous", "peak", "maps", "goal met"], &rows);
    Section { title: "Memory after 10,000 files", text, tables: vec![table] }
}

fn speed(speeds: &Speeds) -> Section {
    let rows: Vec<_> = speeds
        .full
        .iter()
        .map(|speed| {
            vec![
                code(speed.command),
                thousands(speed.writes_per_second),
                thousands(speed.events_per_second),
                format!("{:.1}", speed.lost * 100.0),
                format!("{:.3}", speed.cpu),
                if speed.adds_up { "yes" } else { "no" }.to_owned(),
            ]
        })
        .collect();
    let text = "\
One process writes one byte at a time as fast as it can, and the command is filtered to it. Columns: writes done and
events told per second of time (not of CPU time); per cent of the events lost; seconds of CPU time that iotrace itself
used per second, all its threads together; and whether events told and lost are exactly the writes done."
        .to_owned();
    let table = table(&["command", "writes/s", "events/s", "lost %", "CPU s/s", "adds up"], &rows);
    Section { title: "CPU time of iotrace itself", text, tables: vec![table] }
}

fn lossless(speeds: &Speeds) -> Section {
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), thousands);
    let text = "\
The same process writes as fast as it can, then at lower and lower rates, until `events` loses none: that rate, and the
one before, at which it lost some (- when it lost none from the start: one writer cannot outrun it). On a busy machine
this depends on when iotrace gets its turn; the better of two tries counts."
        .to_owned();
    let rows = [vec![code("events"), rate(speeds.lossless), rate(speeds.lossy)]];
    let table = table(&["command", "writes/s, none lost", "writes/s, some lost"], &rows);
    Section { title: "Events without loss", text, tables: vec![table] }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn met(met: bool) -> String {
    if met { "yes" } else { "no" }.to_owned()
}

fn spread_of(spread: Spread, show: impl Fn(f64) -> String) -> String {
    let Spread { median, low, high } = spread;
    format!("{} ({} to {})", show(median), show(low), show(high))
}

fn thousands(value: f64) -> String {
    format!("{:.0}k", value / 1e3)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
