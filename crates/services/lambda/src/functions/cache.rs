//! Functions held in memory, so that a warm invocation reads no store.
//!
//! An entry is what the store said at one moment. Own writes forget it before they answer; the writes of other nodes reach
//! [`Cache::clear`] through the store's watch. A read that began before either must not put its older row back: the
//! generation that it was given tells.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use lambent_base::Random;
use lambent_pool::FunctionSpec;
use parking_lot::RwLock;

use crate::configuration::host_architecture;
use crate::limits::CACHED_FUNCTIONS_MAX;
use crate::rows::Phase;

/// A function or a published version of it, by its own name or an alias, ready to be invoked (or to say why it is not).
pub(crate) struct Loaded {
    /// With the number of a published version or the name of an alias, else without qualifier.
    pub(crate) arn: String,
    pub(crate) phase: Phase,
    /// Of what would run now.
    pub(crate) architecture: Option<String>,
    /// Of what would run now.
    pub(crate) is_per_tenant: bool,
    /// Of what would run now; `None` while there is nothing to run.
    pub(crate) role: Option<String>,
    pub(crate) dead_letter_arn: Option<String>,
    /// `None` while there is nothing to run.
    pub(crate) spec: Option<Arc<FunctionSpec>>,
}

impl Loaded {
    /// Why this host cannot run the function, if it is for another architecture.
    pub(crate) fn foreign_architecture(&self) -> Option<String> {
        let architecture = self.architecture.as_ref()?;
        let host = host_architecture();
        (architecture != host).then(|| {
            format!(
                "The function is for {architecture}, and this host has {host}: set its Architectures to {host}, or \
                 run Lambent on a host with {architecture}."
            )
        })
    }
}

/// What calls of one name run.
pub(crate) struct Routes {
    pub(crate) main: Arc<Loaded>,
    /// Where this part of the calls, 0 to 1, goes instead.
    pub(crate) additional: Option<(f64, Arc<Loaded>)>,
}

impl Routes {
    /// What a call runs, by its draw where there are two.
    pub(crate) fn pick(&self, draw: Draw<'_>) -> Arc<Loaded> {
        match &self.additional {
            Some((weight, additional)) if draw.fraction() < *weight => additional.clone(),
            _ => self.main.clone(),
        }
    }
}

/// What decides between the two versions of an alias.
#[derive(Clone, Copy)]
pub(crate) enum Draw<'a> {
    Chance(&'a Random),
    /// Of one attempt at an event, by the event's id and how often it failed before: the same whenever it is asked.
    Attempt(&'a str, u32),
}

impl Draw<'_> {
    /// From 0 to 1, without 1, each of 2^53 numbers as likely as any other.
    fn fraction(self) -> f64 {
        const BITS: u32 = f64::MANTISSA_DIGITS;
        let bits = match self {
            Self::Chance(random) => random.u64(),
            Self::Attempt(request_id, failures) => {
                let mut hasher = DefaultHasher::new();
                (request_id, failures).hash(&mut hasher);
                hasher.finish()
            }
        };
        #[expect(clippy::cast_precision_loss, reason = "both have no more bits than a mantissa")]
        let (drawn, all) = ((bits >> (u64::BITS - BITS)) as f64, (1_u64 << BITS) as f64);
        drawn / all
    }
}

/// Loaded functions by ARN.
#[derive(Default)]
pub(crate) struct Cache(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    generation: u64,
    entries: HashMap<String, Routes>,
}

/// When a read began; see [`Cache::put`].
#[derive(Clone, Copy)]
pub(crate) struct Generation(u64);

impl Cache {
    /// What a call of this name runs.
    pub(crate) fn get(&self, arn: &str, draw: Draw<'_>) -> Option<Arc<Loaded>> {
        self.0.read().entries.get(arn).map(|routes| routes.pick(draw))
    }

    /// To be asked before the store is read.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.0.read().generation)
    }

    /// Keeps what was read, unless something changed since `began`.
    pub(crate) fn put(&self, began: Generation, routes: Routes) {
        let mut inner = self.0.write();
        if inner.generation != began.0 {
            return;
        }
        if inner.entries.len() >= CACHED_FUNCTIONS_MAX {
            inner.entries.clear();
        }
        inner.entries.insert(routes.main.arn.clone(), routes);
    }

    /// Forgets a function, its versions and its aliases: to be called after a change is committed, before anybody is told. `arn` has
    /// no qualifier.
    pub(crate) fn forget(&self, arn: &str) {
        let is_of = |known: &str| {
            known.strip_prefix(arn).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        let mut inner = self.0.write();
        inner.generation += 1;
        inner.entries.retain(|known, _| !is_of(known));
    }

    /// Forgets everything: somebody changed something.
    pub(crate) fn clear(&self) {
        let mut inner = self.0.write();
        inner.generation += 1;
        inner.entries.clear();
    }
}
