//! Simple values that travel as text: in XML, in forms, in headers and in URLs.

use std::fmt::Write;

use base64::Engine;
use bytes::Bytes;

use super::constants::BASE64;
use crate::{Document, Kind, ReadContext, ReadError, Timestamp, TimestampFormat};

pub(super) fn string(context: &mut ReadContext, text: &str) -> String {
    context.check_string(text);
    text.to_owned()
}

pub(super) fn blob(context: &mut ReadContext, text: &str) -> Result<Bytes, ReadError> {
    let text = text.trim_ascii();
    let decoded = if text.contains(['\n', '\r', ' ']) {
        BASE64.decode(text.split_ascii_whitespace().collect::<String>())
    } else {
        BASE64.decode(text)
    };
    let bytes = decoded.map_err(|_| context.type_error("base64 text", text))?;
    context.check_blob(bytes.len());
    Ok(bytes.into())
}

pub(super) fn boolean(context: &ReadContext, text: &str) -> Result<bool, ReadError> {
    let text = text.trim_ascii();
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(context.type_error("true or false", text))
    }
}

pub(super) fn long(context: &mut ReadContext, text: &str) -> Result<i64, ReadError> {
    let text = text.trim_ascii();
    let value = text.parse().map_err(|_| context.type_error("a whole number", text))?;
    context.check_number(value)?;
    Ok(value)
}

pub(super) fn double(context: &mut ReadContext, text: &str) -> Result<f64, ReadError> {
    let text = text.trim_ascii();
    // `parse` also takes words such as `inf`, which AWS does not.
    let value = match text {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ if text.ends_with(|last: char| last.is_ascii_digit() || last == '.') => {
            text.parse().map_err(|_| context.type_error("a number", text))?
        }
        _ => return Err(context.type_error("a number", text)),
    };
    context.check_double(value);
    Ok(value)
}

pub(super) fn timestamp(context: &ReadContext, text: &str) -> Result<Timestamp, ReadError> {
    let text = text.trim_ascii();
    Timestamp::parse(text).ok_or_else(|| context.type_error("a timestamp", text))
}

/// A free-form value in a protocol that has none: JSON in text.
pub(super) fn document(text: &str) -> Result<Document, ReadError> {
    serde_json::from_str(text)
        .map_err(|error| ReadError::Syntax(format!("the document is not JSON: {error}")))
}

/// Writes a floating point number as AWS does.
pub(super) fn write_double(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        // The debug form keeps `.0` and has exponents for what is very large or small.
        write!(out, "{value:?}").expect("writing to a String cannot fail");
    }
}

/// What a shape's kind is called in errors.
pub(super) fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Structure(_) | Kind::Union(_) => "a structure",
        Kind::List(_) => "a list",
        Kind::Map(..) => "a map",
        Kind::Enum(_) | Kind::String => "a String",
        Kind::Blob => "a Blob",
        Kind::Boolean => "a Boolean",
        Kind::Integer => "an Integer",
        Kind::Long => "a Long",
        Kind::Float => "a Float",
        Kind::Double => "a Double",
        Kind::Timestamp => "a Timestamp",
        Kind::Document => "a document",
    }
}

/// A timestamp's text; `millis` asks for S3's form of ISO 8601.
pub(super) fn timestamp_text(value: Timestamp, format: TimestampFormat, millis: bool) -> String {
    match format {
        TimestampFormat::Iso8601 if millis => value.iso8601_ms(),
        _ => value.format(format),
    }
}

/// The scalar methods of a [`crate::Reader`] whose values are all text, on top of its `text()`.
macro_rules! scalars {
    () => {
        fn string(&mut self) -> Result<String, $crate::ReadError> {
            let (text, context) = self.text()?;
            Ok($crate::codec::text::string(context, text))
        }

        fn blob(&mut self) -> Result<::bytes::Bytes, $crate::ReadError> {
            let (text, context) = self.text()?;
            $crate::codec::text::blob(context, text)
        }

        fn boolean(&mut self) -> Result<bool, $crate::ReadError> {
            let (text, context) = self.text()?;
            $crate::codec::text::boolean(context, text)
        }

        fn long(&mut self) -> Result<i64, $crate::ReadError> {
            let (text, context) = self.text()?;
            $crate::codec::text::long(context, text)
        }

        fn double(&mut self) -> Result<f64, $crate::ReadError> {
            let (text, context) = self.text()?;
            $crate::codec::text::double(context, text)
        }

        fn timestamp(&mut self) -> Result<$crate::Timestamp, $crate::ReadError> {
            let (text, context) = self.text()?;
            $crate::codec::text::timestamp(context, text)
        }

        fn document(&mut self) -> Result<$crate::Document, $crate::ReadError> {
            $crate::codec::text::document(self.text()?.0)
        }
    };
}
pub(super) use scalars;
