//! Names of tables, indexes and attributes, and ARNs.

use std::borrow::Cow;

use lambent_api::Call;
use lambent_base::{Arn, Place};
use lambent_wire::ApiError;

use crate::error::validation;

/// The one partition that there is.
const PARTITION: &str = "aws";

/// A table that a request names, by its name or its ARN: where it is, and its name.
pub(crate) type TableRef<'a> = (Cow<'a, Place>, Cow<'a, str>);

pub(crate) fn table_arn(place: &Place, name: &str) -> String {
    format!("arn:aws:dynamodb:{}:{}:table/{name}", place.region, place.account)
}

/// The ARN that policies decide on where a request says `TableName`, which may be an ARN itself: then of the table that is
/// read of it, so that no other way to write it passes a policy by. What cannot be read, the handler refuses.
pub(crate) fn resource(place: &Place, table: &str) -> String {
    if !table.starts_with("arn:") {
        return table_arn(place, table);
    }
    of_arn(table).map_or_else(|_| table.to_owned(), |(place, name)| table_arn(&place, &name))
}

/// The table that a request means by `TableName`. One named by an ARN may be another account's: who may what there was
/// decided on before.
pub(crate) fn table_ref<'a>(call: &'a Call, table: &'a str) -> Result<TableRef<'a>, ApiError> {
    place_of(call.place(), table)
}

/// [`table_ref`], where there is no call yet.
pub(crate) fn place_of<'a>(place: &'a Place, table: &'a str) -> Result<TableRef<'a>, ApiError> {
    if !table.starts_with("arn:") {
        return Ok((Cow::Borrowed(place), Cow::Borrowed(table)));
    }
    let (found, name) = of_arn(table)?;
    check_region(place, &found, "TableName/TableArn")?;
    Ok((Cow::Owned(found), Cow::Owned(name)))
}

/// Place and name of a table's ARN.
pub(crate) fn of_arn(arn: &str) -> Result<(Place, String), ApiError> {
    let parsed = in_dynamodb(arn);
    let name =
        parsed.as_ref().and_then(|(_, resource)| resource.strip_prefix("table/")).map(ToOwned::to_owned);
    match (parsed, name) {
        (Some((place, _)), Some(name)) if !name.is_empty() && !name.contains('/') => Ok((place, name)),
        _ => Err(validation(format!("Invalid TableArn: Invalid ResourceArn provided as input {arn}"))),
    }
}

/// Place and resource of an ARN of DynamoDB. All ARNs are read by this: one of another partition would be another text to
/// policies, and the same thing to the store.
pub(crate) fn in_dynamodb(arn: &str) -> Option<(Place, String)> {
    let Arn { partition, service, region, account, resource } = arn.parse().ok()?;
    (partition == PARTITION && service == "dynamodb").then_some((Place { account, region }, resource))
}

/// Place and id of `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/KIND/ID`, where `mark` is `/KIND/` and `parameter` is how the
/// request names it.
///
/// Errors: ValidationException, also for what is in another region than the request came to.
pub(crate) fn of_part(
    place: &Place,
    arn: &str,
    mark: &str,
    parameter: &str,
) -> Result<(Place, String), ApiError> {
    let read = || {
        let (found, resource) = in_dynamodb(arn)?;
        let (_, id) = resource.strip_prefix("table/")?.split_once(mark)?;
        Some((found, id.to_owned()))
    };
    let (found, id) = read().ok_or_else(|| validation(format!("Invalid {parameter}: {arn}")))?;
    check_region(place, &found, parameter)?;
    Ok((found, id))
}

/// Each region has its own tables: an ARN cannot reach out of it.
///
/// Errors: ValidationException.
pub(crate) fn check_region(place: &Place, found: &Place, parameter: &str) -> Result<(), ApiError> {
    if found.region == place.region {
        return Ok(());
    }
    Err(validation(format!(
        "Invalid {parameter}: it is in region {}, and the request came to {}",
        found.region, place.region
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/songs";

    fn place() -> Place {
        Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() }
    }

    #[test]
    fn a_table_has_one_arn() {
        assert_eq!(resource(&place(), "songs"), ARN);
        assert_eq!(resource(&place(), ARN), ARN);
        assert_eq!(of_arn(ARN).unwrap(), (place(), "songs".to_owned()));
        for other in ["arn:x:dynamodb:", "arn::dynamodb:", "arn:aws:dynamo:"] {
            let arn = ARN.replace("arn:aws:dynamodb:", other);
            assert!(of_arn(&arn).is_err(), "{arn}");
            assert!(place_of(&place(), &arn).is_err(), "{arn}");
            assert!(of_part(&place(), &format!("{arn}/backup/1"), "/backup/", "BackupArn").is_err(), "{arn}");
        }
    }

    #[test]
    fn arns_do_not_leave_the_region() {
        let elsewhere = ARN.replace("us-east-1", "eu-west-1");
        assert!(place_of(&place(), &elsewhere).is_err());
        let part = |arn: &str| of_part(&place(), &format!("{arn}/export/1"), "/export/", "ExportArn");
        assert_eq!(part(ARN).unwrap(), (place(), "1".to_owned()));
        assert!(part(&elsewhere).unwrap_err().message.contains("it is in region eu-west-1"));
    }
}
