//! Calendar months, in UTC: what a bill is made for.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A month of the calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: u16,
    /// 1 to 12.
    month: u8,
}

/// Why a text is not a month.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a month as YYYY-MM, got `{0}`")]
pub struct MonthError(pub String);

impl Month {
    /// The month that a time lies in.
    pub fn of(unix_ms: i64) -> Self {
        Self::and_day_of(unix_ms).0
    }

    /// The month and the day of the month (1 to 31) that a time lies in. Times outside of the years 0 to 9999 are put
    /// at 1970-01-01.
    pub(crate) fn and_day_of(unix_ms: i64) -> (Self, u8) {
        let time = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let date = time.to_zoned(TimeZone::UTC).date();
        let part = |value: i8| u8::try_from(value).unwrap_or(1);
        match u16::try_from(date.year()) {
            Ok(year) => (Self { year, month: part(date.month()) }, part(date.day())),
            Err(_) => (Self { year: 1970, month: 1 }, 1),
        }
    }

    /// As 202611: sorts as the months do.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.year) * 100 + u64::from(self.month)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let read = || {
            let (year, month) = text.split_once('-')?;
            let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            let formed = year.len() == 4 && month.len() == 2 && digits(year) && digits(month);
            let month = month.parse().ok().filter(|month| (1..=12).contains(month))?;
            formed.then_some(Self { year: year.parse().ok()?, month })
        };
        read().ok_or_else(|| MonthError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lie_in_utc_months() {
        assert_eq!(Month::and_day_of(1_795_391_999_999), ("2026-11".parse().unwrap(), 22));
        assert_eq!(Month::of(1_796_083_199_999).to_string(), "2026-11");
        assert_eq!(Month::of(1_796_083_200_000).to_string(), "2026-12");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "+026-11", "2026-11-01"] {
            assert_eq!(text.parse::<Month>(), Err(MonthError(text.to_owned())));
        }
    }
}
