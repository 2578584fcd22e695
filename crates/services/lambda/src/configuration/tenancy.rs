//! Tenant isolation: an environment serves calls of one tenant only, whom each call names.
//! Source: Lambda Developer Guide, "Tenant isolation".

use lambent_model_lambda::{TenancyConfig, TenantIsolationMode};
use lambent_wire::ApiError;

use crate::errors;
use crate::rows::Settings;

const WITH_TENANTS: &str = "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your \
                            request and try again.";
const WITHOUT_TENANTS: &str = "The invoked function is not enabled with tenancy configuration. Remove the tenant ID \
                               from your request and try again.";

/// Takes over a new function's TenancyConfig, which nobody changes later.
pub(crate) fn apply(settings: &mut Settings, config: Option<&TenancyConfig>) {
    settings.is_per_tenant =
        config.is_some_and(|config| config.tenant_isolation_mode == TenantIsolationMode::PerTenant);
}

/// As answers have it; `None` without tenant isolation.
pub(crate) fn shown(settings: &Settings) -> Option<TenancyConfig> {
    settings.is_per_tenant.then_some(TenancyConfig { tenant_isolation_mode: TenantIsolationMode::PerTenant })
}

/// Fails unless a call names a tenant exactly where the function wants one.
pub(crate) fn check_call(is_per_tenant: bool, tenant_id: Option<&str>) -> Result<(), ApiError> {
    match (is_per_tenant, tenant_id) {
        (true, None) => Err(errors::invalid(WITH_TENANTS)),
        (false, Some(_)) => Err(errors::invalid(WITHOUT_TENANTS)),
        _ => Ok(()),
    }
}

/// Fails where a function that keeps its tenants apart cannot have something, in which no call names its tenant.
pub(crate) fn refuse(settings: &Settings, what: &str) -> Result<(), ApiError> {
    if settings.is_per_tenant {
        return Err(errors::invalid(format!("{what} is not supported for functions with tenant isolation.")));
    }
    Ok(())
}
