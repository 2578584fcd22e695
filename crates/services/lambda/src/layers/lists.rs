//! Lists of layers and of their versions, page by page.
//! Source: Lambda API Reference, "ListLayers", "ListLayerVersions".

use std::sync::Arc;

use lambent_api::Call;
use lambent_model_lambda::{
    Architecture, LayersListItem, ListLayerVersionsRequest, ListLayerVersionsResponse, ListLayersRequest,
    ListLayersResponse, Runtime,
};
use lambent_store::{ScanOptions, Txn};

use crate::configuration::runtime_names;
use crate::errors::{self, LambdaError};
use crate::lambda::Lambda;
use crate::layers::names::LayerName;
use crate::layers::{listed, own};
use crate::limits::{PAGE_MAX, WORK_PAGE_ROWS};
use crate::rows::{self, LayerVersionRow};
use crate::{keys, markers};

/// Which versions are wanted.
struct Filter<'a> {
    runtime: Option<&'a Runtime>,
    architecture: Option<&'a Architecture>,
}

impl Filter<'_> {
    fn lets_pass(&self, row: &LayerVersionRow) -> bool {
        let has = |list: &Option<Vec<String>>, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| list.iter().flatten().any(|one| one == wanted))
        };
        has(&row.compatible_runtimes, self.runtime.map(Runtime::as_str))
            && has(&row.compatible_architectures, self.architecture.map(Architecture::as_str))
    }
}

impl Lambda {
    pub(crate) async fn list_layers(
        self: &Arc<Self>,
        call: &Call,
        input: ListLayersRequest,
    ) -> Result<ListLayersResponse, LambdaError> {
        runtime_names::check_compatible(input.compatible_runtime.as_ref())?;
        let filter = &Filter {
            runtime: input.compatible_runtime.as_ref(),
            architecture: input.compatible_architecture.as_ref(),
        };
        let wanted = page_size(input.max_items);
        let after = input.marker.as_deref().map(markers::read).transpose()?;
        let (place, after) = (call.place(), after.as_deref());
        let read = self.db(call).read(|txn| async move {
            let layers = keys::last_layer_versions(place).range();
            let mut left = Some(match after {
                None => layers,
                Some(name) => layers.after(&keys::last_layer_version(place, name)),
            });
            let mut shown: Vec<LayersListItem> = Vec::new();
            while let Some(range) = left.filter(|_| shown.len() <= wanted) {
                let page = txn.scan(&range, ScanOptions::rows(WORK_PAGE_ROWS).keys_only()).await?;
                left = range.rest(&page, false);
                for (key, _) in &page.rows {
                    if shown.len() > wanted {
                        break;
                    }
                    let name = keys::read_last_layer_version(key).map_err(LambdaError::row)?;
                    let layer = LayerName { place: place.clone(), name };
                    shown.extend(newest(&txn, layer, filter).await?);
                }
            }
            Ok::<_, LambdaError>(shown)
        });
        let mut layers = read.await?;
        let has_more = layers.len() > wanted;
        layers.truncate(wanted);
        let last = layers.last().and_then(|item| item.layer_name.clone()).filter(|_| has_more);
        Ok(ListLayersResponse { next_marker: last.map(|name| markers::write(&name)), layers: Some(layers) })
    }

    pub(crate) async fn list_layer_versions(
        self: &Arc<Self>,
        call: &Call,
        input: ListLayerVersionsRequest,
    ) -> Result<ListLayerVersionsResponse, LambdaError> {
        let layer = &own(&input.layer_name, call.place())?;
        runtime_names::check_compatible(input.compatible_runtime.as_ref())?;
        let filter = &Filter {
            runtime: input.compatible_runtime.as_ref(),
            architecture: input.compatible_architecture.as_ref(),
        };
        let wanted = page_size(input.max_items);
        let before = input.marker.as_deref().map(read_number).transpose()?;
        let read = self
            .db(call)
            .read(|txn| async move { versions_before(&txn, layer, before, wanted + 1, filter).await });
        let mut rows = read.await?;
        let has_more = rows.len() > wanted;
        rows.truncate(wanted);
        let last = rows.last().map(|row| row.number).filter(|_| has_more);
        Ok(ListLayerVersionsResponse {
            next_marker: last.map(|number| markers::write(&number.to_string())),
            layer_versions: Some(rows.into_iter().map(|row| listed(layer, row)).collect()),
        })
    }
}

/// A layer with the newest of its versions that are wanted, if there is one.
async fn newest(
    txn: &Txn,
    layer: LayerName,
    filter: &Filter<'_>,
) -> Result<Option<LayersListItem>, LambdaError> {
    let rows = versions_before(txn, &layer, None, 1, filter).await?;
    Ok(rows.into_iter().next().map(|row| LayersListItem {
        latest_matching_version: Some(listed(&layer, row)),
        layer_arn: Some(layer.arn()),
        layer_name: Some(layer.name.clone()),
    }))
}

/// So many of a layer's versions at most, from the newest to the oldest, beginning below the number `before`.
async fn versions_before(
    txn: &Txn,
    layer: &LayerName,
    before: Option<u64>,
    count: usize,
    filter: &Filter<'_>,
) -> Result<Vec<LayerVersionRow>, LambdaError> {
    let mut found = Vec::new();
    let versions = keys::layer_versions(&layer.place, &layer.name).range();
    let mut left = Some(match before {
        None => versions,
        Some(before) => versions.before(&keys::layer_version(&layer.place, &layer.name, before)),
    });
    while let Some(range) = left {
        let page = txn.scan(&range, ScanOptions::rows(WORK_PAGE_ROWS).reverse()).await?;
        left = range.rest(&page, true);
        for (_, row) in &page.rows {
            let row: LayerVersionRow = rows::read(row)?;
            if filter.lets_pass(&row) {
                found.push(row);
            }
            if found.len() == count {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// How many a page of a list shall hold.
pub(crate) fn page_size(max_items: Option<i32>) -> usize {
    let wanted = max_items.and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE_MAX);
    wanted.clamp(1, PAGE_MAX)
}

fn read_number(marker: &str) -> Result<u64, LambdaError> {
    let text = markers::read(marker)?;
    text.parse().map_err(|_| errors::bad_marker().into())
}
