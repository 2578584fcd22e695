//! How many calls run: of a function, its versions and revisions together, and of the functions of an account that share what
//! is not reserved.

use std::collections::HashMap;
use std::sync::Arc;

use lambent_pool::{FunctionKey, ThrottleReason};
use parking_lot::Mutex;

/// All counts. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<Tallies>>);

/// A call that is counted until this is dropped.
pub(crate) struct Counted {
    counts: Counts,
    function: Name,
    is_reserved: bool,
}

#[derive(Default)]
struct Tallies {
    /// Functions without a running call are not in it.
    functions: HashMap<Name, usize>,
    /// By account and region.
    unreserved: HashMap<Place, Unreserved>,
}

/// Calls of functions without reserved concurrency.
struct Unreserved {
    running: usize,
    limit: usize,
}

/// Account, region and name.
type Name = (String, String, String);
/// Account and region.
type Place = (String, String);

impl Counts {
    /// Counts a call, or says why it must not run.
    pub(crate) fn begin(&self, key: &FunctionKey, reserved: Option<u32>) -> Result<Counted, ThrottleReason> {
        let function = (key.account.clone(), key.region.clone(), key.name.clone());
        let mut tallies = self.0.lock();
        if let Some(limit) = reserved {
            let running = tallies.functions.get(&function).copied().unwrap_or(0);
            if running >= usize::try_from(limit).unwrap_or(usize::MAX) {
                return Err(ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded);
            }
        } else {
            let shared = tallies.shared(&function);
            if shared.running >= shared.limit {
                return Err(ThrottleReason::ConcurrentInvocationLimitExceeded);
            }
            shared.running += 1;
        }
        *tallies.functions.entry(function.clone()).or_default() += 1;
        drop(tallies);
        Ok(Counted { counts: self.clone(), function, is_reserved: reserved.is_some() })
    }

    /// What functions without reserved concurrency may run at once from now on.
    pub(crate) fn limit_unreserved(&self, account: &str, region: &str, limit: usize) {
        let place = (account.to_owned(), region.to_owned());
        self.0.lock().unreserved.entry(place).or_default().limit = limit;
    }
}

impl Tallies {
    fn shared(&mut self, function: &Name) -> &mut Unreserved {
        self.unreserved.entry((function.0.clone(), function.1.clone())).or_default()
    }
}

impl Default for Unreserved {
    fn default() -> Self {
        Self { running: 0, limit: usize::MAX }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut tallies = self.counts.0.lock();
        if !self.is_reserved {
            tallies.shared(&self.function).running -= 1;
        }
        if let Some(running) = tallies.functions.get_mut(&self.function) {
            *running -= 1;
            if *running == 0 {
                tallies.functions.remove(&self.function);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVED: ThrottleReason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
    const SHARED: ThrottleReason = ThrottleReason::ConcurrentInvocationLimitExceeded;

    fn key(name: &str, version: &str, revision: &str) -> FunctionKey {
        FunctionKey {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            revision: revision.to_owned(),
        }
    }

    #[test]
    fn versions_and_revisions_share_what_their_function_has_reserved() {
        let counts = Counts::default();
        let one = counts.begin(&key("one", "$LATEST", "a"), Some(2)).unwrap();
        let _other = counts.begin(&key("one", "1", "a"), Some(2)).unwrap();
        assert_eq!(counts.begin(&key("one", "$LATEST", "b"), Some(2)).err(), Some(RESERVED));
        assert!(counts.begin(&key("two", "$LATEST", "a"), Some(1)).is_ok());
        drop(one);
        assert!(counts.begin(&key("one", "$LATEST", "b"), Some(2)).is_ok());
    }

    #[test]
    fn functions_without_share_what_is_left_in_their_place() {
        let counts = Counts::default();
        counts.limit_unreserved("000000000000", "us-east-1", 2);
        let one = counts.begin(&key("one", "1", "a"), None).unwrap();
        let _two = counts.begin(&key("two", "1", "a"), None).unwrap();
        assert_eq!(counts.begin(&key("three", "1", "a"), None).err(), Some(SHARED));
        assert!(counts.begin(&key("three", "1", "a"), Some(1)).is_ok());
        let elsewhere = FunctionKey { region: "eu-west-1".to_owned(), ..key("three", "1", "a") };
        assert!(counts.begin(&elsewhere, None).is_ok());
        drop(one);
        assert!(counts.begin(&key("three", "1", "a"), None).is_ok());
    }
}
