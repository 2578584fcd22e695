//! Points in time, in the three forms that AWS writes them.

use std::fmt::Write;

use jiff::fmt::rfc2822;

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
            TimestampFormat::Iso8601 => {
                let mut text = self.iso8601_s();
                let micros = self.clamped().rem_euclid(1_000_000);
                if micros != 0 {
                    let fraction = format!(".{micros:06}");
                    text.push_str(fraction.trim_end_matches('0'));
                }
                text.push('Z');
                text
            }
            TimestampFormat::Rfc822 => self.rfc822(),
        }
    }

    /// ISO 8601 with exactly three digits of fraction, as S3 and IAM's XML write it.
    pub fn iso8601_ms(self) -> String {
        let mut text = self.iso8601_s();
        let ms = self.clamped().div_euclid(1000).rem_euclid(1000);
        write!(text, ".{ms:03}Z").expect("writing to a String cannot fail");
        text
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

    fn iso8601_s(self) -> String {
        let ((year, month, day), (hour, minute, second), _) = self.civil();
        // Room for a fraction and the zone.
        let mut text = String::with_capacity(27);
        write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
            .expect("writing to a String cannot fail");
        text
    }

    fn rfc822(self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let ((year, month, day), (hour, minute, second), weekday) = self.civil();
        let (weekday, month) = (DAYS[weekday], MONTHS[month - 1]);
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// Within the years 0 to 9999, which is all that the text forms can hold.
    fn clamped(self) -> i64 {
        const MIN: i64 = -62_167_219_200_000_000;
        const MAX: i64 = 253_402_300_799_999_999;
        self.0.clamp(MIN, MAX)
    }

    /// Year, month and day; hour, minute and second; days after Thursday, the day of the week of 1970-01-01. It is
    /// written out here because a listing of objects has a thousand of them.
    fn civil(self) -> ((i64, usize, i64), (i64, i64, i64), usize) {
        const DAY_S: i64 = 86_400;
        /// From 0000-03-01, where the years of this reckoning begin, to 1970-01-01.
        const DAYS_TO_EPOCH: i64 = 719_468;
        /// Four centuries have always the same number of days.
        const DAYS_OF_ERA: i64 = 146_097;
        let seconds = self.clamped().div_euclid(1_000_000);
        let (days, of_day) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
        let shifted = days + DAYS_TO_EPOCH;
        let (era, of_era) = (shifted.div_euclid(DAYS_OF_ERA), shifted.rem_euclid(DAYS_OF_ERA));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let index = |value: i64| usize::try_from(value).expect("a remainder is never negative");
        ((year, index(month), day), (of_day / 3600, of_day / 60 % 60, of_day % 60), index(days.rem_euclid(7)))
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
    fn dates_are_those_of_the_reference_calendar() {
        use jiff::{fmt::strtime, tz::TimeZone};
        const DAY_US: i64 = 86_400_000_000;
        // A step that is no multiple of a week or a year, from the year 0 to 9999.
        for at in (-62_167_219_200_000_000..253_402_300_799_000_000)
            .step_by(usize::try_from(DAY_US * 373 + 12_345).unwrap())
        {
            let time = jiff::Timestamp::from_microsecond(at).unwrap();
            assert_eq!(Timestamp(at).format(TimestampFormat::Iso8601), time.to_string());
            let http = strtime::format("%a, %d %b %Y %H:%M:%S GMT", &time.to_zoned(TimeZone::UTC)).unwrap();
            assert_eq!(Timestamp(at).format(TimestampFormat::Rfc822), http);
        }
        assert_eq!(Timestamp(i64::MAX).format(TimestampFormat::Iso8601), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp(i64::MIN).iso8601_ms(), "0000-01-01T00:00:00.000Z");
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
