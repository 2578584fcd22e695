//! What many requests ask alike: whose, how many, from where on.

use lambent_api::{ApiError, Call};
use lambent_identity::{CallerKind, Listed, Wanted};
use lambent_model_iam as model;
use lambent_wire::Timestamp;

use crate::policy_operations::tagged;

/// Items on a page when the caller does not say.
const MAX_ITEMS_DEFAULT: i32 = 100;

/// How many items a page may have.
pub(crate) fn max_items(asked: Option<i32>) -> usize {
    usize::try_from(asked.unwrap_or(MAX_ITEMS_DEFAULT)).unwrap_or_default()
}

/// The prefix of paths that a list is about.
pub(crate) fn path_prefix(asked: Option<&str>) -> &str {
    asked.unwrap_or("/")
}

/// The user that a request is about: the caller, where it names none.
pub(crate) fn user_name(call: &Call, asked: Option<String>) -> Result<String, ApiError> {
    match (asked, &call.caller().kind) {
        (Some(name), _) => Ok(name),
        (None, CallerKind::User { name }) => Ok(name.clone()),
        (None, _) => Err(invalid("Must specify userName when calling with non-User credentials")),
    }
}

/// Who may make things may not by that give them tags that policies ask for: `action` is the one that tags what the call
/// makes, and is decided on as if it were called for.
pub(crate) async fn expect_may_tag(
    call: &Call,
    action: &'static str,
    tags: Option<&[model::Tag]>,
) -> Result<(), ApiError> {
    if let Some(tags) = tags.filter(|tags| !tags.is_empty()) {
        call.authorize(tagged(Wanted::new(action, call.authorized().resource()), Some(tags))).await?;
    }
    Ok(())
}

/// An error for a request that keeps to the model, and still says what cannot be.
pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationError", message)
}

/// When something happened, as IAM tells it: to the second.
pub(crate) fn time(unix_ms: i64) -> Timestamp {
    Timestamp::from_s(unix_ms.div_euclid(1000))
}

/// Tags as a request has them.
pub(crate) fn tags_in(tags: Vec<model::Tag>) -> Vec<(String, String)> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

/// Tags as an answer has them.
pub(crate) fn tags_out(tags: &[(String, String)]) -> Vec<model::Tag> {
    tags.iter().cloned().map(|(key, value)| model::Tag { key, value }).collect()
}

/// The page of `names` that a request asks for.
pub(crate) fn page<T>(
    all: Vec<T>,
    marker: Option<&str>,
    max: Option<i32>,
    name: impl Fn(&T) -> &str,
) -> Listed<T> {
    Listed::of(all, marker, max_items(max), name)
}
