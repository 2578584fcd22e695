//! `lambent up`: runs the cloud until it is told to stop.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use lambent_egress::Policy;
use lambent_images::RegistryRule;
use lambent_outbound::HostRule;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::blobs::BlobPlace;
use crate::cloud::{Cloud, StartError};
use crate::privacy::keep_memory_private;
use crate::transport::{self, TransportArgs};

/// Exit codes of `up`, beside 0 for a clean stop and 2 for wrong arguments.
mod exit {
    /// It could not start; the reason is on stderr.
    pub(super) const START_FAILED: u8 = 1;
}

/// The suffix of host names that every host resolves to itself.
pub(crate) const DOMAIN_DEFAULT: &str = "localhost";

#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566")]
    pub(crate) listen: SocketAddr,
    /// Where everything is kept
    #[arg(long, value_name = "DIRECTORY", default_value = "./lambent-data")]
    data: PathBuf,
    /// Where the state is kept: fjall, which is part of the data directory, or postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE
    #[arg(
        long,
        value_name = "STORE",
        env = "LAMBENT_STORE",
        hide_env_values = true,
        default_value = "fjall"
    )]
    pub(crate) store: Store,
    /// Where long bodies are kept, if not in the data directory: a directory, file:///DIRECTORY, or s3://BUCKET[/PREFIX][?endpoint=URL&region=REGION] with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(long, value_name = "PLACE", env = "LAMBENT_BLOBS", hide_env_values = true)]
    pub(crate) blobs: Option<BlobPlace>,
    /// Suffix of host names, as in http://BUCKET.s3.DOMAIN
    #[arg(long, value_name = "DOMAIN", default_value = DOMAIN_DEFAULT)]
    pub(crate) domain: String,
    /// A further name of this cloud, as a load balancer's or a container's; may be given several times
    #[arg(long = "host-name", value_name = "NAME")]
    pub(crate) host_names: Vec<String>,
    #[command(flatten)]
    pub(crate) transport: TransportArgs,
    /// Make a new root key and master key, where the old ones are known to others; sessions end, and other nodes must not run
    #[arg(long)]
    pub(crate) new_keys: bool,
    /// With --new-keys: the old master key is lost for good, and with it the access keys and variables that it sealed
    #[arg(long, requires = "new_keys")]
    pub(crate) keys_lost: bool,
    /// Bill at the prices of this file instead of AWS's
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// How long an environment that nobody calls is kept ready for its function's next call
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_alive: u32,
    /// The account's concurrency: how many calls of all functions run at once on this node
    #[arg(long, value_name = "CALLS", default_value_t = lambent_lambda::limits::ACCOUNT_CONCURRENCY, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) concurrency: u32,
    /// How many environments one function may start within ten seconds
    #[arg(long, value_name = "ENVIRONMENTS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) scaling_rate: u32,
    /// What functions may reach beyond this cloud: none, public (globally routable addresses), or a list of ranges, as
    /// public,10.1.0.0/16. Other functions, this host and metadata services are never reached
    #[arg(long, value_name = "none|public|CIDR,...", default_value = "none")]
    pub(crate) egress: Policy,
    /// A folder with container images that functions may name `oci:NAME`: each is an OCI layout in a subfolder
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) images: Option<PathBuf>,
    /// A registry that functions' container images may come from: HOST[:PORT], http://HOST[:PORT] for one without TLS, or * for
    /// all that are publicly reachable; repeat it for more
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) registry: Vec<RegistryRule>,
    /// Users and passwords of registries, in a file like that of container engines: {"auths": {"HOST": {"auth": "BASE64"}}}
    #[arg(long, value_name = "FILE", env = "LAMBENT_REGISTRY_CREDENTIALS")]
    pub(crate) registry_credentials: Option<PathBuf>,
    /// An OpenID Connect provider that tokens may come from though it is not public: HOST[:PORT], or http://HOST[:PORT] for one
    /// without TLS; repeat it for more
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) identity_provider: Vec<HostRule>,
    /// Run functions even where this host cannot isolate them fully (see `lambent doctor`)
    #[arg(long)]
    pub(crate) allow_weak_isolation: bool,
}

/// What keeps the state.
#[derive(Clone)]
pub(crate) enum Store {
    Fjall,
    /// With its URL, which may hold a password.
    Postgres(String),
}

impl std::str::FromStr for Store {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fjall" => Ok(Self::Fjall),
            _ if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            _ => Err("expected `fjall` or a URL that begins with postgres://".to_owned()),
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fjall => "fjall",
            Self::Postgres(_) => "postgres",
        })
    }
}

/// Runs the cloud; the exit code says how it ended.
pub(crate) fn run(arguments: &UpArgs) -> ExitCode {
    init_logging();
    keep_memory_private();
    raise_descriptor_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&StartError::Runtime(error)),
    };
    match runtime.block_on(serve(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn serve(arguments: &UpArgs) -> Result<(), StartError> {
    // Asked for first, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Runtime)?;
    let listen = arguments.listen;
    let listener =
        TcpListener::bind(listen).await.map_err(|source| StartError::Listen { address: listen, source })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { address: listen, source })?;

    let cloud = Cloud::start(&arguments.data, arguments, address.port()).await?;
    let endpoint = arguments.transport.endpoint(address, &arguments.domain);
    let published = cloud.data_dir().publish_endpoint(&transport::near(address), &endpoint)?;
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(cloud.gateway().clone().serve(listener, stopped));
    announce(&endpoint);
    tokio::pin!(serving);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = &mut serving => {
            let ended = ended.err().map_or_else(|| "it stopped by itself".to_owned(), |error| error.to_string());
            return Err(StartError::Gateway(ended));
        }
    }
    tracing::info!("stopping");
    drop(published);
    let _ = stop.send(true);
    let served = async {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the gateway ended with a panic");
        }
    };
    let stopping = cloud.stop(served);
    tokio::select! {
        () = stopping => Ok(()),
        // What is acknowledged is durable anyway; only the records of the last runs may be missing.
        _ = terminate.recv() => Err(StartError::Hurried),
        _ = interrupt.recv() => Err(StartError::Hurried),
    }
}

/// Each environment and connection needs descriptors, and the usual soft limit is a remnant of `select`.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}

/// The one line on stdout, which scripts wait for.
fn announce(endpoint: &str) {
    let mut stdout = std::io::stdout().lock();
    // Nobody may be reading; that is no reason to stop.
    let _ = writeln!(stdout, "Lambent is ready at {endpoint}").and_then(|()| stdout.flush());
}

fn failed(error: &StartError) -> ExitCode {
    eprintln!("lambent up: {error}");
    ExitCode::from(exit::START_FAILED)
}

/// Logs go to stderr; `LAMBENT_LOG` chooses what, in the syntax of `RUST_LOG`.
fn init_logging() {
    let filter = lambent_base::env::var(lambent_base::env::LOG).unwrap_or_else(|| "warn".to_owned());
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}
