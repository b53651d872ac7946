//! Time in which somebody waited for I/O: `/proc/pressure/io`, and `io.pressure` of control groups
//! (Documentation/accounting/psi.rst).

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Of the host.
const HOST: &str = "/proc/pressure/io";
/// In the directory of a control group.
const GROUP: &str = "io.pressure";
/// Most control groups that are looked at.
const GROUPS_MAX: usize = 1024;

/// Since the system started, or since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// Some task waited.
    pub some: Duration,
    /// All that had something to do waited.
    pub full: Duration,
}

/// Up to now; `None` where the kernel does not count it (`CONFIG_PSI`, `psi=0`).
pub fn waited_for_io() -> Option<Waited> {
    of(Path::new(HOST))
}

fn of(file: &Path) -> Option<Waited> {
    parse(&fs::read_to_string(file).ok()?)
}

fn parse(text: &str) -> Option<Waited> {
    let total = |kind: &str| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(kind))?;
        let total = line.split(' ').find_map(|word| word.strip_prefix("total="))?;
        total.parse().ok().map(Duration::from_micros)
    };
    Some(Waited { some: total("some")?, full: total("full")? })
}

/// What came since the last look: of the host, and of control groups.
#[derive(Debug, Default)]
pub struct Pressures {
    before: HashMap<PathBuf, Waited>,
    /// Where the v2 hierarchy is mounted.
    hierarchy: Option<PathBuf>,
}

impl Pressures {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        let mut all = Self { before: HashMap::new(), hierarchy: hierarchy() };
        all.since(PathBuf::from(HOST));
        let mut open: Vec<PathBuf> = all.hierarchy.iter().cloned().collect();
        while let Some(group) = open.pop().filter(|_| all.before.len() < GROUPS_MAX) {
            all.since(group.join(GROUP));
            let entries = fs::read_dir(&group).into_iter().flatten().flatten();
            open.extend(entries.filter(|one| one.file_type().is_ok_and(|kind| kind.is_dir())).map(|one| one.path()));
        }
        all
    }

    /// Of the host; `None` where the kernel does not measure it.
    pub fn host(&mut self) -> Option<Waited> {
        self.since(PathBuf::from(HOST))
    }

    /// Of a control group by its path below the root of the v2 hierarchy; `None` also for one that was not there at the last look.
    pub fn group(&mut self, path: &str) -> Option<Waited> {
        let file = self.hierarchy.as_ref()?.join(path.trim_start_matches('/')).join(GROUP);
        let known = self.before.contains_key(&file);
        self.since(file).filter(|_| known)
    }

    fn since(&mut self, file: PathBuf) -> Option<Waited> {
        let now = of(&file)?;
        let before = self.before.insert(file, now).unwrap_or_default();
        let (some, full) = (now.some.saturating_sub(before.some), now.full.saturating_sub(before.full));
        Some(Waited { some, full })
    }
}

fn hierarchy() -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").ok()?;
    let line = table.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    line.split(' ').nth(1).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_microseconds() {
        let text = "some avg10=9.29 avg60=7.23 avg300=2.82 total=13489711\nfull avg10=6.36 avg60=3.61 avg300=1.26 total=7234674\n";
        let (some, full) = (Duration::from_micros(13_489_711), Duration::from_micros(7_234_674));
        assert_eq!(parse(text), Some(Waited { some, full }));
        assert_eq!(parse("some avg10=0.00\n"), None);
        assert_eq!(parse(""), None);
    }
}
