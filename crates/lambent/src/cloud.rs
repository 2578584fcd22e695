//! The parts of the cloud, made and joined: the one place that knows them all.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lambent_api::{Guarded, PlatformWork};
use lambent_audit::Audit;
use lambent_base::{Clock, Random};
use lambent_blobs::BlobStore;
use lambent_bus::ports::{InvokeFunction, MayInvoke, Targets};
use lambent_bus::{BusError, Deliver, DeliverToFunctions, DeliverToTargets, Nodes, Outbox, Workers};
use lambent_dynamodb::streams::StreamReader;
use lambent_dynamodb::{Dynamo, DynamoParts};
use lambent_egress::{Network, NetworkConfig, ResolverSource};
use lambent_gateway::limits::Patience;
use lambent_gateway::{Gateway, GatewayConfig, Names, Paths};
use lambent_identity::{Identity, IdentityError};
use lambent_images::{Images, ImagesConfig};
use lambent_lambda::{Engine as LambdaEngine, Lambda, LambdaError, LambdaParts, LambdaUrls};
use lambent_logs::Logs;
use lambent_mappings::source::Sources;
use lambent_mappings::{Mappings, MappingsParts};
use lambent_metering::{Meter, PriceError, Prices};
use lambent_pool::{Egress, Pool, PoolConfig, PoolError, PoolParts};
use lambent_runtimes::Catalogue;
use lambent_s3::{BucketPolicies, ObjectClient, ObjectReader, OpenReaders, S3Parts};
use lambent_store::engine::Engine;
use lambent_store::{DataLock, Db, FjallEngine, FjallOptions, StoreError};
use lambent_store_postgres::{PostgresEngine, PostgresOptions};
use lambent_sts::KeySets;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::account_paths;
use crate::audit;
use crate::blobs::{self, OpenBlobsError};
use crate::care_paths;
use crate::data_dir::{DataDir, DataDirError};
use crate::joints::{
    self, EndedRuns, FunctionLogs, FunctionMeter, FunctionNetwork, PackagesFromS3, SandboxEndpoint,
    TablesInS3,
};
use crate::keyring;
use crate::orphans;
use crate::owner::{self, OwnerError};
use crate::runners::Runners;
use crate::store_id::{self, JoinError, Places};
use crate::table_streams::TableStreams;
use crate::top;
use crate::transport::TransportError;
use crate::up::{Store, UpArgs};

/// How often blobs that nothing names are looked for, after once at the start.
const ORPHAN_SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);

/// A running cloud.
pub(crate) struct Cloud {
    data_dir: DataDir,
    /// Where the store is elsewhere: fjall has one of its own.
    _lock: Option<DataLock>,
    db: Db,
    nodes: Nodes,
    gateway: Gateway,
    runners: Runners,
    meter: Meter,
    audit: Audit,
    deliveries: Workers,
    mappings: Mappings,
    /// Sweepers and the meter's writer; they end when this is dropped.
    background: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Why the cloud could not start, or did not end well. The texts go to the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("the runtime could not start: {0}")]
    Runtime(std::io::Error),
    #[error("could not listen on {address}: {source}; choose another address with --listen")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the gateway ended: {0}; start again, and report it if it comes back")]
    Gateway(String),
    #[error("a second signal came before everything had ended; records of the last runs may be missing")]
    Hurried,
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error(transparent)]
    Owner(#[from] OwnerError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Blobs(#[from] OpenBlobsError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[cfg(feature = "wasm")]
    #[error(transparent)]
    Wasm(#[from] lambent_wasm::WasmError),
    #[error(
        "functions cannot be let out (--egress): /dev/net/tun: {0}; load the kernel's module `tun`, give the container this device, or leave --egress out"
    )]
    Egress(std::io::Error),
    #[error("the keys of identity providers cannot be fetched: {0}")]
    KeySets(String),
    #[error("container images cannot be fetched from registries: {0}")]
    Images(String),
    #[error(transparent)]
    Prices(#[from] PriceError),
    #[error(transparent)]
    Lambda(#[from] LambdaError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// What almost every part is made of.
#[derive(Clone)]
struct Ground {
    clock: Clock,
    random: Random,
    db: Db,
    blobs: BlobStore,
    identity: Arc<Identity>,
    outbox: Outbox,
    targets: Arc<Targets>,
    sources: Arc<Sources>,
    readers: OpenReaders,
    nodes: Nodes,
    audit: Audit,
}

impl Ground {
    /// Joins store, blobs and keys, and this process to its fellows; gives the region that the cloud answers for.
    async fn lay(
        engine: Arc<dyn Engine>,
        data_dir: &DataDir,
        arguments: &UpArgs,
    ) -> Result<(Self, String), StartError> {
        let (clock, random) = (Clock::system(), Random::system());
        let db = Db::new(engine, clock.clone(), random.clone());
        db.check_whole().await?;
        let blobs =
            blobs::open(arguments.blobs.as_ref(), &data_dir.path("blobs"), clock.clone(), random.clone())?;
        // Whatever lies in one data directory belongs together.
        let together = matches!(arguments.store, Store::Fjall) && arguments.blobs.is_none();
        let places = if together { Places::Together } else { Places::Apart };
        store_id::join(&db, &blobs, &random, places).await?;
        if arguments.new_keys {
            owner::renew(&db, data_dir, arguments.keys_lost).await?;
        }
        let (owner, master) = owner::join(&db, data_dir, &random).await?;
        let nodes = Nodes::join(db.clone(), random.clone()).await?;
        let identity = Identity::new(db.clone(), clock.clone(), random.clone(), owner.root_key(), master);
        keyring::seal_anew(&db, data_dir, &identity).await?;
        let outbox = Outbox::new(db.clone(), clock.clone(), random.clone());
        let readers = OpenReaders::new(&db, &nodes, clock.clone());
        let audit = Audit::new(db.clone(), clock.clone(), random.clone(), &owner.root_key().account);
        identity.tell(Arc::new(audit.clone()));
        let (identity, targets, sources) = (Arc::new(identity), Arc::default(), Arc::default());
        let policies = BucketPolicies::new(Guarded::new(db.clone()), PlatformWork::for_the("s3/decisions"));
        identity.guard("s3", Arc::new(policies));
        let ground =
            Self { clock, random, db, blobs, identity, outbox, targets, sources, readers, nodes, audit };
        Ok((ground, owner.region.clone()))
    }
}

impl Cloud {
    /// Opens the data directory and starts every part over it; `port` is where the gateway will listen.
    pub(crate) async fn start(data: &Path, arguments: &UpArgs, port: u16) -> Result<Self, StartError> {
        let data_dir = DataDir::open(data)?;
        data_dir.keep_format()?;
        // The store's lock comes first: it keeps a second process from everything else in the directory.
        let (engine, lock) = open_store(&data_dir.path("store"), &arguments.store, &Clock::system()).await?;
        let (ground, region) = Ground::lay(engine, &data_dir, arguments).await?;
        // From now on, however long the rest takes.
        let mut background = JoinSet::new();
        let alive = ground.nodes.clone();
        background.spawn(async move { alive.run().await });

        let (stop, stopped) = watch::channel(false);
        let endpoint = Arc::new(SandboxEndpoint::default());
        let logs = Logs::new(Guarded::new(ground.db.clone()), ground.clock.clone(), ground.random.clone());
        let dynamo = dynamo(&ground, &mut background);
        let prices = arguments.prices.as_deref().map_or_else(|| Ok(Prices::aws()), Prices::read)?;
        let meter = Meter::new(ground.db.clone(), ground.clock.clone(), prices);
        let runtimes = Arc::new(Catalogue::with_installed(data_dir.root()));
        let reports = (logs.clone(), meter.clone());
        let network = way_out(&ground, arguments, port)?;
        let pool = pool(&ground, &data_dir, (arguments, &network), (&runtimes, &endpoint), reports)?;
        let runners = runners(&ground, &data_dir, pool.clone(), network)?;
        let settings = (data_dir.root(), images(arguments)?, arguments.concurrency);
        let (lambda, engine) = lambda(&ground, runtimes, runners.clone(), settings, &arguments.domain);
        let s3 = s3_parts(&ground, Arc::new(engine.clone()));
        dynamo.join_buckets(Arc::new(TablesInS3(ObjectClient::new(s3.clone()))));
        ground.identity.guard("lambda", engine.as_guard());
        join_targets(&ground, &engine, &s3);
        let key_sets = KeySets::new(arguments.identity_provider.clone(), ground.clock.clone());
        let key_sets = key_sets.map_err(StartError::KeySets)?;
        let parts = (&s3, (&lambda, &engine), &logs, &dynamo);
        let paths = paths(&ground, parts, (&pool, &meter), (key_sets, &region));
        let names = (arguments.listen.ip(), arguments.domain.as_str());
        let door = arguments.transport.door(&data_dir, names, (&ground.clock, &ground.random))?;
        let names = Names { domain: arguments.domain.clone(), others: arguments.host_names.clone() };
        let config = GatewayConfig { region, names, patience: Patience::default(), door };
        let mappings = mappings(&ground, &engine, EndedRuns { pool: pool.clone(), meter: meter.clone() });
        let Ground { clock, random, db, blobs, identity, outbox, targets, nodes, audit, .. } = ground;
        let gateway = Gateway::new(config, clock.clone(), random, identity, paths);
        endpoint.set(gateway.clone(), stopped);

        engine.start().await?;
        let runs = EndedRuns { pool: pool.clone(), meter: meter.clone() };
        let deliveries = outbox.start(&nodes, deliverers(&engine, runs, targets)).await?;
        let mapped = mappings.clone();
        background.spawn(async move { mapped.run().await });
        let log = audit.clone();
        background.spawn(async move { log.run().await });
        let services = (engine, s3, logs, meter.clone());
        spawn_background(&mut background, &nodes, (db.clone(), blobs, clock), services);
        mind_tables(&mut background, &nodes, &dynamo);
        Ok(Self {
            data_dir,
            _lock: lock,
            db,
            nodes,
            gateway,
            runners,
            meter,
            audit,
            deliveries,
            mappings,
            background,
            stop,
        })
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub(crate) fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Lets everything that is under way end, and closes the store. `served` is over when the last request is.
    pub(crate) async fn stop(mut self, served: impl Future<Output = ()>) {
        tokio::join!(served, self.deliveries.shutdown(), self.mappings.shutdown());
        self.runners.shutdown().await;
        let _ = self.stop.send(true);
        self.background.shutdown().await;
        if let Err(error) = self.meter.flush().await {
            tracing::error!(%error, "the last runs could not be recorded");
        }
        if let Err(error) = self.audit.close().await {
            tracing::error!(%error, "the last events of the audit log could not be written");
        }
        if let Err(error) = self.nodes.leave().await {
            tracing::warn!(%error, "the other nodes have to miss this one before they take its work over");
        }
        self.db.close().await;
    }
}

/// The engine, and what keeps a second process from the data directory where the engine does not.
async fn open_store(
    directory: &Path,
    store: &Store,
    clock: &Clock,
) -> Result<(Arc<dyn Engine>, Option<DataLock>), StoreError> {
    match store {
        Store::Fjall => {
            let engine = FjallEngine::open(directory, FjallOptions::default(), clock.clone())?;
            Ok((Arc::new(engine), None))
        }
        Store::Postgres(url) => {
            let lock = DataLock::acquire(directory)?;
            let engine = PostgresEngine::open(url, PostgresOptions::default()).await?;
            Ok((Arc::new(engine), Some(lock)))
        }
    }
}

/// What runs functions in sandboxes; it reports to logs and meter.
fn pool(
    ground: &Ground,
    data_dir: &DataDir,
    (arguments, network): (&UpArgs, &Option<Network>),
    (runtimes, endpoint): (&Arc<Catalogue>, &Arc<SandboxEndpoint>),
    (logs, meter): (Logs, Meter),
) -> Result<Pool, StartError> {
    let config = PoolConfig {
        allow_weak_isolation: arguments.allow_weak_isolation,
        idle_timeout: Duration::from_secs(arguments.keep_alive.into()),
        max_environments: arguments.concurrency as usize,
        scaling_rate: arguments.scaling_rate as usize,
        ..PoolConfig::new(data_dir.root())
    };
    let parts = PoolParts {
        clock: ground.clock.clone(),
        random: ground.random.clone(),
        runtimes: runtimes.clone(),
        endpoint: endpoint.clone(),
        egress: network.clone().map(|network| Arc::new(FunctionNetwork(network)) as Arc<dyn Egress>),
        logs: Arc::new(FunctionLogs(logs, PlatformWork::for_the("logs/functions"))),
        recorder: Arc::new(FunctionMeter(meter)),
    };
    Ok(Pool::new(config, parts)?)
}

/// Who delivers events, by the kind of their target.
fn deliverers(
    engine: &LambdaEngine,
    runs: EndedRuns,
    targets: Arc<Targets>,
) -> HashMap<String, Arc<dyn Deliver>> {
    let invoke: Arc<dyn InvokeFunction> = Arc::new(engine.clone());
    let functions: Arc<dyn Deliver> =
        Arc::new(DeliverToFunctions { functions: invoke, runs: Arc::new(runs) });
    let targets: Arc<dyn Deliver> = Arc::new(DeliverToTargets(targets));
    HashMap::from([
        (lambent_bus::FUNCTION.to_owned(), functions),
        (lambent_bus::DESTINATION.to_owned(), targets),
    ])
}

/// What brings the records of streams to functions.
fn mappings(ground: &Ground, engine: &LambdaEngine, runs: EndedRuns) -> Mappings {
    Mappings::new(MappingsParts {
        db: ground.db.clone(),
        nodes: ground.nodes.clone(),
        outbox: ground.outbox.clone(),
        clock: ground.clock.clone(),
        random: ground.random.clone(),
        sources: ground.sources.clone(),
        functions: Arc::new(engine.clone()),
        runs: Arc::new(runs),
    })
}

/// How functions reach the outside, where the operator allows it.
fn way_out(ground: &Ground, arguments: &UpArgs, port: u16) -> Result<Option<Network>, StartError> {
    if arguments.egress.is_none() {
        return Ok(None);
    }
    // Better said now than by every function.
    let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    device.map_err(StartError::Egress)?;
    let policy = arguments.egress.clone();
    let config = NetworkConfig { policy, resolvers: ResolverSource::Host, own_ports: vec![port] };
    Ok(Some(Network::new(config, ground.clock.clone(), ground.random.clone())))
}

/// What runs functions; compiled components are sealed with what the master key seals.
fn runners(
    ground: &Ground,
    data_dir: &DataDir,
    pool: Pool,
    network: Option<Network>,
) -> Result<Runners, StartError> {
    #[cfg(feature = "wasm")]
    {
        let secret = owner::master_key(data_dir)?;
        let config = lambent_wasm::WasmConfig {
            // Whoever joined a cloud has one.
            secret: secret.map_or_else(|| ground.random.bytes(), |secret| *secret),
            random: ground.random.clone(),
            tmp_dir: data_dir.root().join("wasm-tmp"),
            ledger: pool.ledger(),
            shared: Arc::new(pool.clone()),
            network,
            shutdown_grace: pool.shutdown_grace(),
        };
        let wasm = lambent_wasm::Wasm::new(config)?;
        Ok(Runners { pool, wasm })
    }
    #[cfg(not(feature = "wasm"))]
    {
        let _ = (ground, data_dir, network);
        Ok(Runners { pool })
    }
}

/// Where container images come from, as far as the operator allows.
fn images(arguments: &UpArgs) -> Result<Images, StartError> {
    let config = ImagesConfig {
        folder: arguments.images.clone(),
        registries: arguments.registry.clone(),
        credentials: arguments.registry_credentials.clone(),
    };
    Images::new(config).map_err(StartError::Images)
}

fn lambda(
    ground: &Ground,
    runtimes: Arc<Catalogue>,
    runners: Runners,
    (data_dir, images, concurrency): (&Path, Images, u32),
    domain: &str,
) -> (Arc<Lambda>, LambdaEngine) {
    let reader = ObjectReader::new(
        Guarded::new(ground.db.clone()),
        Guarded::new(ground.blobs.clone()),
        ground.readers.clone(),
    );
    let parts = LambdaParts {
        rows: Guarded::new(ground.db.clone()),
        blobs: Guarded::new(ground.blobs.clone()),
        clock: ground.clock.clone(),
        random: ground.random.clone(),
        identity: ground.identity.clone(),
        outbox: ground.outbox.clone(),
        runtimes,
        runner: Arc::new(runners),
        account_concurrency: concurrency,
        targets: ground.targets.clone(),
        sources: ground.sources.clone(),
        objects: Arc::new(PackagesFromS3(reader)),
        images,
        domain: domain.to_owned(),
        data_dir: data_dir.to_path_buf(),
        disk_reserve_bytes: lambent_lambda::limits::DISK_RESERVE_BYTES,
    };
    Lambda::new(parts, &PlatformWork::for_the("lambda"))
}

/// Everything that clients can ask for.
fn paths(
    ground: &Ground,
    (s3, (lambda, engine), logs, dynamo): (&S3Parts, (&Arc<Lambda>, &LambdaEngine), &Logs, &Dynamo),
    (pool, meter): (&Pool, &Meter),
    (key_sets, region): (KeySets, &str),
) -> Paths {
    Paths {
        services: vec![
            lambent_s3::service(s3.clone()),
            lambent_lambda::service(lambda, engine),
            lambent_logs::service(logs),
            lambent_dynamodb::service(dynamo),
            lambent_dynamodb::streams_service(dynamo),
            lambent_iam::service(ground.identity.clone()),
            lambent_sts::service(ground.identity.clone(), key_sets),
        ],
        admin: vec![
            joints::bill(Guarded::new(meter.clone())),
            joints::invocations(Guarded::new(meter.clone())),
            top::admin(pool.clone(), meter.clone(), ground.clock.clone()),
            joints::dead_letters(Guarded::new(ground.outbox.clone()), ground.identity.clone()),
            audit::admin(Guarded::new(ground.audit.clone())),
        ],
        root_paths: [
            care_paths::paths(&ground.db, &ground.clock),
            account_paths::paths(&ground.identity, region),
        ]
        .concat(),
        downloads: vec![joints::code_downloads(engine.clone())],
        urls: Some(Arc::new(LambdaUrls(engine.clone()))),
        health: Some(joints::health(ground.db.clone())),
        ends: Some(Arc::new(audit::Answers(ground.audit.clone()))),
    }
}

/// Tables, whose streams functions can be mapped to.
fn dynamo(ground: &Ground, background: &mut JoinSet<()>) -> Dynamo {
    let dynamo = Dynamo::new(DynamoParts {
        rows: Guarded::new(ground.db.clone()),
        work: PlatformWork::for_the("dynamodb"),
        identity: ground.identity.clone(),
        clock: ground.clock.clone(),
        random: ground.random.clone(),
    });
    ground.identity.guard("dynamodb", dynamo.as_guard());
    let streams = StreamReader::new(&dynamo, PlatformWork::for_the("dynamodb/mappings"));
    ground.sources.add("dynamodb", Arc::new(TableStreams(streams)));
    let kept = dynamo.clone();
    background.spawn(async move { kept.keep_true().await });
    dynamo
}

/// Where functions may hand something on to.
fn join_targets(ground: &Ground, engine: &LambdaEngine, s3: &S3Parts) {
    ground.targets.add("lambda", engine.as_target());
    let deliveries = PlatformWork::for_the("s3/deliveries");
    ground.targets.add("s3", lambent_s3::bucket_target(s3.clone(), deliveries));
}

fn s3_parts(ground: &Ground, functions: Arc<dyn MayInvoke>) -> S3Parts {
    S3Parts {
        rows: Guarded::new(ground.db.clone()),
        blobs: Guarded::new(ground.blobs.clone()),
        outbox: ground.outbox.clone(),
        readers: ground.readers.clone(),
        identity: ground.identity.clone(),
        functions,
        clock: ground.clock.clone(),
        random: ground.random.clone(),
    }
}

/// Work that nobody waits for. Each task sleeps until there is something to do; what one node alone may do, or need do,
/// is done under a lease.
fn spawn_background(
    tasks: &mut JoinSet<()>,
    nodes: &Nodes,
    (db, blobs, clock): (Db, BlobStore, Clock),
    (engine, s3, logs, meter): (LambdaEngine, S3Parts, Logs, Meter),
) {
    tasks.spawn(async move { meter.run().await });
    let minded = engine.clone();
    let freed = nodes.clone();
    spawn_alone(tasks, nodes, "lambda", move || {
        let (engine, freed) = (minded.clone(), freed.freed());
        async move { engine.mind(freed).await }
    });
    spawn_alone(tasks, nodes, "s3/sweep", move || {
        lambent_s3::Sweeper::new(s3.clone(), PlatformWork::for_the("s3/sweep")).run()
    });
    spawn_alone(tasks, nodes, "logs/sweep", move || {
        let logs = logs.clone();
        async move { logs.run_sweeper(&PlatformWork::for_the("logs/sweep")).await }
    });
    spawn_alone(tasks, nodes, "blobs/orphans", move || {
        let (db, blobs, clock, engine) = (db.clone(), blobs.clone(), clock.clone(), engine.clone());
        async move {
            loop {
                orphans::sweep(&db, &clock, &blobs, &engine).await;
                tokio::time::sleep(ORPHAN_SWEEP_EVERY).await;
            }
        }
    });
}

/// What becomes of tables by itself.
fn mind_tables(tasks: &mut JoinSet<()>, nodes: &Nodes, dynamo: &Dynamo) {
    let own = dynamo.clone();
    spawn_alone(tasks, nodes, "dynamodb/jobs", move || {
        let dynamo = own.clone();
        async move { dynamo.run_jobs().await }
    });
    let own = dynamo.clone();
    spawn_alone(tasks, nodes, "dynamodb/streams", move || {
        let dynamo = own.clone();
        async move { dynamo.run_stream_sweeper(&PlatformWork::for_the("dynamodb/streams")).await }
    });
    let own = dynamo.clone();
    spawn_alone(tasks, nodes, "dynamodb/ttl", move || {
        let dynamo = own.clone();
        async move { dynamo.run_ttl_sweeper(&PlatformWork::for_the("dynamodb/ttl")).await }
    });
    let own = dynamo.clone();
    spawn_alone(tasks, nodes, "dynamodb/tokens", move || {
        let dynamo = own.clone();
        async move { dynamo.run_token_sweeper(&PlatformWork::for_the("dynamodb/tokens")).await }
    });
    let own = dynamo.clone();
    spawn_alone(tasks, nodes, "dynamodb/journals", move || {
        let dynamo = own.clone();
        async move { dynamo.run_journal_sweeper(&PlatformWork::for_the("dynamodb/journals")).await }
    });
}

/// Lets one node at a time do the work.
fn spawn_alone<F, Fut>(tasks: &mut JoinSet<()>, nodes: &Nodes, name: &'static str, work: F)
where
    F: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let nodes = nodes.clone();
    tasks.spawn(async move { nodes.hold(name, work).await });
}
