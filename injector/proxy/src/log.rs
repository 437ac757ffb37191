//! Logs to standard output, as text for people or JSON for collectors.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Time, level, message, fields.
    Text,
    /// The same as one JSON object a line, fields beside the message.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Less important lines are not written.
    pub level: LevelFilter,
    /// How a line is written.
    pub format: Format,
}

/// Starts logging for the whole process; the first call counts.
pub fn start(settings: Settings) {
    let builder = tracing_subscriber::fmt().with_max_level(settings.level).with_target(false).with_writer(io::stdout);
    let _ = match settings.format {
        Format::Text => builder.with_ansi(io::stdout().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}
