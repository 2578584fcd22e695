//! Who may use a function URL.
//!
//! Since October 2025 a request takes two actions: InvokeFunctionUrl, and InvokeFunction with the condition key
//! `lambda:InvokedViaFunctionUrl`. Source: AWS Lambda Developer Guide, "Control access to Lambda function URLs".

use lambent_identity::{Caller, Circumstances, Identity, IdentityError, Wanted};
use lambent_wire::ApiError;

use crate::policies::statements::INVOKE;

const INVOKE_URL: &str = "lambda:InvokeFunctionUrl";
const FORBIDDEN: &str = "Forbidden. For troubleshooting Function URL authorization issues, see: \
                         https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";

/// Fails unless the caller, or anybody where there is none, may use the URL of this resource.
pub(super) async fn check(
    identity: &Identity,
    at: &Circumstances,
    caller: Option<&Caller>,
    resource: &str,
) -> Result<(), ApiError> {
    let auth_type = if caller.is_some() { "AWS_IAM" } else { "NONE" };
    let nobody = Caller::anonymous();
    for action in [INVOKE_URL, INVOKE] {
        let wanted = Wanted::new(action, resource)
            .with("lambda:functionurlauthtype", auth_type)
            .with("lambda:invokedviafunctionurl", "true");
        match identity.authorize(caller.unwrap_or(&nobody), at, wanted).await {
            Ok(_) => {}
            Err(IdentityError::Denied(_)) => {
                tracing::debug!(resource, action, "a request to a function URL is not allowed");
                return Err(forbidden());
            }
            Err(other) => return Err(ApiError::internal(&other)),
        }
    }
    Ok(())
}

pub(super) fn forbidden() -> ApiError {
    ApiError::new("AccessDeniedException", 403, FORBIDDEN).message_in("Message")
}
