//! What the store holds of function URLs.

use lambent_model_lambda::Cors;
use serde::{Deserialize, Serialize};

/// The URL of a function or of an alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UrlRow {
    /// The first label of its host; given once.
    pub(crate) id: String,
    /// The alias.
    pub(crate) qualifier: Option<String>,
    /// AuthType is AWS_IAM.
    pub(crate) is_signed: bool,
    /// `BUFFERED` or `RESPONSE_STREAM`; `None` where nobody said.
    pub(crate) invoke_mode: Option<String>,
    pub(crate) cors: Option<CorsRow>,
    /// Milliseconds since 1970.
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
}

/// Whose URL an id is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UrlTargetRow {
    pub(crate) account: String,
    pub(crate) name: String,
    pub(crate) qualifier: Option<String>,
}

/// What pages of other origins may do, as it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CorsRow {
    pub(crate) allow_credentials: Option<bool>,
    pub(crate) allow_headers: Option<Vec<String>>,
    pub(crate) allow_methods: Option<Vec<String>>,
    pub(crate) allow_origins: Option<Vec<String>>,
    pub(crate) expose_headers: Option<Vec<String>>,
    /// Seconds.
    pub(crate) max_age: Option<i32>,
}

impl CorsRow {
    /// Whether nothing was said, which takes the configuration away.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Cors> for CorsRow {
    fn from(cors: Cors) -> Self {
        let Cors { allow_credentials, allow_headers, allow_methods, allow_origins, expose_headers, max_age } =
            cors;
        Self { allow_credentials, allow_headers, allow_methods, allow_origins, expose_headers, max_age }
    }
}

impl From<CorsRow> for Cors {
    fn from(row: CorsRow) -> Self {
        let CorsRow {
            allow_credentials,
            allow_headers,
            allow_methods,
            allow_origins,
            expose_headers,
            max_age,
        } = row;
        Self { allow_credentials, allow_headers, allow_methods, allow_origins, expose_headers, max_age }
    }
}
