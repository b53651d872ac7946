//! Names that come from outside (paths, thread names, containers) as text that cannot break a terminal, a table or a
//! JSON line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::fmt::Write;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Stands for what was cut away.
const CUT: &str = "…";

/// A name for tables. Printable UTF-8 stays as it is; everything that could move the cursor, hide or reorder text is
/// written out:
///
/// - `\n`, `\t`, `\r`, and `\x1b` for other ASCII control characters and for bytes that are not UTF-8 (`\xff`)
/// - `\u{202e}` for C1 controls, line separators, and characters that are invisible or change the direction of text
/// - a backslash doubled, so that the exact bytes can be read back
/// - `\x20` (and the like) for white space at either end, which would not show
#[must_use]
pub fn escape(name: &[u8]) -> Cow<'_, str> {
    // Nearly all names are printable ASCII: one pass, no allocation.
    let edge = name.first() == Some(&b' ') || name.last() == Some(&b' ');
    if !edge && name.iter().all(|&byte| matches!(byte, b' '..=b'~') && byte != b'\\') {
        return String::from_utf8_lossy(name);
    }
    let mut out = String::with_capacity(name.len() + 16);
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut out, c);
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    escape_edges(&mut out);
    Cow::Owned(out)
}

fn escape_edges(text: &mut String) {
    let written = |c: char| if c == ' ' { "\\x20".to_owned() } else { c.escape_unicode().to_string() };
    if let Some(last) = text.chars().next_back().filter(|c| c.is_whitespace()) {
        text.truncate(text.len() - last.len_utf8());
        text.push_str(&written(last));
    }
    if let Some(first) = text.chars().next().filter(|c| c.is_whitespace()) {
        text.replace_range(..first.len_utf8(), &written(first));
    }
}

fn push_escaped(out: &mut String, c: char) {
    let _ = match c {
        '\n' => write!(out, "\\n"),
        '\t' => write!(out, "\\t"),
        '\r' => write!(out, "\\r"),
        '\\' => write!(out, "\\\\"),
        '\0'..='\x1f' | '\x7f' => write!(out, "\\x{:02x}", u32::from(c)),
        c if is_treacherous(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
        c => write!(out, "{c}"),
    };
}

/// Characters beyond ASCII that a terminal obeys instead of showing, or shows as nothing. Combining marks and variation
/// selectors stay: names in many languages have them.
const fn is_treacherous(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}' // C1 controls: U+009B starts a terminal sequence
        | '\u{ad}' // soft hyphen
        | '\u{34f}' // combining grapheme joiner
        | '\u{61c}' // Arabic letter mark
        | '\u{115f}'..='\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
        | '\u{17b4}'..='\u{17b5}' // Khmer vowels without a form
        | '\u{180e}' // Mongolian vowel separator
        | '\u{200b}'..='\u{200f}' // zero-width space and joiners, direction marks
        | '\u{2028}'..='\u{202e}' // line and paragraph separator, direction embeddings and overrides
        | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, direction isolates
        | '\u{feff}' // byte order mark
        | '\u{fff9}'..='\u{fffb}' // interlinear annotation
        | '\u{e0000}'..='\u{e007f}' // tags
    )
}

/// A name for JSON: as text, with U+FFFD for what is not UTF-8; and then, only then, its exact bytes in base64.
#[must_use]
pub fn lossy(name: &[u8]) -> (Cow<'_, str>, Option<String>) {
    match str::from_utf8(name) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(_) => (String::from_utf8_lossy(name), Some(STANDARD.encode(name))),
    }
}

/// Text cut at its front to at most `width` columns of a terminal and marked with `…`, so that the file's name shows.
#[must_use]
pub fn shorten_front(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let Some(room) = width.checked_sub(CUT.width()) else { return Cow::Borrowed("") };
    let mut used = 0;
    let fits = |(_, c): &(usize, char)| {
        used += c.width().unwrap_or(0);
        used <= room
    };
    let from = text.char_indices().rev().take_while(fits).last().map_or(text.len(), |(at, _)| at);
    let mut rest = text.get(from..).unwrap_or_default();
    // A combining mark cannot come first; and a sequence of characters may be wider than the sum of them.
    while let Some(first) = rest.chars().next().filter(|c| c.width() == Some(0) || rest.width() > room) {
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
    Cow::Owned(format!("{CUT}{rest}"))
}

/// Text cut in its middle to at most `width` columns of a terminal and marked with `…`. Of a path all of the last name is
/// kept where it fits; beyond that, twice as much of the end as of the beginning.
#[must_use]
pub(super) fn shorten_middle(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let Some(room) = width.checked_sub(CUT.width()) else { return Cow::Borrowed("") };
    let name = text.rfind('/').and_then(|at| text.get(at..)).map_or(0, UnicodeWidthStr::width);
    let end = if name > room { room } else { name.max(room - room / 3) };
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= room - end
    };
    let mut begin: String = text.chars().take_while(fits).collect();
    // A sequence of characters may be wider than the sum of them.
    while begin.width() > room - end {
        begin.pop();
    }
    Cow::Owned(begin + &shorten_front(text, end + CUT.width()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn printable_names_stay_as_they_are() {
        for name in ["/var/log/app.log", "tmux: server", "/データ/日本", "/caf\u{e9}/cafe\u{301}", "a'b\"c$(d)", ""]
        {
            assert_eq!(escape(name.as_bytes()), name);
        }
    }

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        for (name, shown) in [
            (&b"a\nb\tc\rd"[..], r"a\nb\tc\rd"),
            (b"\x1b[31mred\x07\0\x7f", r"\x1b[31mred\x07\x00\x7f"),
            (b"\xff\xfe/\xc3", r"\xff\xfe/\xc3"),
            ("\u{9b}31m\u{85}".as_bytes(), r"\u{9b}31m\u{85}"),
            ("cod\u{202e}gpj.exe\u{2066}".as_bytes(), r"cod\u{202e}gpj.exe\u{2066}"),
            ("a\u{200b}b\u{feff}\u{2028}".as_bytes(), r"a\u{200b}b\u{feff}\u{2028}"),
            (br"back\slash\n", r"back\\slash\\n"),
            (b" edge ", r"\x20edge\x20"),
            (b" ", r"\x20"),
            ("a b\u{3000}".as_bytes(), r"a b\u{3000}"),
        ] {
            assert_eq!(escape(name), shown);
        }
    }

    #[test]
    fn json_gets_the_exact_bytes_only_when_text_loses_some() {
        assert_eq!(lossy("/caf\u{e9}\n".as_bytes()), ("/caf\u{e9}\n".into(), None));
        assert_eq!(lossy(b"/caf\xe9"), ("/caf\u{fffd}".into(), Some("L2NhZuk=".into())));
    }

    #[test]
    fn cut_at_the_front_by_columns() {
        for (text, width, shown) in [
            ("/var/log/app.log", 16, "/var/log/app.log"),
            ("/var/log/app.log", 8, "…app.log"),
            ("/var/log/app.log", 1, "…"),
            ("/var/log/app.log", 0, ""),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "…本語"),
            ("日本語", 4, "…語"),
            ("abcde\u{301}f", 3, "…e\u{301}f"),
            ("abcde\u{301}f", 2, "…f"),
            ("xxxxx\u{2764}\u{fe0f}", 2, "…"),
        ] {
            assert_eq!(shorten_front(text, width), shown, "{text} {width}");
        }
    }

    #[test]
    fn cut_in_the_middle_by_columns() {
        for (text, width, shown) in [
            ("/var/log/app.log", 16, "/var/log/app.log"),
            ("/var/log/app.log", 14, "/var…g/app.log"),
            ("/var/log/app.log", 10, "/…/app.log"),
            ("/var/log/app.log", 9, "…/app.log"),
            ("/var/log/app.log", 5, "….log"),
            ("/var/log/app.log", 1, "…"),
            ("shop-frontend-7d4b/nginx", 16, "shop-…7d4b/nginx"),
            ("3f4a9c0f1b2d", 7, "3f…1b2d"),
            ("日本語日本語", 7, "日…本語"),
        ] {
            assert!(shorten_middle(text, width).width() <= width, "{text} {width}");
            assert_eq!(shorten_middle(text, width), shown, "{text} {width}");
        }
    }

    /// The exact bytes that an escaped name stands for.
    fn unescape(text: &str) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), text);
        while let Some(c) = rest.chars().next() {
            let (piece, len) = match (c, rest.as_bytes().get(1)) {
                ('\\', Some(b'n')) => (b"\n".to_vec(), 2),
                ('\\', Some(b't')) => (b"\t".to_vec(), 2),
                ('\\', Some(b'r')) => (b"\r".to_vec(), 2),
                ('\\', Some(b'\\')) => (b"\\".to_vec(), 2),
                ('\\', Some(b'x')) => (vec![u8::from_str_radix(&rest[2..4], 16).unwrap()], 4),
                ('\\', Some(b'u')) => {
                    let end = rest.find('}').unwrap();
                    let c = char::from_u32(u32::from_str_radix(&rest[3..end], 16).unwrap()).unwrap();
                    (c.to_string().into_bytes(), end + 1)
                }
                _ => (c.to_string().into_bytes(), c.len_utf8()),
            };
            bytes.extend(piece);
            rest = &rest[len..];
        }
        bytes
    }

    proptest! {
        #[test]
        fn an_escaped_name_is_safe_and_can_be_read_back(name in prop::collection::vec(any::<u8>(), 0..40)) {
            let shown = escape(&name);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_treacherous(c)));
            prop_assert!(shown.trim() == shown);
            prop_assert_eq!(unescape(&shown), name);
        }

        #[test]
        fn any_text_is_safe_too(name in "\\PC{0,10}[\\x00-\\x{a0}\u{200b}-\u{2070}]{0,10}") {
            let shown = escape(name.as_bytes());
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_treacherous(c)));
            prop_assert_eq!(unescape(&shown), name.as_bytes());
        }

        #[test]
        fn shortened_text_fits_and_keeps_its_end(text in "\\PC{0,30}", width in 0usize..20) {
            let shown = shorten_front(&text, width);
            prop_assert!(shown.width() <= width, "{:?}", shown);
            prop_assert!(text.ends_with(shown.strip_prefix(CUT).unwrap_or(&shown)));
            let shown = shorten_middle(&text, width);
            prop_assert!(shown.width() <= width, "{:?}", shown);
            if shown != text && width > 0 {
                let whole = |(begin, end)| text.starts_with(begin) && text.ends_with(end);
                prop_assert!(shown.match_indices(CUT).any(|(at, cut)| whole((&shown[..at], &shown[at + cut.len()..]))));
            }
        }
    }
}
