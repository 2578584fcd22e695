//! The static tables that describe every shape of a service model.

/// One shape of a model, with all that a codec or a validator needs to know of it.
#[derive(Debug)]
pub struct Shape {
    pub name: &'static str,
    pub kind: Kind,
    pub constraint: Constraint,
    /// Set when the shape is an error that an operation may answer.
    pub error: Option<ErrorTrait>,
    /// The element name that the model gives the shape itself (`locationName` on a shape).
    pub xml_name: Option<&'static str>,
    pub namespace: Option<Namespace>,
    pub timestamp_format: Option<TimestampFormat>,
    /// Index of the member that is the whole HTTP body.
    pub payload: Option<usize>,
    /// Lists and maps without a wrapping element (the model may say so on the shape or on the member).
    pub flattened: bool,
    /// Never to be logged.
    pub sensitive: bool,
}

/// What kind of value a shape holds.
#[derive(Debug)]
pub enum Kind {
    Structure(&'static [Member]),
    /// Exactly one member is set.
    Union(&'static [Member]),
    List(&'static Member),
    Map(&'static Member, &'static Member),
    Enum(&'static [&'static str]),
    String,
    Blob,
    Boolean,
    Integer,
    Long,
    Float,
    Double,
    Timestamp,
    Document,
}

/// Bounds on a value: characters of a string, bytes of a blob, elements of a list or map, or a number's range.
#[derive(Debug, Clone, Copy)]
pub struct Constraint {
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub pattern: Option<&'static str>,
}

/// How an error shape appears on the wire.
#[derive(Debug, Clone, Copy)]
pub struct ErrorTrait {
    pub code: &'static str,
    pub status: u16,
    pub sender_fault: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Namespace {
    pub uri: &'static str,
    pub prefix: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampFormat {
    /// Seconds since 1970, with a fraction in JSON.
    UnixTimestamp,
    /// `2026-11-21T16:00:00Z`.
    Iso8601,
    /// `Sat, 21 Nov 2026 16:00:00 GMT`.
    Rfc822,
}

/// Where a member travels in an HTTP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    Body,
    Header,
    /// A map of headers; the member's wire name is their common prefix.
    Headers,
    Querystring,
    Uri,
    StatusCode,
}

/// One member of a structure or union, the element of a list, or the key or value of a map.
#[derive(Debug)]
pub struct Member {
    pub name: &'static str,
    pub target: &'static Shape,
    /// The name on the wire where the model gives one; else [`Member::wire_name`] is [`Member::name`].
    pub location_name: Option<&'static str>,
    pub location: Location,
    pub required: bool,
    pub flattened: bool,
    pub xml_attribute: bool,
    pub namespace: Option<Namespace>,
    pub idempotency_token: bool,
    /// A body that is streamed: not a field of the generated struct.
    pub streaming: bool,
    /// A header whose value is base64 of JSON.
    pub json_value: bool,
}

impl Member {
    pub const fn new(name: &'static str, target: &'static Shape) -> Self {
        Self {
            name,
            target,
            location_name: None,
            location: Location::Body,
            required: false,
            flattened: false,
            xml_attribute: false,
            namespace: None,
            idempotency_token: false,
            streaming: false,
            json_value: false,
        }
    }

    /// The member's name in a message.
    pub fn wire_name(&self) -> &'static str {
        self.location_name.unwrap_or(self.name)
    }

    /// Whether a list or map here has no wrapping element.
    pub fn is_flattened(&self) -> bool {
        self.flattened || self.target.flattened
    }

    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub const fn named(mut self, location_name: &'static str) -> Self {
        self.location_name = Some(location_name);
        self
    }

    pub const fn at(mut self, location: Location) -> Self {
        self.location = location;
        self
    }

    pub const fn flattened(mut self) -> Self {
        self.flattened = true;
        self
    }

    pub const fn xml_attribute(mut self) -> Self {
        self.xml_attribute = true;
        self
    }

    pub const fn namespace(mut self, uri: &'static str, prefix: Option<&'static str>) -> Self {
        self.namespace = Some(Namespace { uri, prefix });
        self
    }

    pub const fn idempotency_token(mut self) -> Self {
        self.idempotency_token = true;
        self
    }

    pub const fn streaming(mut self) -> Self {
        self.streaming = true;
        self
    }

    pub const fn json_value(mut self) -> Self {
        self.json_value = true;
        self
    }
}

impl Shape {
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            constraint: Constraint { min: None, max: None, pattern: None },
            error: None,
            xml_name: None,
            namespace: None,
            timestamp_format: None,
            payload: None,
            flattened: false,
            sensitive: false,
        }
    }

    /// The members of a structure or union; empty for other kinds.
    pub fn members(&self) -> &'static [Member] {
        match self.kind {
            Kind::Structure(members) | Kind::Union(members) => members,
            _ => &[],
        }
    }

    /// Whether a value needs a closing element or bracket.
    pub fn is_aggregate(&self) -> bool {
        matches!(self.kind, Kind::Structure(_) | Kind::Union(_) | Kind::List(_) | Kind::Map(..))
    }

    pub const fn min(mut self, min: i64) -> Self {
        self.constraint.min = Some(min);
        self
    }

    pub const fn max(mut self, max: i64) -> Self {
        self.constraint.max = Some(max);
        self
    }

    pub const fn pattern(mut self, pattern: &'static str) -> Self {
        self.constraint.pattern = Some(pattern);
        self
    }

    pub const fn error(mut self, code: &'static str, status: u16, sender_fault: bool) -> Self {
        self.error = Some(ErrorTrait { code, status, sender_fault });
        self
    }

    pub const fn xml_name(mut self, name: &'static str) -> Self {
        self.xml_name = Some(name);
        self
    }

    pub const fn namespace(mut self, uri: &'static str, prefix: Option<&'static str>) -> Self {
        self.namespace = Some(Namespace { uri, prefix });
        self
    }

    pub const fn timestamp_format(mut self, format: TimestampFormat) -> Self {
        self.timestamp_format = Some(format);
        self
    }

    pub const fn payload(mut self, member: usize) -> Self {
        self.payload = Some(member);
        self
    }

    pub const fn flattened(mut self) -> Self {
        self.flattened = true;
        self
    }

    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }
}

/// Short names for the generated tables.
pub mod types {
    pub use super::Kind::{
        Blob, Boolean, Document as DocumentKind, Double, Enum, Float, Integer, List, Long, Map,
        String as Text, Structure, Timestamp as Time, Union,
    };
    pub use super::Location::{Header, Headers, Querystring, StatusCode, Uri};
}

/// The shape of an operation that takes or gives nothing.
pub static EMPTY: Shape = Shape::new("Empty", Kind::Structure(&[]));
