//! `iotrace life`: files that come and go.

use crate::{
    cli::{
        Exit, Misused,
        command::{Command, Interval, Setup, World},
        life_lines::{cell, end_line, end_row, life_line},
        lines::timestamp,
        naming_lines::{is_on_disk, spot_path},
        options::{Common, Timing},
        run::run,
        tables::{shown, table},
    },
    event::{Event, naming::Naming, open::Open},
    kernel::{
        calls::FileOps,
        plan::Plan,
        sums::Sums,
        tracer::{REGULAR, Tracer},
    },
    output::{Align, Column, Table},
    view::{
        life::{By, Lives},
        select::Selection,
    },
};
use anyhow::Result;
use iotrace_common::sum::Counters;

/// Files that come and go: how many, how long they live, what is written and read
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace life                         files made and removed, by process and pattern
  iotrace life --trace --path '/tmp/*' each file as it goes
  iotrace life --by process            which process makes and removes most
  iotrace life -- ./job.sh             all temporary files of a program")]
pub struct Args {
    /// Print each file when it is gone instead of a table; until Ctrl-C unless -d says how long
    #[arg(long)]
    trace: bool,
    /// What a row is of
    #[arg(long, value_enum, default_value_t, conflicts_with = "trace")]
    by: By,
    /// Rows to print; 0 for all [default: 20, all with --json]
    #[arg(short, long, value_name = "N")]
    rows: Option<usize>,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    common: Common,
}

/// Columns of the table.
pub const COLUMNS: &[Column] = &[
    Column::new("pid", "PID", Align::Right, 7, "Process id"),
    Column::new("comm", "COMM", Align::Left, 15, "Name of the process"),
    Column::new("files", "FILES", Align::Right, 6, "Files that were made or removed"),
    Column::new("new", "NEW", Align::Right, 6, "Of them, those that were made"),
    Column::new("gone", "GONE", Align::Right, 6, "Of them, those that lost their last name"),
    Column::new("life", "LIFE", Align::Right, 7, "Mean time from birth to end; `?` where no file has both"),
    Column::new(
        "written",
        "WRITTEN",
        Align::Right,
        8,
        "Bytes written to them; with `+` where they are not known of some, `?` of all",
    ),
    Column::new("read", "READ", Align::Right, 8, "Bytes read from them; likewise"),
    Column::new("path", "PATH", Align::Left, 0, "The file, or what the names of several have in common"),
    Column::new("tid", "TID", Align::Right, 0, "Thread id, with `--by thread`"),
    Column::new("container", "CONTAINER", Align::Left, 0, "What the processes run in, with `--by container`"),
];

/// The columns of rows by what they are of.
fn columns(by: By) -> Vec<Column> {
    let (first, last): (&[&str], _) = match by {
        By::ProcessFile => (&["pid", "comm"], "path"),
        By::Thread => (&["pid", "tid", "comm"], "path"),
        By::Process => (&["pid"], "comm"),
        By::File | By::Dir => (&[], "path"),
        By::Container => (&[], "container"),
    };
    let numbers = ["files", "new", "gone", "life", "written", "read"];
    let keys = first.iter().chain(&numbers).chain([&last]);
    keys.filter_map(|key| COLUMNS.iter().find(|column| column.key == *key).copied()).collect()
}

/// Columns of `--trace`.
pub const TRACE_COLUMNS: &[Column] = &[
    Column::new("time", "TIME", Align::Left, 12, "When it went, local time"),
    Column::new("pid", "PID", Align::Right, 7, "Process that removed it"),
    Column::new("comm", "COMM", Align::Left, 15, "Name of the thread that removed it"),
    Column::new("life", "LIFE", Align::Right, 7, "Time from birth to end; `?` for a file that was there before"),
    Column::new("written", "WRITTEN", Align::Right, 7, "Bytes written to it; `?` where they are not known"),
    Column::new("read", "READ", Align::Right, 7, "Bytes read from it; likewise"),
    Column::new(
        "end",
        "END",
        Align::Left,
        8,
        "`unlinked`; `replaced`: another file took its name; `nameless`: it never had one",
    ),
    Column::new("path", "PATH", Align::Left, 0, "The file, under its last name"),
];

/// What `life` needs from the kernel side.
pub(super) const OPS: FileOps = FileOps {
    open: true,
    unlink: true,
    rename: true,
    link: true,
    allocate: false,
    truncate: false,
    sync: false,
    mmap: false,
    ..FileOps::ALL
};

impl Args {
    /// Traces and prints.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub fn run(self) -> Result<Exit> {
        if self.common.filters.by_result() {
            let text = "life needs all calls on a file: it takes neither --min-latency nor --failed";
            return Err(Misused(text.into()).into());
        }
        let table = Table::new(TRACE_COLUMNS.iter().copied(), None);
        let mut life = LifeTable {
            args: &self,
            lives: Lives::new(self.by, self.common.filters.selection()),
            other: Counters::default(),
            unsure: 0,
            table,
        };
        let setup = Setup {
            command: "life",
            stream: self.trace,
            everyone: false,
            host_paths: false,
            plan: Plan { files: OPS, sum: true, lives: true, kinds: REGULAR, ..Plan::default() },
            timing: &self.timing,
            common: &self.common,
        };
        run(setup, &mut life)
    }
}

struct LifeTable<'a> {
    args: &'a Args,
    lives: Lives,
    /// What found no sum of its own, at the last table.
    other: Counters,
    /// Opens of which it is not known whether they made the file.
    unsure: u64,
    table: Table,
}

/// Tells who follows files of an open; whether it is known if the open made the file.
pub(super) fn opened(lives: &mut Lives, open: &Open, world: &mut World) -> bool {
    let created = world.created.judge(open);
    let Some(file) = world.names.file(open.file).cloned() else { return true };
    if open.result.is_err() || file.file.key.mode() != libc::S_IFREG {
        return true;
    }
    let base = world.names.file(open.base).and_then(|base| base.file.path.as_deref());
    let asked = open.absolute(base);
    let process = world.names.process(open.task.pid, None);
    lives.opened(open, &file, asked, created == Some(true), process);
    created.is_some()
}

/// Tells who follows files of an unlink, rename or link.
pub(super) fn named(lives: &mut Lives, naming: &Naming, world: &mut World) {
    let from = spot_path(&naming.name, world);
    let to = naming.other.as_ref().and_then(|other| spot_path(other, world));
    let directory = world.names.file(naming.name.base).cloned();
    // A file that is known is on the disk that is asked for.
    let known_only = !is_on_disk(directory.as_deref(), world);
    let process = world.names.process(naming.task.pid, None);
    lives.named(naming, (from, to), directory, process, known_only);
}

impl LifeTable<'_> {
    /// Prints the files that are gone.
    fn tell(&mut self, at_end: bool, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        for life in self.lives.gone(at_end) {
            if world.form.json {
                end_line(&life, world, out)?;
            } else {
                out.extend_from_slice(self.table.stream_row(&end_row(&life, world)).as_bytes());
            }
        }
        Ok(())
    }

    /// What was read and written of files that found no sum of their own.
    fn others(&mut self, sums: &Sums, selection: &Selection) -> Result<Option<(u64, u64)>> {
        let (now, _) = sums.other()?;
        let more = now.since(&self.other);
        self.other = now;
        Ok((!more.is_empty() && selection.is_empty()).then_some((more.read_bytes, more.write_bytes)))
    }
}

impl Command for LifeTable<'_> {
    fn begin(&mut self, world: &mut World, out: &mut Vec<u8>) {
        if self.args.trace && !world.form.json {
            self.table = Table::new(TRACE_COLUMNS.iter().copied(), world.form.width);
            out.extend_from_slice(world.form.header(&self.table.stream_header()).as_bytes());
        }
    }

    fn event(&mut self, event: Event, world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        match event {
            Event::Open(open) => self.unsure += u64::from(!opened(&mut self.lives, &open, world)),
            Event::Naming(naming) => named(&mut self.lives, &naming, world),
            _ => {}
        }
        Ok(())
    }

    fn sample(&mut self, tracer: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        self.lives.limit(tracer.shares.of_lives());
        if let Some(sums) = &tracer.sums {
            self.lives.moved_bytes(sums.iter());
        }
        if self.args.trace { self.tell(false, world, out) } else { Ok(()) }
    }

    fn report(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Some(sums) = &tracer.sums else { return Ok(()) };
        self.lives.moved_bytes(sums.iter());
        if self.args.trace {
            return self.tell(true, world, out);
        }
        let others = self.others(sums, &world.selection)?;
        let mut rows = self.lives.rows(others);
        let (total, printed) = (rows.len(), shown(self.args.rows, world.form.json, rows.len()));
        rows.truncate(printed);
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            return rows.iter().try_for_each(|row| life_line(row, &ts, out));
        }
        let columns = columns(self.args.by);
        let cells: Vec<Vec<String>> =
            rows.iter().map(|row| columns.iter().map(|column| cell(column.key, row)).collect()).collect();
        table(&columns, &cells, total, interval, world, out);
        Ok(())
    }

    fn end(&mut self, world: &mut World, out: &mut Vec<u8>) {
        if self.unsure != 0 && !world.form.json {
            let text = format!("unknown: whether {} opens made their file; they count as none that did\n", self.unsure);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
