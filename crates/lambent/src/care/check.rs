//! `lambent check`: whether everything fits together, and mending what does not.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use lambent_base::{Clock, Random};
use lambent_blobs::BlobStore;
use lambent_bus::pins;
use lambent_care::{CheckRows, CheckStep, Checker, Findings, Mended, NewFile, import_dump};
use lambent_cli::{exit, ui};
use lambent_store::{Db, FjallEngine, FjallOptions};
use serde_json::json;
use tempfile::TempDir;

use super::hold::Hold;
use super::open::{self, Rows};
use super::place;
use super::progress::Progress;
use super::rows::to_file;
use super::{CloudArgs, CommandError, finish};
use crate::blobs::BlobPlace;

/// What each service checks; whoever names blobs comes before whoever throws them away.
const SERVICES: [CheckRows; 9] = [
    |view, findings| Box::pin(lambent_s3::check(view, findings)),
    |view, findings| Box::pin(lambent_lambda::check(view, findings)),
    |view, findings| Box::pin(lambent_logs::check(view, findings)),
    |view, findings| Box::pin(lambent_dynamodb::check(view, findings)),
    |view, findings| Box::pin(lambent_bus::check(view, findings)),
    |view, findings| Box::pin(lambent_mappings::check(view, findings)),
    |view, findings| Box::pin(lambent_metering::check(view, findings)),
    |view, findings| Box::pin(lambent_identity::check(view, findings)),
    |view, findings| Box::pin(lambent_audit::check(view, findings)),
];
/// How often a repair looks again: what was mended may leave something else behind.
const ROUNDS_MAX: u32 = 3;
/// How many problems are printed, unless all are asked for with --json.
const PRINTED_MAX: usize = 200;

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Mend what can be mended; the cloud must not run
    #[arg(long)]
    repair: bool,
    /// Read every byte of every blob
    #[arg(long)]
    deep: bool,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cloud: CloudArgs,
    /// Where the cloud's blobs are, as given to `lambent up`
    #[arg(long, value_name = "PLACE", env = "LAMBENT_BLOBS")]
    blobs: Option<BlobPlace>,
}

/// What was found, and what was mended before.
struct Outcome {
    findings: Findings,
    mended: Mended,
}

pub(crate) fn run(arguments: &CheckArgs) -> ExitCode {
    finish(check(arguments))
}

async fn check(arguments: &CheckArgs) -> Result<u8, CommandError> {
    let rows = open::existing(&arguments.cloud).await?;
    let blobs = place::blobs_of(&arguments.cloud.data, arguments.blobs.as_ref())?;
    let outcome = match &rows {
        Rows::Open(db) if db.is_shared() => beside_nodes(arguments, db, &blobs).await,
        Rows::Open(db) => alone(arguments, db, &blobs).await,
        Rows::Running(_) if arguments.repair => Err(CommandError::RepairWhileRunning),
        Rows::Running(_) => {
            // Of what the cloud says at one moment; its blobs stay where they are meanwhile.
            let hold = Hold::on(&rows).await?;
            let folder = TempDir::new().map_err(CommandError::Scratch)?;
            let file = folder.path().join("rows");
            to_file(&rows, NewFile::create(&file)?).await?;
            let engine =
                FjallEngine::open(&folder.path().join("store"), FjallOptions::default(), Clock::system())?;
            let db = Db::new(Arc::new(engine), Clock::system(), Random::system());
            import_dump(&db, &file, |_| {}, || async { Ok(()) }).await?;
            let outcome = alone(arguments, &db, &blobs).await;
            db.close().await;
            let has_held = hold.has_held();
            hold.let_go().await;
            if has_held { outcome } else { Err(CommandError::NotHeld) }
        }
    };
    rows.close().await;
    let outcome = outcome?;
    if arguments.json {
        print_json(&outcome)?;
    } else {
        print(&outcome)?;
    }
    let is_clean = outcome.findings.problems.is_empty() && outcome.findings.more == 0;
    Ok(if is_clean { exit::DONE } else { exit::FAILED })
}

/// A store that others share: nothing is removed while it is looked at, and nothing is mended while a node is at work.
async fn beside_nodes(arguments: &CheckArgs, db: &Db, blobs: &BlobStore) -> Result<Outcome, CommandError> {
    if arguments.repair && lambent_bus::is_any_node_at_work(db).await? {
        return Err(CommandError::RepairWhileRunning);
    }
    let pin = pins::hold(db, &Clock::system(), &Random::system()).await?;
    let outcome = alone(arguments, db, blobs).await;
    let has_held = pin.has_stood();
    pin.let_go().await?;
    if has_held { outcome } else { Err(CommandError::NotHeld) }
}

async fn alone(arguments: &CheckArgs, db: &Db, blobs: &BlobStore) -> Result<Outcome, CommandError> {
    let id = db.read(|txn| async move { txn.get(crate::store_id::ROW).await }).await?;
    place::expect_blobs_of(blobs, &String::from_utf8_lossy(&id.unwrap_or_default())).await?;
    let clock = Clock::system();
    let checker = Checker { db, blobs, clock: &clock, services: &SERVICES, deep: arguments.deep };
    let mut findings = look(&checker).await?;
    let mut mended = Mended::default();
    for _ in 0..ROUNDS_MAX {
        let can_mend = findings.problems.iter().any(|problem| !problem.mends.is_empty());
        if !arguments.repair || !can_mend {
            break;
        }
        let round = checker.mend(&findings).await?;
        mended.problems += round.problems;
        mended.blobs_removed += round.blobs_removed;
        findings = look(&checker).await?;
    }
    mended.left = findings.problems.len() as u64 + findings.more;
    Ok(Outcome { findings, mended })
}

async fn look(checker: &Checker<'_>) -> Result<Findings, CommandError> {
    let progress = Progress::start("checking", Some(0), false);
    let found = checker.check(|step| match step {
        CheckStep::Rows { done, total } | CheckStep::Blobs { done, total } => progress.of(done, total),
    });
    Ok(found.await?)
}

fn print(outcome: &Outcome) -> Result<(), CommandError> {
    let Outcome { findings, mended } = outcome;
    let mut text = String::new();
    for problem in findings.problems.iter().take(PRINTED_MAX) {
        let mendable = if problem.mends.is_empty() { "" } else { " (can be mended)" };
        text += &format!("{:<8} {}{mendable}\n", problem.service, ui::harmless(&problem.what));
    }
    for note in &findings.notes {
        text += &format!("note     {}\n", ui::harmless(note));
    }
    if mended.problems > 0 {
        text += &format!(
            "mended {} problems, removed {} blobs that no row names\n",
            ui::count(mended.problems),
            ui::count(mended.blobs_removed)
        );
    }
    let (rows, blobs) = (ui::count(findings.rows), ui::count(findings.blobs));
    let problems = findings.problems.len() as u64 + findings.more;
    let can_mend = findings.problems.iter().filter(|problem| !problem.mends.is_empty()).count() as u64;
    text += &match (problems, can_mend) {
        (0, _) => format!("{rows} rows and {blobs} blobs fit together\n"),
        (_, 0) => format!("{} problems in {rows} rows and {blobs} blobs\n", ui::count(problems)),
        (_, _) => format!(
            "{} problems in {rows} rows and {blobs} blobs; {} can be mended with --repair, once the cloud is stopped\n",
            ui::count(problems),
            ui::count(can_mend)
        ),
    };
    Ok(ui::print(&text)?)
}

fn print_json(outcome: &Outcome) -> Result<(), CommandError> {
    let Outcome { findings, mended } = outcome;
    let problems = findings.problems.iter().map(|problem| {
        json!({ "service": problem.service, "what": problem.what, "canBeMended": !problem.mends.is_empty() })
    });
    let problems: Vec<_> = problems.collect();
    let value = json!({
        "rows": findings.rows,
        "blobs": findings.blobs,
        "problems": problems,
        "moreProblems": findings.more,
        "notes": findings.notes,
        "mended": mended.problems,
        "blobsRemoved": mended.blobs_removed,
    });
    Ok(ui::print(&format!("{value:#}\n"))?)
}
