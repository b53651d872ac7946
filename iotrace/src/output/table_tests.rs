#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

const fn column(key: &'static str, header: &'static str, align: Align, width: usize) -> Column {
    Column { key, header, doc: "", align, width, least: None }
}

/// The default columns of `top`.
const TOP: [Column; 9] = [
    column("pid", "PID", Align::Right, 7),
    column("comm", "COMM", Align::Left, 15),
    column("reads", "READS", Align::Right, 6),
    column("writes", "WRITES", Align::Right, 6),
    column("r_kb", "R_KB", Align::Right, 7),
    column("w_kb", "W_KB", Align::Right, 7),
    column("syncs", "SYNCS", Align::Right, 5),
    column("time", "TIME", Align::Right, 6),
    column("path", "PATH", Align::Left, 4),
];

fn rows() -> Vec<Vec<String>> {
    [
        [
            "1234567",
            "containerd-shim",
            "0",
            "524287",
            "0",
            "40960",
            "4093",
            "4.81s",
            "/var/lib/docker/containers/3f4a9c0f1b2d/app.log",
        ],
        ["812", "python3", "1009", "1009", "1009", "1009", "0", "45us", "/tmp/job/データ/片.tmp"],
        ["1", "systemd", "3", "0", "1", "0", "0", "999ns", r"/run/odd\x1b[31mname\x20"],
        ["99", "nginx", "0", "7", "0", "1", "0", "1.02ms", "?"],
    ]
    .iter()
    .map(|row| row.iter().map(ToString::to_string).collect())
    .collect()
}

fn stream(table: &Table) -> String {
    table.stream_header() + &rows().iter().map(|row| table.stream_row(row)).collect::<String>()
}

#[test]
fn summary_at_80_columns() {
    let text = Table::new(TOP, Some(80)).render(&rows());
    assert!(text.lines().all(|line| line.width() <= 80));
    insta::assert_snapshot!(text);
}

#[test]
fn summary_in_a_pipe_is_never_cut() {
    insta::assert_snapshot!(Table::new(TOP, None).render(&rows()));
}

#[test]
fn stream_at_80_columns() {
    let text = stream(&Table::new(TOP, Some(80)));
    assert!(text.lines().all(|line| line.width() <= 80));
    insta::assert_snapshot!(text);
}

#[test]
fn stream_in_a_pipe_is_never_cut() {
    insta::assert_snapshot!(stream(&Table::new(TOP, None)));
}

#[test]
fn a_wide_cell_moves_the_rest_of_its_line() {
    let table = Table::new([TOP[0], TOP[1], TOP[8]], Some(40));
    assert_eq!(table.stream_row(&["1", "x", "/a"]), "      1 x               /a\n");
    assert_eq!(table.stream_row(&["123456789", "sixteen-columns!", "/a"]), "123456789 sixteen-columns! /a\n");
}

#[test]
fn a_narrow_terminal_still_shows_the_end_of_the_path() {
    let text = Table::new(TOP, Some(10)).render(&rows());
    assert!(text.lines().nth(1).unwrap().ends_with(" /va…/app.log"), "{text}");
}

#[test]
fn a_number_in_the_last_column_is_never_cut() {
    let table = Table::new([TOP[8], TOP[2]], Some(8));
    let row = ["/path".to_owned(), "12345678901234567".to_owned()];
    assert_eq!(table.stream_row(&row), "/path 12345678901234567\n");
    assert!(table.render(&[row.to_vec()]).ends_with("/path 12345678901234567\n"));
}

#[test]
fn without_rows_there_is_the_header() {
    assert_eq!(Table::new(TOP, None).render(&[]), "PID COMM READS WRITES R_KB W_KB SYNCS TIME PATH\n");
}

#[test]
fn columns_are_chosen_by_key_in_any_order() {
    assert_eq!(select(&TOP, "pid,comm,path"), Ok(vec![0, 1, 8]));
    assert_eq!(select(&TOP, "PATH, R_KB"), Ok(vec![8, 4]));
    assert_eq!(
        select(&TOP, "pid,bytes"),
        Err("no column named bytes: choose from pid,comm,reads,writes,r_kb,w_kb,syncs,time,path".into())
    );
    assert!(select(&TOP, "").unwrap_err().contains("choose from pid,"));
}

proptest! {
    #[test]
    fn lines_have_no_trailing_spaces_and_fit(
        cells in prop::collection::vec(prop::collection::vec("[!-~é日]{0,12}", 3), 0..5),
        terminal in 30usize..100,
    ) {
        let table = Table::new([TOP[0], TOP[1], TOP[8]], Some(terminal));
        let text = table.render(&cells);
        prop_assert_eq!(text.lines().count(), cells.len() + 1);
        for line in text.lines().chain(cells.iter().map(|row| table.stream_row(row)).collect::<String>().lines()) {
            prop_assert_eq!(line, line.trim_end());
            prop_assert!(line.width() <= terminal.max(24 + 1 + 24 + 1 + LAST_MIN), "{}", line);
        }
    }

    #[test]
    fn in_a_pipe_every_cell_is_whole(cells in prop::collection::vec(prop::collection::vec("[!-~é日]{1,40}", 9), 1..4)) {
        let table = Table::new(TOP, None);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let rendered: Vec<_> = table.render(&cells).lines().skip(1).map(words).collect();
        let streamed: Vec<_> = cells.iter().map(|row| words(&table.stream_row(row))).collect();
        prop_assert_eq!(&rendered, &cells);
        prop_assert_eq!(&streamed, &cells);
    }
}
