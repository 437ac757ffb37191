//! Logs to standard output, as text for people or JSON for collectors.

use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// Lines that one `Seldom` lets through in `WINDOW`: whoever reads sees what goes on, and whoever causes them fills no disk.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// Lets some lines through, and counts the others.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Seldom {
    /// None so far.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether to write a line now, and how many were left out since the last one.
    pub fn line(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = window.get_or_insert(Window { since: now, lines: 0, left_out: 0 });
        if now - window.since >= WINDOW {
            (window.since, window.lines) = (now, 0);
        }
        if window.lines == LINES {
            window.left_out += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_becomes_a_few_and_a_number() {
        let (seldom, now) = (Seldom::new(), Instant::now());
        let first: Vec<_> = (0..15).map(|_| seldom.line(now)).collect();
        assert_eq!(first, [[Some(0); 10].as_slice(), &[None; 5]].concat());
        assert_eq!(seldom.line(now + WINDOW), Some(5));
        assert_eq!(seldom.line(now + WINDOW), Some(0));
    }
}
