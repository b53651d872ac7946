//! Patterns of paths: what names that a program makes have in common.
//!
//! `/tmp/5f0c.../17.txt` becomes `/tmp/<uuid>/<n>.txt`. What stands in the place of a part is found in each path by itself;
//! random names only show beside each other, and are found by [`super::folding`].

/// Shortest hexadecimal number that is taken for one: words like `cafe` are none.
const HEX_MIN: usize = 8;
/// Bytes of a uuid's parts.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// As it is.
    Text(Vec<u8>),
    /// Decimal digits.
    Number,
    /// At least eight hexadecimal digits of one case.
    Hex,
    /// A uuid.
    Uuid,
    /// A date: `2026-11-20` or `20261120`.
    Date,
    /// So many letters, digits, `_` and `-`.
    Random(usize),
    /// Anything in one directory.
    Any,
}

impl Part {
    fn show(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::Number => b"<n>",
            Self::Hex => b"<hex>",
            Self::Uuid => b"<uuid>",
            Self::Date => b"<date>",
            Self::Random(_) => b"<random>",
            Self::Any => b"*",
        }
    }

    /// Bytes at the beginning of `text` that may stand for it: the fewest and the most.
    fn lengths(&self, text: &[u8]) -> Option<(usize, usize)> {
        let run = |is: fn(&u8) -> bool| text.iter().take_while(|byte| is(byte)).count();
        match self {
            Self::Text(part) => text.starts_with(part).then_some((part.len(), part.len())),
            Self::Number => Some((1, run(u8::is_ascii_digit))),
            Self::Hex => Some((HEX_MIN, run(u8::is_ascii_hexdigit))),
            Self::Uuid => uuid(text).map(|length| (length, length)),
            Self::Date => date(text).map(|length| (length, length)),
            Self::Random(length) => (run(is_random) >= *length).then_some((*length, *length)),
            Self::Any => Some((1, run(|byte| *byte != b'/'))),
        }
    }
}

/// A pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(pub Vec<Part>);

impl Pattern {
    /// Of one path: numbers, dates and their like replaced.
    pub fn of(path: &[u8]) -> Self {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        let mut at = 0;
        while let Some(rest) = path.get(at..).filter(|rest| !rest.is_empty()) {
            let before = at.checked_sub(1).and_then(|before| path.get(before));
            match variable(rest, before.copied()) {
                Some((part, length)) => {
                    push_text(&mut parts, &mut text);
                    parts.push(part);
                    at += length;
                }
                None => {
                    text.extend(rest.first());
                    at += 1;
                }
            }
        }
        push_text(&mut parts, &mut text);
        Self(parts)
    }

    /// A path as it is.
    pub fn exact(path: &[u8]) -> Self {
        Self(vec![Part::Text(path.to_vec())])
    }

    /// As it is shown.
    pub fn show(&self) -> Vec<u8> {
        self.0.iter().flat_map(Part::show).copied().collect()
    }

    /// Whether a path is one of those that it stands for.
    pub fn matches(&self, path: &[u8]) -> bool {
        matches(&self.0, path)
    }

    /// The bytes that stand for its parts in a path of which it was made.
    pub fn values(path: &[u8]) -> Vec<Vec<u8>> {
        let mut at = 0;
        let mut values = Vec::new();
        for part in Self::of(path).0 {
            let rest = path.get(at..).unwrap_or_default();
            let length = part.lengths(rest).map_or(0, |(_, most)| most);
            values.push(rest.iter().take(length).copied().collect());
            at += length;
        }
        values
    }
}

fn push_text(parts: &mut Vec<Part>, text: &mut Vec<u8>) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
}

fn matches(parts: &[Part], text: &[u8]) -> bool {
    let Some((first, rest)) = parts.split_first() else { return text.is_empty() };
    let Some((least, most)) = first.lengths(text) else { return false };
    // Greedy first, as patterns are made.
    (least..=most).rev().any(|length| text.get(length..).is_some_and(|text| matches(rest, text)))
}

/// What stands at the beginning of a text, and its length; `before`: the byte before it.
fn variable(text: &[u8], before: Option<u8>) -> Option<(Part, usize)> {
    if !before.is_some_and(|before| before.is_ascii_alphanumeric()) {
        if let Some(length) = uuid(text) {
            return Some((Part::Uuid, length));
        }
        if let Some(length) = date(text) {
            return Some((Part::Date, length));
        }
        if let Some(length) = hex(text) {
            return Some((Part::Hex, length));
        }
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits != 0).then_some((Part::Number, digits))
}

/// Whether a word ends here.
fn ends(text: &[u8], at: usize) -> bool {
    !text.get(at).is_some_and(u8::is_ascii_alphanumeric)
}

fn uuid(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for (index, length) in UUID.into_iter().enumerate() {
        if index != 0 {
            (text.get(at) == Some(&b'-')).then_some(())?;
            at += 1;
        }
        text.get(at..at + length)?.iter().all(u8::is_ascii_hexdigit).then_some(())?;
        at += length;
    }
    ends(text, at).then_some(at)
}

fn hex(text: &[u8]) -> Option<usize> {
    let word = text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let word = text.get(..word).filter(|word| word.len() >= HEX_MIN)?;
    let has = |is: fn(&u8) -> bool| word.iter().any(is);
    let one_case = !(has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase));
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    (one_case && mixed && word.iter().all(u8::is_ascii_hexdigit)).then_some(word.len())
}

fn date(text: &[u8]) -> Option<usize> {
    let number = |from: usize, length: usize| -> Option<u32> {
        let digits = text.get(from..from + length)?;
        digits.iter().all(u8::is_ascii_digit).then_some(())?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    let is_date = |month: usize, day: usize| -> Option<bool> {
        let year = number(0, 4)?;
        Some(
            (1970..2100).contains(&year)
                && (1..=12).contains(&number(month, 2)?)
                && (1..=31).contains(&number(day, 2)?),
        )
    };
    let dashes = text.get(4) == Some(&b'-') && text.get(7) == Some(&b'-');
    let (month, day) = if dashes { (5, 8) } else { (4, 6) };
    let end = day + 2;
    (is_date(month, day)? && ends(text, end)).then_some(end)
}

/// Whether a byte may stand in a random name: those that mkstemp and its like take.
pub(super) fn is_random(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
