//! For tests: the service on an empty store, with a clock that they move.

use std::sync::Arc;

use lambent_api::{Call, CallContext, Client, Guarded, PlatformWork};
use lambent_base::{Clock, ManualClock, Place, Random};
use lambent_expressions::{Item, Value};
use lambent_identity::{Identity, MasterKey, RootKey, Wanted};
use lambent_model_dynamodb as model;
use lambent_store::{Db, KeyRange, MemoryEngine, ScanOptions, StoreError};

use crate::change::{Origin, change};
use crate::{Dynamo, DynamoError, DynamoParts, rows};

const NOW_MS: i64 = 1_790_000_000_000;

/// The tables, the clock's hand, and the store beneath.
pub(crate) struct Bench {
    pub(crate) dynamo: Dynamo,
    pub(crate) hand: ManualClock,
    pub(crate) db: Db,
    pub(crate) engine: MemoryEngine,
    pub(crate) work: PlatformWork,
    clock: Clock,
    call: Call,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let (clock, hand) = Clock::manual(NOW_MS);
        let engine = MemoryEngine::new();
        let db = Db::new(Arc::new(engine.clone()), clock.clone(), Random::seeded(1));
        let root = RootKey {
            account: "000000000000".to_owned(),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: "secret".to_owned(),
        };
        let master = MasterKey::new([7; 32]);
        let identity = Arc::new(Identity::new(db.clone(), clock.clone(), Random::seeded(3), root, master));
        let call = call(&identity).await;
        let work = PlatformWork::for_the("test");
        let dynamo = Dynamo::new(DynamoParts {
            rows: Guarded::new(db.clone()),
            work: work.clone(),
            clock: clock.clone(),
            random: Random::seeded(2),
            identity,
        });
        Self { dynamo, hand, db, engine, work, clock, call }
    }

    /// The same tables at another node, which nobody tells of changes.
    pub(crate) fn deaf_node(&self) -> Dynamo {
        Dynamo::new(DynamoParts {
            rows: Guarded::new(self.db.clone()),
            work: self.work.clone(),
            clock: self.clock.clone(),
            random: Random::seeded(4),
            identity: self.identity(),
        })
    }

    /// A request of this moment.
    pub(crate) fn call(&self) -> Call {
        let mut call = self.call.clone();
        call.context.time_ms = self.now_ms();
        call
    }

    /// Who decides.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.dynamo.identity)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.unix_ms()
    }

    /// Creates a table whose partition key is the text `id`.
    pub(crate) async fn table(
        &self,
        name: &str,
        stream: Option<model::StreamSpecification>,
    ) -> model::TableDescription {
        let input = model::CreateTableInput {
            table_name: name.to_owned(),
            attribute_definitions: Some(vec![model::AttributeDefinition {
                attribute_name: "id".to_owned(),
                attribute_type: "S".into(),
            }]),
            key_schema: Some(vec![model::KeySchemaElement {
                attribute_name: "id".to_owned(),
                key_type: "HASH".into(),
            }]),
            provisioned_throughput: Some(model::ProvisionedThroughput {
                read_capacity_units: 5,
                write_capacity_units: 5,
            }),
            stream_specification: stream,
            ..Default::default()
        };
        self.dynamo.create_table(&self.call(), input).await.unwrap().table_description.unwrap()
    }

    /// Writes an item as a user does.
    pub(crate) async fn put(&self, table: &str, item: Item) {
        let id = item["id"].clone();
        self.change(table, id, Some(item)).await;
    }

    pub(crate) async fn delete(&self, table: &str, id: &str) {
        self.change(table, Value::S(id.to_owned()), None).await;
    }

    /// The items of a table, in the order of their keys.
    pub(crate) async fn items(&self, table: &str) -> Vec<Item> {
        let place = self.call.place();
        let read = |txn: lambent_store::Txn| async move {
            let table = self.dynamo.table(&txn, place, table).await?;
            let page = txn.scan_snapshot(&crate::keys::items(table.id), ScanOptions::rows(10_000)).await?;
            let mut items = Vec::new();
            for (key, row) in page.rows {
                items.push(rows::stored(&txn, &key, row).await?.item);
            }
            Ok::<_, DynamoError>(items)
        };
        let mut items = self.db.read(read).await.unwrap();
        items.sort_by(|one, other| one["id"].cmp(&other["id"]));
        items
    }

    /// How many rows there are below a prefix.
    pub(crate) async fn rows(&self, prefix: &[u8]) -> usize {
        let range = &KeyRange::prefix(prefix);
        let scan = |txn: lambent_store::Txn| async move {
            Ok::<_, StoreError>(txn.scan(range, ScanOptions::rows(10_000)).await?.rows.len())
        };
        self.db.read(scan).await.unwrap()
    }

    /// When the changes that streams tell of were made.
    pub(crate) async fn record_times(&self) -> Vec<i64> {
        let range = &KeyRange::prefix(b"dynamodb/stream/");
        let read = |txn| async move { crate::stamped::read(&txn, range, 1_000, usize::MAX, false).await };
        let records = self.db.read(read).await.unwrap().records;
        records.iter().map(|record| crate::stamped::time_of(&record.bytes).unwrap()).collect()
    }

    async fn change(&self, table: &str, id: Value, new: Option<Item>) {
        let (place, now_ms, id, new) = (self.call.place(), self.now_ms(), &id, &new);
        let write = |txn: lambent_store::Txn| async move {
            let table = self.dynamo.table(&txn, place, table).await?;
            let key = table.key_of(&Item::from([("id".to_owned(), id.clone())])).expect("it is the key");
            let old = rows::item(&txn, &key).await?;
            change(&txn, &table, &key, old.as_ref(), new.as_ref(), Origin::User, now_ms).await
        };
        self.db.run(write).await.unwrap();
    }
}

/// An item with a text beside its key.
pub(crate) fn item(id: &str, text: &str) -> Item {
    let text_of = |text: &str| Value::S(text.to_owned());
    Item::from([("id".to_owned(), text_of(id)), ("v".to_owned(), text_of(text))])
}

async fn call(identity: &Arc<Identity>) -> Call {
    let context = CallContext {
        request_id: "0A49CE4060975EAC".to_owned(),
        place: Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() },
        time_ms: NOW_MS,
        source_ip: "127.0.0.1".to_owned(),
        endpoint: "http://127.0.0.1:4566".to_owned(),
        trace: None,
        client: Client::default(),
    };
    let caller = identity.root_caller();
    Call::decide(context, identity.clone(), &caller, Wanted::new("dynamodb:Any", "*")).await.unwrap()
}
