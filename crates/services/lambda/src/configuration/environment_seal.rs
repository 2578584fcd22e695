//! Environment variables at rest: the store, its dumps and backups hold them sealed under the master key only.
//! Source: Lambda Developer Guide, "Securing Lambda environment variables".

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lambent_identity::{Identity, MasterKey};
use serde::{Deserialize, Serialize};

use crate::errors::LambdaError;
use crate::rows::{FunctionRow, Settings};

const PURPOSE: &str = "lambda environment variables";

/// Environment variables as a row holds them: a text where they are sealed, an object where an older release left them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Variables {
    /// Base64 of what the master key made of a JSON object.
    Sealed(String),
    /// In the clear; the function's next change seals them.
    Clear(BTreeMap<String, String>),
}

impl Variables {
    pub(crate) fn seal(variables: &BTreeMap<String, String>, identity: &Identity) -> Self {
        let plain = serde_json::to_vec(variables).expect("a map of texts is JSON");
        Self::Sealed(BASE64.encode(identity.seal(PURPOSE, &plain)))
    }

    pub(crate) fn open(&self, identity: &Identity) -> Result<BTreeMap<String, String>, LambdaError> {
        self.opened(|sealed| identity.open(PURPOSE, sealed)).ok_or(LambdaError::Unsealed)
    }

    /// The same under another key than the cloud's.
    pub(crate) fn open_with(&self, key: &MasterKey) -> Option<BTreeMap<String, String>> {
        self.opened(|sealed| key.open(PURPOSE.as_bytes(), sealed))
    }

    fn opened(&self, open: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<BTreeMap<String, String>> {
        match self {
            Self::Clear(variables) => Some(variables.clone()),
            Self::Sealed(sealed) => serde_json::from_slice(&open(&BASE64.decode(sealed).ok()?)?).ok(),
        }
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables(..)")
    }
}

impl Settings {
    /// The environment variables, none where there is no Environment; an error where they were sealed under another key.
    pub(crate) fn variables(&self, identity: &Identity) -> Result<BTreeMap<String, String>, LambdaError> {
        self.environment.as_ref().map_or_else(|| Ok(BTreeMap::new()), |variables| variables.open(identity))
    }

    /// Seals what an older release wrote in the clear; whether there was any.
    pub(crate) fn seal(&mut self, identity: &Identity) -> bool {
        let Some(Variables::Clear(variables)) = &self.environment else { return false };
        self.environment = Some(Variables::seal(variables, identity));
        true
    }
}

impl FunctionRow {
    /// The same for all that the row holds: to be done before it is written.
    pub(crate) fn seal(&mut self, identity: &Identity) {
        self.settings.seal(identity);
        if let Some(previous) = &mut self.previous {
            previous.seal(identity);
        }
    }
}
