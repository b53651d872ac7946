//! Globs over thread names, compiled to the automaton that the kernel side runs.

use iotrace_common::config::CommFilter;
use std::fmt;
use std::str::FromStr;

/// Most bytes of a thread's name (the kernel's TASK_COMM_LEN without its NUL).
const NAME_MAX: usize = 15;

/// A glob over thread names: `*`, `?`, `[a-z]`, `[!x]` (or `[^x]`), and `\` before a character that stands for itself.
///
/// Thread names are bytes, so `?` and brackets match one byte. `*` crosses everything, `/` too: names are no paths.
#[derive(Clone)]
pub struct CommGlob {
    text: String,
    filter: Box<CommFilter>,
}

/// Why a text is no glob over thread names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// Nothing given: would match no thread.
    #[error("an empty glob matches no thread")]
    Empty,
    /// `[` without `]`.
    #[error("`[` without `]`")]
    Unclosed,
    /// `[z-a]`
    #[error("the range {0}-{1} is empty")]
    EmptyRange(char, char),
    /// A bracket matches one byte, and such a character has several.
    #[error("{0} within [ ]: only ASCII characters there")]
    NotAscii(char),
    /// `\` at the end.
    #[error("`\\` at the end")]
    Dangling,
    /// More single characters than a name has: could match no thread.
    #[error("matches names of at least {0} bytes, but the kernel keeps 15 of a thread's name: shorten it")]
    TooLong(usize),
}

impl CommGlob {
    /// What the kernel side runs.
    #[must_use]
    pub fn filter(&self) -> &CommFilter {
        &self.filter
    }
}

impl fmt::Debug for CommGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CommGlob").field(&self.text).finish()
    }
}

impl fmt::Display for CommGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for CommGlob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        let mut tokens = Tokens::default();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '*' => tokens.star(),
                '?' => tokens.push(Set::ANY),
                '[' => tokens.push(bracket(&mut chars)?),
                '\\' => tokens.literal(chars.next().ok_or(GlobError::Dangling)?),
                c => tokens.literal(c),
            }
        }
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        // Also keeps the states within the automaton's 64 bits.
        if tokens.sets.len() > NAME_MAX {
            return Err(GlobError::TooLong(tokens.sets.len()));
        }
        Ok(Self { text: text.into(), filter: Box::new(tokens.compile()) })
    }
}

/// Runs the automaton over a thread's name, which ends at its first NUL or after 16 bytes, as the kernel side does.
#[must_use]
pub fn matches(filter: &CommFilter, name: &[u8]) -> bool {
    let mut state = 1u64;
    for &byte in name.iter().take(NAME_MAX + 1).take_while(|&&byte| byte != 0) {
        state = ((state & filter.class[usize::from(byte)]) << 1) | (state & filter.star);
    }
    state & filter.accept != 0
}

/// A set of bytes: what one token matches.
#[derive(Clone, Copy)]
struct Set([bool; 256]);

impl Set {
    const ANY: Self = Self([true; 256]);
    const NONE: Self = Self([false; 256]);
}

/// The glob in pieces: single-byte tokens, and the stars between them.
#[derive(Default)]
struct Tokens {
    sets: Vec<Set>,
    /// Indexes of the tokens that a `*` stands before; the number of tokens for one at the end.
    stars: Vec<usize>,
}

impl Tokens {
    fn push(&mut self, set: Set) {
        self.sets.push(set);
    }

    fn star(&mut self) {
        self.stars.push(self.sets.len());
    }

    /// A character is as many tokens as it has bytes.
    fn literal(&mut self, c: char) {
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            let mut set = Set::NONE;
            set.0[usize::from(byte)] = true;
            self.push(set);
        }
    }

    fn compile(&self) -> CommFilter {
        let mut filter = CommFilter { class: [0; 256], star: 0, accept: 1 << self.sets.len() };
        for (index, set) in self.sets.iter().enumerate() {
            for (class, _) in filter.class.iter_mut().zip(set.0).filter(|(_, member)| *member) {
                *class |= 1 << index;
            }
        }
        for index in &self.stars {
            filter.star |= 1 << index;
        }
        filter
    }
}

/// The rest of a bracket expression, after its `[`. As in a shell, a `]` that comes first stands for itself.
fn bracket(chars: &mut std::str::Chars<'_>) -> Result<Set, GlobError> {
    let mut rest = chars.clone();
    let negated = matches!(rest.next(), Some('!' | '^'));
    if negated {
        *chars = rest;
    }
    let mut set = Set::NONE;
    let mut first = true;
    loop {
        let low = match chars.next().ok_or(GlobError::Unclosed)? {
            ']' if !first => break,
            '\\' => ascii(chars.next())?,
            c => ascii(Some(c))?,
        };
        first = false;
        // A `-` is a range only between two characters: `[a-]` is `a` or `-`.
        let mut rest = chars.clone();
        let high = match (rest.next(), rest.next()) {
            (Some('-'), Some(c)) if c != ']' => {
                let high = if c == '\\' { rest.next() } else { Some(c) };
                *chars = rest;
                ascii(high)?
            }
            _ => low,
        };
        if low > high {
            return Err(GlobError::EmptyRange(low.into(), high.into()));
        }
        set.0[usize::from(low)..=usize::from(high)].fill(true);
    }
    Ok(if negated { Set(set.0.map(|member| !member)) } else { set })
}

fn ascii(c: Option<char>) -> Result<u8, GlobError> {
    let c = c.ok_or(GlobError::Unclosed)?;
    u8::try_from(c).ok().filter(u8::is_ascii).ok_or(GlobError::NotAscii(c))
}

#[cfg(test)]
#[path = "glob_tests.rs"]
mod tests;
