//! How much memory instances may have: each no more than its function's MemorySize, all together no more than a part of what
//! the process may use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use wasmtime::ResourceLimiter;

use crate::limits::HOST_BYTES;

const ELEMENT_BYTES: usize = size_of::<usize>();
const MIB: usize = 1 << 20;

/// What all instances may have together.
pub(crate) struct Budget {
    left: AtomicU64,
}

/// What becomes known of a call while it runs, also when it is given up.
#[derive(Default)]
pub(crate) struct Vitals {
    peak_bytes: AtomicUsize,
    refused: AtomicBool,
    /// Whether it has used the processor for long.
    busy: AtomicBool,
}

/// Counts one instance's memories and tables.
pub(crate) struct Meter {
    budget: Arc<Budget>,
    vitals: Arc<Vitals>,
    limit: usize,
    used: usize,
    /// What was allowed last, for the case that it could not be had.
    last: usize,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(bytes) })
    }

    fn take(&self, bytes: usize) -> bool {
        let less = |left: u64| left.checked_sub(bytes as u64);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give(&self, bytes: usize) {
        self.left.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Vitals {
    /// A call begins.
    pub(crate) fn begin(&self) {
        self.refused.store(false, Ordering::Relaxed);
        self.busy.store(false, Ordering::Relaxed);
    }

    pub(crate) fn peak_mib(&self) -> u32 {
        u32::try_from(self.peak_bytes.load(Ordering::Relaxed).div_ceil(MIB)).unwrap_or(u32::MAX)
    }

    /// Whether memory was asked for that could not be given.
    pub(crate) fn is_starved(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn note_busy(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }
}

impl Meter {
    /// Sets aside what the host keeps for an instance, beside what the instance itself may have; `None` where there is
    /// not so much left.
    pub(crate) fn new(budget: Arc<Budget>, vitals: Arc<Vitals>, memory_mib: u32) -> Option<Self> {
        vitals.peak_bytes.store(0, Ordering::Relaxed);
        if !budget.take(HOST_BYTES) {
            vitals.refused.store(true, Ordering::Relaxed);
            return None;
        }
        let limit = usize::try_from(memory_mib).unwrap_or(usize::MAX).saturating_mul(MIB);
        Some(Self { budget, vitals, limit, used: 0, last: 0 })
    }

    fn grow(&mut self, bytes: usize) -> bool {
        let wanted = self.used.saturating_add(bytes);
        if wanted > self.limit || !self.budget.take(bytes) {
            self.vitals.refused.store(true, Ordering::Relaxed);
            return false;
        }
        (self.used, self.last) = (wanted, bytes);
        self.vitals.peak_bytes.fetch_max(wanted, Ordering::Relaxed);
        true
    }

    fn shrink(&mut self) {
        self.used -= self.last;
        self.budget.give(self.last);
        self.last = 0;
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(desired - current))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.shrink();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow((desired - current).saturating_mul(ELEMENT_BYTES)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.shrink();
        Ok(())
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.budget.give(self.used + HOST_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_its_limit_and_all_have_the_budget() {
        let whole = (3 * MIB + 2 * HOST_BYTES) as u64;
        let budget = Budget::new(whole);
        let vitals = Arc::new(Vitals::default());
        let mut one = Meter::new(budget.clone(), vitals.clone(), 2).unwrap();
        assert!(one.memory_growing(0, MIB, None).unwrap());
        assert!(!one.memory_growing(MIB, 3 * MIB, None).unwrap(), "its own limit");
        assert!(vitals.is_starved());
        assert!(one.memory_growing(MIB, 2 * MIB, None).unwrap());
        let other = Arc::new(Vitals::default());
        let mut two = Meter::new(budget.clone(), other.clone(), 100).unwrap();
        assert!(two.memory_growing(0, MIB, None).unwrap());
        assert!(!two.memory_growing(MIB, MIB + 1, None).unwrap(), "all of the budget is taken");
        let third = Arc::new(Vitals::default());
        assert!(Meter::new(budget.clone(), third.clone(), 1).is_none() && third.is_starved());
        assert_eq!((vitals.peak_mib(), other.peak_mib()), (2, 1));
        drop(one);
        assert!(two.memory_growing(MIB, 2 * MIB, None).unwrap());
        two.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        drop(two);
        assert_eq!(budget.left.load(Ordering::Relaxed), whole);
    }

    #[test]
    fn a_growth_beyond_the_maximum_of_a_memory_is_no_want_of_ours() {
        let vitals = Arc::new(Vitals::default());
        let mut one = Meter::new(Budget::new(u64::MAX), vitals.clone(), 128).unwrap();
        assert!(!one.memory_growing(0, 2, Some(1)).unwrap());
        assert!(!one.table_growing(0, 2, Some(1)).unwrap());
        assert!(!vitals.is_starved());
    }
}
