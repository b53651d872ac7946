//! Pressure of I/O as the kernel measures it: `/proc/pressure/io`, and `io.pressure` of control groups.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// Most control groups that are looked at.
const GROUPS_MAX: usize = 1024;

/// Time lost to I/O.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// At least one task waited for I/O, nanoseconds.
    pub some_ns: u64,
    /// All tasks that were not idle did, nanoseconds.
    pub full_ns: u64,
}

/// What came since the last look.
#[derive(Debug, Default)]
pub struct Pressures {
    before: HashMap<PathBuf, Pressure>,
}

impl Pressures {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        let mut all = Self::default();
        let mut open: Vec<PathBuf> = hierarchy().into_iter().collect();
        all.since_file(Path::new(HOST));
        while let Some(group) = open.pop().filter(|_| all.before.len() < GROUPS_MAX) {
            all.since_file(&group.join(GROUP));
            let entries = fs::read_dir(&group).into_iter().flatten().flatten();
            open.extend(
                entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|one| one.path()),
            );
        }
        all
    }

    /// Of the host; `None` where the kernel does not measure it.
    pub fn host(&mut self) -> Option<Pressure> {
        self.since_file(Path::new(HOST))
    }

    /// Of a control group by its path below the root of the v2 hierarchy; `None` also for one that was not there at the last look.
    pub fn group(&mut self, path: &str) -> Option<Pressure> {
        let file = hierarchy()?.join(path.trim_start_matches('/')).join(GROUP);
        let known = self.before.contains_key(&file);
        self.since_file(&file).filter(|_| known)
    }

    fn since_file(&mut self, file: &Path) -> Option<Pressure> {
        let now = parse(&fs::read_to_string(file).ok()?)?;
        let before = self.before.insert(file.to_owned(), now).unwrap_or_default();
        Some(Pressure {
            some_ns: now.some_ns.saturating_sub(before.some_ns),
            full_ns: now.full_ns.saturating_sub(before.full_ns),
        })
    }
}

const HOST: &str = "/proc/pressure/io";
const GROUP: &str = "io.pressure";

/// Where the v2 hierarchy is mounted.
fn hierarchy() -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").ok()?;
    let line = table.lines().find(|line| line.split_whitespace().nth(2) == Some("cgroup2"))?;
    line.split_whitespace().nth(1).map(PathBuf::from)
}

/// Two lines of `some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS`.
fn parse(text: &str) -> Option<Pressure> {
    let total = |kind: &str| {
        let line = text.lines().find(|line| line.starts_with(kind))?;
        line.split("total=").nth(1)?.trim().parse::<u64>().ok()?.checked_mul(1000)
    };
    Some(Pressure { some_ns: total("some")?, full_ns: total("full")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_in_nanoseconds() {
        let text = "some avg10=0.11 avg60=0.15 avg300=0.39 total=4009080\nfull avg10=0.00 avg60=0.07 avg300=0.33 total=3340480\n";
        assert_eq!(parse(text), Some(Pressure { some_ns: 4_009_080_000, full_ns: 3_340_480_000 }));
        assert_eq!(parse(""), None);
    }
}
