//! Lists of mappings, page by page.

use std::sync::Arc;

use lambent_api::Call;
use lambent_mappings::Mapping;
use lambent_model_lambda::{ListEventSourceMappingsRequest, ListEventSourceMappingsResponse};

use crate::errors::LambdaError;
use crate::functions::existing;
use crate::lambda::Lambda;
use crate::limits::MAPPINGS_PAGE_MAX;
use crate::mappings::{from_engine, shown};

impl Lambda {
    pub(crate) async fn list_event_source_mappings(
        self: &Arc<Self>,
        call: &Call,
        input: ListEventSourceMappingsRequest,
    ) -> Result<ListEventSourceMappingsResponse, LambdaError> {
        let place = call.place();
        let function = input.function_name.as_deref().map(|text| existing(text, None, place)).transpose()?;
        let function = &function.map(|name| name.qualified_arn());
        let source = input.event_source_arn.as_deref();
        let most = input.max_items.and_then(|count| usize::try_from(count).ok()).unwrap_or(MAPPINGS_PAGE_MAX);
        let (most, marker) = (most.clamp(1, MAPPINGS_PAGE_MAX), input.marker.as_deref());
        let read = self.db(call).read(|txn| async move {
            let (mut found, mut after) = (Vec::new(), marker.map(str::to_owned));
            loop {
                let page = Mapping::list(&txn, place, after.as_deref(), MAPPINGS_PAGE_MAX).await;
                let page = page.map_err(from_engine)?;
                let is_last = page.len() < MAPPINGS_PAGE_MAX;
                for mapping in page {
                    after = Some(mapping.uuid.clone());
                    let is_wanted = source.is_none_or(|source| mapping.source_arn == source)
                        && function.as_ref().is_none_or(|function| mapping.function_arn == *function);
                    if !is_wanted {
                        continue;
                    }
                    if found.len() == most {
                        return Ok((found, true));
                    }
                    found.push(shown::shown(&txn, &mapping).await?);
                }
                if is_last {
                    return Ok::<_, LambdaError>((found, false));
                }
            }
        });
        let (found, has_more) = read.await?;
        let next_marker = found.last().filter(|_| has_more).and_then(|last| last.uuid.clone());
        Ok(ListEventSourceMappingsResponse { event_source_mappings: Some(found), next_marker })
    }
}
