//! Which environment variables a function may have. Source: Lambda Developer Guide, "Using Lambda environment variables".

use std::collections::BTreeMap;

use lambent_model_lambda::Environment;
use lambent_wire::ApiError;

use crate::errors;
use crate::limits::ENVIRONMENT_BYTES_MAX;

/// Those that Lambda sets itself.
const RESERVED: [&str; 19] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];
const UNABLE: &str = "Lambda was unable to configure your environment variables because the environment variables \
                      you have provided";

/// The variables of a request, if it may have them.
pub(crate) fn checked(environment: &Environment) -> Result<BTreeMap<String, String>, ApiError> {
    let variables = environment.variables.clone().unwrap_or_default();
    let reserved: Vec<&str> =
        variables.keys().map(String::as_str).filter(|name| RESERVED.contains(name)).collect();
    if !reserved.is_empty() {
        return Err(errors::invalid(format!(
            "{UNABLE} contains reserved keys that are currently not supported for modification. Reserved keys \
             used in this request: {}",
            reserved.join(", ")
        )));
    }
    let measured = serde_json::to_string(&variables).expect("a map of texts is JSON");
    if measured.len() > ENVIRONMENT_BYTES_MAX {
        return Err(errors::invalid(format!("{UNABLE} exceeded the 4KB limit. String measured: {measured}")));
    }
    Ok(variables)
}
