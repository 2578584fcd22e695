//! Condition keys: what a policy may ask of a request, and where the answer comes from.
//! Source: IAM User Guide, "AWS global condition context keys".

use std::borrow::Cow;

use super::date;
use crate::{Caller, CallerKind, Circumstances, Keys};

/// A condition key, looked up by name once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// As the policy wrote it.
    pub(crate) written: Box<str>,
    name: Box<str>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Global(Global),
    /// The tag of this name, in small letters.
    PrincipalTag(Box<str>),
    ResourceTag(Box<str>),
    /// A key that the service gives.
    Given,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Global {
    CalledVia,
    CalledViaFirst,
    CalledViaLast,
    CurrentTime,
    EpochTime,
    FederatedProvider,
    PrincipalAccount,
    PrincipalArn,
    PrincipalIsService,
    PrincipalServiceName,
    PrincipalServiceNames,
    PrincipalType,
    Referer,
    RequestedRegion,
    ResourceAccount,
    SecureTransport,
    SourceAccount,
    SourceArn,
    SourceIdentity,
    SourceIp,
    TokenIssueTime,
    UserAgent,
    UserId,
    Username,
    ViaService,
}

/// A request as policies see it.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    /// In small letters.
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) caller: &'a Caller,
    pub(crate) principal_tags: &'a [(String, String)],
    pub(crate) at: &'a Circumstances,
    pub(crate) keys: &'a Keys,
    /// The account that the resource belongs to.
    pub(crate) owner: &'a str,
    pub(crate) resource_tags: &'a [(String, String)],
    /// Whether `keys` stand in for what the request itself would say, too.
    pub(crate) is_simulated: bool,
}

/// The values of a key in a request; never none.
pub(crate) enum Values<'a> {
    One(Cow<'a, str>),
    Many(&'a [String]),
}

impl Key {
    pub(crate) fn new(written: &str) -> Self {
        let name = written.to_ascii_lowercase();
        let kind = match name.as_str() {
            "aws:calledvia" => Kind::Global(Global::CalledVia),
            "aws:calledviafirst" => Kind::Global(Global::CalledViaFirst),
            "aws:calledvialast" => Kind::Global(Global::CalledViaLast),
            "aws:currenttime" => Kind::Global(Global::CurrentTime),
            "aws:epochtime" => Kind::Global(Global::EpochTime),
            "aws:federatedprovider" => Kind::Global(Global::FederatedProvider),
            "aws:principalaccount" => Kind::Global(Global::PrincipalAccount),
            "aws:principalarn" => Kind::Global(Global::PrincipalArn),
            "aws:principalisawsservice" => Kind::Global(Global::PrincipalIsService),
            "aws:principalservicename" => Kind::Global(Global::PrincipalServiceName),
            "aws:principalservicenameslist" => Kind::Global(Global::PrincipalServiceNames),
            "aws:principaltype" => Kind::Global(Global::PrincipalType),
            "aws:referer" => Kind::Global(Global::Referer),
            "aws:requestedregion" => Kind::Global(Global::RequestedRegion),
            "aws:resourceaccount" | "s3:resourceaccount" => Kind::Global(Global::ResourceAccount),
            "aws:securetransport" => Kind::Global(Global::SecureTransport),
            "aws:sourceaccount" => Kind::Global(Global::SourceAccount),
            "aws:sourcearn" => Kind::Global(Global::SourceArn),
            "aws:sourceidentity" => Kind::Global(Global::SourceIdentity),
            "aws:sourceip" => Kind::Global(Global::SourceIp),
            "aws:tokenissuetime" => Kind::Global(Global::TokenIssueTime),
            "aws:useragent" => Kind::Global(Global::UserAgent),
            "aws:userid" => Kind::Global(Global::UserId),
            "aws:username" => Kind::Global(Global::Username),
            "aws:viaawsservice" => Kind::Global(Global::ViaService),
            name => match name.split_once('/') {
                Some(("aws:principaltag" | "iam:principaltag", tag)) => Kind::PrincipalTag(tag.into()),
                Some(("aws:resourcetag" | "iam:resourcetag", tag)) => Kind::ResourceTag(tag.into()),
                _ => Kind::Given,
            },
        };
        Self { written: written.into(), name: name.into(), kind }
    }

    /// Whether its values come from the service.
    pub(crate) fn is_given(&self) -> bool {
        self.kind == Kind::Given
    }

    /// In small letters.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl<'a> Request<'a> {
    /// What the request says to a key; `None` where it says nothing.
    pub(crate) fn get(&self, key: &Key) -> Option<Values<'a>> {
        let given = || match self.keys.get(&key.name)? {
            [] => None,
            [one] => Some(Values::One(Cow::Borrowed(one))),
            many => Some(Values::Many(many)),
        };
        if self.is_simulated
            && let Some(values) = given()
        {
            return Some(values);
        }
        match &key.kind {
            Kind::Given => given(),
            Kind::Global(global) => self.global(*global).map(Values::One).or_else(given),
            Kind::PrincipalTag(name) => {
                let session = self.caller.session_tags();
                tag(session, name).or_else(|| tag(self.principal_tags, name)).map(Values::One)
            }
            Kind::ResourceTag(name) => tag(self.resource_tags, name).map(Values::One),
        }
    }

    /// The value of a key that has one and no more; policy variables need such.
    pub(crate) fn single(&self, key: &Key) -> Option<Cow<'a, str>> {
        match self.get(key)? {
            Values::One(value) => Some(value),
            Values::Many(_) => None,
        }
    }

    fn global(&self, key: Global) -> Option<Cow<'a, str>> {
        let (caller, at) = (self.caller, self.at);
        let yes = |is_so| Some(Cow::Borrowed(if is_so { "true" } else { "false" }));
        let service = match &caller.kind {
            CallerKind::Service { name } => Some(name.as_str()),
            _ => None,
        };
        match key {
            Global::CalledVia | Global::CalledViaFirst | Global::CalledViaLast => {
                at.via_service.map(Cow::Borrowed)
            }
            Global::CurrentTime => Some(date::format_ms(at.time_ms).into()),
            Global::EpochTime => Some(at.time_ms.div_euclid(1000).to_string().into()),
            Global::FederatedProvider => match &caller.kind {
                CallerKind::RoleSession { federated, .. } => federated.as_deref().map(Cow::Borrowed),
                _ => None,
            },
            Global::PrincipalAccount => text(&caller.account),
            Global::PrincipalArn => principal_arn(caller).map(Cow::Borrowed),
            Global::PrincipalIsService => yes(service.is_some()),
            Global::PrincipalServiceName | Global::PrincipalServiceNames => service.map(Cow::Borrowed),
            Global::PrincipalType => principal_type(caller).map(Cow::Borrowed),
            Global::Referer => at.referer.as_deref().map(Cow::Borrowed),
            Global::RequestedRegion => text(&at.region),
            Global::ResourceAccount => text(self.owner),
            Global::SecureTransport => yes(at.is_secure),
            Global::SourceAccount => at.source_account.as_deref().map(Cow::Borrowed),
            Global::SourceArn => at.source_arn.as_deref().map(Cow::Borrowed),
            Global::SourceIdentity => match &caller.kind {
                CallerKind::RoleSession { source_identity, .. } => {
                    source_identity.as_deref().map(Cow::Borrowed)
                }
                _ => None,
            },
            Global::SourceIp => at.source_ip.map(|ip| ip.to_canonical().to_string().into()),
            Global::TokenIssueTime => {
                caller.session.map(|session| date::format_ms(session.issued_unix_s * 1000).into())
            }
            Global::UserAgent => at.user_agent.as_deref().map(Cow::Borrowed),
            Global::UserId => text(&caller.user_id),
            Global::Username => match &caller.kind {
                CallerKind::User { name } => Some(Cow::Borrowed(name)),
                _ => None,
            },
            Global::ViaService => yes(at.via_service.is_some()),
        }
    }
}

/// The role of a role's session, else the caller itself; nobody has none.
fn principal_arn(caller: &Caller) -> Option<&str> {
    match &caller.kind {
        CallerKind::RoleSession { role_arn, .. } => Some(role_arn),
        CallerKind::Anonymous | CallerKind::Service { .. } => None,
        CallerKind::Root | CallerKind::User { .. } | CallerKind::FederatedUser { .. } => Some(&caller.arn),
    }
}

fn principal_type(caller: &Caller) -> Option<&'static str> {
    match &caller.kind {
        CallerKind::Root => Some("Account"),
        CallerKind::User { .. } => Some("User"),
        CallerKind::RoleSession { .. } => Some("AssumedRole"),
        CallerKind::FederatedUser { .. } => Some("FederatedUser"),
        CallerKind::Anonymous => Some("Anonymous"),
        CallerKind::Service { .. } => None,
    }
}

/// Names of tags are compared without regard to case, as those of condition keys.
fn tag<'a>(tags: &'a [(String, String)], name: &str) -> Option<Cow<'a, str>> {
    let found = tags.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| Cow::Borrowed(value.as_str()))
}

fn text(text: &str) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then_some(Cow::Borrowed(text))
}
