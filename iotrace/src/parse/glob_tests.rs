#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn is_match(glob: &str, name: impl AsRef<[u8]>) -> bool {
    matches(glob.parse::<CommGlob>().unwrap().filter(), name.as_ref())
}

#[test]
fn each_kind_of_token() {
    for (glob, yes, no) in [
        ("nginx", "nginx", "nginx2"),
        ("nginx", "nginx", "ngin"),
        ("nginx*", "nginx: worker", "anginx"),
        ("*nginx", "nginx", "nginx "),
        ("*nginx", "a nginxnginx", "nginxa"),
        ("*", "anything", "\0"),
        ("a*b*c", "abc", "ab"),
        ("a*b*c", "axxbxbxc", "axxbxbxcx"),
        ("a**b", "ab", "a"),
        ("kworker/?:*", "kworker/0:1-ev", "kworker/u8:1"),
        ("???", "abc", "ab"),
        ("[a-c]x", "bx", "dx"),
        ("[!a-c]x", "dx", "bx"),
        ("[^a]", "b", "a"),
        ("[]a]", "]", "b"),
        ("[!]a]", "b", "]"),
        ("[a-]", "-", "b"),
        ("[-a]", "-", "b"),
        ("[a\\]b]", "]", "\\"),
        ("[\\a-\\c]", "b", "d"),
        ("[*?]", "*", "x"),
        ("[a-cx-z]", "y", "m"),
        ("\\*", "*", "x"),
        ("\\\\", "\\", "x"),
        ("é*", "école", "ecole"),
        ("]", "]", "["),
    ] {
        assert!(is_match(glob, yes), "{glob} should match {yes}");
        assert!(no == "\0" || !is_match(glob, no), "{glob} should not match {no}");
    }
}

#[test]
fn the_name_ends_at_its_nul() {
    assert!(is_match("cron", b"cron\0\0\0left over"));
    assert!(is_match("*", b"\0garbage"));
    assert!(!is_match("cron*x", b"cron\0x"));
    assert!(is_match("abcdefghijklmno", b"abcdefghijklmno\0"));
}

#[test]
fn bytes_that_are_not_utf8_are_ordinary() {
    assert!(is_match("a?b", b"a\xffb"));
    assert!(is_match("[!a]*", b"\xff\xfe"));
}

#[test]
fn errors_say_what_is_wrong() {
    for (glob, message) in [
        ("", "an empty glob matches no thread"),
        ("[a", "`[` without `]`"),
        ("[]", "`[` without `]`"),
        ("[!", "`[` without `]`"),
        ("[a-", "`[` without `]`"),
        ("[a\\", "`[` without `]`"),
        ("[a-\\", "`[` without `]`"),
        ("[z-a]", "the range z-a is empty"),
        ("[é]", "é within [ ]: only ASCII characters there"),
        ("a\\", "`\\` at the end"),
        (
            "my-long-service-name",
            "matches names of at least 20 bytes, but the kernel keeps 15 of a thread's name: shorten it",
        ),
    ] {
        assert_eq!(glob.parse::<CommGlob>().unwrap_err().to_string(), message, "{glob}");
    }
}

#[test]
fn fifteen_single_characters_with_stars_everywhere_still_fit() {
    let glob = format!("*{}", "?*".repeat(15));
    assert!(is_match(&glob, "abcdefghijklmno") && !is_match(&glob, "abcdefghijklmn"));
}

proptest! {
    #[test]
    fn any_text_gives_a_glob_or_an_error(text in ".{0,20}") {
        let _ = text.parse::<CommGlob>();
    }

    /// globset as the judge, over the syntax where both mean the same.
    #[test]
    fn agrees_with_globset(
        parts in prop::collection::vec(
            prop::sample::select(vec!["*", "?", "a", "b", "/", ".", "\\*", "[ab]", "[!a]", "[a-c]", "[!b-z]"]), 1..12),
        name in "[abcz/.*]{0,15}",
    ) {
        let glob = parts.concat();
        // Two stars in a row are a token of their own in globset; here they are one.
        prop_assume!(!glob.contains("**"));
        let judge = globset::GlobBuilder::new(&glob).literal_separator(false).backslash_escape(true).build().unwrap();
        prop_assert_eq!(is_match(&glob, &name), judge.compile_matcher().is_match(&name), "{} {}", glob, name);
    }
}
