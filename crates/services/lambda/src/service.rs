//! The table of operations. Actions and resources are those of "Actions, resources, and condition keys for AWS Lambda" in
//! the Service Authorization Reference.

use std::sync::Arc;

use lambent_api::{Service, operations};
use lambent_model_lambda::ops;

use crate::engine::Engine;
use crate::lambda::Lambda;
use crate::layers::names::{layer_resource, layer_version_resource};
use crate::mappings;
use crate::names::{function_resource, resource};
use crate::wanted;

/// AWS Lambda as the gateway sees it.
pub fn service(lambda: &Arc<Lambda>, engine: &Engine) -> Service {
    let mut service = Service::new(&ops::SERVICE, Some("ValidationException"));
    operations!(service, lambda, {
        plain ops::CreateFunction => create_function, wanted::create_function;
        plain ops::GetFunction => get_function, "lambda:GetFunction",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::GetFunctionConfiguration => get_function_configuration, "lambda:GetFunctionConfiguration",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::ListFunctions => list_functions, "lambda:ListFunctions", |_, _| "*".to_owned();
        plain ops::UpdateFunctionCode => update_function_code, "lambda:UpdateFunctionCode",
            |input, place| function_resource(&input.function_name, place);
        plain ops::UpdateFunctionConfiguration => update_function_configuration,
            wanted::update_function_configuration;
        plain ops::DeleteFunction => delete_function, "lambda:DeleteFunction",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::PublishVersion => publish_version, "lambda:PublishVersion",
            |input, place| function_resource(&input.function_name, place);
        plain ops::ListVersionsByFunction => list_versions_by_function, "lambda:ListVersionsByFunction",
            |input, place| function_resource(&input.function_name, place);
        plain ops::CreateAlias => create_alias, "lambda:CreateAlias",
            |input, place| function_resource(&input.function_name, place);
        plain ops::GetAlias => get_alias, "lambda:GetAlias",
            |input, place| function_resource(&input.function_name, place);
        plain ops::ListAliases => list_aliases, "lambda:ListAliases",
            |input, place| function_resource(&input.function_name, place);
        plain ops::UpdateAlias => update_alias, "lambda:UpdateAlias",
            |input, place| function_resource(&input.function_name, place);
        plain ops::DeleteAlias => delete_alias, "lambda:DeleteAlias",
            |input, place| function_resource(&input.function_name, place);
        plain ops::Invoke => invoke, wanted::invoke;
        upload ops::InvokeAsync => invoke_async, "lambda:InvokeAsync",
            |input, place| resource(&input.function_name, None, place);
        download ops::InvokeWithResponseStream => invoke_with_response_stream,
            wanted::invoke_with_response_stream;
    });
    add_running(&mut service, lambda);
    add_access(&mut service, lambda);
    add_layers(&mut service, lambda);
    add_mappings(&mut service, lambda, &Arc::new(engine.clone()));
    add_kept(&mut service, lambda);
    service
}

/// How functions run: concurrency, asynchronous calls, recursion.
fn add_running(service: &mut Service, lambda: &Arc<Lambda>) {
    operations!(service, lambda, {
        plain ops::PutFunctionConcurrency => put_function_concurrency, "lambda:PutFunctionConcurrency",
            |input, place| function_resource(&input.function_name, place);
        plain ops::GetFunctionConcurrency => get_function_concurrency, "lambda:GetFunctionConcurrency",
            |input, place| function_resource(&input.function_name, place);
        plain ops::DeleteFunctionConcurrency => delete_function_concurrency, "lambda:DeleteFunctionConcurrency",
            |input, place| function_resource(&input.function_name, place);
        plain ops::PutProvisionedConcurrencyConfig => put_provisioned_concurrency_config,
            "lambda:PutProvisionedConcurrencyConfig",
            |input, place| resource(&input.function_name, Some(&input.qualifier), place);
        plain ops::GetProvisionedConcurrencyConfig => get_provisioned_concurrency_config,
            "lambda:GetProvisionedConcurrencyConfig",
            |input, place| resource(&input.function_name, Some(&input.qualifier), place);
        plain ops::DeleteProvisionedConcurrencyConfig => delete_provisioned_concurrency_config,
            "lambda:DeleteProvisionedConcurrencyConfig",
            |input, place| resource(&input.function_name, Some(&input.qualifier), place);
        plain ops::ListProvisionedConcurrencyConfigs => list_provisioned_concurrency_configs,
            "lambda:ListProvisionedConcurrencyConfigs", |input, place| function_resource(&input.function_name, place);
        plain ops::PutFunctionEventInvokeConfig => put_function_event_invoke_config,
            "lambda:PutFunctionEventInvokeConfig",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::UpdateFunctionEventInvokeConfig => update_function_event_invoke_config,
            "lambda:UpdateFunctionEventInvokeConfig",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::GetFunctionEventInvokeConfig => get_function_event_invoke_config,
            "lambda:GetFunctionEventInvokeConfig",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::DeleteFunctionEventInvokeConfig => delete_function_event_invoke_config,
            "lambda:DeleteFunctionEventInvokeConfig",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::ListFunctionEventInvokeConfigs => list_function_event_invoke_configs,
            "lambda:ListFunctionEventInvokeConfigs", |input, place| function_resource(&input.function_name, place);
        plain ops::PutFunctionRecursionConfig => put_function_recursion_config,
            "lambda:PutFunctionRecursionConfig", |input, place| function_resource(&input.function_name, place);
        plain ops::GetFunctionRecursionConfig => get_function_recursion_config,
            "lambda:GetFunctionRecursionConfig", |input, place| function_resource(&input.function_name, place);
        plain ops::GetAccountSettings => get_account_settings, "lambda:GetAccountSettings", |_, _| "*".to_owned();
    });
}

/// Who may call them, and where: URLs and policies.
fn add_access(service: &mut Service, lambda: &Arc<Lambda>) {
    operations!(service, lambda, {
        plain ops::CreateFunctionUrlConfig => create_function_url_config,
            wanted::create_function_url_config;
        plain ops::GetFunctionUrlConfig => get_function_url_config, "lambda:GetFunctionUrlConfig",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::UpdateFunctionUrlConfig => update_function_url_config,
            wanted::update_function_url_config;
        plain ops::DeleteFunctionUrlConfig => delete_function_url_config, "lambda:DeleteFunctionUrlConfig",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::ListFunctionUrlConfigs => list_function_url_configs, "lambda:ListFunctionUrlConfigs",
            |input, place| function_resource(&input.function_name, place);
        plain ops::AddPermission => add_permission, wanted::add_permission;
        plain ops::RemovePermission => remove_permission, "lambda:RemovePermission",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::PutResourcePolicy => put_resource_policy, "lambda:PutResourcePolicy",
            |input, place| resource(&input.resource_arn, None, place);
        plain ops::GetResourcePolicy => get_resource_policy, "lambda:GetResourcePolicy",
            |input, place| resource(&input.resource_arn, None, place);
        plain ops::DeleteResourcePolicy => delete_resource_policy, "lambda:DeleteResourcePolicy",
            |input, place| resource(&input.resource_arn, None, place);
        plain ops::GetPolicy => get_policy, "lambda:GetPolicy",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
    });
}

/// Event source mappings.
fn add_mappings(service: &mut Service, lambda: &Arc<Lambda>, engine: &Arc<Engine>) {
    operations!(service, lambda, {
        plain ops::CreateEventSourceMapping => create_event_source_mapping, wanted::create_event_source_mapping;
        plain ops::ListEventSourceMappings => list_event_source_mappings, "lambda:ListEventSourceMappings",
            |_, _| "*".to_owned();
    });
    // Before anybody has decided only the engine may look, and the operations have none.
    macro_rules! known {
        ($operation:path => $method:ident, $wanted:path) => {
            let lambda = Arc::clone(lambda);
            service.add_known::<$operation, Engine>(engine, $wanted, move |call, input| {
                let lambda = Arc::clone(&lambda);
                Box::pin(async move { Ok(lambda.$method(&call, input).await?) })
            });
        };
    }
    known!(ops::GetEventSourceMapping => get_event_source_mapping, mappings::wanted::get);
    known!(ops::UpdateEventSourceMapping => update_event_source_mapping, mappings::wanted::update);
    known!(ops::DeleteEventSourceMapping => delete_event_source_mapping, mappings::wanted::delete);
}

/// Layers, their versions and policies.
fn add_layers(service: &mut Service, lambda: &Arc<Lambda>) {
    operations!(service, lambda, {
        plain ops::PublishLayerVersion => publish_layer_version, "lambda:PublishLayerVersion",
            |input, place| layer_resource(&input.layer_name, place);
        plain ops::GetLayerVersion => get_layer_version, "lambda:GetLayerVersion",
            |input, place| layer_version_resource(&input.layer_name, input.version_number, place);
        plain ops::GetLayerVersionByArn => get_layer_version_by_arn, "lambda:GetLayerVersion",
            |input, _| input.arn.clone();
        plain ops::DeleteLayerVersion => delete_layer_version, "lambda:DeleteLayerVersion",
            |input, place| layer_version_resource(&input.layer_name, input.version_number, place);
        plain ops::ListLayers => list_layers, "lambda:ListLayers", |_, _| "*".to_owned();
        plain ops::ListLayerVersions => list_layer_versions, "lambda:ListLayerVersions", |_, _| "*".to_owned();
        plain ops::AddLayerVersionPermission => add_layer_version_permission, "lambda:AddLayerVersionPermission",
            |input, place| layer_version_resource(&input.layer_name, input.version_number, place);
        plain ops::RemoveLayerVersionPermission => remove_layer_version_permission,
            "lambda:RemoveLayerVersionPermission",
            |input, place| layer_version_resource(&input.layer_name, input.version_number, place);
        plain ops::GetLayerVersionPolicy => get_layer_version_policy, "lambda:GetLayerVersionPolicy",
            |input, place| layer_version_resource(&input.layer_name, input.version_number, place);
    });
}

/// What is kept beside functions: tags, runtime management, code signing configurations.
fn add_kept(service: &mut Service, lambda: &Arc<Lambda>) {
    operations!(service, lambda, {
        plain ops::TagResource => tag_resource, wanted::tag_resource;
        plain ops::UntagResource => untag_resource, wanted::untag_resource;
        plain ops::ListTags => list_tags, "lambda:ListTags", |input, _| input.resource.clone();
        plain ops::PutRuntimeManagementConfig => put_runtime_management_config,
            "lambda:PutRuntimeManagementConfig",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::GetRuntimeManagementConfig => get_runtime_management_config,
            "lambda:GetRuntimeManagementConfig",
            |input, place| resource(&input.function_name, input.qualifier.as_deref(), place);
        plain ops::CreateCodeSigningConfig => create_code_signing_config,
            wanted::create_code_signing_config;
        plain ops::GetCodeSigningConfig => get_code_signing_config, "lambda:GetCodeSigningConfig",
            |input, _| input.code_signing_config_arn.clone();
        plain ops::UpdateCodeSigningConfig => update_code_signing_config, "lambda:UpdateCodeSigningConfig",
            |input, _| input.code_signing_config_arn.clone();
        plain ops::DeleteCodeSigningConfig => delete_code_signing_config, "lambda:DeleteCodeSigningConfig",
            |input, _| input.code_signing_config_arn.clone();
        plain ops::ListCodeSigningConfigs => list_code_signing_configs, "lambda:ListCodeSigningConfigs",
            |_, _| "*".to_owned();
        plain ops::PutFunctionCodeSigningConfig => put_function_code_signing_config,
            wanted::put_function_code_signing_config;
        plain ops::GetFunctionCodeSigningConfig => get_function_code_signing_config,
            "lambda:GetFunctionCodeSigningConfig", |input, place| function_resource(&input.function_name, place);
        plain ops::DeleteFunctionCodeSigningConfig => delete_function_code_signing_config,
            "lambda:DeleteFunctionCodeSigningConfig",
            |input, place| function_resource(&input.function_name, place);
        plain ops::ListFunctionsByCodeSigningConfig => list_functions_by_code_signing_config,
            "lambda:ListFunctionsByCodeSigningConfig", |input, _| input.code_signing_config_arn.clone();
    });
}
