//! The service's state, and the background work that keeps it true.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use lambent_api::{Call, Proof};
use lambent_blobs::BlobStore;
use lambent_pool::FunctionSpec;
use lambent_runtimes::{RuntimeError, is_webassembly};
use lambent_store::{Db, Txn};
use parking_lot::Mutex;

use crate::code::space::Space;
use crate::concurrency::Shares;
use crate::errors::{self, LambdaError};
use crate::functions::cache::{Cache, Draw, Loaded, Routes};
use crate::functions::spec;
use crate::keys;
use crate::limits::{CHECKS_MAX, COMPILATIONS_MAX, PULLS_MAX, SWEEP_RETRY, UNPACKINGS_MAX};
use crate::names::{FunctionName, Which};
use crate::parts::LambdaParts;
use crate::policies::known::PolicyCache;
use crate::resolve::{self, Resolved};
use crate::rows::{self, AdditionalVersion, FunctionRow, Held, Phase, Settings};
use crate::urls::UrlCache;

/// AWS Lambda, on the parts it was given.
pub struct Lambda {
    pub(crate) parts: LambdaParts,
    pub(crate) cache: Cache,
    pub(crate) policies: PolicyCache,
    pub(crate) urls: UrlCache,
    /// Held for reading by who begins to use an unpacked package, and for writing by who removes one.
    pub(crate) folder_lock: tokio::sync::RwLock<()>,
    /// How many packages are on their way at once, from their arrival until they are kept.
    pub(crate) check_slots: tokio::sync::Semaphore,
    /// How many container images are fetched at once.
    pub(crate) pull_slots: tokio::sync::Semaphore,
    /// How many packages are unpacked at once.
    pub(crate) unpack_slots: tokio::sync::Semaphore,
    /// How many functions' code is compiled at once.
    pub(crate) compile_slots: tokio::sync::Semaphore,
    /// The functions that the pool keeps provisioned environments of: account, region, name.
    pub(crate) provisioned: tokio::sync::Mutex<BTreeSet<(String, String, String)>>,
    /// Changes when a function or what decides on its role has, and what was known of it is forgotten.
    pub(crate) changes: tokio::sync::watch::Sender<u64>,
    live: Mutex<Vec<LiveCode>>,
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

/// A spec that was handed out: its code must stay as long as anybody has it.
struct LiveCode {
    held: BTreeSet<Held>,
    spec: Weak<FunctionSpec>,
}

impl Lambda {
    /// The service, idle until [`Lambda::start`].
    pub fn new(parts: LambdaParts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            cache: Cache::default(),
            policies: PolicyCache::default(),
            urls: UrlCache::default(),
            folder_lock: tokio::sync::RwLock::default(),
            check_slots: tokio::sync::Semaphore::new(CHECKS_MAX),
            pull_slots: tokio::sync::Semaphore::new(PULLS_MAX),
            unpack_slots: tokio::sync::Semaphore::new(UNPACKINGS_MAX),
            compile_slots: tokio::sync::Semaphore::new(COMPILATIONS_MAX),
            provisioned: tokio::sync::Mutex::default(),
            changes: tokio::sync::watch::Sender::new(0),
            live: Mutex::default(),
        })
    }

    /// Begins to keep caches and code folders true, for as long as the service is there.
    pub async fn start(self: &Arc<Self>) -> Result<(), LambdaError> {
        self.remove_leftovers().await?;
        // The watches begin here, so that nothing committed after this is missed.
        let changed = self.own_db().watch(keys::CHANGED);
        let revised = self.parts.identity.changes();
        let unused = self.own_db().watch(keys::UNUSED);
        self.mind_provisioned();
        tokio::spawn(clear_on_change(Arc::downgrade(self), changed, revised));
        tokio::spawn(crate::code::folders::tidy_on_change(Arc::downgrade(self), unused));
        Ok(())
    }

    /// What one node does for all, until it is dropped: takes up what nodes that are gone left unfinished (`gone` wakes
    /// when one may have died), and throws unused packages away.
    pub async fn mind(self: &Arc<Self>, mut gone: lambent_store::Watch) {
        let mut unused = self.own_db().watch(keys::UNUSED);
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

    /// Forgets what is in memory of a function, its versions and its aliases: to be called after a change is committed,
    /// before anybody is told. `arn` has no qualifier.
    pub(crate) fn forget(&self, arn: &str) {
        self.cache.forget(arn);
        self.policies.forget(arn);
    }

    /// The rows, for who may touch them.
    pub(crate) fn db(&self, proof: &impl Proof) -> &Db {
        self.parts.rows.of(proof)
    }

    /// The packages, for who may touch them.
    pub(crate) fn blobs(&self, proof: &impl Proof) -> &BlobStore {
        self.parts.blobs.of(proof)
    }

    /// The rows, for what is done in nobody's name: loading what was let in to run, minding what was left behind.
    pub(crate) fn own_db(&self) -> &Db {
        self.parts.rows.of_platform(&self.parts.work)
    }

    /// The packages, likewise.
    pub(crate) fn own_blobs(&self) -> &BlobStore {
        self.parts.blobs.of_platform(&self.parts.work)
    }

    /// A function as it is now; an error for the caller when there is none.
    pub(crate) async fn row(&self, db: &Db, name: &FunctionName) -> Result<FunctionRow, LambdaError> {
        let (place, bare) = (&name.place, &name.name);
        let found = db.read(|txn| async move { rows::get_function(&txn, place, bare).await }).await?;
        Ok(found.ok_or_else(|| errors::function_not_found(&name.qualified_arn()))?)
    }

    /// The settings of what a name leads to, as they were given last.
    pub(crate) async fn settings(
        &self,
        call: &Call,
        name: &FunctionName,
        which: Which,
    ) -> Result<Option<Settings>, LambdaError> {
        let (place, bare) = (&name.place, &name.name);
        let read = self.db(call).read(|txn| async move {
            Ok::<_, LambdaError>(match which {
                Which::Latest => rows::get_function(&txn, place, bare).await?.map(|row| row.settings),
                Which::Published(number) => {
                    rows::get_version(&txn, place, bare, number).await?.map(|row| row.settings)
                }
            })
        });
        read.await
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
        let read = self.own_db().read(|txn| async move {
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

    /// A sentence on what a function's runtime runs on here, where that is not what its identifier says.
    pub(crate) fn runtime_note(&self, identifier: &str) -> Option<String> {
        match self.parts.runtimes.resolve(identifier) {
            Ok(runtime) => runtime.note,
            Err(error @ (RuntimeError::NoInterpreter { .. } | RuntimeError::NotRun(_))) => {
                Some(error.to_string())
            }
            Err(RuntimeError::UnknownIdentifier(_)) => None,
        }
    }

    /// Whether a spec that needs this is in use.
    pub(crate) fn is_live(&self, held: &Held) -> bool {
        let mut live = self.live.lock();
        live.retain(|code| code.spec.strong_count() > 0);
        live.iter().any(|code| code.held.contains(held))
    }

    /// Where unpacked packages are.
    pub(crate) fn code_root(&self) -> PathBuf {
        self.parts.data_dir.join("code")
    }

    /// The room that there is for code.
    pub(crate) fn space(&self) -> Space {
        Space { root: self.code_root(), reserve_bytes: self.parts.disk_reserve_bytes }
    }

    fn note_live(&self, settings: &Settings, spec: &Arc<FunctionSpec>) {
        let mut live = self.live.lock();
        live.retain(|code| code.spec.strong_count() > 0);
        live.push(LiveCode { held: settings.held(), spec: Arc::downgrade(spec) });
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
    lambda: Weak<Lambda>,
    mut changed: lambent_store::Watch,
    mut revised: lambent_store::Watch,
) {
    loop {
        let is_function = tokio::select! {
            () = changed.changed() => true,
            () = revised.changed() => false,
        };
        let Some(lambda) = lambda.upgrade() else { return };
        if is_function {
            lambda.cache.clear();
            lambda.policies.clear();
            lambda.urls.clear();
        }
        lambda.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}
