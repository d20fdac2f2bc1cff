//! Times as people and files write them.

use std::time::Duration;

use crate::model::Timestamp;

/// A time in UTC, to the millisecond (RFC 3339, section 5.6): `2026-11-21T09:30:00.000Z`.
#[must_use]
pub fn rfc_3339(time: Timestamp) -> String {
    at(time).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Reads such a time, with any offset; nothing if it is none, or before 1970.
#[must_use]
pub fn parse_rfc_3339(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp)
}

/// A time as the user's clock shows it, to the minute.
#[must_use]
pub fn local(time: Timestamp) -> String {
    at(time).to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// A time as a library knows it; 1970 for one after the year 9999.
#[must_use]
pub fn at(time: Timestamp) -> jiff::Timestamp {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default()
}

/// Reads how long something takes, as `30m`, `12h` or `7d`; nothing for what is none, or takes no time.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let time = text.parse::<jiff::Span>().ok()?.to_duration(days).ok()?;
    Duration::try_from(time).ok().filter(|time| !time.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are_read() {
        let time = Timestamp(1_700_000_000_123);
        assert_eq!(rfc_3339(time), "2023-11-14T22:13:20.123Z");
        assert_eq!(parse_rfc_3339("2023-11-14T23:13:20.123+01:00"), Some(time));
        for text in ["", "tomorrow", "2023-11-14", "1960-01-01T00:00:00Z"] {
            assert_eq!(parse_rfc_3339(text), None, "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [("30m", 1800), ("24h", 86_400), ("7d", 604_800), ("1h30m", 5400)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "30", "0s", "-1h", "soon", "1 fortnight"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
