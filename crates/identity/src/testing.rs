//! What tests of this crate begin with.

use std::sync::Arc;

use lambent_base::{Clock, ManualClock, Random};
use lambent_store::Db;

use crate::{Authorized, Caller, Identity, MasterKey, RootKey};

/// The owner's account.
pub(crate) const ACCOUNT: &str = "000000000000";

/// An empty cloud in memory, and the hand of its clock.
pub(crate) fn identity() -> (Identity, ManualClock) {
    let (clock, hand) = Clock::manual(1_800_000_000_000);
    let db = Db::memory(clock.clone(), Random::seeded(1));
    let root =
        RootKey { account: ACCOUNT.into(), access_key_id: "AKIAROOT".into(), secret_access_key: "s".into() };
    (Identity::new(db, clock, Random::seeded(2), root, MasterKey::new([1; 32])), hand)
}

/// What lets a caller do something that nobody was asked about.
pub(crate) fn leave(caller: &Caller) -> Authorized {
    Authorized::new(Arc::new(caller.clone()), "test:Test", "*".to_owned(), caller.account.clone())
}
