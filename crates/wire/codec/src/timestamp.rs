//! Points in time, in the three forms that AWS writes them.

use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;

use crate::TimestampFormat;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const fn from_ms(unix_ms: i64) -> Self {
        Self(unix_ms.saturating_mul(1000))
    }

    pub const fn from_s(unix_s: i64) -> Self {
        Self(unix_s.saturating_mul(1_000_000))
    }

    pub const fn as_ms(self) -> i64 {
        self.0.div_euclid(1000)
    }

    pub const fn as_s(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// From seconds with a fraction; `None` when that is not a point in time.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let micros = (seconds * 1e6).round();
        #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
        (micros.is_finite() && micros.abs() < 9.2e18).then_some(Self(micros as i64))
    }

    /// The text form; fractions of a second are written where there are any (never in RFC 822).
    pub fn format(self, format: TimestampFormat) -> String {
        match format {
            TimestampFormat::UnixTimestamp => self.seconds_text(),
            TimestampFormat::Iso8601 => self.jiff().to_string(),
            TimestampFormat::Rfc822 => {
                strtime::format("%a, %d %b %Y %H:%M:%S GMT", &self.jiff().to_zoned(TimeZone::UTC))
                    .expect("the format has only directives that a zoned time has")
            }
        }
    }

    /// ISO 8601 with exactly three digits of fraction, as S3 and IAM's XML write it.
    pub fn iso8601_ms(self) -> String {
        format!("{:.3}", Self(self.0.div_euclid(1000) * 1000).jiff())
    }

    /// Reads any of the three forms; AWS accepts a number where a text form is usual, and the reverse.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(micros) = decimal_micros(text) {
            return Some(Self(micros));
        }
        if let Ok(seconds) = text.parse::<f64>() {
            return Self::from_seconds(seconds);
        }
        if let Ok(parsed) = text.parse::<jiff::Timestamp>() {
            return Some(Self(parsed.as_microsecond()));
        }
        let parser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
        parser.parse_timestamp(text).ok().map(|parsed| Self(parsed.as_microsecond()))
    }

    fn seconds_text(self) -> String {
        let (seconds, micros) = (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000));
        if micros == 0 {
            return seconds.to_string();
        }
        let whole = if seconds < 0 {
            format!("{:.6}", self.0 as f64 / 1e6)
        } else {
            format!("{seconds}.{micros:06}")
        };
        whole.trim_end_matches('0').to_owned()
    }

    fn jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

/// The microseconds of a plain decimal number of seconds, to the last digit, which a double would not hold. Digits
/// beyond the sixth of the fraction are cut off.
fn decimal_micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = whole.strip_prefix('-').unwrap_or(whole);
    if unsigned.is_empty() || !digits(unsigned) || !digits(fraction) {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(6)];
    let scale = 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?);
    let micros = if fraction.is_empty() { 0 } else { fraction.parse::<i64>().ok()? * scale };
    let whole_micros = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?;
    if whole.starts_with('-') { whole_micros.checked_sub(micros) } else { whole_micros.checked_add(micros) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_instant() {
        let time = Timestamp::from_ms(946_845_296_123);
        assert_eq!(time.format(TimestampFormat::UnixTimestamp), "946845296.123");
        assert_eq!(time.format(TimestampFormat::Iso8601), "2000-01-02T20:34:56.123Z");
        assert_eq!(time.format(TimestampFormat::Rfc822), "Sun, 02 Jan 2000 20:34:56 GMT");
        assert_eq!(Timestamp::from_s(946_845_296).iso8601_ms(), "2000-01-02T20:34:56.000Z");
    }

    #[test]
    fn every_form_is_read() {
        for text in ["946845296.5", "2000-01-02T20:34:56.5Z", "2000-01-02T22:34:56.500+02:00"] {
            assert_eq!(Timestamp::parse(text), Some(Timestamp(946_845_296_500_000)), "{text}");
        }
        assert_eq!(Timestamp::parse("Sun, 02 Jan 2000 20:34:56 GMT"), Some(Timestamp::from_s(946_845_296)));
        assert_eq!(Timestamp::parse("4351107962.4556899"), Some(Timestamp(4_351_107_962_455_689)));
        assert_eq!(Timestamp::parse("-0.5"), Some(Timestamp(-500_000)));
        assert_eq!(Timestamp::parse("1e3"), Some(Timestamp::from_s(1000)));
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp::parse("NaN"), None);
    }
}
