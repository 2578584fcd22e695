//! What `lambent top` shows: the pool's counts beside the meter's costs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lambent_api::{ApiError, Guarded};
use lambent_base::{Clock, Place};
use lambent_cli::top::{PATH, Top, TopFunction};
use lambent_gateway::Admin;
use lambent_metering::{Bill, Meter};
use lambent_pool::{FunctionStats, Pool};
use tokio::sync::Mutex;

/// How old the costs may be: a bill adds a month of sums, and the table is drawn each second.
const BILL_AGE_MAX: Duration = Duration::from_secs(5);

/// `/_lambent/top`.
pub(crate) fn admin(pool: Pool, meter: Meter, clock: Clock) -> Admin {
    let source = Guarded::new(Arc::new(Source { pool, meter, clock, last: Mutex::default() }));
    Admin {
        path: PATH,
        action: "lambent:GetTop",
        handler: Arc::new(move |call, _| {
            let source = source.clone();
            Box::pin(async move {
                let top = source.of(&call).top(call.place()).await?;
                serde_json::to_value(top).map_err(|error| ApiError::internal(&error))
            })
        }),
    }
}

struct Source {
    pool: Pool,
    meter: Meter,
    clock: Clock,
    /// The last bill, and when it was made on the monotonic clock. Whoever waits for a new one waits with others.
    last: Mutex<Option<(Place, Duration, Arc<Bill>)>>,
}

impl Source {
    async fn top(&self, place: &Place) -> Result<Top, ApiError> {
        let bill = self.bill(place).await?;
        let live = self.pool.functions(&place.account, &place.region).into_iter();
        Ok(Top {
            account: place.account.clone(),
            region: place.region.clone(),
            unix_ms: self.clock.unix_ms(),
            month: bill.month.clone(),
            functions: joined(live, &bill),
        })
    }

    async fn bill(&self, place: &Place) -> Result<Arc<Bill>, ApiError> {
        let mut last = self.last.lock().await;
        let now = self.clock.monotonic();
        if let Some((of, at, bill)) = &*last
            && of == place
            && now.saturating_sub(*at) < BILL_AGE_MAX
        {
            return Ok(bill.clone());
        }
        let bill = self.meter.bill(place, self.meter.this_month()).await;
        let bill = Arc::new(bill.map_err(|error| ApiError::internal(&error))?);
        *last = Some((place.clone(), now, bill.clone()));
        Ok(bill)
    }
}

/// Every function that is known to one of them, by name.
fn joined(live: impl Iterator<Item = FunctionStats>, bill: &Bill) -> Vec<TopFunction> {
    let mut functions: BTreeMap<&str, TopFunction> = BTreeMap::new();
    for one in &bill.functions {
        let function = functions.entry(&one.function).or_default();
        function.requests = one.requests;
        function.cost_nano_usd = one.cost.total_nano_usd;
    }
    let live: Vec<FunctionStats> = live.collect();
    for one in &live {
        let function = functions.entry(&one.name).or_default();
        function.warm = one.idle as u64;
        function.busy = one.busy as u64;
        function.cold_starts = one.cold_starts;
        function.throttles = one.throttles;
        function.memory_bytes = one.memory_bytes;
        function.p50_ms = one.p50_ms;
        function.p99_ms = one.p99_ms;
    }
    let named = functions.into_iter();
    named.map(|(name, function)| TopFunction { function: name.to_owned(), ..function }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambent_base::{ManualClock, Random};
    use lambent_metering::{Prices, RunOutcome, RunRecord};
    use lambent_store::Db;

    fn meter() -> (Meter, ManualClock) {
        let (clock, hand) = Clock::manual(1_795_282_400_000);
        let db = Db::memory(clock.clone(), Random::seeded(1));
        (Meter::new(db, clock, Prices::aws()), hand)
    }

    fn record(meter: &Meter, function: &str) {
        meter.record(RunRecord {
            account: "0".to_owned(),
            region: "r".to_owned(),
            function: function.to_owned(),
            version: "$LATEST".to_owned(),
            request_id: function.to_owned(),
            started_unix_ms: 1_795_282_400_000,
            init_us: None,
            duration_us: 1_000,
            billed_ms: 1_000,
            memory_mib: 1_024,
            max_memory_mib: 1,
            ephemeral_mib: 512,
            outcome: RunOutcome::Success,
            cold_start: false,
            error_type: None,
            log_stream: None,
        });
    }

    #[tokio::test]
    async fn functions_of_the_pool_and_of_the_bill_are_one_table() {
        let (meter, _hand) = meter();
        record(&meter, "billed");
        record(&meter, "both");
        let place = Place { account: "0".to_owned(), region: "r".to_owned() };
        let bill = meter.bill(&place, meter.this_month()).await.unwrap();
        let live = |name: &str| FunctionStats {
            account: "0".to_owned(),
            region: "r".to_owned(),
            name: name.to_owned(),
            idle: 2,
            busy: 1,
            cold_starts: 3,
            throttles: 4,
            memory_bytes: 5,
            p50_ms: Some(1.5),
            p99_ms: None,
        };
        let functions = joined(["both", "live"].map(live).into_iter(), &bill);
        let told: Vec<_> =
            functions.iter().map(|one| (one.function.as_str(), one.warm, one.requests)).collect();
        assert_eq!(told, [("billed", 0, 1), ("both", 2, 1), ("live", 2, 0)]);
        let both = &functions[1];
        assert_eq!((both.busy, both.cold_starts, both.throttles, both.memory_bytes), (1, 3, 4, 5));
        assert_eq!((both.p50_ms, both.cost_nano_usd), (Some(1.5), functions[0].cost_nano_usd));
        assert!(both.cost_nano_usd > 0);
    }
}
