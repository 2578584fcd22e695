//! What tests of this crate begin with.

use lambent_base::{Clock, ManualClock, Random};
use lambent_store::Db;

use crate::{Identity, MasterKey, RootKey};

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
