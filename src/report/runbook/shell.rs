//! Commands as a person types them: quoted for a POSIX shell, the executor's constant scripts called by their names.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::DIRECTORY;
use crate::host::op::Command;

/// A word as a shell must see it to take it as one word, unchanged.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Words as one line of shell.
#[must_use]
pub fn command_line<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// The constant scripts that a runbook's steps call, by name.
#[derive(Debug, Default)]
pub(super) struct Scripts(BTreeMap<String, String>);

impl Scripts {
    /// A script of the runbook's own.
    pub(super) fn add(&mut self, name: &str, text: &str) {
        self.0.insert(name.to_owned(), text.to_owned());
    }

    /// The command as one line. `sh -c SCRIPT NAME ARGUMENTS…` is kept as a script, and called with the same arguments.
    pub(super) fn call(&mut self, command: &Command) -> String {
        match command.argv.as_slice() {
            [sh, c, script, name, arguments @ ..] if sh == "sh" && c == "-c" => {
                self.add(name, script);
                let file = format!("{DIRECTORY}/{name}");
                command_line(
                    ["sh", file.as_str()]
                        .into_iter()
                        .chain(arguments.iter().map(String::as_str)),
                )
            }
            argv => command_line(argv.iter().map(String::as_str)),
        }
    }

    /// A block of shell that writes all of them.
    pub(super) fn block(&self) -> String {
        let mut text = "```sh\numask 077; mkdir -p refit-runbook\n".to_owned();
        for (name, script) in &self.0 {
            // a line that no script holds
            let mut end = "REFIT_END".to_owned();
            while script.lines().any(|line| line == end) {
                end.push('_');
            }
            let newline = if script.ends_with('\n') { "" } else { "\n" };
            let _ = writeln!(
                text,
                "cat > refit-runbook/{name} <<'{end}'\n{script}{newline}{end}"
            );
        }
        text.push_str("```\n\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_need_be() {
        for (word, shown) in [
            ("w1", "w1"),
            ("kubelet=1.35.4-1.1", "kubelet=1.35.4-1.1"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's $(x)", r"'it'\''s $(x)'"),
            ("~", "'~'"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }
}
