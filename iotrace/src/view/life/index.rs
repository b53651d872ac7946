//! Which file a name is of.

use super::{Life, Matched};
use crate::{event::naming::Spot, resolve::names::FileInfo};
use std::collections::{BTreeMap, HashMap};

/// A path in a mount namespace.
type Path = (u64, Vec<u8>);
/// A directory, by the address of its dentry, and a name in it.
type Leaf = (u64, Vec<u8>);

/// A name of a file, in the ways in which it may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    leaf: Option<Leaf>,
    path: Option<Path>,
    /// As it was asked for, where that differs from the path.
    asked: Option<Path>,
}

impl Name {
    /// The name under which a file was opened.
    pub(super) fn of_file(file: &FileInfo, namespace: u64, asked: Option<Vec<u8>>) -> Self {
        let path = file.file.path.as_deref().filter(|path| path.starts_with(b"/") && !file.file.cut);
        let leaf = path.and_then(|path| path.rsplit(|byte| *byte == b'/').next());
        let parent = file.file.key.parent;
        Self {
            leaf: leaf.filter(|_| parent != 0).map(|leaf| (parent, leaf.to_vec())),
            path: path.map(|path| (namespace, path.to_vec())),
            asked: asked.filter(|asked| Some(asked.as_slice()) != path).map(|asked| (namespace, asked)),
        }
    }

    /// A name that was asked for. `path`: made absolute.
    pub(super) fn of_spot(spot: &Spot, namespace: u64, path: Option<Vec<u8>>) -> Self {
        let leaf = spot.in_directory().map(|(directory, name)| (directory, name.to_vec()));
        let path = path.filter(|path| path.starts_with(b"/"));
        let (plain, asked) = if path.as_deref().is_some_and(goes_up) { (None, path) } else { (path, None) };
        Self { leaf, path: plain.map(|path| (namespace, path)), asked: asked.map(|path| (namespace, path)) }
    }

    /// Whether both are one name of a file: in one directory, or with one path where the directory is not known.
    fn is_same(&self, other: &Self) -> bool {
        match (&self.leaf, &other.leaf) {
            (Some(one), Some(other)) => one == other,
            _ => self.path.is_some() && self.path == other.path,
        }
    }

    /// The path, for people.
    pub(super) fn shown(&self) -> Option<Vec<u8>> {
        self.path.as_ref().or(self.asked.as_ref()).map(|(_, path)| path.clone())
    }
}

/// Whether a path has `..` in it: where that leads depends on symbolic links.
fn goes_up(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|part| part == b"..")
}

/// A file, and the name by which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: u64,
    pub(super) matched: Matched,
    name: Name,
}

/// Names of files.
#[derive(Debug, Default)]
pub(super) struct Index {
    leaves: HashMap<Leaf, u64>,
    paths: BTreeMap<Path, u64>,
    asked: HashMap<Path, u64>,
    names: HashMap<u64, Vec<Name>>,
}

impl Index {
    /// How many names a file has.
    pub(super) fn names_of(&self, id: u64) -> usize {
        self.names.get(&id).map_or(0, Vec::len)
    }

    /// Gives a file a name. Returns files that had it: they have lost it.
    pub(super) fn add(&mut self, id: u64, name: Name) -> Vec<u64> {
        let mut lost = Vec::new();
        let before = [
            name.leaf.as_ref().and_then(|leaf| self.leaves.get(leaf)).copied(),
            name.path.as_ref().and_then(|path| self.paths.get(path)).copied(),
        ];
        for other in before.into_iter().flatten().filter(|other| *other != id) {
            // A path may be another file's in another place since something was mounted there: only the whole name goes.
            let same = |known: &Name| known.is_same(&name) || (known.path.is_some() && known.path == name.path);
            if let Some(known) =
                self.names.get(&other).and_then(|names| names.iter().find(|known| same(known))).cloned()
            {
                self.drop_name(other, &known);
                lost.push(other);
            }
        }
        if let Some(leaf) = &name.leaf {
            self.leaves.insert(leaf.clone(), id);
        }
        if let Some(path) = &name.path {
            self.paths.insert(path.clone(), id);
        }
        if let Some(asked) = &name.asked {
            self.asked.insert(asked.clone(), id);
        }
        let names = self.names.entry(id).or_default();
        match names.iter_mut().find(|known| known.is_same(&name)) {
            Some(known) => {
                // By another road: only the newest path leads there.
                if let Some(before) = known.path.as_ref().filter(|path| Some(*path) != name.path.as_ref()) {
                    self.paths.remove(before);
                }
                if let Some(before) = known.asked.as_ref().filter(|_| name.asked.is_some() && name.asked != known.asked)
                {
                    self.asked.remove(before);
                }
                known.path.clone_from(&name.path);
                known.leaf = name.leaf.or(known.leaf.take());
                known.asked = name.asked.or(known.asked.take());
            }
            None => names.push(name),
        }
        lost
    }

    /// The file that has a name.
    pub(super) fn find(&self, name: &Name) -> Option<Found> {
        let by_leaf = name.leaf.as_ref().and_then(|leaf| self.leaves.get(leaf)).map(|id| (*id, Matched::Directory));
        let by_path = || name.path.as_ref().and_then(|path| self.paths.get(path)).map(|id| (*id, Matched::Path));
        let by_asked = || {
            let asked = name.asked.as_ref().or(name.path.as_ref());
            asked.and_then(|path| self.asked.get(path)).map(|id| (*id, Matched::Asked))
        };
        let (id, matched) = by_leaf.or_else(by_path).or_else(by_asked)?;
        let is_it = |known: &&Name| match matched {
            Matched::Directory => known.leaf == name.leaf,
            Matched::Path => known.path == name.path,
            Matched::Asked => {
                known.asked.is_some() && known.asked.as_ref() == name.asked.as_ref().or(name.path.as_ref())
            }
        };
        let name = self.names.get(&id)?.iter().find(is_it)?.clone();
        Some(Found { id, matched, name })
    }

    /// Takes a name away; how many the file has left.
    pub(super) fn remove(&mut self, found: &Found) -> usize {
        self.drop_name(found.id, &found.name);
        self.names_of(found.id)
    }

    fn drop_name(&mut self, id: u64, name: &Name) {
        let own = |known: Option<&u64>| known == Some(&id);
        if let Some(leaf) = name.leaf.as_ref().filter(|leaf| own(self.leaves.get(*leaf))) {
            self.leaves.remove(leaf);
        }
        if let Some(path) = name.path.as_ref().filter(|path| own(self.paths.get(*path))) {
            self.paths.remove(path);
        }
        if let Some(asked) = name.asked.as_ref().filter(|asked| own(self.asked.get(*asked))) {
            self.asked.remove(asked);
        }
        if let Some(names) = self.names.get_mut(&id) {
            names.retain(|known| known != name);
            if names.is_empty() {
                self.names.remove(&id);
            }
        }
    }

    /// Forgets all names of a file.
    pub(super) fn forget(&mut self, id: u64) {
        for name in self.names.get(&id).cloned().unwrap_or_default() {
            self.drop_name(id, &name);
        }
    }

    /// A directory has another path: what is below it too.
    pub(super) fn move_tree(&mut self, old: &Name, new: &Name, lives: &mut BTreeMap<u64, Life>) {
        let (Some((namespace, from)), Some((_, to))) = (&old.path, &new.path) else { return };
        let below = [from.as_slice(), b"/"].concat();
        let start = (*namespace, below.clone());
        let moving: Vec<(Path, u64)> = self
            .paths
            .range(start..)
            .take_while(|((other, path), _)| other == namespace && path.starts_with(&below))
            .map(|(path, id)| (path.clone(), *id))
            .collect();
        for (path, id) in moving {
            let rest = path.1.get(from.len()..).unwrap_or_default();
            let now = (path.0, [to.as_slice(), rest].concat());
            self.paths.remove(&path);
            for name in self.names.get_mut(&id).into_iter().flatten().filter(|name| name.path.as_ref() == Some(&path)) {
                name.path = Some(now.clone());
                // The name that was asked for does not lead there any more.
                name.asked = None;
            }
            if let Some(life) = lives.get_mut(&id).filter(|life| life.path.as_ref() == Some(&path.1)) {
                life.path = Some(now.1.clone());
            }
            self.paths.insert(now, id);
        }
    }
}
