//! Lists of functions and of their versions, page by page.
//! Source: Lambda API Reference, "ListFunctions", "ListVersionsByFunction".

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambent_api::Call;
use lambent_base::Place;
use lambent_identity::Identity;
use lambent_model_lambda::{
    FunctionConfiguration, FunctionVersion, ListFunctionsRequest, ListFunctionsResponse,
    ListVersionsByFunctionRequest, ListVersionsByFunctionResponse,
};
use lambent_store::{ScanOptions, Txn};
use lambent_wire::ApiError;

use crate::errors::{self, LambdaError};
use crate::functions::describe::{self, Shown};
use crate::functions::existing;
use crate::lambda::Lambda;
use crate::limits::PAGE_MAX;
use crate::names::FunctionName;
use crate::{keys, rows};

/// How far a list has come: `NAME`, or `NAME:NUMBER` for a version. `$LATEST` counts as number 0, and comes before the others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    name: String,
    number: Option<u64>,
}

/// One page under construction: a row more than is wanted tells that there is another page.
struct Listing {
    wanted: usize,
    shown: Vec<(Mark, FunctionConfiguration)>,
}

impl Lambda {
    pub(crate) async fn list_functions(
        self: &Arc<Self>,
        call: &Call,
        input: ListFunctionsRequest,
    ) -> Result<ListFunctionsResponse, LambdaError> {
        if input.master_region.is_some() {
            return Err(
                errors::unsupported("MasterRegion", "leave it out: there are no edge functions").into()
            );
        }
        let has_versions = input.function_version == Some(FunctionVersion::All);
        let mark = input.marker.as_deref().map(Mark::read).transpose()?;
        let (place, mark, max_items) = (call.place(), mark.as_ref(), input.max_items);
        let identity = &*self.parts.identity;
        let read = self.db(call).read(|txn| async move {
            let mut listing = Listing::new(max_items);
            if let Some(Mark { name, number: Some(number) }) = mark.filter(|_| has_versions) {
                listing.add_versions(&txn, place, identity, name, *number).await?;
            }
            let functions = keys::functions(place).range();
            let mut left = Some(match mark {
                None => functions,
                Some(mark) => functions.after(&keys::function(place, &mark.name)),
            });
            while let Some(range) = left.filter(|_| listing.has_room()) {
                let page = txn.scan(&range, listing.options()).await?;
                left = range.rest(&page, false);
                for (key, row) in page.rows {
                    let row = rows::load_function(&txn, &key, row).await?;
                    let mark = Mark { name: row.name.clone(), number: has_versions.then_some(0) };
                    listing.add(mark, describe::listed((&row).into(), place, identity, has_versions));
                    if has_versions {
                        listing.add_versions(&txn, place, identity, &row.name, 0).await?;
                    }
                }
            }
            Ok::<_, LambdaError>(listing)
        });
        let (functions, next_marker) = read.await?.finish();
        Ok(ListFunctionsResponse { next_marker, functions: Some(functions) })
    }

    pub(crate) async fn list_versions_by_function(
        self: &Arc<Self>,
        call: &Call,
        input: ListVersionsByFunctionRequest,
    ) -> Result<ListVersionsByFunctionResponse, LambdaError> {
        let name = existing(&input.function_name, None, &call.owner_place())?;
        let FunctionName { place, name, .. } = &FunctionName { qualifier: None, ..name };
        let after = input.marker.as_deref().map(Mark::read).transpose()?;
        let after = after.map(|mark| mark.number.unwrap_or(0));
        let max_items = input.max_items;
        let identity = &*self.parts.identity;
        let read = self.db(call).read(|txn| async move {
            let row = rows::get_function(&txn, place, name).await?;
            let row =
                row.ok_or_else(|| errors::function_not_found(&crate::names::function_arn(place, name)))?;
            let mut listing = Listing::new(max_items);
            if after.is_none() {
                let mark = Mark { name: name.clone(), number: Some(0) };
                listing.add(mark, describe::listed((&row).into(), place, identity, true));
            }
            listing.add_versions(&txn, place, identity, name, after.unwrap_or(0)).await?;
            Ok::<_, LambdaError>(listing)
        });
        let (versions, next_marker) = read.await?.finish();
        Ok(ListVersionsByFunctionResponse { next_marker, versions: Some(versions) })
    }
}

impl Listing {
    fn new(max_items: Option<i32>) -> Self {
        let wanted = max_items.and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE_MAX);
        Self { wanted: wanted.clamp(1, PAGE_MAX), shown: Vec::new() }
    }

    fn has_room(&self) -> bool {
        self.shown.len() <= self.wanted
    }

    /// As many rows as there is room for.
    fn options(&self) -> ScanOptions {
        ScanOptions::rows(self.wanted + 1 - self.shown.len())
    }

    fn add(&mut self, mark: Mark, one: FunctionConfiguration) {
        if self.has_room() {
            self.shown.push((mark, one));
        }
    }

    async fn add_versions(
        &mut self,
        txn: &Txn,
        place: &Place,
        identity: &Identity,
        name: &str,
        after: u64,
    ) -> Result<(), LambdaError> {
        if !self.has_room() {
            return Ok(());
        }
        let range = keys::versions(place, name).range().after(&keys::version(place, name, after));
        let page = txn.scan(&range, self.options()).await?;
        for (_, row) in &page.rows {
            let row = rows::read_version(row)?;
            let mark = Mark { name: name.to_owned(), number: Some(row.number) };
            self.add(mark, describe::listed(Shown::version(name, &row), place, identity, true));
        }
        Ok(())
    }

    /// The page, and where the next one begins.
    fn finish(mut self) -> (Vec<FunctionConfiguration>, Option<String>) {
        let has_more = self.shown.len() > self.wanted;
        self.shown.truncate(self.wanted);
        let next = self.shown.last().filter(|_| has_more).map(|(mark, _)| mark.text());
        (self.shown.into_iter().map(|(_, one)| one).collect(), next)
    }
}

impl Mark {
    fn text(&self) -> String {
        let Self { name, number } = self;
        URL_SAFE_NO_PAD.encode(match number {
            None => name.clone(),
            Some(number) => format!("{name}:{number}"),
        })
    }

    fn read(text: &str) -> Result<Self, ApiError> {
        let read = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            Some(match text.split_once(':') {
                None => Self { name: text, number: None },
                Some((name, number)) => Self { name: name.to_owned(), number: Some(number.parse().ok()?) },
            })
        };
        read().ok_or_else(errors::bad_marker)
    }
}
