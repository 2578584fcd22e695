//! ARNs of groups and streams, and the two ways to name a group.

use lambent_base::{Arn, Place};
use lambent_model_logs::errors::{
    invalid_parameter_exception, resource_not_found_exception, validation_exception,
};

use crate::LogsError;

/// What DescribeLogGroups calls `logGroupArn`.
pub(crate) fn group_arn(place: &Place, group: &str) -> String {
    Arn::new("logs", &place.region, &place.account, format!("log-group:{group}")).to_string()
}

pub(crate) fn stream_arn(place: &Place, group: &str, stream: &str) -> String {
    format!("{}:log-stream:{stream}", group_arn(place, group))
}

/// The group's name, given by exactly one of `logGroupName` and `logGroupIdentifier` (a name or an ARN).
pub(crate) fn group_of(
    place: &Place,
    name: Option<String>,
    identifier: Option<String>,
) -> Result<String, LogsError> {
    match (name, identifier) {
        (Some(_), Some(_)) => {
            Err(validation_exception("LogGroup name and LogGroup ARN are mutually exclusive parameters.")
                .into())
        }
        (Some(name), None) => Ok(name),
        (None, Some(identifier)) => named_by(place, identifier),
        (None, None) => {
            Err(invalid_parameter_exception("Either LogGroup name or LogGroup ARN must be specified.").into())
        }
    }
}

/// The group's name, given by its name or by its ARN with or without `:*`.
pub(crate) fn named_by(place: &Place, identifier: String) -> Result<String, LogsError> {
    if !identifier.starts_with("arn:") {
        return Ok(identifier);
    }
    let invalid =
        || invalid_parameter_exception(format!("The specified log group ARN `{identifier}` is invalid."));
    let arn: Arn = identifier.parse().map_err(|_| invalid())?;
    let name =
        arn.resource.strip_prefix("log-group:").filter(|_| arn.service == "logs").ok_or_else(invalid)?;
    if arn.account != place.account || arn.region != place.region {
        return Err(resource_not_found_exception("The specified log group does not exist.").into());
    }
    Ok(name.strip_suffix(":*").unwrap_or(name).to_owned())
}

/// The group's name for a policy decision, whatever else is wrong with the input.
pub(crate) fn resource_group(name: Option<&str>, identifier: Option<&str>) -> String {
    let identifier = identifier.unwrap_or_default();
    let from_arn = identifier.split_once(":log-group:").map_or(identifier, |(_, name)| name);
    name.unwrap_or_else(|| from_arn.strip_suffix(":*").unwrap_or(from_arn)).to_owned()
}
