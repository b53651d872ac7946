#![allow(clippy::unwrap_used)]
use super::*;
use crate::{cli::form::Form, event::Comm, view::top::Row};
use iotrace_common::sum::Counters;

fn agent() -> Facts {
    let mut comm = [0; 16];
    comm.iter_mut().zip(b"agent").for_each(|(to, from)| *to = *from);
    let counters = Counters {
        writes: 1009,
        write_bytes: 1009 * 120,
        syncs: 1009,
        sync_ns: 9_000_000_000,
        sync_max_ns: 293_000_000,
        ..Counters::default()
    };
    let path = Some(b"/var/lib/agent/a-directory-with-a-long-name/and-another-one/journal.log".to_vec());
    let row = Row { pid: Some(4711), comm: Some(Comm(comm)), path, counters, ..Row::default() };
    Facts { length: Duration::from_secs(10), rows: vec![row], ..Facts::default() }
}

#[test]
fn findings_fit_into_80_columns_but_for_paths() {
    let facts = agent();
    let shown = text(&all(&facts), &Form::default());
    insta::assert_snapshot!(shown);
    assert!(shown.lines().all(|line| line.len() <= 80 || line.trim_start().starts_with('/')));
}

#[test]
fn nothing_wrong_is_said() {
    let facts = Facts { length: Duration::from_secs(10), ..Facts::default() };
    let shown = text(&all(&facts), &Form::default());
    assert!(shown.starts_with("nothing wrong found in 10 s: 0 pairs of process and file\n"), "{shown}");
    assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
}

#[test]
fn a_rule_that_is_not_there_is_a_wrong_usage() {
    let error = explain("no-such").unwrap_err();
    assert!(error.is::<Misused>() && error.to_string().contains("sync-per-write, small-writes"), "{error}");
}
