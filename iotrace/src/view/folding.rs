//! Many paths as few patterns, in bounded memory.
//!
//! Paths with the same pattern are one entry. Entries that differ in a name that looks random, of the same length, in the same
//! place, become one; where there are too many entries still, whole directories do. Every path matches the pattern that claims it.

use crate::view::pattern::{Part, Pattern, is_random};
use std::{collections::HashMap, hash::Hash};

/// So many names that differ, and no fewer, are compared to find out whether they are random.
const RANDOM_NAMES: usize = 8;
/// Shortest random part: mkstemp makes six, a small one may begin like another.
const RANDOM_MIN: usize = 4;
/// Of the names compared, so many must have a digit, or letters of both cases: quarters of all.
const RANDOM_QUARTERS: usize = 3;

/// Values that can be added up.
pub trait Merge {
    /// Adds another one.
    fn merge(&mut self, other: Self);
}

/// Which part of a path: what stands before the last directory, that directory, and the name.
type Pieces<T> = [T; 3];
const DIRECTORY: usize = 1;
const NAME: usize = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key<K> {
    owner: K,
    /// `None`: what found no room.
    pieces: Option<Pieces<Pattern>>,
}

/// What is common to all names of an entry, in one place of their paths.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    /// Up to the first dot that is not the first byte: how all begin.
    begin: Vec<u8>,
    /// The same of one of them.
    one: Vec<u8>,
    /// From there on.
    end: Vec<u8>,
    /// All are as long, end like this, and could be random.
    fits: bool,
}

impl Shape {
    fn of(piece: &[u8]) -> Self {
        let dot = piece.iter().skip(1).position(|byte| *byte == b'.' || *byte == b'/').map(|at| at + 1);
        let (one, end) = piece.split_at(dot.unwrap_or(piece.len()));
        let fits = one.iter().skip_while(|byte| **byte == b'.').all(is_random);
        Self { begin: one.to_vec(), one: one.to_vec(), end: end.to_vec(), fits }
    }

    fn merge(&mut self, other: &Self) {
        self.fits &= other.fits && self.one.len() == other.one.len() && self.end == other.end;
        let common = self.begin.iter().zip(&other.begin).take_while(|(a, b)| a == b).count();
        self.begin.truncate(common);
    }

    /// Whether what comes after a common beginning looks random.
    fn looks_random(&self, common: usize) -> bool {
        let rest = self.one.get(common..).unwrap_or_default();
        let has = |is: fn(&u8) -> bool| rest.iter().any(is);
        has(u8::is_ascii_digit) || (has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase))
    }
}

#[derive(Clone, Debug)]
struct Entry<V> {
    value: V,
    shapes: Pieces<Shape>,
    /// What stands for the parts of each piece; `None` where that differs from path to path.
    values: Pieces<Vec<Option<Vec<u8>>>>,
}

impl<V: Merge> Entry<V> {
    fn merge(&mut self, other: Self) {
        self.value.merge(other.value);
        self.shapes.iter_mut().zip(&other.shapes).for_each(|(shape, other)| shape.merge(other));
        for (values, others) in self.values.iter_mut().zip(&other.values) {
            // Of different numbers of parts nothing is common.
            let same = values.len() == others.len();
            let others = others.iter().map(Some).chain(std::iter::repeat(None));
            for (value, other) in values.iter_mut().zip(others) {
                if !same || other != Some(value) {
                    *value = None;
                }
            }
        }
    }
}

/// What is around a name, its length and its end.
type Likeness<K> = (Key<K>, usize, Vec<u8>);
/// Entries that may be one.
type Entries<K, V> = Vec<(Key<K>, Entry<V>)>;

/// Paths and what is added up for them, by an owner.
#[derive(Clone, Debug)]
pub struct Folding<K, V> {
    entries: HashMap<Key<K>, Entry<V>>,
    /// Most entries.
    limit: usize,
}

/// Where a path comes apart.
fn pieces(path: &[u8]) -> Pieces<&[u8]> {
    let after_slash = |text: &[u8]| text.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (directories, name) = path.split_at(after_slash(path));
    let above = directories.split_last().map_or(directories, |(_, above)| above);
    let (head, directory) = directories.split_at(after_slash(above));
    [head, directory, name]
}

impl<K: Clone + Eq + Hash, V: Merge + Clone> Folding<K, V> {
    /// Nothing yet; never more than `limit` entries.
    pub fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), limit }
    }

    /// Adds a path.
    pub fn add(&mut self, owner: K, path: &[u8], value: V) {
        if self.entries.len() >= self.limit {
            self.compact();
        }
        let pieces = pieces(path);
        let entry = Entry {
            value,
            shapes: pieces.map(Shape::of),
            values: pieces.map(|piece| Pattern::values(piece).into_iter().map(Some).collect()),
        };
        self.put(Key { owner, pieces: Some(pieces.map(Pattern::of)) }, entry);
    }

    fn put(&mut self, key: Key<K>, entry: Entry<V>) {
        match self.entries.get_mut(&key) {
            Some(known) => known.merge(entry),
            None => {
                self.entries.insert(key, entry);
            }
        }
    }

    /// The patterns, with what was added up; `None` for what found no room.
    pub fn rows(mut self) -> Vec<(K, Option<Pattern>, V)> {
        self.fold_random(NAME);
        self.fold_random(DIRECTORY);
        let row = |(key, entry): (Key<K>, Entry<V>)| {
            let pattern = key.pieces.map(|pieces| shown(pieces, &entry.values));
            (key.owner, pattern, entry.value)
        };
        self.entries.into_iter().map(row).collect()
    }

    /// Makes room for at least as many entries as there are then.
    fn compact(&mut self) {
        let enough = self.limit / 2;
        self.fold_random(NAME);
        self.fold_random(DIRECTORY);
        for place in [NAME, DIRECTORY] {
            if self.entries.len() > enough {
                self.fold_all(place);
            }
        }
        if self.entries.len() > enough {
            for (key, entry) in std::mem::take(&mut self.entries) {
                self.put(Key { pieces: None, ..key }, entry);
            }
        }
    }

    /// Folds names that look random in one place of the paths.
    fn fold_random(&mut self, place: usize) {
        let mut alike: HashMap<Likeness<K>, Entries<K, V>> = HashMap::new();
        let mut rest = Vec::new();
        for (key, entry) in self.entries.drain() {
            let Some(pieces) = key.pieces.as_ref().filter(|_| entry.shapes[place].fits) else {
                rest.push((key, entry));
                continue;
            };
            let mut pieces = pieces.clone();
            pieces[place] = Pattern::default();
            let around = Key { owner: key.owner.clone(), pieces: Some(pieces) };
            let shape = &entry.shapes[place];
            alike.entry((around, shape.one.len(), shape.end.clone())).or_default().push((key, entry));
        }
        self.entries.extend(rest);
        for ((around, length, end), entries) in alike {
            let random = random(&entries, place, length, &end);
            for (mut key, mut entry) in entries {
                if let Some(pattern) = &random {
                    key = around.clone();
                    // Nothing of it is constant but what is text.
                    entry.values[place] = vec![None; pattern.0.len()];
                    key.pieces.iter_mut().for_each(|pieces| pieces[place] = pattern.clone());
                }
                self.put(key, entry);
            }
        }
    }

    /// Folds all names in one place of the paths.
    fn fold_all(&mut self, place: usize) {
        for (mut key, mut entry) in std::mem::take(&mut self.entries) {
            if let Some(pieces) = &mut key.pieces {
                for (place, piece) in pieces.iter_mut().enumerate().skip(place) {
                    let end =
                        if place == DIRECTORY { vec![Part::Any, Part::Text(b"/".to_vec())] } else { vec![Part::Any] };
                    // What has no directory keeps its slash.
                    let is_root = place == DIRECTORY && *piece == Pattern::exact(b"/");
                    if !is_root && !piece.0.is_empty() {
                        entry.values[place] = vec![None; end.len()];
                        entry.shapes[place].fits = false;
                        *piece = Pattern(end);
                    }
                }
            }
            self.put(key, entry);
        }
    }
}

/// The pattern of names of this length and end, when they look random.
fn random<K, V>(entries: &[(Key<K>, Entry<V>)], place: usize, length: usize, end: &[u8]) -> Option<Pattern> {
    let shapes = || entries.iter().filter_map(|(_, entry)| entry.shapes.get(place));
    let is_random = |key: &Key<K>| {
        let piece = key.pieces.as_ref().and_then(|pieces| pieces.get(place));
        piece.is_some_and(|piece| piece.0.iter().any(|part| matches!(part, Part::Random(_))))
    };
    let known = entries.iter().any(|(key, _)| is_random(key));
    if entries.len() < if known { 2 } else { RANDOM_NAMES } {
        return None;
    }
    let mut all = shapes().next()?.clone();
    shapes().for_each(|shape| all.merge(shape));
    let common = all.begin.len();
    let looking = shapes().filter(|shape| shape.looks_random(common)).count();
    if length < common + RANDOM_MIN || looking * 4 < entries.len() * RANDOM_QUARTERS {
        return None;
    }
    let parts = [Part::Text(all.begin), Part::Random(length - common), Part::Text(end.to_vec())];
    Some(Pattern(parts.into_iter().filter(|part| *part != Part::Text(Vec::new())).collect()))
}

/// The pattern of a path, with what is the same in all: the whole path, or numbers.
fn shown(pieces: Pieces<Pattern>, values: &Pieces<Vec<Option<Vec<u8>>>>) -> Pattern {
    let exact = values.iter().flatten().all(Option::is_some);
    let mut parts: Vec<Part> = Vec::new();
    for (part, value) in pieces.into_iter().flat_map(|piece| piece.0).zip(values.iter().flatten()) {
        let part = match value {
            Some(value) if exact || part == Part::Number => Part::Text(value.clone()),
            _ => part,
        };
        match (parts.last_mut(), part) {
            (Some(Part::Text(before)), Part::Text(text)) => before.extend(text),
            (_, part) => parts.push(part),
        }
    }
    Pattern(parts)
}

#[cfg(test)]
#[path = "folding_tests.rs"]
mod tests;
