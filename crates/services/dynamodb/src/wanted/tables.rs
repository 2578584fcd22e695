//! What operations on tables want, where it is more than one action, or has tags.

use lambent_api::{ApiError, BoxFuture};
use lambent_base::Place;
use lambent_identity::Wanted;
use lambent_model_dynamodb::{
    CreateTableInput, ImportTableInput, RestoreTableFromBackupInput, RestoreTableToPointInTimeInput, Tag,
    TagResourceInput, UntagResourceInput,
};

use crate::Dynamo;
use crate::names::resource;

type All<'a> = BoxFuture<'a, Result<Vec<Wanted>, ApiError>>;

/// Who restores a table must be allowed what fills it.
/// Source: Amazon DynamoDB Developer Guide, "Using IAM with DynamoDB backup and restore".
const RESTORING: [&str; 7] = [
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:Query",
    "dynamodb:Scan",
    "dynamodb:BatchWriteItem",
];

/// What CreateTable wants: to attach a policy and to tag, too, if it does. Who may make tables may not by that give them tags
/// that policies ask for.
pub(crate) fn create_table<'a>(_: &'a Dynamo, input: &'a CreateTableInput, place: &'a Place) -> All<'a> {
    let arn = resource(place, &input.table_name);
    let created =
        tagged(Wanted::new("dynamodb:CreateTable", arn.as_str()).of_a_new_thing(), input.tags.as_deref());
    let mut all = vec![created];
    if input.resource_policy.is_some() {
        all.push(Wanted::new("dynamodb:PutResourcePolicy", arn.as_str()).of_a_new_thing());
    }
    if let Some(tags) = input.tags.as_deref().filter(|tags| !tags.is_empty()) {
        all.push(tagged(Wanted::new("dynamodb:TagResource", arn).of_a_new_thing(), Some(tags)));
    }
    Box::pin(async move { Ok(all) })
}

/// What RestoreTableFromBackup wants of the backup and of the table that it makes.
pub(crate) fn restore_table_from_backup<'a>(
    _: &'a Dynamo,
    input: &'a RestoreTableFromBackupInput,
    place: &'a Place,
) -> All<'a> {
    let target = resource(place, &input.target_table_name);
    let mut all = vec![Wanted::new("dynamodb:RestoreTableFromBackup", input.backup_arn.as_str())];
    all.push(Wanted::new("dynamodb:RestoreTableFromBackup", target.as_str()).of_a_new_thing());
    all.extend(RESTORING.map(|action| Wanted::new(action, target.as_str()).of_a_new_thing()));
    Box::pin(async move { Ok(all) })
}

/// What RestoreTableToPointInTime wants of both tables.
pub(crate) fn restore_table_to_point_in_time<'a>(
    _: &'a Dynamo,
    input: &'a RestoreTableToPointInTimeInput,
    place: &'a Place,
) -> All<'a> {
    let source = input.source_table_arn.as_ref().or(input.source_table_name.as_ref());
    let source = resource(place, source.map_or("", String::as_str));
    let target = resource(place, &input.target_table_name);
    let mut all = vec![Wanted::new("dynamodb:RestoreTableToPointInTime", source)];
    all.push(Wanted::new("dynamodb:RestoreTableToPointInTime", target.as_str()).of_a_new_thing());
    all.extend(RESTORING.map(|action| Wanted::new(action, target.as_str()).of_a_new_thing()));
    Box::pin(async move { Ok(all) })
}

/// What ImportTable wants; that the source may be read is decided on apart.
pub(crate) fn import_table(input: &ImportTableInput, place: &Place) -> Wanted {
    Wanted::new("dynamodb:ImportTable", resource(place, &input.table_creation_parameters.table_name))
        .of_a_new_thing()
}

/// What TagResource wants.
pub(crate) fn tag_resource(input: &TagResourceInput, _place: &Place) -> Wanted {
    tagged(Wanted::new("dynamodb:TagResource", input.resource_arn.as_str()), Some(&input.tags))
}

/// What UntagResource wants.
pub(crate) fn untag_resource(input: &UntagResourceInput, _place: &Place) -> Wanted {
    Wanted::new("dynamodb:UntagResource", input.resource_arn.as_str())
        .with_each("aws:tagkeys", input.tag_keys.iter().map(String::as_str))
}

/// The tags that a request gives.
fn tagged(mut wanted: Wanted, tags: Option<&[Tag]>) -> Wanted {
    let Some(tags) = tags.filter(|tags| !tags.is_empty()) else { return wanted };
    for tag in tags {
        wanted = wanted.with(format!("aws:RequestTag/{}", tag.key), tag.value.as_str());
    }
    wanted.with_each("aws:tagkeys", tags.iter().map(|tag| tag.key.as_str()))
}
