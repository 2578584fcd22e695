//! How many calls run: of a function, its versions and revisions together. What functions without reserved concurrency have
//! together is counted with the calls that run in environments.

use std::collections::HashMap;
use std::sync::Arc;

use lambent_pool::{FunctionKey, SharedConcurrency, ThrottleReason};
use parking_lot::Mutex;

/// All counts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Counts {
    /// Functions without a running call are not in it.
    functions: Arc<Mutex<HashMap<Name, usize>>>,
    shared: Arc<dyn SharedConcurrency>,
}

/// A call that is counted until this is dropped.
pub(crate) struct Counted {
    counts: Counts,
    function: Name,
    is_reserved: bool,
}

/// Account, region and name.
type Name = (String, String, String);

impl Counts {
    pub(crate) fn new(shared: Arc<dyn SharedConcurrency>) -> Self {
        Self { functions: Arc::default(), shared }
    }

    /// Counts a call, or says why it must not run.
    pub(crate) fn begin(&self, key: &FunctionKey, reserved: Option<u32>) -> Result<Counted, ThrottleReason> {
        let function = (key.account.clone(), key.region.clone(), key.name.clone());
        if reserved.is_none() && !self.shared.begin(&key.account, &key.region) {
            return Err(ThrottleReason::ConcurrentInvocationLimitExceeded);
        }
        let mut functions = self.functions.lock();
        let running = functions.entry(function.clone()).or_default();
        if reserved.is_some_and(|limit| *running >= usize::try_from(limit).unwrap_or(usize::MAX)) {
            if *running == 0 {
                functions.remove(&function);
            }
            return Err(ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded);
        }
        *running += 1;
        drop(functions);
        Ok(Counted { counts: self.clone(), function, is_reserved: reserved.is_some() })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.is_reserved {
            self.counts.shared.end(&self.function.0, &self.function.1);
        }
        let mut functions = self.counts.functions.lock();
        if let Some(running) = functions.get_mut(&self.function) {
            *running -= 1;
            if *running == 0 {
                functions.remove(&self.function);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const RESERVED: ThrottleReason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
    const SHARED: ThrottleReason = ThrottleReason::ConcurrentInvocationLimitExceeded;

    /// How many more may begin.
    struct Left(AtomicUsize);

    impl SharedConcurrency for Left {
        fn begin(&self, _: &str, _: &str) -> bool {
            let one_less = |left: usize| left.checked_sub(1);
            self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
        }

        fn end(&self, _: &str, _: &str) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counts(left: usize) -> Counts {
        Counts::new(Arc::new(Left(AtomicUsize::new(left))))
    }

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
        let counts = counts(0);
        let one = counts.begin(&key("one", "$LATEST", "a"), Some(2)).unwrap();
        let _other = counts.begin(&key("one", "1", "a"), Some(2)).unwrap();
        assert_eq!(counts.begin(&key("one", "$LATEST", "b"), Some(2)).err(), Some(RESERVED));
        assert!(counts.begin(&key("two", "$LATEST", "a"), Some(1)).is_ok());
        drop(one);
        assert!(counts.begin(&key("one", "$LATEST", "b"), Some(2)).is_ok());
        assert_eq!(counts.begin(&key("none", "1", "a"), Some(0)).err(), Some(RESERVED));
    }

    #[test]
    fn functions_without_share_what_is_left() {
        let counts = counts(2);
        let one = counts.begin(&key("one", "1", "a"), None).unwrap();
        let _two = counts.begin(&key("two", "1", "a"), None).unwrap();
        assert_eq!(counts.begin(&key("three", "1", "a"), None).err(), Some(SHARED));
        assert!(counts.begin(&key("three", "1", "a"), Some(1)).is_ok());
        drop(one);
        assert!(counts.begin(&key("three", "1", "a"), None).is_ok());
    }
}
