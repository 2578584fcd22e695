//! How the services of JSON 1.0 word a value of the wrong type: as the Java beneath them does, with its classes' names.
//! Source: answers that dynalite's public tests recorded on AWS.

use crate::{Kind, ServiceInfo, Shape};

/// What their reader says where a value of one generic type stands in another.
const CAST: &str = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class \
                    (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base \
                    of loader 'bootstrap')";

/// The words for a token `found` where a list, map or structure of the shape `within` wants a `target`.
pub(super) fn wrong_type(service: &ServiceInfo, found: &str, target: &Shape, within: &Shape) -> String {
    match (&target.kind, found) {
        (kind, "START_ARRAY") => {
            let class = match kind {
                Kind::Map(..) => "",
                _ => "class ",
            };
            format!("Unrecognized collection type {class}{}", java(service, target))
        }
        (_, "START_OBJECT") => "Start of structure or map found where not expected".to_owned(),
        (Kind::Blob, _) => "only base-64-encoded strings are convertible to bytes".to_owned(),
        (Kind::Boolean, "STRING_VALUE") => "Unexpected token received from parser".to_owned(),
        (Kind::List(_) | Kind::Map(..), _) if matches!(within.kind, Kind::List(_) | Kind::Map(..)) => {
            CAST.to_owned()
        }
        (Kind::Structure(_), _) if matches!(within.kind, Kind::List(_) | Kind::Map(..)) => {
            "Unexpected value type in payload".to_owned()
        }
        (Kind::List(_) | Kind::Map(..) | Kind::Structure(_) | Kind::Union(_), _) => {
            "Unexpected field type".to_owned()
        }
        (_, found) => {
            let class = java(service, target);
            format!("{found} cannot be converted to {}", class.rsplit('.').next().unwrap_or(&class))
        }
    }
}

/// The words for a text of this many characters that is not base64.
pub(super) fn no_base64(length: usize) -> String {
    match length.is_multiple_of(4) {
        // The last word as AWS writes it.
        true => "Invalid last non-pad Base64 character dectected".to_owned(),
        false => format!("Base64 encoded length is expected a multiple of 4 bytes but found: {length}"),
    }
}

/// The type of a shape, with its package.
fn java(service: &ServiceInfo, shape: &Shape) -> String {
    match &shape.kind {
        Kind::Structure(_) | Kind::Union(_) => {
            let version = service.api_version.replace('-', "");
            format!("com.amazonaws.{}.v{version}.{}", service.signing_name, shape.name)
        }
        Kind::List(item) => format!("java.util.List<{}>", java(service, item.target)),
        Kind::Map(key, value) => {
            format!("java.util.Map<{}, {}>", java(service, key.target), java(service, value.target))
        }
        Kind::Enum(_) | Kind::String => "java.lang.String".to_owned(),
        Kind::Blob => "java.nio.ByteBuffer".to_owned(),
        Kind::Boolean => "java.lang.Boolean".to_owned(),
        Kind::Integer => "java.lang.Integer".to_owned(),
        Kind::Long => "java.lang.Long".to_owned(),
        Kind::Float => "java.lang.Float".to_owned(),
        Kind::Double => "java.lang.Double".to_owned(),
        Kind::Timestamp => "java.util.Date".to_owned(),
        Kind::Document => "java.lang.Object".to_owned(),
    }
}
