//! The timestamp of a request, in the form that is signed.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

/// A time as SigV4 writes it: `20150830T123600Z`, in UTC, to the second.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AmzDate {
    text: [u8; 16],
    unix_s: i64,
}

impl AmzDate {
    /// From seconds since 1970; `None` outside of the years 0 to 9999.
    pub fn from_unix_s(unix_s: i64) -> Option<Self> {
        let at = TimeZone::UTC.to_datetime(Timestamp::from_second(unix_s).ok()?);
        let text = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        );
        Some(Self { text: text.as_bytes().try_into().ok()?, unix_s })
    }

    /// From the basic ISO 8601 form alone.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = text.as_bytes().try_into().ok()?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let at = DateTime::new(
            i16::from(pair(&bytes, 0)?) * 100 + i16::from(pair(&bytes, 2)?),
            pair(&bytes, 4)?,
            pair(&bytes, 6)?,
            pair(&bytes, 9)?,
            pair(&bytes, 11)?,
            pair(&bytes, 13)?,
            0,
        )
        .ok()?;
        let unix_s = TimeZone::UTC.to_timestamp(at).ok()?.as_second();
        Some(Self { text: bytes, unix_s })
    }

    /// From what a `Date` header may hold: an HTTP date, or the basic ISO 8601 form.
    pub fn parse_http(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            Self::from_unix_s(at.as_second())
        })
    }

    /// `20150830T123600Z`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("only ASCII text is ever stored")
    }

    /// `20150830`, the date of the credential scope.
    pub fn day(&self) -> &str {
        &self.as_str()[..8]
    }

    /// Seconds since 1970.
    pub fn unix_s(&self) -> i64 {
        self.unix_s
    }
}

impl std::fmt::Debug for AmzDate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

fn pair(bytes: &[u8; 16], at: usize) -> Option<i8> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| (byte - b'0').cast_signed());
    Some(digit(bytes[at])? * 10 + digit(bytes[at + 1])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_the_same_time() {
        let basic = AmzDate::parse("20150830T123600Z").unwrap();
        assert_eq!(basic.unix_s(), 1_440_938_160);
        assert_eq!(basic.day(), "20150830");
        assert_eq!(AmzDate::parse_http("Sun, 30 Aug 2015 12:36:00 GMT"), Some(basic));
        assert_eq!(AmzDate::parse_http("20150830T123600Z"), Some(basic));
        assert_eq!(AmzDate::from_unix_s(1_440_938_160), Some(basic));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "20150830T123600",
            "20151330T123600Z",
            "2015083 T123600Z",
            "20150830T256000Z",
            "１2345678901234",
        ] {
            assert_eq!(AmzDate::parse(text), None, "{text}");
        }
        assert_eq!(AmzDate::parse_http("yesterday"), None);
    }
}
