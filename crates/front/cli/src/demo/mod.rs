//! `lambent demo`: a whole application, from nothing to its bill.

mod child;
mod deploy;
mod files;
mod packages;
mod pip;
mod story;

use std::pin::pin;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use lambent_base::Clock;
use lambent_runtimes::{Catalogue, Family};
use tokio::signal::unix::{SignalKind, signal};

use crate::client::Client;
use crate::{CliError, bill, doctor, exit, runtime, ui};
use child::DemoCloud;
use files::Files;
use packages::Cache;

/// What is wished for; the nearest interpreter of this host is taken, and the libraries are installed for it.
const WISHED_RUNTIME: &str = "python3.13";
/// The account of a cloud that was not told another, for the files of the README's walk-through.
const ACCOUNT_BY_HAND: &str = "000000000000";

/// Run an example application, from nothing to its bill
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    #[command(subcommand)]
    pub command: DemoCommand,
}

#[derive(Subcommand, Clone, Copy, Debug)]
pub enum DemoCommand {
    /// Thumbnails of photos: S3 notifies a Python function; leaves everything in ./lambent-photos
    Photos,
}

/// Runs a demonstration in a cloud of its own, which is gone afterwards.
pub fn run(arguments: &DemoArgs) -> ExitCode {
    match arguments.command {
        DemoCommand::Photos => ui::finish(photos()),
    }
}

fn photos() -> Result<u8, CliError> {
    let files = Files::create(std::path::Path::new("lambent-photos"))?;
    let cache = Cache::open()?;
    let catalogue = Catalogue::new();
    let python = catalogue.resolve(WISHED_RUNTIME)?.interpreter.ok_or(CliError::NoPip)?;
    runtime::install_with_progress(Family::Python, &catalogue, cache.root())?;
    let pip = pip::Pip::find(&catalogue)?;
    let function = packages::function(&cache, &pip, &python)?;
    files.write("function.zip", &function)?;
    let runtime = format!("python{}.{}", python.version.0, python.version.1);
    let configuration = deploy::configuration(ACCOUNT_BY_HAND, &runtime);
    files.write("function.json", format!("{configuration:#}\n").as_bytes())?;
    let photos = packages::photos(&cache, &pip)?;
    for photo in &photos {
        files.write(&format!("photos/{}", photo.key), &photo.bytes)?;
    }
    let weak = weak_isolation();
    ui::block_on(async {
        let mut asked_to_stop = pin!(asked_to_stop());
        let cloud = tokio::select! {
            cloud = DemoCloud::start(cache.root(), weak) => cloud?,
            stop = &mut asked_to_stop => return Err(stop),
        };
        let told = tokio::select! {
            told = tell(&cloud, &files, &runtime, &function, &photos) => told,
            stop = &mut asked_to_stop => Err(stop),
        };
        if told.is_err() {
            cloud.say_its_log();
        }
        cloud.stop().await;
        told
    })?;
    Ok(exit::DONE)
}

/// Returns on Ctrl-C and on a polite request to end: the cloud must not outlive its demonstration.
async fn asked_to_stop() -> CliError {
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => return CliError::Start(error),
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    CliError::Interrupted
}

/// The demonstration's function is our own, so it may run where strangers' code may not; that is said aloud.
fn weak_isolation() -> bool {
    let missing = match doctor::detect(std::path::Path::new("")) {
        Ok(found) => found.missing(),
        Err(error) => Some(error.to_string()),
    };
    if let Some(missing) = &missing {
        ui::warn(format_args!(
            "this host cannot isolate functions fully ({missing}); running the example's own anyway"
        ));
    }
    missing.is_some()
}

async fn tell(
    cloud: &DemoCloud,
    files: &Files,
    runtime: &str,
    function: &[u8],
    photos: &[packages::Photo],
) -> Result<(), CliError> {
    let client = Client::new(cloud.access(), Clock::system());
    ui::say(format_args!(
        "A cloud runs at {}. Deploying the function and its role, buckets and notification ...",
        cloud.access().endpoint
    ));
    deploy::deploy(&client, runtime, function).await?;
    ui::say(format_args!("Uploading {} photos ...", photos.len()));
    let thumbnails = deploy::upload_and_wait(&client, photos).await?;
    for thumbnail in &thumbnails {
        files.write(&format!("thumbnails/{}", thumbnail.key), &thumbnail.bytes)?;
    }
    let runs = story::runs(&client, photos).await?;
    let bill = bill::fetch(&client, None).await?;
    ui::print(&story::story(photos, &thumbnails, &runs, &bill))
}
