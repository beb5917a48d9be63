//! When windows are open: cron expressions with a time zone and a length.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::documents::settings::Window;

/// Windows that open while another is open make it longer; after so many, one that never closes is long enough.
const JOINED: usize = 1000;

/// A window that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("window `{start}` ({timezone}) cannot be understood: {why}")]
pub struct BadWindow {
    start: String,
    timezone: String,
    why: String,
}

/// How things stand at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// A window is open.
    Open {
        /// Until then.
        until: Timestamp,
    },
    /// None is.
    Closed {
        /// When the next one opens; none where none ever does.
        opens: Option<Timestamp>,
    },
}

/// Windows, read.
#[derive(Debug)]
pub struct Calendar(Vec<Opening>);

#[derive(Debug)]
struct Opening {
    cron: Cron,
    zone: TimeZone,
    length: SignedDuration,
}

impl Opening {
    fn of(window: &Window) -> Result<Self, BadWindow> {
        let bad = |why: String| BadWindow {
            start: window.start.clone(),
            timezone: window.timezone.clone(),
            why,
        };
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(&window.start)
            .map_err(|error| bad(error.to_string()))?;
        let zone = TimeZone::get(&window.timezone).map_err(|error| bad(error.to_string()))?;
        let length = i64::try_from(window.duration_s)
            .map(SignedDuration::from_secs)
            .map_err(|_| bad("it is too long".to_owned()))?;
        Ok(Self { cron, zone, length })
    }

    /// The end of the last one that began by then.
    fn end_of_last(&self, at: Timestamp) -> Option<Timestamp> {
        let began = self
            .cron
            .find_previous_occurrence(&at.to_zoned(self.zone.clone()), true)
            .ok()?;
        began.timestamp().checked_add(self.length).ok()
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self
            .cron
            .find_next_occurrence(&after.to_zoned(self.zone.clone()), false)
            .ok()?;
        Some(next.timestamp())
    }
}

impl Calendar {
    /// The declared windows, read.
    ///
    /// # Errors
    /// If one of them cannot be understood.
    pub fn of(windows: &[Window]) -> Result<Self, BadWindow> {
        windows
            .iter()
            .map(Opening::of)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// How things stand. Windows that overlap, or follow each other without a gap, are one.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Now {
        let last_end = |at: Timestamp| self.0.iter().filter_map(|one| one.end_of_last(at)).max();
        let Some(mut until) = last_end(now).filter(|end| *end > now) else {
            return Now::Closed {
                opens: self.0.iter().filter_map(|one| one.next(now)).min(),
            };
        };
        for _ in 0..JOINED {
            match last_end(until) {
                Some(later) if later > until => until = later,
                _ => break,
            }
        }
        Now::Open { until }
    }

    /// Whether a step that needs so many seconds of a window may start.
    #[must_use]
    pub fn has_room(&self, now: Timestamp, seconds: u64) -> bool {
        match self.at(now) {
            Now::Open { until } => {
                until.duration_since(now).as_secs() >= seconds.try_into().unwrap_or(i64::MAX)
            }
            Now::Closed { .. } => false,
        }
    }
}
