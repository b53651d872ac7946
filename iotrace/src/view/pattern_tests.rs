#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn shown(path: &str) -> String {
    String::from_utf8(Pattern::of(path.as_bytes()).show()).unwrap()
}

#[test]
fn what_programs_count_with_is_replaced() {
    for (path, pattern) in [
        ("/tmp/0b5c2f7e-9d3a-4a57-8b21-6f0e4d2c1a99/17.txt", "/tmp/<uuid>/<n>.txt"),
        ("/tmp/0B5C2F7E-9D3A-4A57-8B21-6F0E4D2C1A99", "/tmp/<uuid>"),
        ("/var/log/app-2026-11-20.log", "/var/log/app-<date>.log"),
        ("/var/log/app.20261120", "/var/log/app.<date>"),
        ("/srv/objects/3f4a9c0f1b2d", "/srv/objects/<hex>"),
        ("/srv/objects/3F4A9C0F1B2D.idx", "/srv/objects/<hex>.idx"),
        ("/tmp/part-00017-of-00100", "/tmp/part-<n>-of-<n>"),
        ("/tmp/cafe", "/tmp/cafe"),
        ("/tmp/deadbeef", "/tmp/deadbeef"),
        ("/tmp/12345678", "/tmp/<n>"),
        ("/tmp/2026-13-01", "/tmp/<n>-<n>-<n>"),
        ("/usr/lib64/x", "/usr/lib<n>/x"),
        ("/", "/"),
        ("", ""),
    ] {
        assert_eq!(shown(path), pattern, "{path}");
    }
}

#[test]
fn a_pattern_stands_for_what_it_says_and_nothing_else() {
    let pattern = Pattern::of(b"/tmp/a1.txt");
    assert!(pattern.matches(b"/tmp/a007.txt"));
    for other in ["/tmp/a.txt", "/tmp/ax.txt", "/tmp/a1.txt2", "/tmp/a1/txt", "/var/a1.txt"] {
        assert!(!pattern.matches(other.as_bytes()), "{other}");
    }
    let random = Pattern(vec![Part::Text(b"/tmp/tmp".to_vec()), Part::Random(6)]);
    assert!(random.matches(b"/tmp/tmpaB3_x-"));
    for other in ["/tmp/tmpaB3_x", "/tmp/tmpaB3_x-7", "/tmp/tmpaB3.x7"] {
        assert!(!random.matches(other.as_bytes()), "{other}");
    }
    let any = Pattern(vec![Part::Text(b"/tmp/".to_vec()), Part::Any]);
    assert!(any.matches(b"/tmp/x y") && !any.matches(b"/tmp/") && !any.matches(b"/tmp/x/y"));
}

#[test]
fn values_are_what_stands_for_the_parts() {
    assert_eq!(Pattern::values(b"/a1/b22"), [&b"/a"[..], b"1", b"/b", b"22"]);
}

proptest! {
    #[test]
    fn a_path_matches_its_own_pattern(path in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(Pattern::of(&path).matches(&path));
        prop_assert_eq!(Pattern::values(&path).concat(), path);
    }

    #[test]
    fn so_does_one_of_words_and_numbers(path in "(/([a-f0-9]{1,12}|[0-9]{1,9}|20[0-9]{6}|[A-Za-z_.-]{1,4}){1,4}){1,4}") {
        prop_assert!(Pattern::of(path.as_bytes()).matches(path.as_bytes()));
        prop_assert_eq!(Pattern::values(path.as_bytes()).concat(), path.as_bytes());
    }
}
