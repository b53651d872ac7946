#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::cli::Cli;
use clap::{CommandFactory, Parser};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    filters: Filters,
}

fn timing(words: &[&str]) -> Timing {
    Line::try_parse_from(["x"].iter().chain(words)).unwrap().timing
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_path_glob_crosses_slashes_and_a_broken_one_is_refused() {
    let glob = path_glob("*.log").unwrap();
    assert!(glob.is_match("/var/log/app.log") && !glob.is_match("/var/log/app.txt"));
    assert!(path_glob("/var/[").is_err());
}

#[test]
fn interval_and_count_are_options_or_positions() {
    let second = Some(Duration::from_secs(1));
    for (words, interval, count) in [
        (&[][..], None, None),
        (&["1"], second, None),
        (&["-i", "1s"], second, None),
        (&["1", "5"], second, Some(5)),
        (&["-i", "500ms", "-n", "5"], Some(Duration::from_millis(500)), Some(5)),
        // A count alone counts seconds.
        (&["-n", "5"], second, Some(5)),
    ] {
        let timing = timing(words);
        assert_eq!((timing.interval(), timing.count()), (interval, count), "{words:?}");
    }
    for words in [&["x", "-i", "1s", "1"][..], &["x", "1", "5", "-n", "5"], &["x", "-n", "0"]] {
        assert!(Line::try_parse_from(words).is_err(), "{words:?}");
    }
}

#[test]
fn filters_by_name_are_a_selection() {
    let words = ["x", "--path", "/var/*", "--container", "web", "--cgroup", "/a.slice"];
    let selection = Line::try_parse_from(words).unwrap().filters.selection();
    assert!(selection.path(Some(b"/var/log/app.log")) && !selection.path(Some(b"/etc/x")));
    assert_eq!((selection.container.as_deref(), selection.cgroup.as_deref()), (Some("web"), Some("/a.slice")));
    assert!(Line::try_parse_from(["x"]).unwrap().filters.selection().is_empty());
}
