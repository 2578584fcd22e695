//! Dates as conditions write them: ISO 8601 in W3C's profile, or seconds since 1970.
//! Source: IAM User Guide, "IAM JSON policy elements: Condition operators", "Date condition operators".

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970 of `2026-11-22`, `2026-11-22T09:30Z`, `2026-11-22T09:30:15.250+01:00`, or `1795339815`.
pub(crate) fn parse_ms(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days(year, month, day) * DAY_MS + time.map_or(Some(0), time_ms)?)
}

/// `2026-11-22T09:30:15Z`.
pub(crate) fn format_ms(ms: i64) -> String {
    let (days, in_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS) / 1000);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `HH:MM[:SS[.fraction]]` and a zone.
fn time_ms(text: &str) -> Option<i64> {
    let (clock, zone_minutes) = match text.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let at = text.rfind(['+', '-'])?;
            let (clock, zone) = (text.get(..at)?, text.get(at + 1..)?);
            let (hours, minutes) = zone.split_once(':')?;
            let minutes = digits(hours, 2)? * 60 + digits(minutes, 2)?;
            (clock, if text.as_bytes()[at] == b'-' { -minutes } else { minutes })
        }
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let (second, fraction) = match parts.next() {
        None => (0, 0),
        Some(text) => match text.split_once('.') {
            Some((second, fraction)) => (digits(second, 2)?, milliseconds(fraction)?),
            None => (digits(text, 2)?, 0),
        },
    };
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(((hour * 60 + minute - zone_minutes) * 60 + second) * 1000 + fraction)
}

fn milliseconds(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let three: String = fraction.chars().chain("00".chars()).take(3).collect();
    three.parse().ok()
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days since 1970 of a date of the Gregorian calendar; years begin in March, so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (month, day) = ((shifted + 2) % 12 + 1, of_year - (153 * shifted + 2) / 5 + 1);
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_read_in_each_of_their_forms() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("2000-03-01T00:00:00Z", Some(951_868_800_000)),
            ("2026-11-22T09:30Z", Some(1_795_339_800_000)),
            ("2026-11-22T10:30:15.250+01:00", Some(1_795_339_815_250)),
            ("1795339815", Some(1_795_339_815_000)),
            ("2026-13-01", None),
            ("2026-11-22T25:00Z", None),
            ("2026-11-22T10:00", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_ms(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in -62_000_000_000i64..250_000_000_000) {
            prop_assert_eq!(parse_ms(&format_ms(seconds * 1000)), Some(seconds * 1000));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:+.é-]{0,24}") {
            parse_ms(&text);
        }
    }
}
