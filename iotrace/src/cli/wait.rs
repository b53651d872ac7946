//! `iotrace wait`: what threads were blocked on.

use crate::{
    cli::{
        Exit, Misused,
        command::{Command, Interval, Setup, World},
        host::locate,
        lines::{UNKNOWN, name_cell, timestamp},
        options::{Common, Timing},
        run::run,
        tables::{owner_cell, shown, table},
        wait_lines::{Pressed, limit, peers, pressure_line, pressure_text, wait_line},
    },
    event::Event,
    kernel::{
        plan::Plan,
        reasons::Reason,
        tracer::{ALL_KINDS, Tracer},
    },
    output::{Align, Column, bytes, nanos, percent, select},
    resolve::{Pressures, pipe_ends::PipeEnds},
    view::{
        top::By,
        wait::{Holder, WaitDelta, WaitRow, Waits, rows},
    },
};
use anyhow::Result;
use iotrace_common::file::kind_bit;
use std::collections::HashSet;

/// What threads were blocked on: disks, journals, pipes, locks, throttling
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace wait                         who waits for I/O, and for what, longest first
  iotrace wait -p 4711 --by thread     the threads of a process
  iotrace wait --reason pipe-full      who writes to a pipe that nobody reads
  iotrace wait --by container          which container, pod or service waits
  iotrace wait -- ./job.sh             what a program waits for")]
pub struct Args {
    /// What a row is of; besides, of one operation and one reason
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Only waits for these
    #[arg(long, value_enum, value_name = "REASON,...", value_delimiter = ',', hide_possible_values = true)]
    reason: Vec<Reason>,
    /// Rows to print; 0 for all [default: 20, all with --json]
    #[arg(short, long, value_name = "N")]
    rows: Option<usize>,
    /// Sockets, terminals and other devices too
    #[arg(short, long)]
    all: bool,
    /// Columns to print, in this order
    #[arg(long, value_name = "COLUMN,...")]
    columns: Option<String>,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    common: Common,
}

/// Columns of the terminal that names and paths keep.
const NAME_MIN: usize = 12;
const PATH_MIN: usize = 16;

/// The columns; the last ones only on demand.
pub const COLUMNS: &[Column] = &[
    Column::new("pid", "PID", Align::Right, 0, "Process id; `-` when the row is of several processes"),
    Column::new("comm", "COMM", Align::Left, 0, "Name of the process; of the thread with `--by thread`"),
    Column::new("waited", "WAITED", Align::Right, 0, "Time blocked, of all threads together"),
    Column::new("wall", "%WALL", Align::Right, 0, "The same in per cent of the time traced"),
    Column::new("max", "MAX", Align::Right, 0, "Longest single wait"),
    Column::new("op", "OP", Align::Left, 0, "What the thread did: an operation, or the name of a system call"),
    Column::new("reason", "REASON", Align::Left, 0, "What it waited for; `?` where that is not known"),
    Column::new("path", "PATH", Align::Left, 0, "The file; of a pipe, who has its other end; of a lock, who had it")
        .cut_to(PATH_MIN),
    Column::new("tid", "TID", Align::Right, 0, "Thread id, with `--by thread`"),
    Column::new("waits", "WAITS", Align::Right, 0, "How often, without waits that have not ended"),
    Column::new("now", "NOW", Align::Right, 0, "Threads that wait still"),
    Column::new("function", "FUNCTION", Align::Left, 0, "The kernel's function from which the reason follows"),
    Column::new("disk", "DISK", Align::Left, 0, "Disk that the file is on"),
    Column::new("fs", "FS", Align::Left, 0, "File system type"),
    Column::new("container", "CONTAINER", Align::Left, 0, "What the process runs in").cut_to(NAME_MIN),
];

/// Columns that a row has by what it is of.
fn default_columns(by: By) -> &'static str {
    match by {
        By::ProcessFile => "pid,comm,waited,wall,max,op,reason,path",
        By::Thread => "pid,tid,comm,waited,wall,max,op,reason,path",
        By::Process => "pid,waited,wall,max,op,reason,comm",
        By::File | By::Dir => "waited,wall,max,op,reason,path",
        By::Disk => "waited,wall,max,op,reason,disk",
        By::Container => "waited,wall,max,op,reason,container",
    }
}

fn cell(key: &str, row: &WaitRow, wall_ns: u64) -> String {
    match key {
        "waited" => nanos(row.ns),
        "wall" => percent(row.ns, wall_ns),
        "max" => nanos(row.max_ns),
        "op" => row.op.to_owned(),
        "reason" => row.reason.map_or(UNKNOWN, Reason::name).to_owned(),
        "waits" => row.waits.to_string(),
        "now" => row.waiting.to_string(),
        "function" => row.function.unwrap_or("-").to_owned(),
        "path" => owner_cell(key, &row.row) + &beside(row),
        key => owner_cell(key, &row.row),
    }
}

/// Who is waited for.
fn beside(row: &WaitRow) -> String {
    if let Some(Holder { found: Some((pid, comm)), .. }) = &row.holder {
        return format!(" (held by {} {pid})", name_cell(Some(comm)));
    }
    if let Some((_, bytes_a_second, calls)) = row.own_limit() {
        let limits = [bytes_a_second.map(bytes), calls.map(|calls| format!("{calls} calls"))];
        let limits: Vec<String> = limits.into_iter().flatten().map(|limit| limit + "/s").collect();
        return format!(" (limit {})", limits.join(", "));
    }
    let Some(peers) = &row.peers else { return String::new() };
    let arrow = if row.reason == Some(Reason::PipeEmpty) { "<-" } else { "->" };
    // The end is what is left of a cell that is cut.
    let names: Vec<String> =
        peers.iter().map(|peer| format!("{} {} {}", peer.state, name_cell(Some(&peer.comm)), peer.pid)).collect();
    if names.is_empty() { format!(" {arrow} {UNKNOWN}") } else { format!(" {arrow} {}", names.join(", ")) }
}

/// File types on which waits count.
pub(super) fn kinds(all: bool) -> u32 {
    let usual = [libc::S_IFREG, libc::S_IFDIR, libc::S_IFBLK, libc::S_IFIFO];
    if all { ALL_KINDS } else { usual.iter().fold(0, |kinds, kind| kinds | kind_bit(*kind)) }
}

impl Args {
    /// Traces and prints.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub fn run(self) -> Result<Exit> {
        if self.common.filters.by_failure() {
            return Err(Misused("waits do not fail: --failed means nothing here".into()).into());
        }
        let chosen = self.columns.as_deref().unwrap_or(default_columns(self.by));
        let columns = select(COLUMNS, chosen).map_err(Misused)?;
        let columns = columns.into_iter().filter_map(|index| COLUMNS.get(index).copied()).collect();
        let setup = Setup {
            command: "wait",
            stream: false,
            everyone: false,
            host_paths: false,
            plan: Plan { waits: true, wait_kinds: kinds(self.all), ..Plan::default() },
            timing: &self.timing,
            common: &self.common,
        };
        let waits = Waits::new(self.all, self.common.filters.shortest_ns());
        let mut wait = Wait { args: &self, columns, waits, ends: PipeEnds::default(), pressures: Pressures::default() };
        run(setup, &mut wait)
    }
}

struct Wait<'a> {
    args: &'a Args,
    columns: Vec<Column>,
    waits: Waits,
    ends: PipeEnds,
    pressures: Pressures,
}

impl Wait<'_> {
    /// Looks who has the pipes open that are waited for.
    fn look(&mut self, pipes: HashSet<Vec<u8>>) {
        self.ends.look(&pipes);
    }

    /// The rows to print, with all that they have, and how many there are.
    fn rows(&mut self, deltas: &[WaitDelta], world: &mut World) -> (Vec<WaitRow>, usize) {
        let mut rows = rows(deltas, self.args.by);
        let (total, printed) = (rows.len(), shown(self.args.rows, world.form.json, rows.len()));
        rows.truncate(printed);
        self.look(rows.iter().filter(|row| row.pipe.is_some()).filter_map(|row| row.row.path.clone()).collect());
        for row in &mut rows {
            peers(row, deltas, &self.ends);
            row.limit = limit(&row.row);
            if world.names.wants_host_paths {
                locate(&mut row.row, &mut world.names);
            }
        }
        (rows, total)
    }
}

impl Command for Wait<'_> {
    fn begin(&mut self, _world: &mut World, _out: &mut Vec<u8>) {
        self.pressures = Pressures::begin();
    }

    fn event(&mut self, _event: Event, _world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn sample(&mut self, tracer: &mut Tracer, world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        let Some(waits) = &mut tracer.waits else { return Ok(()) };
        // Who is at the other end may be gone when the table is printed.
        let files = waits.waiting()?.into_iter().filter_map(|file| world.names.file(file));
        let pipes = files.filter(|file| file.file.key.mode() == libc::S_IFIFO);
        let pipes = pipes.filter_map(|file| file.file.path.clone()).collect();
        self.look(pipes);
        Ok(())
    }

    fn report(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Some(waits) = &mut tracer.waits else { return Ok(()) };
        if waits.hides_stacks() && !self.args.common.output.quiet {
            eprintln!("iotrace: the kernel hides where its functions are (kernel.kptr_restrict), and so most reasons");
        }
        let mut deltas = self.waits.since(waits.read()?, interval.end_ns, &mut world.names, &world.selection);
        if interval.repeated {
            waits.tidy(&mut self.waits);
        }
        if !self.args.reason.is_empty() {
            deltas.retain(|wait| wait.reason.is_some_and(|reason| self.args.reason.contains(&reason)));
        }
        let (rows, total) = self.rows(&deltas, world);
        let pressed = Pressed::since(&mut self.pressures, &deltas);
        let wall_ns = u64::try_from(interval.length.as_nanos()).unwrap_or(u64::MAX);
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            for row in &rows {
                wait_line(row, &ts, wall_ns, world, out)?;
            }
            return pressed.iter().try_for_each(|one| pressure_line(one, &ts, wall_ns, out));
        }
        let cells: Vec<Vec<String>> =
            rows.iter().map(|row| self.columns.iter().map(|column| cell(column.key, row, wall_ns)).collect()).collect();
        table(&self.columns, &cells, total, interval, world, out);
        out.extend_from_slice(pressure_text(&pressed, wall_ns).as_bytes());
        Ok(())
    }
}

#[cfg(test)]
#[path = "wait_tests.rs"]
mod tests;
