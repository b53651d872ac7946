//! The figures as tables for the terminal, and as a document.

use super::contestants::DIAGNOSED;
use super::cost::Cost;
use super::figures::{Figures, Place};
use super::goals;
use super::host::Host;
use super::markdown::table;
use super::memory::{FILES, Use};
use super::operation::{BYTES, CREATED, MANY, Operation, PAGES};
use super::speed::Speed;
use super::startup::Startup;
use super::stats::Spread;
use super::storm::Weathered;
use super::stream::Stream;

/// Goal for the start on a real machine, milliseconds.
const START_GOAL_MS: f64 = 80.0;
/// `--max-memory` where nobody says how much, MiB; and with `diagnose`.
const LIMIT_MIB: f64 = 64.0;
const LIMIT_OF_DIAGNOSE_MIB: f64 = 128.0;
/// Goal for resident memory, MiB.
const MEMORY_GOAL_MIB: f64 = 32.0;

/// A part of the report.
pub(super) struct Section {
    pub(super) title: &'static str,
    /// What the columns mean; only in the document.
    pub(super) text: String,
    pub(super) tables: Vec<String>,
}

pub(super) fn sections(figures: &Figures) -> Vec<Section> {
    let (unit, vm) = (figures.place.unit(), figures.place != Place::Here);
    let mut all = Vec::new();
    if !figures.costs.is_empty() {
        all.extend([goals(&figures.costs, unit), cost(&figures.costs, figures.disk.as_deref(), unit)]);
    }
    if !figures.startups.is_empty() {
        all.push(startup(&figures.startups, vm));
    }
    if !figures.memory.is_empty() {
        all.push(memory(&figures.memory));
    }
    if !figures.storms.is_empty() {
        all.push(storm(&figures.storms));
    }
    if !figures.speeds.is_empty() {
        all.push(speed(&figures.speeds));
    }
    if !figures.streams.is_empty() {
        all.push(stream(&figures.streams, vm));
    }
    all.retain(|section| !section.tables.is_empty());
    all
}

/// Where and how it was measured.
pub(super) fn place(figures: &Figures) -> String {
    let Host { kernel, cpu, cores, memory_gib, file_system, date } = &figures.host;
    let (before, after) = figures.load;
    let around = match figures.place {
        Place::Here => "",
        _ => "of the machine around it ",
    };
    let how = match figures.place {
        Place::Here => "",
        Place::Vm => {
            " QEMU emulates two processors in software. What operations cost is [below](#in-instructions): by such a clock it cannot be told
from noise."
        }
        Place::Instructions => {
            " QEMU emulates one processor in software, whose clock goes on by a nanosecond with each instruction. So what else
the machine does changes nothing, but every instruction counts the same."
        }
    };
    format!(
        "`{}` on {date}. Linux {kernel}, cores: {cores}, {cpu}, {memory_gib:.0} GiB, files on {file_system}.{how}
Load average {around}{before:.1} before, {after:.1} after.",
        figures.command
    )
}

fn goals(costs: &[Cost], unit: &str) -> Section {
    let rows = goals::rows(costs, unit == "ns");
    let adds = format!("adds, {unit}");
    let header = ["measure", &adds, "beside", &adds, "ratio", "goal", "met"];
    let tables = if rows.is_empty() { Vec::new() } else { vec![table(&header, &rows)] };
    let text = "What iotrace adds to an operation, divided by what a peer, or a pair of empty programs, adds to the same operation in
the same run. The figures are those of the tables below. Where time is measured, fewer than three rounds are called noise."
        .to_owned();
    Section { title: "Beside peers and the floor", text, tables }
}

fn cost(costs: &[Cost], disk: Option<&str>, unit: &str) -> Section {
    let is_measured = |operation: &Operation| costs.iter().any(|cost| cost.figure(*operation).is_some());
    let operations: Vec<_> = Operation::ALL.into_iter().filter(is_measured).collect();
    let header: Vec<_> = ["beside the load"].into_iter().chain(operations.iter().map(|o| o.name())).collect();
    let measured: Vec<_> = costs.iter().filter(|cost| cost.skipped.is_none()).collect();
    let cell = |cost: &Cost, operation: &Operation, show: &dyn Fn(Spread, Spread) -> String| {
        cost.figure(*operation).map_or_else(|| "-".to_owned(), |figure| show(figure.added, figure.ratio))
    };
    let rows = |show: &dyn Fn(Spread, Spread) -> String| -> Vec<Vec<String>> {
        let row = |cost: &&Cost| {
            let cells = operations.iter().map(|operation| cell(cost, operation, show));
            [code(&cost.name)].into_iter().chain(cells).collect()
        };
        measured.iter().map(row).collect()
    };
    let ratio = rows(&|_, ratio| format!("{:.2}", ratio.median));
    let mut added = rows(&|added, _| with_noise(added));
    if let Some(control) = measured.first() {
        let untraced = operations.iter().map(|operation| {
            control.figure(*operation).map_or_else(|| "-".to_owned(), |figure| format!("{:.0}", figure.untraced.median))
        });
        added.insert(0, ["untraced".to_owned()].into_iter().chain(untraced).collect());
    }
    let text = format!(
        "First table: {unit} of an operation without tracing, and what is added beside each contestant: median of {}
rounds, and half the distance between the quartiles. Second table: traced divided by untraced.

- getppid does next to nothing and is shown by no command: what it pays, every system call of the host pays.
- pwrite and pread move {BYTES} bytes at the start of one file; `1,000 files` is pwrite to {MANY} open files in turn.
- open+close opens a file that exists; create makes and closes {CREATED} files, one after the other, in memory (tmpfs).
- fsync: of a file of which nothing is to be written. Where instructions are counted, the file system sends no flushes
  (`barrier=0`): what they take is not the same each time.
- new page: 4 KiB at the end of a file, which is emptied after each {PAGES}: a page becomes dirty.
- direct read: 4 KiB of {}, all time and not only the thread's.
- `(nothing)` is the control: its distance from 0, or from 1, is noise.
- `top -p OTHER` is filtered to a process that does none of this.
- `top --by container` and `top with host paths` (container, mount, host path) look names up in user space alone: beside
  `top` they should add nothing to an operation.
- empty programs return at once: fentry, kprobe.multi at the functions of pwrite64, pread64, openat and fsync.
{}

Measured by a process bound to one core, which repeats each operation in slices of 2 ms with pauses of 4 ms, or 100 ms where
instructions are counted, in which a tracer can take in what it was sent, and tells the median slice. Time is CPU time of its
thread, so that what others run on that core meanwhile does not count; with strace, which stops it, it is all time. Each
measurement stands between two untraced ones and is compared with their mean, or where instructions are counted with the
smaller; the order changes from round to round. Output goes to /dev/null.",
        range(&measured, |cost| cost.rounds),
        disk.unwrap_or("no disk"),
        notes(costs, &measured),
    );
    Section { title: "Cost of an operation", text, tables: vec![table(&header, &added), table(&header, &ratio)] }
}

/// What was lost, disturbed and skipped, as items of a list.
fn notes(costs: &[Cost], measured: &[&Cost]) -> String {
    let mut notes = Vec::new();
    let lossy: Vec<_> = measured.iter().filter(|cost| cost.lossy > 0).collect();
    let lossy: Vec<_> =
        lossy.iter().map(|cost| format!("{} in {} of {}", code(&cost.name), cost.lossy, cost.rounds)).collect();
    notes.push(match lossy.as_slice() {
        [] => "- iotrace lost nothing in any round.".to_owned(),
        _ => format!(
            "- Rounds in which something was lost: {}. An event that finds no room costs less than one that is sent.",
            lossy.join(", ")
        ),
    });
    if measured.iter().any(|cost| cost.disturbed > 0) {
        notes.push(format!(
            "- Another program was seen tracing with BPF in {} more rounds; those are left out, unless they are all.",
            range(measured, |cost| cost.disturbed)
        ));
    }
    let mechanisms = measured.iter().filter(|cost| !cost.name.contains("--mechanism"));
    let mechanisms: Vec<_> = mechanisms.filter_map(|cost| cost.mechanism.as_deref()).collect();
    if let Some(mechanism) = mechanisms.first() {
        notes.push(format!("- Where no mechanism is named, iotrace chose {mechanism}."));
    }
    for cost in costs {
        if let Some(reason) = &cost.skipped {
            let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
            notes.push(format!("- Not measured: {} ({}).", code(&cost.name), shortened(&reason)));
        }
    }
    notes.join("\n")
}

fn startup(startups: &[Startup], vm: bool) -> Section {
    let rows: Vec<_> = startups
        .iter()
        .map(|startup| {
            let figures = [startup.wall_ms, startup.cpu_ms, startup.end_ms].map(with_quartiles);
            let mut row = vec![code(&startup.command), startup.mechanism.clone(), startup.starts.to_string()];
            row.extend(figures);
            if !vm {
                row.push(met(startup.wall_ms.median <= START_GOAL_MS));
            }
            row
        })
        .collect();
    let goal = if vm { String::new() } else { format!(" Goal: {START_GOAL_MS} ms or less to start.") };
    let text = format!(
        "From just before the program is started to its line `iotrace: tracing`, after which nothing is missed; the CPU
time that it has used by then, which other processes disturb less; and from ctrl-c to its end.{goal}"
    );
    let mut header = vec!["command", "mechanism", "starts", "ms to start", "CPU ms", "ms to end"];
    if !vm {
        header.push("goal met");
    }
    Section { title: "Time to start and to end", text, tables: vec![table(&header, &rows)] }
}

fn memory(uses: &[Use]) -> Section {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let show = |bytes| format!("{:.1}", mib(bytes));
    let rows: Vec<_> = uses
        .iter()
        .map(|Use { command, before, after }| {
            let met = met(mib(after.resident) <= MEMORY_GOAL_MIB);
            let figures = [before.resident, after.resident, after.anonymous, after.peak, after.maps].map(show);
            [code(command)].into_iter().chain(figures).chain([met]).collect()
        })
        .collect();
    let text = format!(
        "MiB. Resident (`VmRSS`) before and after another process, to which the command is filtered, has created {FILES} files
and written a byte to each; anonymous is the part of the latter that no file backs (`RssAnon`). Peak is `VmHWM`. Maps
are kernel memory, as their descriptors tell it; what iotrace maps of it counts as resident too. `top` prints all files
in one table. Goal: {MEMORY_GOAL_MIB} MiB or less after the files."
    );
    let table = table(&["command", "before", "after", "anonymous", "peak", "maps", "goal met"], &rows);
    Section { title: "Memory after 10,000 files", text, tables: vec![table] }
}

fn storm(storms: &[Weathered]) -> Section {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let row = |one: &Weathered| {
        vec![
            code(&one.command),
            format!("{} {}", one.count, one.storm),
            format!("{:.1}", mib(one.bytes)),
            met(mib(one.bytes) <= if one.command == DIAGNOSED { LIMIT_OF_DIAGNOSE_MIB } else { LIMIT_MIB }),
            format!("{:.1}", mib(one.peak)),
            one.folded.to_string(),
            one.adds_up.map_or_else(|| "-".to_owned(), met),
        ]
    };
    let rows: Vec<_> = storms.iter().map(row).collect();
    let text = format!(
        "What one process did while the command, filtered to it and its children, traced: MiB of maps and of iotrace's own memory
together, what it had of the latter before not counted, and whether that is within the {LIMIT_MIB} MiB
({LIMIT_OF_DIAGNOSE_MIB} with `diagnose`) of `--max-memory`; largest resident set; writes that found no row of their own, and are in the row of the rest; and whether writes told and lost are
exactly the writes done."
    );
    let header = ["command", "beside", "MiB", "within", "peak resident", "in the rest", "adds up"];
    Section { title: "More than any map holds", text, tables: vec![table(&header, &rows)] }
}

fn speed(speeds: &[Speed]) -> Section {
    let row = |speed: &Speed| {
        vec![
            code(&speed.command),
            speed.rate.map_or_else(|| "all it can".to_owned(), |rate| thousands(rate as f64)),
            thousands(speed.writes_per_second),
            thousands(speed.events_per_second),
            format!("{:.1}", speed.lost * 100.0),
            format!("{:.2}", speed.cpu * 100.0),
            if speed.adds_up { "yes" } else { "no" }.to_owned(),
        ]
    };
    let rows: Vec<_> = speeds.iter().map(row).collect();
    let text = format!(
        "One process writes {BYTES} bytes at a time, as often as asked for, and the command is filtered to it. Columns: writes per
second asked for and done, and events told, per second of time (not of CPU time); per cent of the events lost; CPU time
that iotrace itself used, all its threads together, in per cent of one core; and whether events told and lost are exactly
the writes done. Goal: below 1 % in `top` at 100,000 operations per second."
    );
    let header = ["command", "asked", "writes/s", "events/s", "lost %", "CPU %", "adds up"];
    Section { title: "CPU time of iotrace itself", text, tables: vec![table(&header, &rows)] }
}

fn stream(streams: &[Stream], vm: bool) -> Section {
    let row = |stream: &Stream| {
        let ours = streams.iter().find(|other| other.operation == stream.operation);
        let ratio = |more: Option<f64>, less: Option<f64>| match (more, less) {
            (Some(more), Some(less)) if more > 0.0 && less > 0.0 => format!("{:.1}", more / less),
            _ => "-".to_owned(),
        };
        vec![
            code(&stream.name),
            stream.operation.name().to_owned(),
            thousands(stream.flood.rate),
            format!("{:.1}", stream.flood.lost * 100.0),
            stream.lossless.map_or_else(|| "-".to_owned(), thousands),
            ratio(ours.and_then(|ours| ours.lossless), stream.lossless),
            stream.flood.line_ns.map_or_else(|| "-".to_owned(), |ns| format!("{:.2}", ns / 1e3)),
            ratio(stream.flood.line_ns, ours.and_then(|ours| ours.flood.line_ns)),
        ]
    };
    let rows: Vec<_> = streams.iter().map(row).collect();
    let goal = if vm { "at least 5 times what bpftrace does" } else { "500k for `events`" };
    let text = format!(
        "One process does an operation as fast as it can, and then at other rates, and the program, filtered to it, writes a line
for each to a file. Lines are counted afterwards. Columns: operations per second as fast as it went, and per cent of them
without a line; the highest rate, per second, at which every operation had its line; and iotrace's, divided by that; CPU time that
the program itself took for a line, in us, as fast as it went; and that, divided by iotrace's. Where nothing is lost as fast as it
goes, one process cannot show how much more the program could take: its time for a line does. The better of two tries counts. Goal:
{goal}."
    );
    let header =
        ["program", "operation", "all it can", "lost %", "none lost", "iotrace / this", "us/line", "this / iotrace"];
    Section { title: "Events without loss", text, tables: vec![table(&header, &rows)] }
}

fn range(costs: &[&Cost], of: impl Fn(&Cost) -> usize) -> String {
    let counts = || costs.iter().map(|cost| of(cost));
    let (least, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
    if least == most { most.to_string() } else { format!("{least} to {most}") }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 160;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

pub(super) fn code(text: &str) -> String {
    format!("`{text}`")
}

pub(super) fn met(met: bool) -> String {
    if met { "yes" } else { "no" }.to_owned()
}

/// `+12 ±3`.
pub(super) fn with_noise(spread: Spread) -> String {
    format!("{:+.0} ±{:.0}", spread.median, (spread.high - spread.low) / 2.0)
}

fn with_quartiles(Spread { median, low, high }: Spread) -> String {
    format!("{median:.0} ({low:.0} to {high:.0})")
}

fn thousands(value: f64) -> String {
    format!("{:.0}k", value / 1e3)
}
