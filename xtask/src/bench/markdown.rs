//! Tables that read well in a terminal and are Markdown all the same.

use std::fmt::Write;

/// A table with its first column to the left and figures to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = [&header].into_iter().chain(rows).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
        })
        .collect();
    let mut text = line(&header, &widths);
    let rule = |(column, &width): (usize, &usize)| match column {
        0 => "-".repeat(width),
        _ => "-".repeat(width - 1) + ":",
    };
    text += &line(&widths.iter().enumerate().map(rule).collect::<Vec<_>>(), &widths);
    rows.iter().for_each(|row| text += &line(row, &widths));
    text
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        // Writing to a string does not fail.
        let _ = if column == 0 { write!(text, "| {cell:<width$} |") } else { write!(text, " {cell:>width$} |") };
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["top".to_owned(), "+1".to_owned()], vec!["latency".to_owned(), "±10000".to_owned()]];
        let expected = "\
| command |     ns |
| ------- | -----: |
| top     |     +1 |
| latency | ±10000 |
";
        assert_eq!(table(&["command", "ns"], &rows), expected);
    }
}
