//! The ways to principals: only with a decision.

use std::ops::Deref;

use crate::principals::{PrincipalKind, PrincipalName};
use crate::{Authorized, Identity};

/// Users, groups, roles, policies, keys and providers of one account, for whoever shows that access was decided on there.
/// Everything that reads or changes them hangs here, and nothing of it on [`Identity`].
///
/// An operation without a decision does not compile:
///
/// ```compile_fail,E0599
/// async fn users(identity: &lambent_identity::Identity) {
///     identity.users("/", None, 10).await.ok();
/// }
/// ```
///
/// Nor does one that invents it:
///
/// ```compile_fail,E0308
/// async fn users(identity: &lambent_identity::Identity) {
///     identity.principals(&()).users("/", None, 10).await.ok();
/// }
/// ```
///
/// Nor does one that takes what identity itself does its work with:
///
/// ```compile_fail,E0624
/// async fn users(identity: &lambent_identity::Identity) {
///     identity.own_principals("000000000000").users("/", None, 10).await.ok();
/// }
/// ```
///
/// Nor does one that is about another account than the decision:
///
/// ```compile_fail,E0061
/// async fn users(identity: &lambent_identity::Identity, authorized: &lambent_identity::Authorized) {
///     identity.principals(authorized).users("111122223333", "/", None, 10).await.ok();
/// }
/// ```
///
/// ```compile_fail,E0451
/// use lambent_identity::{PrincipalKind, PrincipalName};
///
/// fn other() -> PrincipalName<'static> {
///     PrincipalName { account: "111122223333", kind: PrincipalKind::User, name: "ann" }
/// }
/// ```
///
/// This does:
///
/// ```
/// async fn users(identity: &lambent_identity::Identity, authorized: &lambent_identity::Authorized) {
///     identity.principals(authorized).users("/", None, 10).await.ok();
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Principals<'a> {
    identity: &'a Identity,
    account: &'a str,
}

/// What those may know of principals whose own business they are not, as policies name users and roles of whatever account:
/// who has a name or an id. It changes nothing:
///
/// ```compile_fail,E0599
/// async fn delete(identity: &lambent_identity::Identity, authorized: &lambent_identity::Authorized) {
///     identity.names(authorized).delete_user("ann").await.ok();
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Names<'a>(&'a Identity);

impl Identity {
    /// For what a request does that was decided on: in the account of the resource on which it was.
    pub fn principals<'a>(&'a self, proof: &'a Authorized) -> Principals<'a> {
        Principals { identity: self, account: proof.owner() }
    }

    /// For what a request shows or stores of principals that is decided on as something else.
    pub fn names(&self, _proof: &Authorized) -> Names<'_> {
        Names(self)
    }

    /// For what identity has to know to decide.
    pub(crate) fn own_principals<'a>(&'a self, account: &'a str) -> Principals<'a> {
        Principals { identity: self, account }
    }
}

impl<'a> Principals<'a> {
    /// Whose they are.
    pub fn account(self) -> &'a str {
        self.account
    }

    /// A user, group or role of the account.
    pub fn named<'n>(self, kind: PrincipalKind, name: &'n str) -> PrincipalName<'n>
    where
        'a: 'n,
    {
        PrincipalName { account: self.account, kind, name }
    }

    pub(crate) fn names(self) -> Names<'a> {
        Names(self.identity)
    }
}

impl<'a> Names<'a> {
    pub(super) fn identity(self) -> &'a Identity {
        self.0
    }
}

impl Deref for Principals<'_> {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        self.identity
    }
}
