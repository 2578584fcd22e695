//! What a client sees when an operation fails.

use std::borrow::Cow;
use std::fmt;

use crate::Document;

/// An error in AWS's terms. Each protocol has its own way to write it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// As `NoSuchKey`.
    pub code: Cow<'static, str>,
    pub status: u16,
    pub message: String,
    pub fault: Fault,
    /// The member that carries the message: some models say `Message`, most `message`.
    pub message_member: &'static str,
    /// Further members of the error's shape, as `BucketName` of S3's `NoSuchBucket`.
    pub members: Vec<(&'static str, String)>,
    /// Further members that are more than text, as `CancellationReasons` of DynamoDB's `TransactionCanceledException`.
    pub details: Vec<(&'static str, Document)>,
    /// Further HTTP headers of the answer, as `Retry-After`.
    pub headers: Vec<(&'static str, String)>,
}

/// Who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Client,
    Server,
}

impl ApiError {
    pub fn new(code: impl Into<Cow<'static, str>>, status: u16, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            status,
            message: message.into(),
            fault: if status < 500 { Fault::Client } else { Fault::Server },
            message_member: "message",
            members: Vec::new(),
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// An error of the caller's making, with status 400.
    pub fn client(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(code, 400, message)
    }

    /// Our own failure. The cause goes to the log, never to the client.
    pub fn internal(cause: &dyn fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new("InternalError", 500, "We encountered an internal error. Please try again.")
    }

    /// Adds a member of the error's shape.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: impl Into<String>) -> Self {
        self.members.push((member, value.into()));
        self
    }

    /// Adds a member of the error's shape that is a structure, a list, a number or the like.
    #[must_use]
    pub fn with_detail(mut self, member: &'static str, value: Document) -> Self {
        self.details.push((member, value));
        self
    }

    /// Adds an HTTP header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Names the member that carries the message.
    #[must_use]
    pub fn message_in(mut self, member: &'static str) -> Self {
        self.message_member = member;
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}
