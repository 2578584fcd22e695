//! Tags of functions, of code signing configurations and of event source mappings.
//! Source: Lambda API Reference, "TagResource", "UntagResource", "ListTags".

use std::collections::BTreeMap;
use std::sync::Arc;

use lambent_api::Call;
use lambent_base::{Arn, Place};
use lambent_mappings::Mapping;
use lambent_model_lambda::{
    ListTagsRequest, ListTagsResponse, TagResourceRequest, UntagResourceRequest, errors as model,
};
use lambent_store::Txn;
use lambent_wire::{ApiError, Empty};

use crate::code::signing::{self, CodeSigningRow};
use crate::errors::{self, LambdaError};
use crate::lambda::Lambda;
use crate::mappings;
use crate::names::{PARTITION, function_arn};
use crate::{configuration, keys, rows};

/// Something that has tags, in the caller's own place.
enum Tagged {
    Function(String),
    CodeSigningConfig(String),
    EventSourceMapping(String),
}

impl Lambda {
    pub(crate) async fn tag_resource(
        self: &Arc<Self>,
        call: &Call,
        input: TagResourceRequest,
    ) -> Result<Empty, LambdaError> {
        let tagged = tagged(&input.resource, call.place())?;
        if input.tags.is_empty() {
            return Err(errors::invalid("An error occurred and the request cannot be processed.").into());
        }
        let added = &input.tags;
        self.change_tags(call, &tagged, |tags| {
            tags.extend(added.clone());
            configuration::tags(Some(std::mem::take(tags))).map(|checked| *tags = checked)
        })
        .await
    }

    pub(crate) async fn untag_resource(
        self: &Arc<Self>,
        call: &Call,
        input: UntagResourceRequest,
    ) -> Result<Empty, LambdaError> {
        let tagged = tagged(&input.resource, call.place())?;
        let gone = &input.tag_keys;
        self.change_tags(call, &tagged, |tags| {
            tags.retain(|key, _| !gone.contains(key));
            Ok(())
        })
        .await
    }

    pub(crate) async fn list_tags(
        self: &Arc<Self>,
        call: &Call,
        input: ListTagsRequest,
    ) -> Result<ListTagsResponse, LambdaError> {
        let (tagged, place) = (&tagged(&input.resource, call.place())?, call.place());
        let read = self.db(call).read(|txn| async move {
            Ok::<_, LambdaError>(match tagged {
                Tagged::Function(name) => existing_function(&txn, place, name).await?.tags,
                Tagged::CodeSigningConfig(id) => signing::existing(&txn, place, id).await?.tags,
                Tagged::EventSourceMapping(id) => existing_mapping(&txn, place, id).await?.tags,
            })
        });
        Ok(ListTagsResponse { tags: Some(read.await?) })
    }

    async fn change_tags(
        &self,
        call: &Call,
        tagged: &Tagged,
        change: impl Fn(&mut BTreeMap<String, String>) -> Result<(), ApiError>,
    ) -> Result<Empty, LambdaError> {
        let (change, revision_id, place) = (&change, &self.parts.random.uuid(), call.place());
        let changed = self.db(call).run(|txn| async move {
            match tagged {
                Tagged::Function(name) => {
                    let mut row = existing_function(&txn, place, name).await?;
                    change(&mut row.tags)?;
                    row.revision_id.clone_from(revision_id);
                    rows::put_function(&txn, place, &row).await
                }
                Tagged::CodeSigningConfig(id) => {
                    let mut row: CodeSigningRow = signing::existing(&txn, place, id).await?;
                    change(&mut row.tags)?;
                    rows::put(&txn, &keys::code_signing(place, id), &row);
                    Ok(())
                }
                Tagged::EventSourceMapping(id) => {
                    let mut row = existing_mapping(&txn, place, id).await?;
                    change(&mut row.tags)?;
                    row.put(&txn);
                    Ok(())
                }
            }
        });
        changed.await?;
        if let Tagged::Function(name) = tagged {
            self.forget(&function_arn(place, name));
        }
        Ok(Empty {})
    }
}

/// What an ARN names that the model's pattern has let pass.
fn tagged(arn: &str, place: &Place) -> Result<Tagged, ApiError> {
    let not_found = |what: &str| model::resource_not_found_exception(format!("{what} not found: {arn}"));
    let parsed: Arn = arn.parse().map_err(|_| not_found("Resource"))?;
    if parsed.partition != PARTITION || parsed.service != "lambda" {
        return Err(errors::violation(
            arn,
            "resource",
            "Member must be an ARN of AWS Lambda in the partition aws",
        ));
    }
    if parsed.region != place.region {
        return Err(errors::other_region(&parsed.region, &place.region));
    }
    if parsed.account != place.account {
        return Err(errors::other_account(arn));
    }
    match parsed.resource.split_once(':') {
        Some(("function", name)) if name.contains(':') => Err(errors::invalid(
            "Tags on function aliases and versions are not supported. Please specify a function ARN.",
        )),
        Some(("function", name)) => Ok(Tagged::Function(name.to_owned())),
        Some(("code-signing-config", id)) => Ok(Tagged::CodeSigningConfig(id.to_owned())),
        Some(("event-source-mapping", id)) => Ok(Tagged::EventSourceMapping(id.to_owned())),
        Some(("capacity-provider", _)) => Err(not_found("Capacity provider")),
        _ => Err(not_found("Resource")),
    }
}

async fn existing_function(txn: &Txn, place: &Place, name: &str) -> Result<rows::FunctionRow, LambdaError> {
    let row = rows::get_function(txn, place, name).await?;
    Ok(row.ok_or_else(|| errors::function_not_found(&function_arn(place, name)))?)
}

async fn existing_mapping(txn: &Txn, place: &Place, id: &str) -> Result<Mapping, LambdaError> {
    let missing = || {
        let arn = mappings::mapping_arn(place, id);
        model::resource_not_found_exception(format!("Event source mapping not found: {arn}"))
    };
    Ok(mappings::find(txn, place, id).await?.ok_or_else(missing)?)
}
