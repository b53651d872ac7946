//! The document: a part for the machine itself and two for virtual machines, each written by a run of its own.

use super::figures::{Figures, Place};
use super::report::{Section, place, sections};

const HEAD: &str = "\
# What tracing costs

Written by `cargo xtask bench`, which measures the machine it runs on, and by `cargo xtask bench --vm`, which measures in virtual
ones where all mechanisms and the peers work: starts and speeds by the clock of one, the cost of operations in another that counts
instructions. Each replaces its own part. To measure your own machine, run the first there as root.

**Read the ratios.** The machine was shared with others, and nanoseconds here are not nanoseconds elsewhere; those of an
emulated processor are several times those of a real one, and not by the same factor for everything. Figures of one part were
measured in turns within one run and can be compared with each other; figures of two runs cannot. Each figure is a median;
quartiles in parentheses: half of the rounds lie between them.
";

/// Parts: where, the heading, and how the marks around it begin.
const PARTS: [(Place, &str, &str); 3] = [
    (Place::Here, "On a machine", "machine"),
    (Place::Vm, "In a virtual machine", "vm"),
    (Place::Instructions, "In instructions", "instructions"),
];

/// For the terminal.
pub(crate) fn tables(figures: &Figures) -> String {
    let show = |section: &Section| format!("\n{}\n\n{}", section.title, section.tables.join("\n"));
    sections(figures).iter().map(show).collect()
}

/// For the documentation, with the other parts as they were.
pub(crate) fn document(figures: &Figures, before: &str) -> String {
    let mut text = HEAD.to_owned();
    for (place, title, mark) in PARTS {
        let (begin, end) = (format!("<!-- {mark}: begin -->\n"), format!("<!-- {mark}: end -->\n"));
        let written = if place == figures.place {
            Some(part(figures, title))
        } else {
            before.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(part, _)| part.to_owned())
        };
        if let Some(part) = written {
            text += &format!("\n{begin}{part}{end}");
        }
    }
    text
}

fn part(figures: &Figures, title: &str) -> String {
    let mut text = format!("## {title}\n\n{}\n", place(figures));
    for section in sections(figures) {
        text += &format!("\n### {}\n\n{}\n\n{}", section.title, section.text, section.tables.join("\n"));
    }
    text
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
