//! Where parts meet that do not know each other: each joint gives one part what another one asks for.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use lambent_api::{ApiError, Body, BoxFuture, Guarded, PlatformWork};
use lambent_base::{Place, text};
use lambent_bus::ports::{KeepRuns, PortError};
use lambent_bus::{DeadLetter, Outbox};
use lambent_dynamodb::transfers::{Buckets, InNameOf, ListedObject, ObjectName as TableObject};
use lambent_egress::Network;
use lambent_gateway::{Admin, Download, Gateway, HealthCheck};
use lambent_identity::{Authorized, Identity};
use lambent_lambda::{Engine, FetchError, FetchObject, ObjectName};
use lambent_logs::{Logs, StreamLines};
use lambent_metering::{LISTED_MAX, Meter, Month, RunMark, RunOutcome, RunPage, RunRecord, RunsWanted};
use lambent_pool::{Egress, Endpoint, InvocationRecord, LogBatch, LogSink, Pool, Recorder};
use lambent_s3::{ObjectAt, ObjectClient, ObjectReader};
use lambent_store::Db;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Dead letters in one answer; each may have a payload of a mebibyte, which is read with it.
const DEAD_LETTERS_PAGE: usize = 20;

/// The platform's API inside a function's sandbox: the same gateway as everywhere. It is made after the pool, which needs this.
#[derive(Default)]
pub(crate) struct SandboxEndpoint {
    gateway: OnceLock<(Gateway, watch::Receiver<bool>)>,
}

impl SandboxEndpoint {
    pub(crate) fn set(&self, gateway: Gateway, stop: watch::Receiver<bool>) {
        let set = self.gateway.set((gateway, stop));
        debug_assert!(set.is_ok(), "the gateway is made once");
    }
}

impl Endpoint for SandboxEndpoint {
    fn serve(&self, listener: TcpListener) -> BoxFuture<'static, ()> {
        match self.gateway.get().cloned() {
            Some((gateway, stop)) => Box::pin(gateway.serve_sandbox(listener, stop)),
            None => Box::pin(std::future::ready(())),
        }
    }
}

/// What functions send beyond this cloud goes where the operator's policy lets it.
pub(crate) struct FunctionNetwork(pub(crate) Network);

impl Egress for FunctionNetwork {
    fn serve(&self, tun: OwnedFd, owner: &str) -> BoxFuture<'static, ()> {
        self.0.serve(tun, owner)
    }
}

/// What functions print goes to CloudWatch Logs.
pub(crate) struct FunctionLogs(pub(crate) Logs, pub(crate) PlatformWork);

impl LogSink for FunctionLogs {
    fn write(&self, batches: Vec<LogBatch>) -> BoxFuture<'_, ()> {
        let lines = batches.into_iter().map(|batch| StreamLines {
            place: Place { account: batch.function.account.clone(), region: batch.function.region.clone() },
            log_group: batch.log_group,
            log_stream: batch.log_stream,
            events: batch.events.into_iter().map(|event| (event.timestamp_unix_ms, event.message)).collect(),
        });
        let lines = lines.collect();
        Box::pin(self.0.write(&self.1, lines))
    }
}

/// What functions cost goes to the meter.
pub(crate) struct FunctionMeter(pub(crate) Meter);

impl Recorder for FunctionMeter {
    fn record(&self, record: &InvocationRecord) {
        let microseconds = |ms: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "durations are positive and short"
            )]
            let us = (ms * 1000.0).round() as u64;
            us
        };
        self.0.record(RunRecord {
            account: record.function.account.clone(),
            region: record.function.region.clone(),
            function: record.function.name.clone(),
            version: record.function.version.clone(),
            request_id: record.request_id.clone(),
            started_unix_ms: record.started_unix_ms,
            init_us: record.init_ms.map(microseconds),
            duration_us: microseconds(record.duration_ms),
            billed_ms: record.billed_ms,
            memory_mib: record.memory_mib,
            max_memory_mib: record.max_memory_mib,
            ephemeral_mib: record.ephemeral_mib,
            outcome: match record {
                InvocationRecord { timed_out: true, .. } => RunOutcome::TimedOut,
                InvocationRecord { out_of_memory: true, .. } => RunOutcome::OutOfMemory,
                InvocationRecord { error_type: Some(_), .. } => RunOutcome::FunctionError,
                _ => RunOutcome::Success,
            },
            cold_start: record.cold_start,
            error_type: record.error_type.clone(),
            log_stream: Some(record.log_stream.clone()),
        });
    }
}

/// What is known of runs that have ended: the records in the meter, which are kept until they are durable, and the
/// lines in the pool, which are written once and are lost, not silently, when the store refuses them.
pub(crate) struct EndedRuns {
    pub(crate) pool: Pool,
    pub(crate) meter: Meter,
}

impl KeepRuns for EndedRuns {
    fn keep_runs(&self) -> BoxFuture<'_, Result<(), PortError>> {
        Box::pin(async {
            let ((), kept) = tokio::join!(self.pool.flush_logs(), self.meter.flush());
            kept.map_err(|error| PortError(error.to_string()))
        })
    }
}

/// Packages that CreateFunction takes from a bucket.
pub(crate) struct PackagesFromS3(pub(crate) ObjectReader);

impl FetchObject for PackagesFromS3 {
    fn fetch<'a>(
        &'a self,
        proof: &'a Authorized,
        object: &'a ObjectName,
    ) -> BoxFuture<'a, Result<Body, FetchError>> {
        Box::pin(async move {
            if object.version.as_deref().is_some_and(|version| version != "null") {
                let message = "The specified version does not exist.".to_owned();
                return Err(FetchError::Refused { code: "NoSuchVersion".to_owned(), message });
            }
            match self.0.fetch(proof, &object.bucket, &object.key).await {
                Ok(body) => Ok(body),
                Err(error) if error.status >= 500 => Err(FetchError::Failed(error.to_string())),
                Err(error) => {
                    Err(FetchError::Refused { code: error.code.into_owned(), message: error.message })
                }
            }
        })
    }
}

/// Exports and imports of tables go to buckets and come from them.
pub(crate) struct TablesInS3(pub(crate) ObjectClient);

impl Buckets for TablesInS3 {
    fn put<'a>(
        &'a self,
        InNameOf { caller, context }: &'a InNameOf,
        object: &'a TableObject,
        content_type: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<String, ApiError>> {
        Box::pin(self.0.put((context.clone(), caller), at(object), content_type, Body::from(bytes)))
    }

    fn get<'a>(
        &'a self,
        InNameOf { caller, context }: &'a InNameOf,
        object: &'a TableObject,
        etag: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Body, ApiError>> {
        Box::pin(self.0.get((context.clone(), caller), at(object), etag))
    }

    fn list<'a>(
        &'a self,
        InNameOf { caller, context }: &'a InNameOf,
        prefix: &'a TableObject,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<ListedObject>, ApiError>> {
        Box::pin(async move {
            let listed = self.0.list((context.clone(), caller), at(prefix), after).await?;
            let listed = listed.into_iter();
            Ok(listed.map(|one| ListedObject { key: one.key, bytes: one.bytes, etag: one.etag }).collect())
        })
    }
}

fn at(object: &TableObject) -> ObjectAt<'_> {
    ObjectAt { bucket: &object.bucket, key: &object.key, expected_owner: object.expected_owner.as_deref() }
}

/// The value of a parameter as it stands in a query string; what the platform's own paths take needs no decoding.
pub(crate) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// `/_lambent/bill?month=YYYY-MM`.
pub(crate) fn bill(meter: Guarded<Meter>) -> Admin {
    Admin {
        path: "/_lambent/bill",
        action: "lambent:GetBill",
        handler: Arc::new(move |call, query| {
            let meter = meter.clone();
            Box::pin(async move {
                let meter = meter.of(&call);
                let month = match parameter(&query, "month") {
                    Some(text) => text.parse::<Month>().map_err(|error| invalid(error.to_string()))?,
                    None => meter.this_month(),
                };
                let bill =
                    meter.bill(call.place(), month).await.map_err(|error| ApiError::internal(&error))?;
                serde_json::to_value(bill).map_err(|error| ApiError::internal(&error))
            })
        }),
    }
}

/// `/_lambent/invocations?function=NAME&failed=true&slow=true&limit=N&before=MARK`: a page of a function's runs, the newest
/// first; with `slow` the slowest of the last ones, the slowest first, and no further page.
pub(crate) fn invocations(meter: Guarded<Meter>) -> Admin {
    Admin {
        path: "/_lambent/invocations",
        action: "lambent:ListInvocations",
        handler: Arc::new(move |call, query| {
            let meter = meter.clone();
            Box::pin(async move {
                let meter = meter.of(&call);
                let wanted = runs_wanted(call.place().clone(), &query)?;
                let before = parameter(&query, "before").map(str::parse::<RunMark>).transpose();
                let before = before.map_err(|error| invalid(error.to_string()))?;
                let page = if is_set(&query, "slow") {
                    meter.slowest(&wanted).await.map(|runs| RunPage { runs, next: None })
                } else {
                    meter.runs(&wanted, before.as_ref()).await
                };
                let page = page.map_err(|error| ApiError::internal(&error))?;
                serde_json::to_value(page).map_err(|error| ApiError::internal(&error))
            })
        }),
    }
}

fn runs_wanted(place: Place, query: &str) -> Result<RunsWanted, ApiError> {
    let function = parameter(query, "function").filter(|name| !name.is_empty());
    let function = function.ok_or_else(|| invalid("function is missing: the name of one is needed"))?;
    let limit = match parameter(query, "limit") {
        None => LISTED_MAX,
        Some(text) => {
            let limit = text.parse().ok().filter(|limit| (1..=LISTED_MAX).contains(limit));
            limit
                .ok_or_else(|| invalid(format!("limit is `{text}`, and no number from 1 to {LISTED_MAX}")))?
        }
    };
    Ok(RunsWanted { place, function: function.to_owned(), failed: is_set(query, "failed"), limit })
}

pub(crate) fn is_set(query: &str, name: &str) -> bool {
    parameter(query, name) == Some("true")
}

pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationException", message.into())
}

/// `/_lambent/dead-letters?after=KEY`: a page of events that were given up, without their payloads. Other
/// accounts' letters lie among them and a key names its function, so that a page's last key is told sealed.
pub(crate) fn dead_letters(outbox: Guarded<Outbox>, identity: Arc<Identity>) -> Admin {
    Admin {
        path: "/_lambent/dead-letters",
        action: "lambent:ListDeadLetters",
        handler: Arc::new(move |call, query| {
            let (outbox, identity) = (outbox.clone(), Arc::clone(&identity));
            Box::pin(async move {
                let purpose = format!("a page of the dead letters of {}", call.account());
                let after = parameter(&query, "after").map(|after| {
                    let key = text::unhex(after).and_then(|sealed| identity.open(&purpose, &sealed));
                    key.ok_or_else(|| invalid("after is no `next` of a page of dead letters"))
                });
                let after = after.transpose()?;
                let letters = outbox.of(&call).dead_letters(None, after.as_deref(), DEAD_LETTERS_PAGE).await;
                let letters = letters.map_err(|error| ApiError::internal(&error))?;
                let next = letters.last().map(|letter| text::hex(&identity.seal(&purpose, &letter.key)));
                let own = letters.iter().filter(|one| one.event.target.account == call.account());
                Ok(json!({ "deadLetters": own.map(dead_letter).collect::<Vec<_>>(), "next": next }))
            })
        }),
    }
}

fn dead_letter(letter: &DeadLetter) -> Value {
    let DeadLetter { key, event, died_ms } = letter;
    json!({
        "key": text::hex(key),
        "target": event.target.to_string(),
        "requestId": event.request_id,
        "createdMs": event.created_ms,
        "diedMs": died_ms,
        "failures": event.failures,
        "busy": event.busy,
        "lastError": event.last_error,
        "payloadBytes": event.payload.len(),
    })
}

/// Whether the store can still commit: without it nothing works.
pub(crate) fn health(db: Db) -> HealthCheck {
    Arc::new(move || db.health().map_err(|error| format!("store: {error}")))
}

/// The URLs that GetFunction gives out as Code.Location.
pub(crate) fn code_downloads(engine: Engine) -> Download {
    Download {
        prefix: lambent_lambda::CODE_PATH,
        handler: Arc::new(move |name, query| {
            let engine = engine.clone();
            Box::pin(async move { Ok(engine.code_download(&name, &query).await?.0) })
        }),
    }
}
