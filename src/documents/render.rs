//! Document errors as text: file, line, the line with a caret, what was expected.

use std::borrow::Cow;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::error::{DocumentError, DocumentErrors, Span, without_credentials};

/// Whether the reader's terminal shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text only.
    Plain,
    /// With ANSI colours.
    Coloured,
}

/// More errors than this are counted, not shown: a screen that scrolls away helps nobody.
const MOST_SHOWN: usize = 50;

impl DocumentErrors {
    /// For people, ending with a line break.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Coloured => Renderer::styled(),
        };
        let mut out = String::new();
        for error in self.errors.iter().take(MOST_SHOWN) {
            out.push_str(&renderer.render(&[group(&self.path, &self.text, error)]));
            out.push_str("\n\n");
        }
        let path = self.path.display();
        match self.errors.len() {
            1 => out.push_str(&format!("{path}: 1 error\n")),
            many if many <= MOST_SHOWN => out.push_str(&format!("{path}: {many} errors\n")),
            many => out.push_str(&format!(
                "{path}: {many} errors, the first {MOST_SHOWN} shown\n"
            )),
        }
        out
    }
}

fn group<'a>(path: &Path, text: &'a str, error: &'a DocumentError) -> Group<'a> {
    let path = path.display().to_string();
    let mut group = Group::with_title(Level::ERROR.primary_title(error.message.as_str()));
    group = match error.span {
        None => group.element(Origin::path(path)),
        Some(span) => {
            let window = Window::new(text, span, error.also.as_ref().map(|(span, _)| *span));
            let mut snippet = Snippet::source(window.text.clone())
                .line_start(window.first_line)
                .path(path)
                .annotation(
                    AnnotationKind::Primary
                        .span(window.clip(span))
                        .label(error.expected.as_str()),
                );
            if let Some((also, label)) = &error.also {
                snippet = snippet.annotation(
                    AnnotationKind::Context
                        .span(window.clip(*also))
                        .label(label.as_str()),
                );
            }
            group.element(snippet)
        }
    };
    if let Some(note) = &error.note {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    match &error.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

/// The lines around the places of an error, so that rendering costs nothing more for a large document.
struct Window<'a> {
    text: Cow<'a, str>,
    offset: usize,
    first_line: usize,
}

impl<'a> Window<'a> {
    fn new(text: &'a str, span: Span, also: Option<Span>) -> Self {
        let first = also.map_or(span.start, |also| also.start.min(span.start));
        let last = also.map_or(span.start, |also| also.start.max(span.start));
        let start = text
            .get(..first)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |at| at + 1);
        let end = text
            .get(last..)
            .and_then(|after| after.find('\n'))
            .map_or(text.len(), |at| last + at);
        Self {
            text: visible(text.get(start..end).unwrap_or_default()),
            offset: start,
            first_line: 1 + text
                .bytes()
                .take(start)
                .filter(|byte| *byte == b'\n')
                .count(),
        }
    }

    /// The span inside the window, cut at the end of its first line: carets under ten lines point at nothing.
    fn clip(&self, span: Span) -> std::ops::Range<usize> {
        let start = (span.start - self.offset).min(self.text.len());
        let end = (span.end.max(span.start) - self.offset).min(self.text.len());
        let line = self.text.get(start..end).unwrap_or_default();
        let line = line.split('\n').next().unwrap_or_default().trim_end();
        start..start + line.len()
    }
}

/// Without credentials, and without the control characters U+0080 to U+009F, which some terminals obey and the renderer
/// lets through. What stands in for them takes two bytes as well, so that places stay where they are.
fn visible(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    let text = without_credentials(text);
    match text.contains(obeyed) {
        true => Cow::Owned(text.replace(obeyed, "\u{b7}")),
        false => text,
    }
}
