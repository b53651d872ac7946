//! Counters by key, from the log and from iotrace's rows.

use super::Scene;
use crate::log::{Kind, Log, Op, path_key};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Debug};

/// The counters of a row of `iotrace top`, without times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // named as in the rows
pub struct Counts {
    pub reads: u64,
    pub writes: u64,
    pub syncs: u64,
    pub sync_writes: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub errors: u64,
    pub allocates: u64,
    pub truncates: u64,
}

impl Counts {
    /// From a line of the log.
    pub fn of(op: &Op) -> Self {
        let (count, bytes) = (op.count, op.bytes() * op.count);
        let errors = if op.ret < 0 { count } else { 0 };
        let sync_writes = if op.sync_write { count } else { 0 };
        match op.kind {
            Kind::Read => Self { reads: count, read_bytes: bytes, errors, ..Self::default() },
            Kind::Write => Self { writes: count, write_bytes: bytes, sync_writes, errors, ..Self::default() },
            Kind::Fsync => Self { syncs: count, errors, ..Self::default() },
            Kind::Fallocate => Self { allocates: count, errors, ..Self::default() },
            Kind::Truncate => Self { truncates: count, errors, ..Self::default() },
            _ => Self::default(),
        }
    }

    /// From a row of `top`.
    pub fn of_row(row: &Value) -> Self {
        let field = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row}"));
        Self {
            reads: field("reads"),
            writes: field("writes"),
            syncs: field("syncs"),
            sync_writes: field("sync_writes"),
            read_bytes: field("read_bytes"),
            write_bytes: field("write_bytes"),
            errors: field("errors"),
            allocates: row["allocates"].as_u64().unwrap_or(0),
            truncates: row["truncates"].as_u64().unwrap_or(0),
        }
    }

    /// Adds another row.
    pub fn add(&mut self, other: Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.syncs += other.syncs;
        self.sync_writes += other.sync_writes;
        self.read_bytes += other.read_bytes;
        self.write_bytes += other.write_bytes;
        self.errors += other.errors;
        self.allocates += other.allocates;
        self.truncates += other.truncates;
    }
}

/// A path for people: printable, `-` for none.
pub fn path_text(path: Option<&[u8]>) -> String {
    path.map_or_else(|| "-".to_owned(), |path| path.escape_ascii().to_string())
}

/// The exact path in a row or event.
pub fn path_of(row: &Value) -> Option<Vec<u8>> {
    path_key(row["path"].as_str(), row["path_bytes"].as_str())
}

/// Sums counters by key; items without a key are left out.
pub fn by<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> Option<String>,
    counts: impl Fn(&T) -> Counts,
) -> BTreeMap<String, Counts> {
    let mut sums = BTreeMap::<String, Counts>::new();
    for item in items {
        if let Some(key) = key(&item) {
            sums.entry(key).or_default().add(counts(&item));
        }
    }
    sums
}

/// Sums what the log has, opens and page faults apart, by key.
pub fn truth_by(log: &Log, key: impl Fn(&Op) -> Option<String>) -> BTreeMap<String, Counts> {
    let ops = log.ops.iter().filter(|op| !matches!(op.kind, Kind::Open | Kind::MmapRead | Kind::MmapWrite));
    by(ops, |op| key(op), |op| Counts::of(op))
}

/// Sums rows of `top` by key: those that the log has, and all others of files in the scene's directory.
pub fn rows_by(
    rows: &[Value],
    scene: &Scene,
    truth: &BTreeMap<String, Counts>,
    key: impl Fn(&Value) -> Option<String>,
) -> BTreeMap<String, Counts> {
    let inside = |row: &Value| path_of(row).is_some_and(|path| scene.holds(&path));
    by(rows, |row| key(row).filter(|key| truth.contains_key(key) || inside(row)), |row| Counts::of_row(row))
}

/// Process and path: what a row of `top` stands for.
pub fn process_and_path(op: &Op) -> String {
    format!("{} {}", op.pid, path_text(op.path_key().as_deref()))
}

/// The same of a row.
pub fn process_and_path_of_row(row: &Value) -> String {
    format!("{} {}", row["pid"], path_text(path_of(row).as_deref()))
}

/// Fails unless the rows of `top` are, for each process and path, the operations of the log that `matches` picks.
#[track_caller]
pub fn assert_rows(scene: &Scene, log: &Log, rows: &[Value], matches: impl Fn(&Op) -> bool) {
    let truth = truth_by(log, |op| matches(op).then(|| process_and_path(op)));
    assert_same(&rows_by(rows, scene, &truth, |row| Some(process_and_path_of_row(row))), &truth);
}

/// Fails with all the differences.
#[track_caller]
pub fn assert_same<V: PartialEq + Debug>(seen: &BTreeMap<String, V>, truth: &BTreeMap<String, V>) {
    assert!(!truth.is_empty(), "nothing to compare");
    let mut differences = Vec::new();
    for (key, truth) in truth {
        match seen.get(key) {
            Some(seen) if seen == truth => {}
            Some(seen) => differences.push(format!("{key}\n     truth {truth:?}\n   iotrace {seen:?}")),
            None => differences.push(format!("{key}\n     truth {truth:?}\n   iotrace has no such row")),
        }
    }
    let extra = seen.iter().filter(|(key, _)| !truth.contains_key(*key));
    differences.extend(extra.map(|(key, seen)| format!("{key}\n   iotrace {seen:?}\n     truth has no such row")));
    assert!(differences.is_empty(), "{} of {} differ:\n{}", differences.len(), truth.len(), differences.join("\n"));
}

/// `ENOENT` of a JSON line; none for `null`. At the end of a system call the kernel has not decided yet between EINTR and a restart:
/// what the program sees as EINTR is ERESTARTSYS there.
pub fn errno_name(value: &Value) -> Option<String> {
    let name = value.as_str()?;
    Some(if name == "ERESTARTSYS" { "EINTR" } else { name }.to_owned())
}

impl Op {
    /// `ENOENT` for a failed operation.
    pub fn errno_name(&self) -> Option<String> {
        (self.ret < 0).then(|| name_of(-self.ret))
    }
}

fn name_of(errno: i64) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(errno as i32))
}
