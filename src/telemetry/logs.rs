//! Logs: `tracing` events, to stderr, as text or as one JSON object a line.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::telemetry::TelemetryError;

/// What is logged when nothing else is asked for: the service's own events, and what OpenTelemetry complains of (its
/// targets all begin with `opentelemetry`). Not more: each target that is let in is asked at every request.
pub const DEFAULT_LOG_FILTER: &str = "surety=info,opentelemetry=warn";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people; coloured on a terminal, unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

impl LogFormat {
    /// All formats, for help texts.
    pub const ALL: [Self; 2] = [Self::Text, Self::Json];
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.to_string() == s);
        found.ok_or_else(|| format!("the log format must be text or json, was {s:?}"))
    }
}

/// Reads a log filter: directives like `surety=debug,surety::ledger=trace`, separated by commas.
pub(super) fn parse_filter(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter).map_err(|error| {
        format!("the log filter {filter:?} must be directives like surety=debug, separated by commas: {error}")
    })
}

/// Sends logs to stderr from now on, for the rest of the process.
///
/// # Errors
/// If the filter is no filter, or logs were set up before.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = parse_filter(filter).map_err(|fault| TelemetryError::Invalid(vec![fault]))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match format {
        LogFormat::Text => {
            let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            registry.with(lines.with_ansi(coloured)).try_init()
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init(),
    };
    installed.map_err(|_| TelemetryError::LogsAlreadySet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_read_as_they_are_written() {
        for format in LogFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("xml".parse::<LogFormat>().unwrap_err().contains("text or json"));
    }

    #[test]
    fn the_default_filter_is_one_and_lets_own_events_in_only() {
        let filter = parse_filter(DEFAULT_LOG_FILTER).unwrap();
        assert_eq!(filter.max_level_hint(), Some(tracing_subscriber::filter::LevelFilter::INFO));
        assert!(parse_filter("surety=loud").unwrap_err().contains("surety=loud"));
    }
}
