//! Text from documents and clusters inside Markdown: it must say what it says and do nothing.
//!
//! Names, labels, errors and notes may hold anything. In prose every character that Markdown or HTML gives a meaning is
//! escaped; mentions and references (`@team`, `#12`), which services make out of the finished text, are broken by a
//! zero-width space; line breaks and characters that turn the direction of writing are replaced.
//! Source: GitHub Flavored Markdown 0.29, sections 2.4 (backslash escapes), 4.10 (tables), 6.3 (code spans).

use std::fmt::Write as _;

/// Breaks a mention without being seen.
const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// Text as prose, also inside a table's cell.
#[must_use]
pub fn prose(text: &str) -> String {
    let text = text.trim_start();
    let mut out = String::with_capacity(text.len());
    // what would begin a list, or a heading under the line before
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let begins_list = match text.as_bytes().get(digits) {
        Some(b'.' | b')') if digits > 0 => Some(digits),
        Some(b'-' | b'+' | b'=') if digits == 0 => Some(0),
        Some(_) | None => None,
    };
    for (at, c) in text.char_indices() {
        if begins_list == Some(at) {
            out.push('\\');
        }
        match tame(c) {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => {
                out.push('@');
                out.push(ZERO_WIDTH_SPACE);
            }
            '#' => {
                out.push_str("\\#");
                out.push(ZERO_WIDTH_SPACE);
            }
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// Text as code, also inside a table's cell: services make no mentions there.
#[must_use]
pub fn code(text: &str) -> String {
    let text: String = text.chars().map(tame).collect();
    let longest = text
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.trim().is_empty() {
        " "
    } else {
        ""
    };
    // the only escape that a table knows inside of code
    let text = text.replace('|', "\\|");
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Text inside an HTML element.
#[must_use]
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().map(tame) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '`' => out.push_str("&#96;"),
            '@' | '#' => {
                out.push(c);
                out.push(ZERO_WIDTH_SPACE);
            }
            _ => out.push(c),
        }
    }
    out
}

/// The beginning of a text that is too long.
#[must_use]
pub fn clip(text: &str, characters: usize) -> String {
    let mut rest = text.chars();
    let mut kept: String = rest.by_ref().take(characters).collect();
    if rest.next().is_some() {
        kept.push('…');
    }
    kept
}

/// A part that the reader unfolds.
#[must_use]
pub fn folded(title: &str, body: &str) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "<details><summary>{}</summary>\n\n{}\n\n</details>\n\n",
        html(title),
        body.trim_end()
    );
    text
}

/// What would end a line, is not seen, or turns the direction of writing, is one plain character.
fn tame(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_has_no_meaning() {
        for (text, safe) in [
            ("a|b", "a\\|b"),
            ("<img src=x>", "&lt;img src=x&gt;"),
            ("[x](javascript:y)", "\\[x\\](javascript:y)"),
            ("@org/team #12", "@\u{200b}org/team \\#\u{200b}12"),
            ("**b** `c` ~~d~~", "\\*\\*b\\*\\* \\`c\\` \\~\\~d\\~\\~"),
            ("one\n## two\n", "one \\#\u{200b}\\#\u{200b} two "),
            ("1. one", "1\\. one"),
            ("- one", "\\- one"),
            ("1.35.4 is there", "1\\.35.4 is there"),
            ("a&lt;b \u{202e}x \u{7}", "a&amp;lt;b \u{fffd}x \u{fffd}"),
        ] {
            assert_eq!(prose(text), safe);
        }
    }

    #[test]
    fn code_ends_where_it_should() {
        for (text, safe) in [
            ("w1/drain@1.35.4", "`w1/drain@1.35.4`"),
            ("a`b", "``a`b``"),
            ("``", "``` `` ```"),
            ("a|b", "`a\\|b`"),
            ("a\n\n<b>", "`a  <b>`"),
            ("", "`  `"),
        ] {
            assert_eq!(code(text), safe);
        }
    }

    #[test]
    fn html_and_clips() {
        assert_eq!(
            html("</summary><b>\"'`"),
            "&lt;/summary&gt;&lt;b&gt;&quot;&#39;&#96;"
        );
        assert_eq!(
            (clip("abc", 3).as_str(), clip("abcd", 3).as_str()),
            ("abc", "abc…")
        );
    }
}
