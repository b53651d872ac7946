#![allow(clippy::unwrap_used)]
//! Databases as bbolt writes them, built page by page.
use super::*;
use proptest::prelude::*;
use std::fs;

const PAGE: usize = 4096;

/// An element of a leaf: flags, key, value.
type Element<'a> = (u32, &'a str, Vec<u8>);

fn page(number: u64, flags: u16, count: usize, body: &[u8]) -> Vec<u8> {
    let pages = (HEADER + body.len()).div_ceil(PAGE);
    let mut page = number.to_ne_bytes().to_vec();
    page.extend(flags.to_ne_bytes());
    page.extend(u16::try_from(count).unwrap().to_ne_bytes());
    page.extend(u32::try_from(pages - 1).unwrap().to_ne_bytes());
    page.extend(body);
    page
}

fn numbers(numbers: [usize; 4]) -> Vec<u8> {
    numbers.iter().flat_map(|number| u32::try_from(*number).unwrap().to_ne_bytes()).collect()
}

fn leaf(number: u64, elements: &[Element<'_>]) -> Vec<u8> {
    let (mut table, mut data) = (Vec::new(), Vec::new());
    for (index, (flags, key, value)) in elements.iter().enumerate() {
        let position = (elements.len() - index) * ELEMENT + data.len();
        table.extend(numbers([*flags as usize, position, key.len(), value.len()]));
        data.extend(key.bytes());
        data.extend(value);
    }
    table.extend(data);
    page(number, LEAF, elements.len(), &table)
}

fn branch(number: u64, children: &[(&str, u64)]) -> Vec<u8> {
    let (mut table, mut data) = (Vec::new(), Vec::new());
    for (index, (key, child)) in children.iter().enumerate() {
        let position = (children.len() - index) * ELEMENT + data.len();
        table.extend(u32::try_from(position).unwrap().to_ne_bytes());
        table.extend(u32::try_from(key.len()).unwrap().to_ne_bytes());
        table.extend(child.to_ne_bytes());
        data.extend(key.bytes());
    }
    table.extend(data);
    page(number, BRANCH, children.len(), &table)
}

fn bucket(root: u64) -> Vec<u8> {
    [root.to_ne_bytes(), [0; 8]].concat()
}

/// A bucket in a value.
fn inside(elements: &[Element<'_>]) -> Vec<u8> {
    [bucket(0), leaf(0, elements)].concat()
}

fn meta(number: u64, root: u64, transaction: u64) -> Vec<u8> {
    let mut meta = numbers([MAGIC as usize, VERSION as usize, PAGE, 0]);
    for value in [root, 0, 2, 16, transaction] {
        meta.extend(value.to_ne_bytes());
    }
    meta.extend(fnv(&meta).to_ne_bytes());
    page(number, 4, 0, &meta)
}

fn file(pages: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for page in pages {
        file.extend(page);
        file.resize(file.len().next_multiple_of(PAGE), 0);
    }
    file
}

/// A database with one value, in buckets in buckets.
pub(in super::super) fn nested(buckets: &[&str], key: &str, value: &[u8]) -> Vec<u8> {
    let (first, below) = buckets.split_first().unwrap();
    let innermost = inside(&[(0, key, value.to_vec())]);
    let first_value = below.iter().rev().fold(innermost, |value, name| inside(&[(BUCKET, name, value)]));
    file(&[meta(0, 2, 1), meta(1, 2, 0), leaf(2, &[(BUCKET, first, first_value)])])
}

/// A database with a bucket in the bucket `v1` for each of these names, with an `image` of that name. `old`: another one to
/// which the older meta page leads.
fn database(names: [&str; 3], old: &str) -> Vec<u8> {
    let entry = |name: &str| inside(&[(0, "image", name.into()), (BUCKET, "labels", inside(&[]))]);
    let [first, second, third] = names;
    file(&[
        meta(0, 3, 8),
        meta(1, 8, 7),
        page(2, 16, 0, &[]),
        leaf(3, &[(BUCKET, "v1", bucket(4)), (0, "version", vec![7])]),
        branch(4, &[(first, 5), (third, 7)]),
        // Long enough for a second page.
        leaf(5, &[(BUCKET, first, entry(first)), (BUCKET, second, entry(second)), (0, "zzz", vec![0; PAGE])]),
        leaf(7, &[(BUCKET, third, entry(third))]),
        leaf(8, &[(BUCKET, "v1", bucket(9))]),
        leaf(9, &[(BUCKET, old, entry(old))]),
    ])
}

fn read(bytes: &[u8], buckets: &[&str], key: &str) -> Option<String> {
    let place = tempfile::NamedTempFile::new().unwrap();
    fs::write(place.path(), bytes).unwrap();
    value(place.path(), buckets, key).map(|value| String::from_utf8_lossy(&value).into_owned())
}

fn image(bytes: &[u8], name: &str) -> Option<String> {
    read(bytes, &["v1", name], "image")
}

#[test]
fn a_value_is_found_on_any_page() {
    let bytes = database(["db", "go", "web"], "old");
    for name in ["db", "go", "web"] {
        assert_eq!(image(&bytes, name).as_deref(), Some(name));
    }
    for name in ["", "a", "dc", "old", "webs", "zz"] {
        assert_eq!(image(&bytes, name), None, "{name}");
    }
    assert_eq!(read(&bytes, &["v1", "web"], "labels"), None, "a bucket is no value");
    assert_eq!(read(&bytes, &["version"], "image"), None, "a value is no bucket");
    assert_eq!(read(&bytes, &["v2", "web"], "image"), None);
}

#[test]
fn of_two_meta_pages_the_newest_that_is_whole_counts() {
    let mut bytes = database(["db", "go", "web"], "old");
    assert_eq!(image(&bytes, "old"), None);
    // Whatever is torn in the newest.
    for at in [HEADER + 16, HEADER + 48, HEADER + 60] {
        bytes[at] ^= 0xff;
        assert_eq!((image(&bytes, "old").as_deref(), image(&bytes, "web")), (Some("old"), None), "{at}");
        bytes[at] ^= 0xff;
    }
    bytes[HEADER] = 0;
    bytes[PAGE + HEADER] = 0;
    assert_eq!(image(&bytes, "web"), None);
}

#[test]
fn what_is_cut_short_has_no_values() {
    let bytes = database(["db", "go", "web"], "old");
    for length in [0, 1, HEADER, HEADER + 63, PAGE, PAGE + 100, 4 * PAGE, 5 * PAGE, 6 * PAGE] {
        assert_eq!(image(&bytes[..length], "web"), None, "{length}");
    }
    assert_eq!(value(Path::new("/nowhere"), &["v1"], "image"), None);
}

proptest! {
    #[test]
    fn any_page_is_read_without_a_panic(
        changes in prop::collection::vec((2 * PAGE..10 * PAGE, any::<u8>()), 0..200),
        elements in prop::collection::vec((0..10usize, 8..HEADER + 2 * ELEMENT, any::<u8>()), 0..20),
    ) {
        let mut bytes = database(["db", "go", "web"], "old");
        let near = elements.into_iter().map(|(page, at, byte)| ((page + 2) * PAGE + at, byte));
        for (at, byte) in changes.into_iter().chain(near) {
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
            }
        }
        let _ = image(&bytes, "web");
    }
}
