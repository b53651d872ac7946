//! The form of the output: JSON, or tables for this terminal.

use crate::{
    cli::options::Output,
    output::{Bars, Table},
};
use std::{
    env,
    io::{self, IsTerminal},
};
use terminal_size::{Width, terminal_size_of};

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// JSON lines.
    pub json: bool,
    /// Columns of the terminal; `None` when the output goes elsewhere, or is to be `--wide`: then nothing is cut.
    pub width: Option<usize>,
    /// Whether to use colours and bold.
    pub colour: bool,
    /// Whether the locale has more than ASCII.
    pub utf8: bool,
}

impl Form {
    /// For stdout, or for a file.
    pub fn new(output: &Output) -> Self {
        let terminal = output.output.is_none() && io::stdout().is_terminal();
        let width = terminal_size_of(io::stdout()).map(|(Width(columns), _)| usize::from(columns));
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
        Self {
            json: output.json,
            width: width.filter(|_| terminal && !output.wide),
            colour: terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            utf8: locale.is_none_or(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8")),
        }
    }

    /// A header line, bold where that is wanted.
    pub fn header(&self, line: &str) -> String {
        if !self.colour {
            return line.to_owned();
        }
        format!("\x1b[1m{}\x1b[0m\n", line.trim_end_matches('\n'))
    }

    /// A whole table, its header as [`Self::header`].
    pub fn table(&self, table: &Table, rows: &[Vec<String>]) -> String {
        let text = table.render(rows);
        match text.split_once('\n') {
            Some((header, rows)) => self.header(&format!("{header}\n")) + rows,
            None => text,
        }
    }

    /// Ends the line in which the terminal has shown `^C`.
    pub fn new_line(&self) {
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            eprintln!();
        }
    }

    /// What bars are drawn with.
    pub fn bars(&self) -> Bars {
        if self.utf8 { Bars::Blocks } else { Bars::Ascii }
    }
}
