#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

impl Merge for Vec<Vec<u8>> {
    fn merge(&mut self, other: Self) {
        self.extend(other);
    }
}

fn folded(paths: impl IntoIterator<Item = Vec<u8>>, limit: usize) -> Vec<((), Option<Pattern>, Vec<Vec<u8>>)> {
    let mut folding = Folding::new(limit);
    for path in paths {
        folding.add((), &path, vec![path.clone()]);
    }
    folding.rows()
}

/// Patterns and how many paths each has, sorted.
fn shown(paths: &[String], limit: usize) -> Vec<(String, usize)> {
    let rows = folded(paths.iter().map(|path| path.clone().into_bytes()), limit);
    let name = |pattern: Option<Pattern>| pattern.map_or("?".into(), |p| String::from_utf8(p.show()).unwrap());
    let mut rows: Vec<_> = rows.into_iter().map(|(_, pattern, paths)| (name(pattern), paths.len())).collect();
    rows.sort();
    rows
}

fn row(pattern: &str, count: usize) -> (String, usize) {
    (pattern.to_owned(), count)
}

#[test]
fn numbered_files_are_one_row_and_one_file_is_itself() {
    let mut paths: Vec<String> =
        (0..1009).map(|n| format!("/tmp/0b5c2f7e-9d3a-4a57-8b21-6f0e4d2c1a99/{n}.txt")).collect();
    paths.push("/var/lib64/x2026.log".into());
    assert_eq!(shown(&paths, 100), [row("/tmp/<uuid>/<n>.txt", 1009), row("/var/lib64/x2026.log", 1)]);
}

#[test]
fn numbers_that_do_not_differ_stay() {
    let paths = ["/usr/lib64/a1", "/usr/lib64/a2"].map(String::from);
    assert_eq!(shown(&paths, 100), [row("/usr/lib64/a<n>", 2)]);
    let again = ["/run/pid7", "/run/pid7"].map(String::from);
    assert_eq!(shown(&again, 100), [row("/run/pid7", 2)]);
}

const NAMES: [&str; 9] = ["aX3kq_", "Zt9Qwe", "b1Cd2e", "qwErty", "00aabZ", "Mn4-pq", "xYz123", "K9j8H7", "pP0oO1"];

#[test]
fn names_of_mkstemp_are_random() {
    let paths: Vec<String> = NAMES.iter().map(|name| format!("/tmp/tmp.{name}")).collect();
    assert_eq!(shown(&paths, 100).len(), 9, "what comes after a dot is an end");
    let paths: Vec<String> = NAMES.iter().map(|name| format!("/tmp/job-{name}.tmp")).collect();
    assert_eq!(shown(&paths, 100), [row("/tmp/job-<random>.tmp", 9)]);
    assert_eq!(shown(&paths[..7], 100).len(), 7, "too few to tell");
    let paths: Vec<String> = NAMES.iter().map(|name| format!("/tmp/rustc{name}/symbols.o")).collect();
    assert_eq!(shown(&paths, 100), [row("/tmp/rustc<random>/symbols.o", 9)]);
}

#[test]
fn words_are_not_random() {
    let words = ["parser", "lexers", "tables", "output", "inputs", "errors", "events", "mounts", "planes"];
    let paths: Vec<String> = words.iter().map(|word| format!("/src/{word}.c")).collect();
    assert_eq!(shown(&paths, 100).len(), 9);
}

#[test]
fn what_does_not_fit_is_folded_and_nothing_is_lost() {
    let letters = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap());
    let names: Vec<String> = (0..400).map(|n| "x".repeat(1 + n / 26) + &letters(n).to_string()).collect();
    let one: Vec<String> = names.iter().map(|name| format!("/srv/spool/{name}")).collect();
    let rows = shown(&one, 64);
    assert!(
        rows.contains(&row("/srv/spool/*", 384)) || rows.iter().any(|(name, _)| name == "/srv/spool/*"),
        "{rows:?}"
    );
    assert_eq!(rows.iter().map(|(_, count)| count).sum::<usize>(), 400);
    let many: Vec<String> = names.iter().map(|name| format!("/{name}/{name}/{name}")).collect();
    let rows = shown(&many, 64);
    assert!(rows.len() <= 64 && rows.iter().any(|(name, _)| name == "?"), "{rows:?}");
    assert_eq!(rows.iter().map(|(_, count)| count).sum::<usize>(), 400);
}

#[test]
fn a_million_random_names_take_few_entries() {
    let name = |n: u64| format!("/tmp/t{:016x}z", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut folding = Folding::new(1000);
    for n in 0..20_011 {
        folding.add((), name(n).as_bytes(), vec![Vec::new()]);
        assert!(folding.entries.len() <= 1000);
    }
    let rows = folding.rows();
    assert_eq!(rows.iter().map(|(_, _, paths)| paths.len()).sum::<usize>(), 20_011);
    assert_eq!(
        rows.len(),
        1,
        "{:?}",
        rows.iter().map(|(_, pattern, paths)| (pattern, paths.len())).collect::<Vec<_>>()
    );
}

proptest! {
    #[test]
    fn each_path_matches_the_pattern_that_claims_it(
        paths in proptest::collection::vec("(/([a-c]{0,2}[A-Za-z0-9_-]{4}|[0-9]{1,3}|20[0-9]{6}|[a-f0-9]{8,9}|[.a-b]{1,3})){1,4}(\\.[a-b]{1,2})?", 0..50),
        limit in 1usize..40,
    ) {
        let rows = folded(paths.iter().map(|path| path.clone().into_bytes()), limit);
        prop_assert_eq!(rows.iter().map(|(_, _, paths)| paths.len()).sum::<usize>(), paths.len());
        for (_, pattern, claimed) in rows {
            for path in claimed {
                if let Some(pattern) = &pattern {
                    prop_assert!(pattern.matches(&path), "{:?} {:?}", pattern, String::from_utf8_lossy(&path));
                }
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_do_too(paths in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..60), limit in 1usize..40) {
        for (_, pattern, claimed) in folded(paths, limit) {
            prop_assert!(claimed.iter().all(|path| pattern.as_ref().is_none_or(|pattern| pattern.matches(path))));
        }
    }
}
