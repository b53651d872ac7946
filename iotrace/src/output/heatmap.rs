//! Heat maps as text: time to the right, values in powers of two upwards.

use super::histogram::Bars;
use unicode_width::UnicodeWidthStr;

/// Shades from few to many, and what each looks like on a terminal with colours: of the 256 that all terminals know.
const SHADES: [(char, char, u8); 4] = [('░', '.', 27), ('▒', 'o', 226), ('▓', 'O', 208), ('█', '#', 196)];

/// How a map is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Ink {
    /// Block elements, or ASCII.
    pub bars: Bars,
    /// With colours too.
    pub colour: bool,
}

/// A row per power of two, the highest values first, with a column for each of `columns`; a last line says what the shades stand for.
/// Each row ends with a newline.
///
/// Columns are buckets of values up to the first number, and above the bucket before, with their counts; `text` writes the value with
/// its unit. Rows of no counts at both ends are left out; without any count the text is empty. A bucket that is not empty has a shade:
/// each stands for a range of counts, by powers of the largest.
#[must_use]
pub fn heatmap(columns: &[Vec<(u64, u64)>], ink: Ink, text: fn(u64) -> String) -> String {
    let filled = || columns.iter().flatten().filter(|(_, count)| *count > 0);
    let (Some(lowest), Some(highest)) = (filled().map(|(le, _)| *le).min(), filled().map(|(le, _)| *le).max()) else {
        return String::new();
    };
    let most = filled().map(|(_, count)| *count).max().unwrap_or_default();
    let limits = limits(most);
    let rows: Vec<u64> = std::iter::successors(Some(lowest), |le| le.checked_mul(2)?.checked_add(1))
        .take_while(|le| *le < highest)
        .chain([highest])
        .collect();
    // The last bucket holds all that is longer, so its limit may be no power of two.
    let label = |le: u64| text(le.saturating_add(1));
    let width = rows.iter().map(|le| label(*le).width()).max().unwrap_or_default();
    let mut out = String::new();
    for (index, le) in rows.iter().enumerate().rev() {
        let above = index.checked_sub(1).and_then(|below| rows.get(below)).copied();
        let inside = |(bucket, _): &&(u64, u64)| *bucket <= *le && above.is_none_or(|above| *bucket > above);
        let cells: String = columns
            .iter()
            .map(|column| cell(column.iter().filter(inside).map(|(_, count)| count).sum(), limits, ink))
            .collect();
        out.push_str(format!("{:>width$} {}", label(*le), cells).trim_end());
        out.push('\n');
    }
    out.push_str(&legend(limits, most, width, ink));
    out
}

/// The smallest count of each shade.
fn limits(most: u64) -> [u64; 4] {
    // Equal ratios between shades: with fourth roots, few among very many still show.
    let root = (most as f64).powf(0.25);
    [0, 1, 2, 3].map(|step| (root.powi(step).ceil() as u64).max(1))
}

fn cell(count: u64, limits: [u64; 4], ink: Ink) -> String {
    if count == 0 {
        return " ".into();
    }
    shade(limits.iter().rposition(|limit| count >= *limit).unwrap_or_default(), ink)
}

fn shade(index: usize, ink: Ink) -> String {
    let Some((block, ascii, colour)) = SHADES.get(index) else { return String::new() };
    let shape = if ink.bars == Bars::Blocks { block } else { ascii };
    if ink.colour { format!("\x1b[38;5;{colour}m{shape}\x1b[0m") } else { shape.to_string() }
}

/// What the shades that occur stand for.
fn legend(limits: [u64; 4], most: u64, width: usize, ink: Ink) -> String {
    let mut line = " ".repeat(width);
    for (index, low) in limits.iter().enumerate() {
        let high = limits.get(index + 1).map_or(most, |next| next.saturating_sub(1));
        // Of few different counts, several shades would begin at the same.
        if high >= *low {
            let range = if high == *low { low.to_string() } else { format!("{low}-{high}") };
            line.push_str(&format!(" {} {range} ", shade(index, ink)));
        }
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

#[cfg(test)]
#[path = "heatmap_tests.rs"]
mod tests;
