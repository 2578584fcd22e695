//! What operations want with condition keys that policies may ask.
//! Source: Service Authorization Reference, "Actions, resources, and condition keys for AWS Lambda".

use std::collections::BTreeMap;

use lambent_base::Place;
use lambent_identity::Wanted;
use lambent_model_lambda::{
    AddPermissionRequest, CreateCodeSigningConfigRequest, CreateEventSourceMappingRequest,
    CreateFunctionRequest, CreateFunctionUrlConfigRequest, InvocationRequest,
    InvokeWithResponseStreamRequest, PutFunctionCodeSigningConfigRequest, TagResourceRequest,
    UntagResourceRequest, UpdateFunctionConfigurationRequest, UpdateFunctionUrlConfigRequest, VpcConfig,
};

use crate::names::{function_resource, resource};
use crate::policies::statements::INVOKE;

/// What CreateFunction wants.
pub(crate) fn create_function(input: &CreateFunctionRequest, place: &Place) -> Wanted {
    let wanted = Wanted::new("lambda:CreateFunction", function_resource(&input.function_name, place));
    let wanted = configured(wanted, input.layers.as_deref(), input.vpc_config.as_ref());
    let wanted = with(wanted, "lambda:codesigningconfigarn", input.code_signing_config_arn.as_deref());
    tagged(wanted, input.tags.as_ref())
}

/// What UpdateFunctionConfiguration wants.
pub(crate) fn update_function_configuration(
    input: &UpdateFunctionConfigurationRequest,
    place: &Place,
) -> Wanted {
    let wanted =
        Wanted::new("lambda:UpdateFunctionConfiguration", function_resource(&input.function_name, place));
    configured(wanted, input.layers.as_deref(), input.vpc_config.as_ref())
}

/// What Invoke wants.
pub(crate) fn invoke(input: &InvocationRequest, place: &Place) -> Wanted {
    invoking(&input.function_name, input.qualifier.as_deref(), place)
}

/// What InvokeWithResponseStream wants.
pub(crate) fn invoke_with_response_stream(input: &InvokeWithResponseStreamRequest, place: &Place) -> Wanted {
    invoking(&input.function_name, input.qualifier.as_deref(), place)
}

fn invoking(name: &str, qualifier: Option<&str>, place: &Place) -> Wanted {
    Wanted::new(INVOKE, resource(name, qualifier, place)).with("lambda:invokedviafunctionurl", "false")
}

/// What AddPermission wants.
pub(crate) fn add_permission(input: &AddPermissionRequest, place: &Place) -> Wanted {
    let arn = resource(&input.function_name, input.qualifier.as_deref(), place);
    let wanted = Wanted::new("lambda:AddPermission", arn).with("lambda:principal", input.principal.as_str());
    let auth_type = input.function_url_auth_type.as_ref().map(|kind| kind.as_str());
    with(wanted, "lambda:functionurlauthtype", auth_type)
}

/// What CreateFunctionUrlConfig wants.
pub(crate) fn create_function_url_config(input: &CreateFunctionUrlConfigRequest, place: &Place) -> Wanted {
    let arn = resource(&input.function_name, input.qualifier.as_deref(), place);
    Wanted::new("lambda:CreateFunctionUrlConfig", arn.clone())
        .with("lambda:functionarn", arn)
        .with("lambda:functionurlauthtype", input.auth_type.as_str())
}

/// What UpdateFunctionUrlConfig wants.
pub(crate) fn update_function_url_config(input: &UpdateFunctionUrlConfigRequest, place: &Place) -> Wanted {
    let arn = resource(&input.function_name, input.qualifier.as_deref(), place);
    let wanted = Wanted::new("lambda:UpdateFunctionUrlConfig", arn.clone()).with("lambda:functionarn", arn);
    with(wanted, "lambda:functionurlauthtype", input.auth_type.as_ref().map(|kind| kind.as_str()))
}

/// What PutFunctionCodeSigningConfig wants.
pub(crate) fn put_function_code_signing_config(
    input: &PutFunctionCodeSigningConfigRequest,
    place: &Place,
) -> Wanted {
    Wanted::new("lambda:PutFunctionCodeSigningConfig", function_resource(&input.function_name, place))
        .with("lambda:codesigningconfigarn", input.code_signing_config_arn.as_str())
}

/// What CreateEventSourceMapping wants.
pub(crate) fn create_event_source_mapping(input: &CreateEventSourceMappingRequest, place: &Place) -> Wanted {
    let wanted = Wanted::new("lambda:CreateEventSourceMapping", "*")
        .with("lambda:functionarn", resource(&input.function_name, None, place));
    tagged(wanted, input.tags.as_ref())
}

/// What CreateCodeSigningConfig wants.
pub(crate) fn create_code_signing_config(input: &CreateCodeSigningConfigRequest, _place: &Place) -> Wanted {
    tagged(Wanted::new("lambda:CreateCodeSigningConfig", "*"), input.tags.as_ref())
}

/// What giving tags to something new wants beside making it: who may make things may not by that give them tags that policies
/// ask for. `None` without tags.
/// Source: Lambda Developer Guide, "Permissions required for working with tags".
pub(crate) fn tag_new(arn: &str, tags: &BTreeMap<String, String>) -> Option<Wanted> {
    (!tags.is_empty()).then(|| tagged(Wanted::new("lambda:TagResource", arn).of_a_new_thing(), Some(tags)))
}

/// What TagResource wants.
pub(crate) fn tag_resource(input: &TagResourceRequest, _place: &Place) -> Wanted {
    tagged(Wanted::new("lambda:TagResource", input.resource.as_str()), Some(&input.tags))
}

/// What UntagResource wants.
pub(crate) fn untag_resource(input: &UntagResourceRequest, _place: &Place) -> Wanted {
    Wanted::new("lambda:UntagResource", input.resource.as_str())
        .with_each("aws:tagkeys", input.tag_keys.iter().map(String::as_str))
}

/// That a role is handed to Lambda, as its functions' own.
pub(crate) fn pass_role(role_arn: &str, function_arn: &str) -> Wanted {
    Wanted::new("iam:PassRole", role_arn)
        .with("iam:passedtoservice", crate::functions::spec::SERVICE_PRINCIPAL)
        .with("iam:associatedresourcearn", function_arn)
}

/// The layers and the network of a configuration.
fn configured(mut wanted: Wanted, layers: Option<&[String]>, network: Option<&VpcConfig>) -> Wanted {
    if let Some(layers) = layers {
        wanted = wanted.with_each("lambda:layer", layers.iter().map(String::as_str));
    }
    if let Some(subnets) = network.and_then(|network| network.subnet_ids.as_ref()) {
        wanted = wanted.with_each("lambda:subnetids", subnets.iter().map(String::as_str));
    }
    if let Some(groups) = network.and_then(|network| network.security_group_ids.as_ref()) {
        wanted = wanted.with_each("lambda:securitygroupids", groups.iter().map(String::as_str));
    }
    wanted
}

/// The tags that a request gives.
fn tagged(mut wanted: Wanted, tags: Option<&BTreeMap<String, String>>) -> Wanted {
    let Some(tags) = tags.filter(|tags| !tags.is_empty()) else { return wanted };
    for (key, value) in tags {
        wanted = wanted.with(format!("aws:RequestTag/{key}"), value.as_str());
    }
    wanted.with_each("aws:tagkeys", tags.keys().map(String::as_str))
}

/// With a key that the request may lack.
fn with(wanted: Wanted, key: &'static str, value: Option<&str>) -> Wanted {
    match value {
        Some(value) => wanted.with(key, value),
        None => wanted,
    }
}
