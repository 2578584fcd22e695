//! OpenID Connect providers.

use lambent_api::{ApiError, Call};
use lambent_identity::OidcProvider;
use lambent_model_iam as model;
use lambent_wire::Empty;

use crate::Iam;
use crate::ask::{expect_may_tag, page, tags_in, tags_out, time};
use crate::errors::api_error;

impl Iam {
    pub(crate) async fn create_open_id_connect_provider(
        &self,
        call: &Call,
        input: model::CreateOpenIDConnectProviderRequest,
    ) -> Result<model::CreateOpenIDConnectProviderResponse, ApiError> {
        expect_may_tag(call, "iam:TagOpenIDConnectProvider", input.tags.as_deref()).await?;
        let provider = OidcProvider {
            url: input.url,
            client_ids: input.client_id_list.unwrap_or_default(),
            thumbprints: input.thumbprint_list.unwrap_or_default(),
            tags: tags_in(input.tags.unwrap_or_default()),
            ..OidcProvider::default()
        };
        let provider = self.principals(call).create_oidc_provider(provider).await.map_err(api_error)?;
        Ok(model::CreateOpenIDConnectProviderResponse {
            open_id_connect_provider_arn: Some(provider.arn()),
            tags: (!provider.tags.is_empty()).then(|| tags_out(&provider.tags)),
        })
    }

    pub(crate) async fn get_open_id_connect_provider(
        &self,
        call: &Call,
        input: model::GetOpenIDConnectProviderRequest,
    ) -> Result<model::GetOpenIDConnectProviderResponse, ApiError> {
        let provider = self.oidc(call, &input.open_id_connect_provider_arn).await?;
        Ok(model::GetOpenIDConnectProviderResponse {
            url: Some(provider.issuer().to_owned()),
            create_date: Some(time(provider.created_ms)),
            tags: Some(tags_out(&provider.tags)),
            client_id_list: Some(provider.client_ids),
            thumbprint_list: Some(provider.thumbprints),
        })
    }

    pub(crate) async fn list_open_id_connect_providers(
        &self,
        call: &Call,
        _input: model::ListOpenIDConnectProvidersRequest,
    ) -> Result<model::ListOpenIDConnectProvidersResponse, ApiError> {
        let all = self.principals(call).oidc_providers().await.map_err(api_error)?;
        let entry =
            |provider: &OidcProvider| model::OpenIDConnectProviderListEntry { arn: Some(provider.arn()) };
        Ok(model::ListOpenIDConnectProvidersResponse {
            open_id_connect_provider_list: Some(all.iter().map(entry).collect()),
        })
    }

    pub(crate) async fn add_client_id_to_open_id_connect_provider(
        &self,
        call: &Call,
        input: model::AddClientIDToOpenIDConnectProviderRequest,
    ) -> Result<Empty, ApiError> {
        let arn = &input.open_id_connect_provider_arn;
        self.principals(call).add_client_id(arn, &input.client_id).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn remove_client_id_from_open_id_connect_provider(
        &self,
        call: &Call,
        input: model::RemoveClientIDFromOpenIDConnectProviderRequest,
    ) -> Result<Empty, ApiError> {
        let arn = &input.open_id_connect_provider_arn;
        self.principals(call).remove_client_id(arn, &input.client_id).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn update_open_id_connect_provider_thumbprint(
        &self,
        call: &Call,
        input: model::UpdateOpenIDConnectProviderThumbprintRequest,
    ) -> Result<Empty, ApiError> {
        let arn = &input.open_id_connect_provider_arn;
        let set = self.principals(call).set_thumbprints(arn, &input.thumbprint_list);
        set.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn delete_open_id_connect_provider(
        &self,
        call: &Call,
        input: model::DeleteOpenIDConnectProviderRequest,
    ) -> Result<Empty, ApiError> {
        let arn = &input.open_id_connect_provider_arn;
        self.principals(call).delete_oidc_provider(arn).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn tag_open_id_connect_provider(
        &self,
        call: &Call,
        input: model::TagOpenIDConnectProviderRequest,
    ) -> Result<Empty, ApiError> {
        let (arn, tags) = (&input.open_id_connect_provider_arn, tags_in(input.tags));
        self.principals(call).tag_oidc_provider(arn, &tags).await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn untag_open_id_connect_provider(
        &self,
        call: &Call,
        input: model::UntagOpenIDConnectProviderRequest,
    ) -> Result<Empty, ApiError> {
        let arn = &input.open_id_connect_provider_arn;
        let untag = self.principals(call).untag_oidc_provider(arn, &input.tag_keys);
        untag.await.map_err(api_error)?;
        Ok(Empty {})
    }

    pub(crate) async fn list_open_id_connect_provider_tags(
        &self,
        call: &Call,
        input: model::ListOpenIDConnectProviderTagsRequest,
    ) -> Result<model::ListOpenIDConnectProviderTagsResponse, ApiError> {
        let tags = self.oidc(call, &input.open_id_connect_provider_arn).await?.tags;
        let listed = page(tags, input.marker.as_deref(), input.max_items, |(key, _)| key);
        Ok(model::ListOpenIDConnectProviderTagsResponse {
            is_truncated: Some(listed.marker.is_some()),
            marker: listed.marker,
            tags: tags_out(&listed.items),
        })
    }

    async fn oidc(&self, call: &Call, arn: &str) -> Result<OidcProvider, ApiError> {
        self.principals(call).oidc_provider(arn).await.map_err(api_error)
    }
}
