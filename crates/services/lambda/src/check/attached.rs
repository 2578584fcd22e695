//! Rows that hang on functions: whether each can be read, and whether its function is there.

use std::collections::HashSet;

use bytes::Bytes;
use lambent_store::{Export, KeyRange, StoreError};
use serde::de::DeserializeOwned;

use super::{Check, SERVICE};
use crate::asynchronous::event_invoke::EventInvokeRow;
use crate::asynchronous::recursion::RecursionRow;
use crate::concurrency::provisioned::ProvisionedRow;
use crate::concurrency::reserved::ConcurrencyRow;
use crate::configuration::runtime_management::RuntimeManagementRow;
use crate::keys;
use crate::rows::PolicyRow;
use crate::urls::{UrlRow, UrlTargetRow};

/// One kind of rows whose keys begin with a function's place and name.
struct Kind {
    prefix: &'static [u8],
    what: &'static str,
    read: fn(&[u8]) -> Result<(), serde_json::Error>,
}

const KINDS: [Kind; 8] = [
    Kind { prefix: keys::POLICY, what: "resource policy", read: read::<PolicyRow> },
    Kind { prefix: keys::CONCURRENCY, what: "reserved concurrency", read: read::<ConcurrencyRow> },
    Kind { prefix: keys::PROVISIONED, what: "provisioned concurrency", read: read::<ProvisionedRow> },
    Kind { prefix: keys::EVENT_INVOKE, what: "event invoke configuration", read: read::<EventInvokeRow> },
    Kind { prefix: keys::RECURSION, what: "recursion configuration", read: read::<RecursionRow> },
    Kind {
        prefix: keys::RUNTIME_MANAGEMENT,
        what: "runtime management configuration",
        read: read::<RuntimeManagementRow>,
    },
    Kind { prefix: keys::URL, what: "function URL", read: read::<UrlRow> },
    Kind {
        prefix: keys::FUNCTION_CODE_SIGNING,
        what: "code signing configuration of a function",
        read: read::<String>,
    },
];

/// Reads them all. The functions must have been read before.
pub(super) async fn check_attached(view: &Export, check: &mut Check<'_>) -> Result<(), StoreError> {
    for kind in &KINDS {
        view.for_each(KeyRange::prefix(kind.prefix), |key, row| {
            if let Err(why) = (kind.read)(row) {
                return check.unreadable(kind.what, key, row, &why);
            }
            check.needs_function(kind.prefix, kind.what, key, row);
        })
        .await?;
    }
    let pending = keys::all_pending();
    view.for_each(pending.range(), |key, row| {
        check.needs_function(&pending, "mark of a pending function", key, row);
    })
    .await?;
    let mut urls = HashSet::new();
    view.for_each(keys::all_urls(), |key, row| {
        let place = keys::read_attached(key, keys::URL).map(|(place, _)| place);
        if let (Ok(place), Ok(url)) = (place, serde_json::from_slice::<UrlRow>(row)) {
            urls.insert(keys::url_id(&place.region, &url.id).into_bytes());
        }
    })
    .await?;
    view.for_each(keys::all_url_ids(), |key, row| check.url_id(&urls, key, row)).await
}

fn read<T: DeserializeOwned>(row: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<T>(row).map(drop)
}

impl Check<'_> {
    fn needs_function(&mut self, prefix: &[u8], what: &str, key: &Bytes, row: &Bytes) {
        match keys::read_attached(key, prefix) {
            Err(why) => self.unreadable(what, key, row, &why),
            Ok((place, name)) if !self.functions.contains(&*keys::function(&place, &name)) => {
                let what =
                    format!("{what} {} is of a function, {name}, which does not exist", key.escape_ascii());
                self.findings.stray(SERVICE, what, (key, row));
            }
            Ok(_) => {}
        }
    }

    fn url_id(&mut self, urls: &HashSet<Bytes>, key: &Bytes, row: &Bytes) {
        if let Err(why) = read::<UrlTargetRow>(row) {
            return self.unreadable("id of a URL", key, row, &why);
        }
        if !urls.contains(key) {
            let what = format!("{} is the id of a URL that does not exist", key.escape_ascii());
            self.findings.stray(SERVICE, what, (key, row));
        }
    }
}
