//! What loads, runs and minds functions, beside operations and for them.
//!
//! It has the rows and packages opened: to an operation by its decision, to the platform once, when it is put together. So a
//! handler that was not decided on finds no way to either, and none finds the way to work in nobody's name.

use std::ops::Deref;
use std::sync::{Arc, Weak};

use lambent_blobs::BlobStore;
use lambent_runtimes::is_webassembly;
use lambent_store::{Db, Txn};

use crate::concurrency::Shares;
use crate::errors::LambdaError;
use crate::functions::cache::{Draw, Loaded, Routes};
use crate::functions::spec;
use crate::keys;
use crate::lambda::Lambda;
use crate::limits::SWEEP_RETRY;
use crate::names::{FunctionName, Which};
use crate::resolve::{self, Resolved};
use crate::rows::{self, AdditionalVersion, Phase, Settings};

/// The service at work. Cheap to clone.
///
/// Only who shows a decision or has the platform's leave gets one; outside of this crate it is made with the service itself
/// alone.
#[derive(Clone)]
pub struct Engine {
    lambda: Arc<Lambda>,
    pub(crate) db: Db,
    pub(crate) blobs: BlobStore,
}

/// The same, for what does not keep the service.
#[derive(Clone)]
pub(crate) struct WeakEngine {
    lambda: Weak<Lambda>,
    db: Db,
    blobs: BlobStore,
}

/// What the store says of a name that may be invoked.
struct Target {
    main: Runnable,
    /// With its part of the calls.
    additional: Option<(f64, Runnable)>,
    /// The function's reserved concurrency, and what all without one share.
    reserved: Option<u32>,
    unreserved: u32,
}

/// What the store says of something that may run.
struct Runnable {
    which: Which,
    phase: Phase,
    /// `None` while there is nothing to run.
    settings: Option<Settings>,
}

impl WeakEngine {
    /// `None` once the service is gone.
    pub(crate) fn upgrade(&self) -> Option<Engine> {
        let lambda = self.lambda.upgrade()?;
        Some(Engine { lambda, db: self.db.clone(), blobs: self.blobs.clone() })
    }
}

impl Engine {
    pub(crate) fn new(lambda: Arc<Lambda>, db: Db, blobs: BlobStore) -> Self {
        Self { lambda, db, blobs }
    }

    pub(crate) fn downgrade(&self) -> WeakEngine {
        let lambda = Arc::downgrade(&self.lambda);
        WeakEngine { lambda, db: self.db.clone(), blobs: self.blobs.clone() }
    }

    /// Begins to keep caches and code folders true, for as long as the service is there.
    pub async fn start(&self) -> Result<(), LambdaError> {
        self.remove_leftovers().await?;
        // The watches begin here, so that nothing committed after this is missed.
        let changed = self.db.watch(keys::CHANGED);
        let revised = self.parts.identity.changes();
        let unused = self.db.watch(keys::UNUSED);
        self.mind_provisioned();
        tokio::spawn(clear_on_change(self.downgrade(), changed, revised));
        tokio::spawn(crate::code::folders::tidy_on_change(self.downgrade(), unused));
        Ok(())
    }

    /// What one node does for all, until it is dropped: takes up what nodes that are gone left unfinished (`gone` wakes
    /// when one may have died), and throws unused packages away.
    pub async fn mind(&self, mut gone: lambent_store::Watch) {
        let mut unused = self.db.watch(keys::UNUSED);
        let (mut resumed, mut swept, mut sealed) = (false, false, false);
        loop {
            if !resumed {
                resumed = succeeded("unfinished changes of functions", self.resume_pending().await);
            }
            if !swept {
                swept = succeeded("unused deployment packages", self.sweep().await);
            }
            if !sealed {
                sealed = succeeded("environment variables in the clear", self.seal_all().await);
            }
            let is_done = resumed && swept && sealed;
            tokio::select! {
                () = gone.changed() => resumed = false,
                () = unused.changed() => swept = false,
                () = tokio::time::sleep(SWEEP_RETRY), if !is_done => {}
            }
        }
    }

    /// A function, or a version of it by its number or an alias, with all that an invocation needs; from memory if it can be.
    /// `None` where the name means nothing. An alias of two versions gives one of them by chance.
    pub(crate) async fn load(&self, name: &FunctionName) -> Result<Option<Arc<Loaded>>, LambdaError> {
        self.load_drawn(name, Draw::Chance(&self.parts.random)).await
    }

    /// The same, by a draw of the caller's.
    pub(crate) async fn load_drawn(
        &self,
        name: &FunctionName,
        draw: Draw<'_>,
    ) -> Result<Option<Arc<Loaded>>, LambdaError> {
        let arn = if name.is_latest() { name.arn() } else { name.qualified_arn() };
        if let Some(loaded) = self.cache.get(&arn, draw) {
            return Ok(Some(loaded));
        }
        let began = self.cache.generation();
        let Some(target) = self.target(name).await? else { return Ok(None) };
        self.parts.runner.limit_unreserved(&name.place, target.unreserved as usize);
        let additional = match &target.additional {
            None => None,
            Some((weight, other)) => Some((*weight, self.prepared(name, &arn, other, &target).await?)),
        };
        let routes = Routes { main: self.prepared(name, &arn, &target.main, &target).await?, additional };
        let picked = routes.pick(draw);
        self.cache.put(began, routes);
        Ok(Some(picked))
    }

    /// What a call needs, from what the store says.
    async fn prepared(
        &self,
        name: &FunctionName,
        arn: &str,
        runnable: &Runnable,
        target: &Target,
    ) -> Result<Arc<Loaded>, LambdaError> {
        let Runnable { which, phase, settings } = runnable;
        let phase = phase.clone();
        let role = settings.as_ref().map(|settings| settings.role.clone());
        let dead_letter_arn = settings.as_ref().and_then(|settings| settings.dead_letter_arn.clone());
        // A component runs on any.
        let native = settings.as_ref().filter(|settings| !is_webassembly(&settings.runtime));
        let architecture = native.map(|settings| settings.architecture.clone());
        let is_per_tenant = settings.as_ref().is_some_and(|settings| settings.is_per_tenant);
        let spec = match settings {
            None => None,
            Some(settings) => {
                let _lock = self.folder_lock.read().await;
                let (code_dir, opt_dir) = self.ensure_ready(settings).await?;
                let code_cache = self.code_cache(settings).filter(|folder| folder.is_dir());
                let identity = self.parts.identity.clone();
                let mut spec = spec::build(settings, name, *which, code_dir.clone(), opt_dir, identity)?;
                self.add_image(&mut spec, settings, &code_dir)?;
                spec.reserved_concurrency = target.reserved;
                spec.code_cache = code_cache;
                let spec = Arc::new(spec);
                self.note_live(settings, &spec);
                Some(spec)
            }
        };
        Ok(Arc::new(Loaded {
            arn: arn.to_owned(),
            phase,
            architecture,
            is_per_tenant,
            role,
            dead_letter_arn,
            spec,
        }))
    }

    /// All that the store says of a name, at one moment.
    async fn target(&self, name: &FunctionName) -> Result<Option<Target>, LambdaError> {
        let read = self.db.read(|txn| async move {
            let Some(Resolved { which, alias }) = resolve::resolve(&txn, name).await? else {
                return Ok(None);
            };
            let Some(main) = runnable(&txn, name, which).await? else { return Ok(None) };
            let additional = match alias.and_then(|alias| alias.additional) {
                None => None,
                Some(AdditionalVersion { version, weight }) => {
                    let other = runnable(&txn, name, Which::Published(version)).await?;
                    other.map(|other| (weight, other))
                }
            };
            let shares = Shares::read(&txn, &name.place, self.parts.account_concurrency).await?;
            let reserved = shares.reserved_of(&name.name)?;
            let unreserved = shares.unreserved();
            Ok::<_, LambdaError>(Some(Target { main, additional, reserved, unreserved }))
        });
        read.await
    }
}

impl Deref for Engine {
    type Target = Lambda;

    fn deref(&self) -> &Lambda {
        &self.lambda
    }
}

async fn runnable(txn: &Txn, name: &FunctionName, which: Which) -> Result<Option<Runnable>, LambdaError> {
    let (place, name) = (&name.place, &name.name);
    Ok(match which {
        Which::Latest => rows::get_function(txn, place, name).await?.map(|row| Runnable {
            which,
            settings: row.runnable().cloned(),
            phase: row.phase,
        }),
        Which::Published(number) => {
            let row = rows::get_version(txn, place, name, number).await?;
            row.map(|row| Runnable { which, settings: row.runnable().cloned(), phase: row.phase })
        }
    })
}

fn succeeded(what: &'static str, result: Result<(), LambdaError>) -> bool {
    if let Err(error) = &result {
        tracing::warn!(%error, what, "these stay for now");
    }
    result.is_ok()
}

async fn clear_on_change(
    engine: WeakEngine,
    mut changed: lambent_store::Watch,
    mut revised: lambent_store::Watch,
) {
    loop {
        let is_function = tokio::select! {
            () = changed.changed() => true,
            () = revised.changed() => false,
        };
        let Some(lambda) = engine.upgrade() else { return };
        if is_function {
            lambda.cache.clear();
            lambda.policies.clear();
            lambda.urls.clear();
        }
        lambda.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}
