//! Tables: whole ones for summaries, and line by line for streams. One list of columns drives both.
//!
//! No borders, one space between columns, headers in capitals. Where the terminal's width is known, what is too wide is cut:
//! in a whole table the last column (the path) and those that may be ([`Column::cut_to`]), in the middle, the widest first; in a
//! stream the last column, at its front. Elsewhere nothing is.

use super::text::{shorten_front, shorten_middle};
use comfy_table::{CellAlignment, ContentArrangement, presets};
use unicode_width::UnicodeWidthStr;

/// Columns that the last cell keeps, though the line gets wider than the terminal then: a path cut to nothing is useless.
const LAST_MIN: usize = 12;

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name for `--columns`, in lower case: `r_kb`.
    pub key: &'static str,
    /// What stands above it: `R_KB`.
    pub header: &'static str,
    /// What it means, with the unit: for the documentation.
    pub doc: &'static str,
    /// Where its text stands.
    pub align: Align,
    /// How wide it is at least in a stream, where it cannot follow the content. Summaries ignore it.
    pub width: usize,
    /// How wide it stays at least where the table is too wide; `None`: it is not cut, unless it is the last.
    pub least: Option<usize>,
}

impl Column {
    /// A column; see the fields. `width` matters only to streams.
    #[must_use]
    pub const fn new(key: &'static str, header: &'static str, align: Align, width: usize, doc: &'static str) -> Self {
        Self { key, header, doc, align, width, least: None }
    }

    /// It may be cut down to `least` columns of the terminal.
    #[must_use]
    pub const fn cut_to(mut self, least: usize) -> Self {
        self.least = Some(least);
        self
    }
}

/// A table's form; the rows come later.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    terminal: Option<usize>,
}

/// The positions in `columns` that a list such as `pid,comm,path` (in any case) names, in its order.
///
/// # Errors
/// A line that lists the valid names when one is unknown, or none is given.
pub fn select(columns: &[Column], wanted: &str) -> Result<Vec<usize>, String> {
    let position = |name: &str| {
        let name = name.trim();
        columns.iter().position(|column| column.key.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let keys: Vec<&str> = columns.iter().map(|column| column.key).collect();
            format!("no column named {}: choose from {}", super::escape(name.as_bytes()), keys.join(","))
        })
    };
    wanted.split(',').map(position).collect()
}

impl Table {
    /// A table with these columns. `terminal` is the width of the terminal; `None` for files and pipes, where nothing is
    /// cut.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = Column>, terminal: Option<usize>) -> Self {
        Self { columns: columns.into_iter().collect(), terminal }
    }

    /// The header and all rows, columns as wide as their widest cell; each line ends with a newline and has no spaces
    /// before it. Cells are in the order of the columns and hold no control characters ([`super::escape`]).
    #[must_use]
    pub fn render(&self, rows: &[Vec<String>]) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(self.columns.iter().map(|column| column.header));
        let rooms = self.terminal.map(|terminal| self.rooms(rows, terminal));
        for row in rows {
            table.add_row(row.iter().enumerate().map(|(index, cell)| {
                let room = rooms.as_ref().and_then(|rooms| *rooms.get(index)?);
                room.map_or_else(|| cell.clone(), |room| shorten_middle(cell, room).into_owned())
            }));
        }
        for (column, shape) in self.columns.iter().zip(table.column_iter_mut()) {
            shape.set_padding((0, 1)).set_cell_alignment(match column.align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        table.trim_fmt() + "\n"
    }

    /// The line of headers above a stream, with a newline.
    #[must_use]
    pub fn stream_header(&self) -> String {
        let headers: Vec<&str> = self.columns.iter().map(|column| column.header).collect();
        self.stream_row(&headers)
    }

    /// One line of a stream, with a newline and no spaces before it. A cell wider than its column moves the rest of the
    /// line to the right instead of being cut.
    #[must_use]
    pub fn stream_row(&self, cells: &[impl AsRef<str>]) -> String {
        let mut line = String::with_capacity(128);
        let mut used = 0;
        for (index, (cell, column)) in cells.iter().map(AsRef::as_ref).zip(&self.columns).enumerate() {
            if index > 0 {
                line.push(' ');
                used += 1;
            }
            if let Some(terminal) = self.terminal.filter(|_| self.is_cut(index, column)) {
                line.push_str(&shorten_front(cell, terminal.saturating_sub(used).max(LAST_MIN)));
                continue;
            }
            let width = cell.width();
            let gap = std::iter::repeat_n(' ', column.width.saturating_sub(width));
            match column.align {
                Align::Left => {
                    line.push_str(cell);
                    line.extend(gap);
                }
                Align::Right => {
                    line.extend(gap);
                    line.push_str(cell);
                }
            }
            used += width.max(column.width);
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }

    /// Only the last column is cut, and a number never: it would be another number.
    fn is_cut(&self, index: usize, column: &Column) -> bool {
        index + 1 == self.columns.len() && column.align == Align::Left
    }

    /// How wide the cells of each column that may be cut can be, so that a line has at most `terminal` columns; `None` of others.
    fn rooms(&self, rows: &[Vec<String>], terminal: usize) -> Vec<Option<usize>> {
        let widest = |(index, column): (usize, &Column)| {
            let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.width());
            cells.chain([column.header.width()]).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(widest).collect();
        let least = |(index, column): (usize, &Column)| {
            let least = if self.is_cut(index, column) { Some(LAST_MIN) } else { column.least };
            least.map(|least| least.max(column.header.width()))
        };
        let least: Vec<Option<usize>> = self.columns.iter().enumerate().map(least).collect();
        let spaces = self.columns.len().saturating_sub(1);
        for _ in terminal..widths.iter().sum::<usize>() + spaces {
            let cuttable =
                widths.iter_mut().zip(&least).filter(|(width, least)| least.is_some_and(|least| **width > least));
            let Some((widest, _)) = cuttable.max_by_key(|(width, _)| **width) else { break };
            *widest -= 1;
        }
        widths.into_iter().zip(least).map(|(width, least)| least.map(|_| width)).collect()
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
