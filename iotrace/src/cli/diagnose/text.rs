//! Findings for people.

use crate::{cli::form::Form, findings::Finding};
use textwrap::{Options, WordSplitter, fill};

/// Columns of text, where the terminal does not have fewer.
const WIDTH: usize = 80;
/// What belongs to a finding stands under its headline.
const INDENT: &str = "   ";

/// The findings, the first first.
pub(super) fn text(findings: &[Finding], form: &Form) -> String {
    let width = form.width.unwrap_or(WIDTH).min(WIDTH);
    // Names are not cut: a path goes on a line of its own.
    let wrapped = |text: &str, first: &str| {
        let options = Options::new(width)
            .initial_indent(first)
            .subsequent_indent(INDENT)
            .break_words(false)
            .word_splitter(WordSplitter::NoHyphenation);
        fill(text, options) + "\n"
    };
    let mut text = String::new();
    for (finding, rank) in findings.iter().zip(1..) {
        let head = if finding.is_nothing() {
            wrapped(&finding.headline, "")
        } else {
            wrapped(&format!("{}: {}", finding.severity.name(), finding.headline), &format!("{rank}. "))
        };
        text += &head.lines().map(|line| form.header(&format!("{line}\n"))).collect::<String>();
        text += &finding.evidence.iter().map(|line| wrapped(line, INDENT)).collect::<String>();
        text += &wrapped(&format!("-> {} (--explain {})", finding.advice, finding.rule), INDENT);
        text.push('\n');
    }
    text
}
