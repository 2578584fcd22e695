//! From a function's row to what the pool runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lambent_base::BoxFuture;
use lambent_identity::Identity;
use lambent_pool::{Credentials, CredentialsSource, FunctionKey, FunctionSpec, Needs};

use crate::configuration::logging;
use crate::errors::LambdaError;
use crate::limits::{self, CREDENTIALS_TTL};
use crate::names::{FunctionName, LATEST, Which};
use crate::rows::Settings;

/// The principal that a function's role must trust.
pub(crate) const SERVICE_PRINCIPAL: &str = "lambda.amazonaws.com";

/// What the pool must know to run these settings.
pub(crate) fn build(
    settings: &Settings,
    name: &FunctionName,
    which: Which,
    code_dir: PathBuf,
    opt_dir: Option<PathBuf>,
    identity: Arc<Identity>,
) -> Result<FunctionSpec, LambdaError> {
    let FunctionName { place, name, .. } = name;
    let environment = settings.variables(&identity)?.into_iter().collect();
    let extensions = opt_dir.as_deref().map(extensions_in).unwrap_or_default();
    Ok(FunctionSpec {
        key: FunctionKey {
            account: place.account.clone(),
            region: place.region.clone(),
            name: name.clone(),
            version: match which {
                Which::Latest => LATEST.to_owned(),
                Which::Published(number) => number.to_string(),
            },
            revision: settings.run_revision.clone(),
        },
        runtime: settings.runtime.clone(),
        handler: settings.handler.clone(),
        memory_mib: settings.memory_mib.unsigned_abs(),
        timeout_ms: settings.timeout_s.unsigned_abs() * 1000,
        ephemeral_mib: settings.ephemeral_mib.unsigned_abs(),
        environment,
        code_dir,
        opt_dir,
        image: None,
        code_cache: None,
        log_group: settings.log_group.clone(),
        logging: logging::for_pool(settings),
        tracing_active: settings.tracing_active,
        extensions,
        snap_start: settings.snap_start && which != Which::Latest && settings.runtime.starts_with("python"),
        reserved_concurrency: None,
        credentials: Arc::new(RoleCredentials {
            identity,
            role_arn: settings.role.clone(),
            session_name: name.clone(),
        }),
    })
}

/// The programs that come up beside a function which has this as `/opt`, in the order of their names; folders are none.
/// No link is followed, as on the host it may lead elsewhere.
pub(crate) fn extensions_in(opt_dir: &Path) -> Vec<String> {
    let folder = opt_dir.join("extensions");
    let is_real = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if !is_real(opt_dir) || !is_real(&folder) {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_file = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| !kind.is_dir());
    let files = entries.flatten().filter(is_file);
    let mut names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names.truncate(limits::EXTENSIONS_MAX);
    names
}

/// What an environment of these settings must be like before it has a function.
pub(crate) fn needs(settings: &Settings, identity: &Identity) -> Result<Needs, LambdaError> {
    Ok(Needs {
        runtime: settings.runtime.clone(),
        memory_mib: settings.memory_mib.unsigned_abs(),
        ephemeral_mib: settings.ephemeral_mib.unsigned_abs(),
        environment: settings.variables(identity)?.into_iter().collect(),
        extensions: 0,
        image: None,
    })
}

/// Credentials of a function's role; the session is named after the function, as on AWS.
struct RoleCredentials {
    identity: Arc<Identity>,
    role_arn: String,
    session_name: String,
}

impl CredentialsSource for RoleCredentials {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, String>> {
        Box::pin(async {
            let seconds = i64::try_from(CREDENTIALS_TTL.as_secs()).expect("hours are few seconds");
            let assumed = self
                .identity
                .assume_role_as_service(SERVICE_PRINCIPAL, &self.role_arn, &self.session_name, seconds)
                .await;
            let session = assumed.map_err(|error| error.to_string())?;
            Ok(Credentials {
                access_key_id: session.access_key_id,
                secret_access_key: session.secret_access_key,
                session_token: session.session_token,
            })
        })
    }
}
