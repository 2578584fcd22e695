//! What must hold before an object is read or written.
//! Source: Amazon S3 User Guide, "Add preconditions to S3 operations with conditional requests".

use lambent_api::{ApiError, Call};
use lambent_identity::Wanted;
use lambent_wire::Timestamp;

use crate::rows::ObjectRow;
use crate::{errors, names};

/// The conditions of a read, and of a copy's source.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadConditions<'a> {
    pub if_match: Option<&'a str>,
    pub if_none_match: Option<&'a str>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

/// What stands against a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Match,
    UnmodifiedSince,
    NoneMatch,
    ModifiedSince,
}

impl ReadConditions<'_> {
    /// For GetObject and HeadObject.
    ///
    /// Errors: `PreconditionFailed`; `NotModified` with the headers that a cache needs.
    pub(crate) fn check(&self, object: &ObjectRow, now_unix_s: i64) -> Result<(), ApiError> {
        match self.failure(object, now_unix_s) {
            None => Ok(()),
            Some(Failure::Match) => Err(errors::precondition_failed("If-Match")),
            Some(Failure::UnmodifiedSince) => Err(errors::precondition_failed("If-Unmodified-Since")),
            Some(Failure::NoneMatch | Failure::ModifiedSince) => {
                let modified = Timestamp::from_s(object.modified_unix_s);
                Err(errors::not_modified()
                    .with_header("etag", quoted(&object.etag))
                    .with_header("last-modified", modified.format(lambent_wire::TimestampFormat::Rfc822)))
            }
        }
    }

    /// For the source of a copy: every failure is `PreconditionFailed`.
    pub(crate) fn check_source(&self, object: &ObjectRow, now_unix_s: i64) -> Result<(), ApiError> {
        let condition = match self.failure(object, now_unix_s) {
            None => return Ok(()),
            Some(Failure::Match) => "x-amz-copy-source-If-Match",
            Some(Failure::UnmodifiedSince) => "x-amz-copy-source-If-Unmodified-Since",
            Some(Failure::NoneMatch) => "x-amz-copy-source-If-None-Match",
            Some(Failure::ModifiedSince) => "x-amz-copy-source-If-Modified-Since",
        };
        Err(errors::precondition_failed(condition))
    }

    fn failure(&self, object: &ObjectRow, now_unix_s: i64) -> Option<Failure> {
        match (self.if_match, self.if_unmodified_since) {
            (Some(tags), _) if !names(tags, &object.etag) => return Some(Failure::Match),
            // A tag that matches settles the matter: the date is not looked at.
            (None, Some(since)) if object.modified_unix_s > since.as_s() => {
                return Some(Failure::UnmodifiedSince);
            }
            _ => {}
        }
        match (self.if_none_match, self.if_modified_since) {
            (Some(tags), _) if names(tags, &object.etag) => Some(Failure::NoneMatch),
            (None, Some(since)) if object.modified_unix_s <= since.as_s() && since.as_s() <= now_unix_s => {
                Some(Failure::ModifiedSince)
            }
            _ => None,
        }
    }
}

/// The condition of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriteCondition {
    None,
    /// There must be no object.
    Absent,
    /// The object must have this ETag.
    Match(String),
}

impl WriteCondition {
    /// From If-Match and If-None-Match.
    ///
    /// Errors: `NotImplemented` for the forms that S3 refuses on writes.
    pub(crate) fn new(if_match: Option<&str>, if_none_match: Option<&str>) -> Result<Self, ApiError> {
        match (if_match, if_none_match) {
            (None, None) => Ok(Self::None),
            (Some(_), Some(_)) => Err(errors::header_not_implemented("If-Match,If-None-Match")
                .with("additionalMessage", "Multiple conditional request headers present in the request")),
            (None, Some("*")) => Ok(Self::Absent),
            (None, Some(_)) => Err(unaccepted("If-None-Match")),
            (Some("*"), None) => Err(unaccepted("If-Match")),
            (Some(tag), None) => Ok(Self::Match(unquoted(tag).to_owned())),
        }
    }

    /// Comparing with an object's ETag tells something of the object, so it needs leave to read it.
    ///
    /// Errors: `AccessDenied`.
    pub(crate) async fn authorize(&self, call: &Call, bucket: &str, key: &str) -> Result<(), ApiError> {
        if matches!(self, Self::Match(_)) {
            call.authorize(Wanted::new("s3:GetObject", names::object_arn(bucket, key))).await?;
        }
        Ok(())
    }

    /// Errors: `PreconditionFailed`, `NoSuchKey`.
    pub(crate) fn check(&self, key: &str, object: Option<&ObjectRow>) -> Result<(), ApiError> {
        match (self, object) {
            (Self::Absent, Some(_)) => Err(errors::precondition_failed("If-None-Match")),
            (Self::Match(_), None) => Err(errors::no_such_key(key)),
            (Self::Match(tag), Some(object)) if *tag != object.etag => {
                Err(errors::precondition_failed("If-Match"))
            }
            _ => Ok(()),
        }
    }

    /// Like [`WriteCondition::check`], for a write that began when the key's object had the sequencer `replaces`.
    ///
    /// Errors: also `ConditionalRequestConflict` when the object was changed since, even to one that would do.
    pub(crate) fn check_since(
        &self,
        key: &str,
        object: Option<&ObjectRow>,
        replaces: Option<u64>,
    ) -> Result<(), ApiError> {
        self.check(key, object)?;
        let header = match self {
            Self::None => return Ok(()),
            Self::Absent => "If-None-Match",
            Self::Match(_) => "If-Match",
        };
        if object.map(|object| object.sequencer) != replaces {
            return Err(errors::conditional_request_conflict(header, key));
        }
        Ok(())
    }
}

/// An ETag as headers and answers show it.
pub(crate) fn quoted(etag: &str) -> String {
    let mut text = String::with_capacity(etag.len() + 2);
    text.push('"');
    text.push_str(etag);
    text.push('"');
    text
}

/// An ETag without its quotes, if it has any.
pub(crate) fn unquoted(tag: &str) -> &str {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag)
}

/// Whether a list of ETags names this one.
fn names(tags: &str, etag: &str) -> bool {
    tags.split(',').map(unquoted).any(|tag| tag == "*" || tag == etag)
}

fn unaccepted(header: &'static str) -> ApiError {
    let message = format!("We don't accept the provided value of {header} header for this API");
    errors::header_not_implemented(header).with("additionalMessage", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Data;

    const MODIFIED: i64 = 1_000_000;
    const NOW: i64 = 2_000_000;

    fn object() -> ObjectRow {
        ObjectRow {
            owner: "000000000000".to_owned(),
            size: 4,
            etag: "8d777f385d3dfec8815d20f7496026dc".to_owned(),
            modified_unix_s: MODIFIED,
            sequencer: 7,
            checksum: None,
            metadata: crate::rows::Metadata::default(),
            data: Data::Inline,
            inline: bytes::Bytes::new(),
        }
    }

    const TAG: Option<&str> = Some("\"8d777f385d3dfec8815d20f7496026dc\"");
    const OTHER: Option<&str> = Some("\"00000000000000000000000000000000\"");

    fn status(
        if_match: Option<&str>,
        none: Option<&str>,
        since: Option<i64>,
        unmodified: Option<i64>,
    ) -> u16 {
        let conditions = ReadConditions {
            if_match,
            if_none_match: none,
            if_modified_since: since.map(Timestamp::from_s),
            if_unmodified_since: unmodified.map(Timestamp::from_s),
        };
        conditions.check(&object(), NOW).map_or_else(|error| error.status, |()| 200)
    }

    #[test]
    fn reads_follow_the_table_of_rfc_9110() {
        let before = Some(MODIFIED - 1);
        let same = Some(MODIFIED);
        let after = Some(MODIFIED + 1);
        let cases = [
            (None, None, None, None, 200),
            (TAG, None, None, None, 200),
            (OTHER, None, None, None, 412),
            (Some("*"), None, None, None, 200),
            (Some("\"x\", 8d777f385d3dfec8815d20f7496026dc"), None, None, None, 200),
            (None, TAG, None, None, 304),
            (None, Some("8d777f385d3dfec8815d20f7496026dc"), None, None, 304),
            (None, OTHER, None, None, 200),
            (None, None, before, None, 200),
            (None, None, same, None, 304),
            (None, None, after, None, 304),
            // A date in the future is passed over.
            (None, None, Some(NOW + 1), None, 200),
            (None, None, None, before, 412),
            (None, None, None, same, 200),
            // If-Match settles If-Unmodified-Since, and If-None-Match settles If-Modified-Since.
            (TAG, None, None, before, 200),
            (None, OTHER, after, None, 200),
            (OTHER, TAG, None, None, 412),
        ];
        for (if_match, none, since, unmodified, expected) in cases {
            assert_eq!(
                status(if_match, none, since, unmodified),
                expected,
                "{if_match:?} {none:?} {since:?} {unmodified:?}"
            );
        }
    }

    #[test]
    fn sources_fail_by_their_own_names() {
        let conditions = ReadConditions { if_none_match: TAG, ..ReadConditions::default() };
        let error = conditions.check_source(&object(), NOW).unwrap_err();
        assert_eq!(error.status, 412);
        assert_eq!(error.members, [("Condition", "x-amz-copy-source-If-None-Match".to_owned())]);
    }

    #[test]
    fn writes_take_a_star_or_a_tag() {
        let make = WriteCondition::new;
        assert_eq!(make(None, TAG).unwrap_err().code, "NotImplemented");
        assert_eq!(make(Some("*"), None).unwrap_err().code, "NotImplemented");
        assert_eq!(make(TAG, Some("*")).unwrap_err().members[0].1, "If-Match,If-None-Match");
        let absent = make(None, Some("*")).unwrap();
        assert_eq!(absent.check("k", Some(&object())).unwrap_err().code, "PreconditionFailed");
        assert!(absent.check("k", None).is_ok());
        assert_eq!(absent.check_since("k", None, Some(7)).unwrap_err().code, "ConditionalRequestConflict");
        let matching = make(TAG, None).unwrap();
        assert_eq!(matching.check("k", None).unwrap_err().code, "NoSuchKey");
        assert!(matching.check_since("k", Some(&object()), Some(7)).is_ok());
        assert_eq!(matching.check_since("k", Some(&object()), Some(6)).unwrap_err().status, 409);
        assert_eq!(make(OTHER, None).unwrap().check("k", Some(&object())).unwrap_err().status, 412);
    }
}
