//! Places that all environments have in common, of which no function can take all.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// A number of places. An owner may have half of those that others leave: the first 1 of 2, the next 1 of 4, and so on,
/// so that there is always something left for one who has nothing yet.
#[derive(Debug)]
pub(crate) struct Shares {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_owner: HashMap<Arc<str>, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    owner: Arc<str>,
}

impl Shares {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// A place for an owner; `None` when it has its share.
    pub(crate) fn take(self: &Arc<Self>, owner: &Arc<str>) -> Option<Share> {
        let mut taken = self.taken.lock();
        let own = taken.by_owner.get(owner).copied().unwrap_or(0);
        let left_by_others = self.most - (taken.all - own);
        if 2 * (own + 1) > left_by_others {
            return None;
        }
        taken.all += 1;
        taken.by_owner.insert(owner.clone(), own + 1);
        Some(Share { shares: self.clone(), owner: owner.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock();
        taken.all -= 1;
        if let Some(own) = taken.by_owner.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                taken.by_owner.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(shares: &Arc<Shares>, owner: &str) -> Vec<Share> {
        let owner = Arc::from(owner);
        std::iter::from_fn(|| shares.take(&owner)).collect()
    }

    #[test]
    fn there_is_something_left_for_others() {
        let shares = Shares::new(64);
        let first = take_all(&shares, "first");
        let second = take_all(&shares, "second");
        let third = take_all(&shares, "third");
        assert_eq!((first.len(), second.len(), third.len()), (32, 16, 8));
        assert!(take_all(&shares, "first").is_empty());
        drop(first);
        assert_eq!(take_all(&shares, "fourth").len(), (64 - 16 - 8) / 2);
    }

    #[test]
    fn places_come_back() {
        let shares = Shares::new(8);
        drop(take_all(&shares, "one"));
        assert!(shares.taken.lock().by_owner.is_empty());
        assert_eq!(take_all(&shares, "one").len(), 4);
        assert_eq!(shares.taken.lock().all, 0);
    }
}
