//! Whose an access key is, and the secret that its signatures are made with.

use crate::{Caller, Identity, IdentityError};

/// What a signature is checked with, and who made it if it fits.
pub struct Credential {
    pub secret_access_key: String,
    pub caller: Caller,
}

impl Identity {
    /// The secret and principal of an access key, before anything is known of the signature.
    ///
    /// Errors: `UnknownAccessKey` also for one that is inactive; `InvalidSessionToken`, `ExpiredSession`; `Sealed` where the
    /// secret is sealed under another master key.
    pub async fn credential(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<Credential, IdentityError> {
        if let Some(token) = session_token {
            return self.session_credential(access_key_id, token).await;
        }
        if access_key_id == self.root.access_key_id {
            let secret_access_key = self.root.secret_access_key.clone();
            return Ok(Credential { secret_access_key, caller: self.root_caller() });
        }
        self.stored_credential(access_key_id).await
    }

    /// The owner's account itself.
    pub fn root_caller(&self) -> Caller {
        self.root_caller.clone()
    }
}
