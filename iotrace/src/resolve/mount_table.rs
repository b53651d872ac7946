//! The mount table of a process, byte for byte: which file system a path of its mount namespace is on.

/// A line of `/proc/PID/mountinfo` (Documentation/filesystems/proc.rst).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mount {
    /// The mount's number, which no other mount of the host has, whatever its namespace.
    pub(super) id: u64,
    /// Device of the file system, in the kernel's encoding.
    pub(super) dev: u32,
    /// The directory of the file system that is mounted.
    pub(super) root: Vec<u8>,
    /// Where it is seen.
    pub(super) place: Vec<u8>,
    /// Type of the file system.
    pub(super) fs: Vec<u8>,
    /// Options of the file system, not yet taken apart.
    pub(super) options: Vec<u8>,
}

/// All mounts of a namespace, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MountTable {
    mounts: Vec<Mount>,
}

impl MountTable {
    /// Reads the lines that make sense.
    pub(super) fn parse(text: &[u8]) -> Self {
        Self { mounts: text.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect() }
    }

    #[cfg(test)]
    pub(super) fn of(mounts: Vec<Mount>) -> Self {
        Self { mounts }
    }

    /// The mount that a path leads to: the one at the longest place, of several there the last.
    pub(super) fn covering(&self, path: &[u8]) -> Option<&Mount> {
        let covers = self.mounts.iter().filter(|mount| below(path, &mount.place).is_some());
        covers.max_by_key(|mount| mount.place.len())
    }

    /// Where a file of a file system is seen, from its path inside it: of several places the shortest that leads there.
    pub(super) fn place_of(&self, dev: u32, inside: &[u8]) -> Option<Vec<u8>> {
        let shown = self.mounts.iter().filter(|mount| mount.dev == dev);
        let places = shown.filter_map(|mount| Some(join(&mount.place, below(inside, &mount.root)?)));
        // Another mount may hide it there.
        let seen = places.filter(|place| self.covering(place).is_some_and(|mount| mount.dev == dev));
        seen.min_by_key(Vec::len)
    }

    /// The mounts of overlays.
    pub(super) fn overlays(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.iter().filter(|mount| mount.fs == b"overlay")
    }

    /// The hierarchies in which the path of a control group may be: v2, and that of the memory controller of v1.
    pub(super) fn control_groups(&self) -> impl Iterator<Item = &Mount> {
        let of_memory = |mount: &Mount| mount.options.split(|byte| *byte == b',').any(|option| option == b"memory");
        self.mounts.iter().filter(move |mount| mount.fs == b"cgroup2" || mount.fs == b"cgroup" && of_memory(mount))
    }

    /// Any place of a file system.
    pub(super) fn any_place(&self, dev: u32) -> Option<Vec<u8>> {
        self.mounts.iter().find(|mount| mount.dev == dev).map(|mount| mount.place.clone())
    }

    /// The mount at the root of the namespace.
    pub(super) fn root(&self) -> Option<&Mount> {
        self.mounts.iter().rfind(|mount| mount.place == b"/")
    }

    /// Whether it has this mount, by its number: one that was unmounted since may have lent its own to another.
    pub(super) fn has(&self, mount: &Mount) -> bool {
        self.mounts.iter().any(|other| other.id == mount.id && other.shows_the_same(mount))
    }
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let number = |field: &[u8]| str::from_utf8(field).ok()?.parse().ok();
        let id = number(fields.next()?)?;
        let dev = str::from_utf8(fields.nth(1)?).ok()?;
        let (major, minor) = dev.split_once(':')?;
        let dev = major.parse::<u32>().ok()?.checked_shl(20)? | minor.parse::<u32>().ok()?;
        let (root, place) = (plain(fields.next()?), plain(fields.next()?));
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        let fs = rest.next()?.to_vec();
        Some(Self { id, dev, root, place, fs, options: rest.nth(1)?.to_vec() })
    }

    /// Whether it is the same directory of the same file system, wherever it is seen.
    pub(super) fn shows_the_same(&self, other: &Self) -> bool {
        (self.dev, &self.root) == (other.dev, &other.root)
    }

    /// The path of a file inside the file system, from its path in the namespace.
    pub(super) fn inside(&self, path: &[u8]) -> Option<Vec<u8>> {
        Some(join(&self.root, below(path, &self.place)?))
    }
}

/// The rest of a path below a directory: empty, or beginning with a slash.
pub(super) fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// A directory and what [`below`] gave.
pub(super) fn join(directory: &[u8], rest: &[u8]) -> Vec<u8> {
    let rest = if rest == b"/" { b"" } else { rest };
    let path = [directory.strip_suffix(b"/").unwrap_or(directory), rest].concat();
    if path.is_empty() { b"/".to_vec() } else { path }
}

/// A name as it was before the kernel wrote space, tab, newline and backslash as three octal digits (mangle_path of
/// fs/seq_file.c).
pub(super) fn plain(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.split_at_checked(3).filter(|_| first == b'\\');
        let code = digits.and_then(|(digits, _)| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        match (code, digits) {
            (Some(code), Some((_, after))) => {
                bytes.push(code);
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        30 27 0:41 /@home /home rw shared:1 - btrfs /dev/vdb rw\n\
        31 27 254:0 /srv/a\\040b /mnt rw - ext4 /dev/vda rw\n\
        32 31 0:50 / /mnt/t\\134x rw master:1 shared:2 - tmpfs t\xff rw,size=1k\n\
        bad line\n\
        33 27 0:51 / /over rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w\n";

    #[test]
    fn the_longest_place_covers_a_path() {
        let table = MountTable::parse(TABLE);
        for (path, id, inside) in [
            (&b"/etc/x"[..], 27, &b"/etc/x"[..]),
            (b"/", 27, b"/"),
            (b"/home/me", 30, b"/@home/me"),
            (b"/homes", 27, b"/homes"),
            (b"/mnt", 31, b"/srv/a b"),
            (b"/mnt/x", 31, b"/srv/a b/x"),
            (b"/mnt/t\\x/y", 32, b"/y"),
        ] {
            let mount = table.covering(path);
            assert_eq!(mount.map(|mount| mount.id), Some(id), "{}", path.escape_ascii());
            assert_eq!(mount.and_then(|mount| mount.inside(path)).as_deref(), Some(inside));
        }
        assert_eq!(table.covering(b"pipe:[7]"), None);
        let mount = table.covering(b"/mnt/t\\x").cloned().unwrap_or_default();
        assert!(table.has(&mount) && !table.has(&Mount { id: 34, ..mount }));
        assert_eq!(table.root().map(|mount| mount.id), Some(27));
    }

    #[test]
    fn a_file_is_seen_at_the_shortest_place() {
        let table = MountTable::parse(TABLE);
        let place = |dev, inside: &[u8]| table.place_of(dev, inside);
        assert_eq!(place(254 << 20, b"/srv/a b/x").as_deref(), Some(&b"/mnt/x"[..]));
        assert_eq!(place(254 << 20, b"/etc").as_deref(), Some(&b"/etc"[..]));
        assert_eq!(place(41, b"/@home").as_deref(), Some(&b"/home"[..]));
        assert_eq!(place(41, b"/@other"), None);
        assert_eq!(place(254 << 20, b"/home/x"), None, "another file system hides it");
    }
}
