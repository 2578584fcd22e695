//! Reading typed values out of a message.

use crate::{ApiError, Document, ReadContext, Shape, Timestamp};

/// Pulls values out of a message, in the order in which the message has them.
///
/// A structure, list or map is opened by its `begin_`, walked by its `next_` until that gives nothing, and is then closed.
/// Every value that `next_` announces must be read (or skipped) before the next call.
pub trait Reader {
    /// Where we are in the message, and what was wrong so far.
    fn context(&mut self) -> &mut ReadContext;

    fn begin_structure(&mut self, shape: &'static Shape) -> Result<(), ReadError>;
    /// The index of the next member that is present and known; null members are passed over.
    fn next_member(&mut self) -> Result<Option<usize>, ReadError>;

    fn begin_list(&mut self) -> Result<(), ReadError>;
    /// Whether there is another element. (Null elements are passed over.)
    fn next_item(&mut self) -> Result<bool, ReadError>;

    fn begin_map(&mut self) -> Result<(), ReadError>;
    /// The next key. (Null values are passed over.)
    fn next_key(&mut self) -> Result<Option<String>, ReadError>;

    fn string(&mut self) -> Result<String, ReadError>;
    fn blob(&mut self) -> Result<bytes::Bytes, ReadError>;
    fn boolean(&mut self) -> Result<bool, ReadError>;
    fn long(&mut self) -> Result<i64, ReadError>;
    fn double(&mut self) -> Result<f64, ReadError>;
    fn timestamp(&mut self) -> Result<Timestamp, ReadError>;
    fn document(&mut self) -> Result<Document, ReadError>;

    /// Passes over the value that `next_` announced.
    fn skip(&mut self) -> Result<(), ReadError>;
}

/// A value that can be read. Constraints that fail are noted in the context, not returned.
pub trait Readable: Sized {
    fn read(reader: &mut dyn Reader) -> Result<Self, ReadError>;
}

/// A message that cannot be read at all, as opposed to one whose values break constraints.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not of the protocol's syntax.
    #[error("the request is not well formed: {0}")]
    Syntax(String),
    /// A value of another type stands where the model wants `expected`.
    #[error("expected {expected} at `{path}`, found {found}")]
    Type {
        path: String,
        expected: &'static str,
        found: String,
        /// The shape of the value, and that of the structure, list or map in which it stands.
        target: &'static Shape,
        within: &'static Shape,
    },
    /// A text of this many characters that should be base64.
    #[error("expected base64 at `{path}`, found a text of {length} characters that is none")]
    Base64 { path: String, length: usize },
    /// Deeper or longer than [`crate::limits`] allow.
    #[error("the request exceeds a limit: {0}")]
    Limit(String),
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        Self::client("SerializationException", error.to_string())
    }
}
