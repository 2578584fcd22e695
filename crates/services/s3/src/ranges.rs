//! Which bytes a read wants.
//! Source: Amazon S3 API Reference, "GetObject"; RFC 9110, section 14.

use lambent_api::ApiError;

use crate::errors;

/// Bytes from `start` up to and without `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: u64,
    pub end: u64,
}

impl Span {
    pub(crate) fn length(self) -> u64 {
        self.end - self.start
    }

    /// As `bytes 0-8/10`.
    pub(crate) fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.start, self.end.saturating_sub(1))
    }
}

/// The span that a Range header asks for; `None` for all of the object, also where S3 passes over a header: several
/// ranges, or one that is not well formed.
///
/// Errors: `InvalidRange` when no byte of the object lies in it.
pub(crate) fn requested(header: &str, size: u64) -> Result<Option<Span>, ApiError> {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Ok(None);
    };
    let span = match (number(first), number(last)) {
        (Number::Is(first), Number::Absent) => Span { start: first, end: size },
        (Number::Is(first), Number::Is(last)) if first <= last => {
            Span { start: first, end: size.min(last.saturating_add(1)) }
        }
        (Number::Absent, Number::Is(count)) => Span { start: size.saturating_sub(count), end: size },
        _ => return Ok(None),
    };
    if span.start >= span.end {
        return Err(errors::invalid_range(header, size));
    }
    Ok(Some(span))
}

/// The span of an UploadPartCopy's `x-amz-copy-source-range`: both ends are needed, and must be there.
///
/// Errors: `InvalidArgument`; `InvalidRequest` when it begins behind the end.
pub(crate) fn copied(header: &str, size: u64) -> Result<Span, ApiError> {
    const NAME: &str = "x-amz-copy-source-range";
    let ends = header.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let Some((Number::Is(first), Number::Is(last))) = ends.map(|(first, last)| (number(first), number(last)))
    else {
        return Err(malformed_copy_range(header));
    };
    if first > last {
        return Err(malformed_copy_range(header));
    }
    if first >= size {
        return Err(errors::invalid_request(
            "The specified copy range is invalid for the source object size",
        ));
    }
    if last >= size {
        let message = format!("Range specified is not valid for source object of size: {size}");
        return Err(errors::invalid_argument(message, NAME, header));
    }
    Ok(Span { start: first, end: last + 1 })
}

fn malformed_copy_range(header: &str) -> ApiError {
    let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
                   zero-based offsets of the first and last bytes to copy";
    errors::invalid_argument(message, "x-amz-copy-source-range", header)
}

enum Number {
    Absent,
    Is(u64),
    Wrong,
}

fn number(text: &str) -> Number {
    if text.is_empty() {
        return Number::Absent;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Number::Wrong;
    }
    // More digits than fit mean more bytes than there are.
    Number::Is(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes_as_recorded() {
        let span = |start, end| Some(Some(Span { start, end }));
        let cases = [
            ("bytes=0-8", span(0, 9)),
            ("bytes=1-1", span(1, 2)),
            ("bytes=1-0", Some(None)),
            ("bytes=1-", span(1, 10)),
            ("bytes=-1-", Some(None)),
            ("bytes=-2", span(8, 10)),
            ("bytes=-9", span(1, 10)),
            ("bytes=-15", span(0, 10)),
            ("bytes=0-100", span(0, 10)),
            ("bytes=0-99999999999999999999999", span(0, 10)),
            ("bytes=0-0", span(0, 1)),
            ("bytes=0--1", Some(None)),
            ("bytes=0-1,3-4,7-9", Some(None)),
            ("0-8", Some(None)),
            ("bytes=-", Some(None)),
            ("bytes=-0", None),
            ("bytes=100-200", None),
            ("bytes=10-", None),
        ];
        for (header, expected) in cases {
            assert_eq!(requested(header, 10).ok(), expected, "{header}");
        }
        let error = requested("bytes=100-200", 10).unwrap_err();
        assert_eq!((error.status, error.code.as_ref()), (416, "InvalidRange"));
        assert!(error.members.contains(&("ActualObjectSize", "10".to_owned())));
    }

    #[test]
    fn no_byte_of_an_empty_object_is_in_range() {
        for header in ["bytes=0-", "bytes=-5", "bytes=0-0"] {
            assert_eq!(requested(header, 0).unwrap_err().code, "InvalidRange", "{header}");
        }
    }

    #[test]
    fn copy_ranges_are_exact() {
        assert_eq!(copied("bytes=0-8", 10).unwrap(), Span { start: 0, end: 9 });
        for header in [
            "0-8",
            "bytes=1-0",
            "bytes=-1-",
            "bytes=0--1",
            "bytes=-",
            "bytes=1-",
            "bytes=-2",
            "bytes=0-1,3-4",
        ] {
            let error = copied(header, 10).unwrap_err();
            assert!(error.message.contains("must be of the form"), "{header}: {error}");
        }
        assert!(copied("bytes=0-100", 10).unwrap_err().message.contains("of size: 10"));
        assert_eq!(copied("bytes=100-200", 10).unwrap_err().code, "InvalidRequest");
    }
}
