//! SAML providers: kept with their metadata; nobody signs in by them.

use lambent_api::{ApiError, Call};
use lambent_identity::SamlProvider;
use lambent_model_iam as model;
use lambent_wire::{Empty, Timestamp};

use crate::Iam;
use crate::ask::{expect_may_tag, page, tags_in, tags_out, time};
use crate::errors::api_error;

/// How long metadata without a date of its own is good.
const VALID_YEARS: i64 = 100;
const YEAR_MS: i64 = 31_556_952_000;

impl Iam {
    pub(crate) async fn create_saml_provider(
        &self,
        call: &Call,
        input: model::CreateSAMLProviderRequest,
    ) -> Result<model::CreateSAMLProviderResponse, ApiError> {
        refuse_key(input.add_private_key.as_ref())?;
        expect_may_tag(call, "iam:TagSAMLProvider", input.tags.as_deref()).await?;
        let provider = SamlProvider {
            name: input.name,
            encryption: input.assertion_encryption_mode.map(|mode| mode.as_str().to_owned()),
            tags: tags_in(input.tags.unwrap_or_default()),
            ..SamlProvider::default()
        };
        let create = self.principals(call).create_saml_provider(provider, &input.saml_metadata_document);
        let provider = create.await.map_err(api_error)?;
        Ok(model::CreateSAMLProviderResponse {
            saml_provider_arn: Some(provider.arn()),
            tags: (!provider.tags.is_empty()).then(|| tags_out(&provider.tags)),
        })
    }

    pub(crate) async fn get_saml_provider(
        &self,
        call: &Call,
        input: model::GetSAMLProviderRequest,
    ) -> Result<model::GetSAMLProviderResponse, ApiError> {
        let found = self.principals(call).saml_provider(&input.saml_provider_arn).await;
        let (provider, metadata) = found.map_err(api_error)?;
        Ok(model::GetSAMLProviderResponse {
            assertion_encryption_mode: provider
                .encryption
                .as_deref()
                .map(model::AssertionEncryptionModeType::from),
            create_date: Some(time(provider.created_ms)),
            private_key_list: None,
            saml_metadata_document: Some(metadata),
            tags: Some(tags_out(&provider.tags)),
            valid_until: Some(valid_until(&provider)),
            saml_provider_uuid: Some(provider.uuid),
        })
    }

    pub(crate) async fn list_saml_providers(
        &self,
        call: &Call,
        _input: model::ListSAMLProvidersRequest,
    ) -> Result<model::ListSAMLProvidersResponse, ApiError> {
        let all = self.principals(call).saml_providers().await.map_err(api_error)?;
        let entry = |provider: &SamlProvider| model::SAMLProviderListEntry {
            arn: Some(provider.arn()),
            create_date: Some(time(provider.created_ms)),
            valid_until: Some(valid_until(provider)),
        };
        Ok(model::ListSAMLProvidersResponse { saml_provider_list: Some(all.iter().map(entry).collect()) })
    }

    pub(crate) async fn update_saml_provider(
        &self,
        call: &Call,
        input: model::UpdateSAMLProviderRequest,
    ) -> Result<model::UpdateSAMLProviderResponse, ApiError> {
        refuse_key(input.add_private_key.as_ref())?;
        refuse_key(input.remove_private_key.as_ref())?;
        let arn = &input.saml_provider_arn;
        match &input.saml_metadata_document {
            Some(metadata) => {
                self.principals(call).update_saml_provider(arn, metadata).await.map_err(api_error)?;
            }
            None => {
                self.principals(call).saml_provider(arn).await.map_err(api_error)?;
            }
        }
        Ok(model::UpdateSAMLProviderResponse { saml_provider_arn: Some(input.saml_provider_arn) })
    }

    pub(crate) async fn delete_saml_provider(
        &self,
        call: &Call,
        input: model::DeleteSAMLProviderRequest,
    ) -> Result<Empty, ApiError> {
        let delete = self.principals(call).delete_saml_provider(&input.saml_provider_arn);
        delete.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn tag_saml_provider(
        &self,
        call: &Call,
        input: model::TagSAMLProviderRequest,
    ) -> Result<Empty, ApiError> {
        let (arn, tags) = (&input.saml_provider_arn, tags_in(input.tags));
        self.principals(call).tag_saml_provider(arn, &tags).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn untag_saml_provider(
        &self,
        call: &Call,
        input: model::UntagSAMLProviderRequest,
    ) -> Result<Empty, ApiError> {
        let arn = &input.saml_provider_arn;
        self.principals(call).untag_saml_provider(arn, &input.tag_keys).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn list_saml_provider_tags(
        &self,
        call: &Call,
        input: model::ListSAMLProviderTagsRequest,
    ) -> Result<model::ListSAMLProviderTagsResponse, ApiError> {
        let found = self.principals(call).saml_provider(&input.saml_provider_arn).await;
        let (provider, _) = found.map_err(api_error)?;
        let listed = page(provider.tags, input.marker.as_deref(), input.max_items, |(key, _)| key);
        Ok(model::ListSAMLProviderTagsResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            tags: tags_out(&listed.items),
        })
    }
}

/// Who sends a private key wants assertions decrypted, which nobody here does.
fn refuse_key(key: Option<&String>) -> Result<(), ApiError> {
    match key {
        Some(_) => Err(lambent_api::not_implemented("private keys of SAML providers")),
        None => Ok(()),
    }
}

fn valid_until(provider: &SamlProvider) -> Timestamp {
    time(provider.created_ms + VALID_YEARS * YEAR_MS)
}
