//! What is asked for, under which circumstances, and the proof that it was allowed.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::Caller;

/// What a caller wants to do, for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As `s3:PutObject`.
    pub action: &'static str,
    /// The ARN that it is done to; `*` for an action without a resource.
    pub resource: String,
    /// Condition keys of the service, and of the request's tags.
    pub keys: Keys,
    /// Whether the resource is yet to be made: whose the name may be now counts for nothing.
    pub is_new: bool,
}

/// Condition keys of a request: each name with its values, of which there may be none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<(Cow<'static, str>, Vec<String>)>);

/// What is true of a request whoever makes it; the source of the global condition keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// `None` for what the platform does by itself.
    pub source_ip: Option<IpAddr>,
    /// Whether it came over TLS.
    pub is_secure: bool,
    pub user_agent: Option<String>,
    pub referer: Option<String>,
    /// As `us-east-1`.
    pub region: String,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    pub request_id: String,
    /// The service that makes the request in the caller's name, as `lambda.amazonaws.com`.
    pub via_service: Option<&'static str>,
    /// The resource for which a service acts.
    pub source_arn: Option<String>,
    /// The account of that resource.
    pub source_account: Option<String>,
}

/// The proof that a policy decision allowed this caller this action. Only this crate makes one.
#[derive(Clone, Debug)]
pub struct Authorized {
    caller: Arc<Caller>,
    action: &'static str,
    resource: String,
    owner: String,
}

impl Wanted {
    /// An action, as `s3:PutObject`, on the resource with this ARN.
    pub fn new(action: &'static str, resource: impl Into<String>) -> Self {
        Self { action, resource: resource.into(), keys: Keys::default(), is_new: false }
    }

    /// An action that makes the resource, in the caller's own account.
    #[must_use]
    pub fn of_a_new_thing(mut self) -> Self {
        self.is_new = true;
        self
    }

    /// Adds a condition key with one value.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.keys = self.keys.with(key, value);
        self
    }

    /// Adds a condition key with many values, or with none.
    #[must_use]
    pub fn with_each<V: Into<String>>(
        mut self,
        key: impl Into<Cow<'static, str>>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.keys = self.keys.with_each(key, values);
        self
    }
}

impl Keys {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key with one value; a key that is there already is replaced.
    #[must_use]
    pub fn with(self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.with_each(key, [value])
    }

    /// Adds a key with many values, or with none; a key that is there already is replaced.
    #[must_use]
    pub fn with_each<V: Into<String>>(
        mut self,
        key: impl Into<Cow<'static, str>>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let name = lower(key.into());
        let values = values.into_iter().map(Into::into).collect();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = values,
            None => self.0.push((name, values)),
        }
        self
    }

    /// The values of a key by its lower-case name; `None` when the request has no such key.
    pub fn get(&self, name: &str) -> Option<&[String]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, values)| values.as_slice())
    }

    /// Each key's lower-case name with its values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(name, values)| (name.as_ref(), values.as_slice()))
    }
}

impl Authorized {
    pub(crate) fn new(caller: Arc<Caller>, action: &'static str, resource: String, owner: String) -> Self {
        Self { caller, action, resource, owner }
    }

    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// As `s3:PutObject`.
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// The ARN that was decided on.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The account that the resource belongs to: not always the caller's.
    pub fn owner(&self) -> &str {
        &self.owner
    }
}

/// Names of condition keys are compared without regard to case.
fn lower(name: Cow<'static, str>) -> Cow<'static, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name }
}
