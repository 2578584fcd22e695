//! The service on an empty store, with a clock that the tests move.

use std::sync::Arc;
use std::time::Duration;

use lambent_api::{Call, CallContext, Client, Guarded, PlatformWork};
use lambent_base::{Clock, ManualClock, Place, Random};
use lambent_identity::{Identity, MasterKey, RootKey, Wanted};
use lambent_model_logs::{
    CreateLogGroupRequest, CreateLogStreamRequest, DeleteLogGroupRequest, DescribeLogGroupsRequest,
    DescribeLogStreamsRequest, FilterLogEventsRequest, FilterLogEventsResponse, GetLogEventsRequest,
    GetLogEventsResponse, InputLogEvent, LogGroup, OrderBy, PutLogEventsRequest, PutLogEventsResponse,
    PutRetentionPolicyRequest,
};
use lambent_store::{Db, KeyRange, ScanOptions, StoreError};

use crate::{Logs, LogsError, StreamLines};

mod actions;
mod events;
mod groups;
mod paging;
mod retention;

const NOW_MS: i64 = 1_790_000_000_000;
const DAY: Duration = Duration::from_secs(86_400);

/// The logs, the clock's hand, and the store beneath.
struct Bench {
    logs: Logs,
    hand: ManualClock,
    db: Db,
    identity: Arc<Identity>,
    call: Call,
}

impl Bench {
    async fn new() -> Self {
        let (clock, hand) = Clock::manual(NOW_MS);
        let db = Db::memory(clock.clone(), Random::seeded(1));
        let logs = Logs::new(Guarded::new(db.clone()), clock.clone(), Random::seeded(2));
        let root = RootKey {
            account: "000000000000".to_owned(),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: "secret".to_owned(),
        };
        let master = MasterKey::new([7; 32]);
        let identity = Arc::new(Identity::new(db.clone(), clock, Random::seeded(3), root, master));
        let call = call(&identity, "us-east-1").await;
        Self { logs, hand, db, identity, call }
    }

    async fn call_in(&self, region: &str) -> Call {
        call(&self.identity, region).await
    }

    async fn with_stream(group: &str, stream: &str) -> Self {
        let bench = Self::new().await;
        bench.group(group).await.unwrap();
        bench.stream(group, stream).await.unwrap();
        bench
    }

    async fn group(&self, name: &str) -> Result<(), LogsError> {
        let input = CreateLogGroupRequest { log_group_name: name.to_owned(), ..Default::default() };
        self.logs.create_log_group(&self.call, input).await.map(|_| ())
    }

    async fn stream(&self, group: &str, name: &str) -> Result<(), LogsError> {
        let input =
            CreateLogStreamRequest { log_group_name: group.to_owned(), log_stream_name: name.to_owned() };
        self.logs.create_log_stream(&self.call, input).await.map(|_| ())
    }

    async fn put(
        &self,
        group: &str,
        stream: &str,
        events: Vec<InputLogEvent>,
    ) -> Result<PutLogEventsResponse, LogsError> {
        let input = PutLogEventsRequest {
            log_group_name: group.to_owned(),
            log_stream_name: stream.to_owned(),
            log_events: events,
            ..Default::default()
        };
        self.logs.put_log_events(&self.call, input).await
    }

    async fn get(&self, input: GetLogEventsRequest) -> GetLogEventsResponse {
        self.logs.get_log_events(&self.call, input).await.unwrap()
    }

    async fn filter(&self, input: FilterLogEventsRequest) -> FilterLogEventsResponse {
        self.logs.filter_log_events(&self.call, input).await.unwrap()
    }

    async fn groups(&self, input: DescribeLogGroupsRequest) -> Vec<LogGroup> {
        self.logs.describe_log_groups(&self.call, input).await.unwrap().log_groups.unwrap()
    }

    /// How many rows the store holds in all.
    async fn rows(&self) -> usize {
        let all = KeyRange::new(&b"a"[..], &b"z"[..]);
        let all = &all;
        let scan = |txn: lambent_store::Txn| async move {
            Ok::<_, StoreError>(txn.scan_snapshot(all, ScanOptions::rows(10_000)).await?.rows.len())
        };
        self.db.read(scan).await.unwrap()
    }
}

/// The root's call, whatever it is of.
async fn call(identity: &Arc<Identity>, region: &str) -> Call {
    let context = CallContext {
        request_id: "0A49CE4060975EAC".to_owned(),
        place: place(region),
        time_ms: NOW_MS,
        source_ip: "127.0.0.1".to_owned(),
        endpoint: "http://127.0.0.1:4566".to_owned(),
        trace: None,
        client: Client::default(),
    };
    let all = Wanted::new("logs:*", "*");
    Call::decide(context, identity.clone(), &identity.root_caller(), all).await.unwrap()
}

fn work() -> PlatformWork {
    PlatformWork::for_the("tests")
}

fn place(region: &str) -> Place {
    Place { account: "000000000000".to_owned(), region: region.to_owned() }
}

fn event(time_ms: i64, message: &str) -> InputLogEvent {
    InputLogEvent { timestamp: time_ms, message: message.to_owned() }
}

fn get_request(group: &str, stream: &str) -> GetLogEventsRequest {
    GetLogEventsRequest {
        log_group_name: Some(group.to_owned()),
        log_stream_name: stream.to_owned(),
        ..Default::default()
    }
}

fn filter_request(group: &str) -> FilterLogEventsRequest {
    FilterLogEventsRequest { log_group_name: Some(group.to_owned()), ..Default::default() }
}

fn lines(group: &str, stream: &str, events: &[(i64, &str)]) -> StreamLines {
    StreamLines {
        place: place("us-east-1"),
        log_group: Arc::from(group),
        log_stream: Arc::from(stream),
        events: events.iter().map(|(time_ms, line)| (*time_ms, (*line).to_owned())).collect(),
    }
}

fn messages(response: &GetLogEventsResponse) -> Vec<&str> {
    response.events.iter().flatten().map(|event| event.message.as_deref().unwrap()).collect()
}

fn filtered(response: &FilterLogEventsResponse) -> Vec<&str> {
    response.events.iter().flatten().map(|event| event.message.as_deref().unwrap()).collect()
}

/// `Code: message` of a refusal.
fn refusal<T: std::fmt::Debug>(result: Result<T, LogsError>) -> String {
    result.unwrap_err().to_string()
}
