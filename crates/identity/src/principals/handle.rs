//! The way to principals: only with a decision.

use std::ops::Deref;

use crate::{Authorized, Identity};

/// Users, groups, roles, policies, keys and providers, for whoever shows that access was decided on. Everything that reads
/// or changes them hangs here, and nothing of it on [`Identity`].
///
/// An operation without a decision does not compile:
///
/// ```compile_fail,E0599
/// async fn users(identity: &lambent_identity::Identity) {
///     identity.users("000000000000", "/", None, 10).await.ok();
/// }
/// ```
///
/// Nor does one that invents it:
///
/// ```compile_fail,E0308
/// async fn users(identity: &lambent_identity::Identity) {
///     identity.principals(&()).users("000000000000", "/", None, 10).await.ok();
/// }
/// ```
///
/// Nor does one that takes what identity itself does its work with:
///
/// ```compile_fail,E0624
/// async fn users(identity: &lambent_identity::Identity) {
///     identity.own_principals().users("000000000000", "/", None, 10).await.ok();
/// }
/// ```
///
/// This does:
///
/// ```
/// async fn users(identity: &lambent_identity::Identity, authorized: &lambent_identity::Authorized) {
///     identity.principals(authorized).users("000000000000", "/", None, 10).await.ok();
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Principals<'a>(&'a Identity);

impl Identity {
    /// For what a request does that was decided on.
    pub fn principals(&self, _proof: &Authorized) -> Principals<'_> {
        Principals(self)
    }

    /// For what identity has to know to decide.
    pub(crate) fn own_principals(&self) -> Principals<'_> {
        Principals(self)
    }
}

impl Deref for Principals<'_> {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        self.0
    }
}
