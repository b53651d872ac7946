//! Which row stands below which.

use super::Row;
use std::collections::{HashMap, HashSet};

/// Where a row stands in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its position among the rows.
    pub row: usize,
    /// For each level above it and its own, whether it is the last one there; none for a row that stands on no other.
    pub last: Vec<bool>,
    /// Whether it is shown already, under another of the devices that it stands on.
    pub again: bool,
}

/// The rows to show, as a tree: a device stands under each of those that it stands on. Idle ones are shown with `all`, and where
/// one that is not idle stands on them.
pub fn tree(rows: &[Row], all: bool) -> Vec<Place> {
    let index: HashMap<u32, usize> = rows.iter().enumerate().map(|(index, row)| (row.dev, index)).collect();
    let below = |row: usize| -> Vec<usize> {
        let device = rows.get(row).and_then(|row| row.device.as_ref());
        let on = device.and_then(|device| device.on.as_deref()).unwrap_or_default();
        on.iter().filter_map(|dev| index.get(dev).copied()).filter(|other| *other != row).collect()
    };
    let shown = shown(rows, all, &below);
    let mut above: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut roots = Vec::new();
    for row in (0..rows.len()).filter(|row| shown.contains(row)) {
        let on = below(row);
        if on.is_empty() {
            roots.push(row);
        }
        for other in on {
            above.entry(other).or_default().push(row);
        }
    }
    let mut places = Vec::new();
    let mut seen = HashSet::new();
    // Those in a circle, which only a misread name can make, have no root; they are shown all the same.
    let rest = (0..rows.len()).filter(|row| shown.contains(row));
    for root in roots.into_iter().chain(rest) {
        if !seen.contains(&root) {
            climb(root, &mut Vec::new(), &above, &mut seen, &mut places);
        }
    }
    places
}

/// The rows that are not idle, and all that they stand on.
fn shown(rows: &[Row], all: bool, below: &dyn Fn(usize) -> Vec<usize>) -> HashSet<usize> {
    let mut shown = HashSet::new();
    let busy = |(_, row): &(usize, &Row)| all || !row.is_idle();
    let mut wanted: Vec<usize> = rows.iter().enumerate().filter(busy).map(|(index, _)| index).collect();
    while let Some(row) = wanted.pop() {
        if shown.insert(row) {
            wanted.extend(below(row));
        }
    }
    shown
}

/// A row and all that stands on it, once: under others it is only named.
fn climb(
    row: usize,
    last: &mut Vec<bool>,
    above: &HashMap<usize, Vec<usize>>,
    seen: &mut HashSet<usize>,
    places: &mut Vec<Place>,
) {
    let again = !seen.insert(row);
    places.push(Place { row, last: last.clone(), again });
    if again {
        return;
    }
    let children = above.get(&row).map(Vec::as_slice).unwrap_or_default();
    for (position, child) in children.iter().enumerate() {
        last.push(position + 1 == children.len());
        climb(*child, last, above, seen, places);
        last.pop();
    }
}
