//! Tags of tables.

use std::collections::BTreeMap;

use lambent_api::{ACCESS_DENIED, Call};
use lambent_base::Place;
use lambent_model_dynamodb::errors::resource_not_found_exception;
use lambent_model_dynamodb::{
    ListTagsOfResourceInput, ListTagsOfResourceOutput, Tag, TagResourceInput, UntagResourceInput,
};
use lambent_wire::{ApiError, Empty};

use crate::error::validation;
use crate::tables::check_table_name;
use crate::{Dynamo, DynamoError, names};

/// How many tags a table has, at most. Source: developer guide, "Tagging restrictions".
const TAGS_MAX: usize = 50;
/// How many tags one page lists.
const PAGE_TAGS: usize = 10;
const RESERVED: &str = "aws:";

impl Dynamo {
    pub(crate) async fn tag_resource(
        &self,
        call: &Call,
        input: TagResourceInput,
    ) -> Result<Empty, DynamoError> {
        let (place, name) = tagged(call, "TagResource", &input.resource_arn)?;
        if input.tags.is_empty() {
            return Err(validation("Atleast one Tag needs to be provided as Input.").into());
        }
        let tags = &checked_tags(Some(&input.tags))?;
        let done = self.change_settings(call, (&place, &name), |table| {
            table.tags.extend(tags.clone());
            if table.tags.len() > TAGS_MAX {
                return Err(too_many().into());
            }
            Ok(())
        });
        done.await.map_err(|error| by_arn(error, &input.resource_arn))?;
        Ok(Empty {})
    }

    pub(crate) async fn untag_resource(
        &self,
        call: &Call,
        input: UntagResourceInput,
    ) -> Result<Empty, DynamoError> {
        let (place, name) = tagged(call, "UntagResource", &input.resource_arn)?;
        if input.tag_keys.is_empty() {
            return Err(validation("Atleast one Tag Key needs to be provided as Input.").into());
        }
        let keys = &input.tag_keys;
        let untagged = self.change_settings(call, (&place, &name), |table| {
            table.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        });
        untagged.await.map_err(|error| match error {
            // Here AWS does not say what was not found.
            DynamoError::Refused(error) if error.code == "ResourceNotFoundException" => {
                resource_not_found_exception("Requested resource not found").into()
            }
            other => other,
        })?;
        Ok(Empty {})
    }

    pub(crate) async fn list_tags_of_resource(
        &self,
        call: &Call,
        input: ListTagsOfResourceInput,
    ) -> Result<ListTagsOfResourceOutput, DynamoError> {
        let (place, name) = tagged(call, "ListTagsOfResource", &input.resource_arn)?;
        let table = self.settings(call, (&place, &name)).await;
        let table = table.map_err(|error| by_arn(error, &input.resource_arn))?;
        let after = input.next_token.unwrap_or_default();
        let mut left = table.tags.iter().filter(|(key, _)| after.is_empty() || **key > after);
        let tag = |(key, value): (&String, &String)| Tag { key: key.clone(), value: value.clone() };
        let tags: Vec<Tag> = left.by_ref().take(PAGE_TAGS).map(tag).collect();
        let next_token = left.next().and_then(|_| tags.last()).map(|tag| tag.key.clone());
        Ok(ListTagsOfResourceOutput { next_token, tags: Some(tags) })
    }
}

/// The table that is tagged. What has not even the form of an ARN is nothing that anybody may tag.
fn tagged(call: &Call, action: &str, arn: &str) -> Result<(Place, String), ApiError> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let has_form = parts.len() == 6
        && parts.iter().all(|part| !part.is_empty())
        && parts[5].split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
    if !has_form {
        let (caller, resource) = (&call.caller().arn, if arn.is_empty() { "*" } else { arn });
        let message =
            format!("User: {caller} is not authorized to perform: dynamodb:{action} on resource: {resource}");
        return Err(ApiError::new(ACCESS_DENIED, 400, message));
    }
    let (place, name) = names::of_arn(arn)?;
    names::check_region(call.place(), &place, "ResourceArn")?;
    match check_table_name(&name) {
        Ok(()) => Ok((place, name)),
        Err(_) => Err(validation(format!("Invalid TableArn: Invalid ResourceArn provided as input {arn}"))),
    }
}

/// The tags that a request gives, each key once.
pub(crate) fn checked_tags(tags: Option<&[Tag]>) -> Result<BTreeMap<String, String>, ApiError> {
    let tags = tags.unwrap_or_default();
    let mut checked = BTreeMap::new();
    for tag in tags {
        if tag.key.starts_with(RESERVED) {
            let message =
                "One or more parameter values were invalid: User-assigned tag names cannot start with aws:";
            return Err(validation(message));
        }
        if checked.insert(tag.key.clone(), tag.value.clone()).is_some() {
            let message =
                format!("One or more parameter values were invalid: Duplicate tag key found: {}", tag.key);
            return Err(validation(message));
        }
    }
    match checked.len() > TAGS_MAX {
        true => Err(too_many()),
        false => Ok(checked),
    }
}

fn too_many() -> ApiError {
    validation(format!("One or more parameter values were invalid: Too many tags, the limit is {TAGS_MAX}"))
}

/// AWS names the ARN, with a slip of the pen.
fn by_arn(error: DynamoError, arn: &str) -> DynamoError {
    match error {
        DynamoError::Refused(error) if error.code == "ResourceNotFoundException" => {
            let message = format!("Requested resource not found: ResourcArn: {arn} not found");
            resource_not_found_exception(message).into()
        }
        other => other,
    }
}
