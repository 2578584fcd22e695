//! AssumeRoleWithWebIdentity: a token takes the place of a signature.

use std::sync::Arc;

use lambent_api::{ApiError, OpenCall};
use lambent_identity::{
    AssumeRoleWithWebIdentity, Claims, IdentityError, OidcProvider, TokenError, Unverified,
};
use lambent_model_sts::{self as model, errors as model_errors};

use crate::key_sets::{FetchError, address_of};
use crate::{Sts, errors, outputs, roles};

impl Sts {
    pub(crate) async fn assume_role_with_web_identity(
        &self,
        call: &OpenCall,
        input: model::AssumeRoleWithWebIdentityRequest,
    ) -> Result<model::AssumeRoleWithWebIdentityResponse, ApiError> {
        if input.provider_id.is_some() {
            return Err(lambent_api::not_implemented("ProviderId, of OAuth 2.0 access tokens"));
        }
        outputs::expect_arn(&input.role_arn)?;
        let token = Unverified::read(&input.web_identity_token).map_err(|error| errors::of_token(&error))?;
        let provider = self.provider(&input.role_arn, token.issuer()).await?;
        let claims = self.verified(&token, &provider, call.context.time_ms / 1_000).await?;
        let audience = audience(claims, &provider)?;
        let request = AssumeRoleWithWebIdentity {
            role_arn: &input.role_arn,
            session_name: &input.role_session_name,
            seconds: input.duration_seconds.unwrap_or(roles::DURATION_SECONDS_DEFAULT).into(),
            policy: input.policy.as_deref(),
            policy_arns: outputs::arns(input.policy_arns.as_ref()),
            provider: &provider,
            claims,
            at: call.context.circumstances(),
        };
        let given = self.identity.assume_role_with_web_identity(request).await;
        let given = given.map_err(errors::of_identity)?;
        let (policy, arns) = (input.policy.as_ref(), input.policy_arns.as_ref());
        Ok(model::AssumeRoleWithWebIdentityResponse {
            assumed_role_user: Some(outputs::assumed_role_user(&given)),
            audience: Some(audience.to_owned()),
            packed_policy_size: outputs::packed_size(&given, policy, arns, None),
            provider: Some(provider.arn()),
            source_identity: given.source_identity.clone(),
            subject_from_web_identity_token: Some(claims.subject.clone()),
            credentials: Some(outputs::credentials(given)),
            ..Default::default()
        })
    }

    /// The provider of the role's account that a token says it comes from.
    async fn provider(&self, role_arn: &str, issuer: &str) -> Result<OidcProvider, ApiError> {
        let unknown = || {
            let told = format!("No OpenIDConnect provider found in your account for {issuer}");
            model_errors::invalid_identity_token_exception(told)
        };
        match self.identity.vouching_provider(role_arn, address_of(issuer)).await {
            Ok(provider) => Ok(provider),
            Err(IdentityError::NoSuch { .. }) => Err(unknown()),
            Err(error) => Err(errors::of_identity(error)),
        }
    }

    /// What the token claims, if the provider has signed it.
    async fn verified<'a>(
        &self,
        token: &'a Unverified<'_>,
        provider: &OidcProvider,
        now_s: i64,
    ) -> Result<&'a Claims, ApiError> {
        let keys = self.keys(provider, None).await?;
        let verified = match token.verify(&keys, now_s) {
            // It may have a new one since.
            Err(TokenError::NoKey) => token.verify(&*self.keys(provider, Some(&keys)).await?, now_s),
            verified => verified,
        };
        verified.map_err(|error| errors::of_token(&error))
    }

    async fn keys(
        &self,
        provider: &OidcProvider,
        newer_than: Option<&Arc<lambent_identity::KeySet>>,
    ) -> Result<Arc<lambent_identity::KeySet>, ApiError> {
        let keys = self.key_sets.of(provider.issuer(), newer_than).await;
        keys.map_err(|error: FetchError| {
            tracing::warn!(provider = provider.arn(), %error, "the keys of an identity provider are not to be had");
            errors::of_fetch(&error)
        })
    }
}

/// Whom the token was made for, if that is somebody whom the provider was registered for.
fn audience<'a>(claims: &'a Claims, provider: &OidcProvider) -> Result<&'a str, ApiError> {
    let is_known = |audience: &&String| provider.client_ids.contains(audience);
    let mut audiences = claims.authorized_party.iter().chain(&claims.audiences);
    let known = audiences.find(is_known).map(String::as_str);
    known.ok_or_else(|| model_errors::invalid_identity_token_exception("Incorrect token audience"))
}
