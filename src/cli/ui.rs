//! Words for people on stderr, data for programs on stdout. Colours are taken out where they would not be seen.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anstream::ColorChoice;
use tracing_subscriber::EnvFilter;

use super::{Color, CommandError};

/// Columns where there is no terminal.
const WIDTH: u16 = 120;

/// A narrower table cannot be read.
const LEAST_WIDTH: u16 = 60;

/// Sets colours and logging for the process.
pub fn begin(color: Color, verbose: u8) {
    match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    }
    .write_global();
    let default = match verbose {
        0 => "off",
        1 => "refit=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // fails only where a test has set one up already
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(anstream::stderr)
        .try_init();
}

/// Says something on stderr. A terminal that has gone is no reason to stop.
pub fn say(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// Says a line on stderr.
pub fn line(text: &str) {
    say(&format!("{text}\n"));
}

/// Writes data to stdout.
///
/// # Errors
/// If it cannot be written, unless the reader has seen enough and closed the pipe.
pub fn data(text: &str) -> Result<(), CommandError> {
    let mut stdout = anstream::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::new("cannot write to stdout").because(&error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether someone is there to be asked.
pub fn interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question; only `yes` or `y` is a yes.
///
/// # Errors
/// If the answer cannot be read.
pub fn ask(question: &str) -> Result<bool, CommandError> {
    let answer = answer(&format!("{question} [yes/no]"))?;
    Ok(matches!(answer.as_str(), "yes" | "y"))
}

/// Asks for a word.
///
/// # Errors
/// If the answer cannot be read.
pub fn answer(question: &str) -> Result<String, CommandError> {
    say(&format!("{question} "));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| CommandError::new("cannot read the answer").because(&error))?;
    Ok(answer.trim().to_owned())
}

/// Columns of the terminal; what fits a review elsewhere.
pub fn width() -> u16 {
    terminal_size::terminal_size().map_or(WIDTH, |(width, _)| width.0.max(LEAST_WIDTH))
}
