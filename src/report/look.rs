//! How a report looks in a terminal: styles, and lines that fit its width.

use anstyle::{AnsiColor, Style};

/// How the parts of a report look. Colour never carries meaning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Headings.
    pub heading: Style,
    /// What may be skipped.
    pub faint: Style,
    /// What is wrong.
    pub wrong: Style,
}

impl Look {
    /// Text only.
    pub const PLAIN: Self = Self {
        heading: Style::new(),
        faint: Style::new(),
        wrong: Style::new(),
    };

    /// For a terminal.
    pub const TERMINAL: Self = Self {
        heading: Style::new().bold(),
        faint: Style::new().dimmed(),
        wrong: AnsiColor::Red.on_default().bold(),
    };
}

/// Text in lines of at most `width`, indented, the lines after the first by two more.
pub(super) fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = " ".repeat(indent);
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent + 2)));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 10, 2), ["  one two", "    three"]);
    }
}
