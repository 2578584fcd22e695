//! The process environment: read here and nowhere else.

/// The value of an environment variable; `None` when it is unset, empty, or not UTF-8.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Gives the root access key's id (with [`ROOT_SECRET_ACCESS_KEY`]); read at first start.
pub const ROOT_ACCESS_KEY_ID: &str = "LAMBENT_ROOT_ACCESS_KEY_ID";
/// Gives the root access key's secret; read at first start.
pub const ROOT_SECRET_ACCESS_KEY: &str = "LAMBENT_ROOT_SECRET_ACCESS_KEY";
/// The account that owns everything, twelve digits; read at first start.
pub const ACCOUNT_ID: &str = "LAMBENT_ACCOUNT_ID";
/// The region that the cloud answers for; read at first start.
pub const REGION: &str = "LAMBENT_REGION";
/// The key under which secrets are sealed, 64 hexadecimal digits: for nodes that share a store.
pub const MASTER_KEY: &str = "LAMBENT_MASTER_KEY";
/// The key that [`MASTER_KEY`], or the data directory's, has replaced: what it sealed is sealed anew at the next start.
pub const MASTER_KEY_OLD: &str = "LAMBENT_MASTER_KEY_OLD";
/// What is logged, in the syntax of `RUST_LOG`; `warn` when unset.
pub const LOG: &str = "LAMBENT_LOG";
