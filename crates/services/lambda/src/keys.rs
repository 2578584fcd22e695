//! The layout of Lambda's rows.
//!
//! | key | value |
//! |---|---|
//! | `lambda/function/` account, region, name | [`crate::rows::FunctionRow`], JSON, a large value |
//! | `lambda/version/` account, region, name, number | [`crate::rows::VersionRow`], JSON: a published version |
//! | `lambda/last-version/` account, region, name | JSON number: the last one that was given; outlives the function |
//! | `lambda/alias/` account, region, name, alias | [`crate::rows::AliasRow`], JSON |
//! | `lambda/policy/` account, region, name | [`crate::rows::PolicyRow`], JSON |
//! | `lambda/policy/` account, region, name, qualifier | the same, of a version or an alias |
//! | `lambda/concurrency/` account, region, name | [`crate::concurrency::reserved::ConcurrencyRow`], JSON |
//! | `lambda/provisioned/` account, region, name, qualifier | [`crate::concurrency::provisioned::ProvisionedRow`], JSON |
//! | `lambda/event-invoke/` account, region, name, qualifier | [`crate::asynchronous::event_invoke::EventInvokeRow`], JSON |
//! | `lambda/recursion/` account, region, name | [`crate::asynchronous::recursion::RecursionRow`], JSON |
//! | `lambda/url/` account, region, name, alias if it is one's | [`crate::urls::UrlRow`], JSON: a function URL |
//! | `lambda/url-id/` region, id | [`crate::urls::UrlTargetRow`], JSON: whose URL it is |
//! | `lambda/pending/` account, region, name | empty: the function is being created or updated |
//! | `lambda/code/` sha256 | [`crate::rows::CodeRow`], JSON: where the deployment package is kept |
//! | `lambda/code-blob/` blob's id | empty: a code row names this blob |
//! | `lambda/code-user/` sha256, account, region, name | empty: the function's row names this code |
//! | `lambda/code-user/` sha256, account, region, name, number | empty: the version's row names this code |
//! | `lambda/code-unused/` sha256 | empty: the code may have lost its last user |
//! | `lambda/code-user/` sha256, `layer`, account, region, name, number | empty: the layer version's row names this code |
//! | `lambda/layer-set-user/` digest, account, region, name | empty: the function's row names these layers together |
//! | `lambda/layer-set-user/` digest, account, region, name, number | empty: the version's row names these layers together |
//! | `lambda/layer-version/` account, region, name, number | [`crate::rows::LayerVersionRow`], JSON |
//! | `lambda/last-layer-version/` account, region, name | JSON number: the last one that was given; outlives the layer |
//! | `lambda/layer-policy/` account, region, name, number | [`crate::rows::LayerPolicyRow`], JSON |
//! | `lambda/runtime-management/` account, region, name, qualifier | [`crate::configuration::runtime_management::RuntimeManagementRow`], JSON |
//! | `lambda/code-signing/` account, region, id | [`crate::code::signing::CodeSigningRow`], JSON |
//! | `lambda/code-signing-user/` account, region, id, name | empty: the function has this configuration |
//! | `lambda/function-code-signing/` account, region, name | JSON text: the id of the function's configuration |
//! | `lambda/url-key` | 32 bytes: signed the URLs from which code is downloaded; removed, none is added |
//!
//! A digest is 64 lower-case hexadecimal digits.

use lambent_base::Place;
use lambent_blobs::BlobId;
use lambent_store::{Key, KeyError, KeyRange, KeyReader};

use crate::names::FunctionName;

const FUNCTION: &[u8] = b"lambda/function/";
const VERSION: &[u8] = b"lambda/version/";
const LAST_VERSION: &[u8] = b"lambda/last-version/";
const ALIAS: &[u8] = b"lambda/alias/";
pub(crate) const POLICY: &[u8] = b"lambda/policy/";
pub(crate) const CONCURRENCY: &[u8] = b"lambda/concurrency/";
pub(crate) const PROVISIONED: &[u8] = b"lambda/provisioned/";
pub(crate) const EVENT_INVOKE: &[u8] = b"lambda/event-invoke/";
pub(crate) const RECURSION: &[u8] = b"lambda/recursion/";
pub(crate) const URL: &[u8] = b"lambda/url/";
const URL_ID: &[u8] = b"lambda/url-id/";
const PENDING: &[u8] = b"lambda/pending/";
const CODE: &[u8] = b"lambda/code/";
const CODE_BLOB: &[u8] = b"lambda/code-blob/";
const CODE_USER: &[u8] = b"lambda/code-user/";
const CODE_UNUSED: &[u8] = b"lambda/code-unused/";
const LAYER_SET_USER: &[u8] = b"lambda/layer-set-user/";
const LAYER_VERSION: &[u8] = b"lambda/layer-version/";
const LAST_LAYER_VERSION: &[u8] = b"lambda/last-layer-version/";
const LAYER_POLICY: &[u8] = b"lambda/layer-policy/";
pub(crate) const RUNTIME_MANAGEMENT: &[u8] = b"lambda/runtime-management/";
const CODE_SIGNING: &[u8] = b"lambda/code-signing/";
const CODE_SIGNING_USER: &[u8] = b"lambda/code-signing-user/";
pub(crate) const FUNCTION_CODE_SIGNING: &[u8] = b"lambda/function-code-signing/";
/// Stands where users of code that are functions have their account.
const LAYER: &str = "layer";

/// The key of [`crate::code::download`]'s secret.
/// A key that earlier releases kept in the clear.
pub(crate) const URL_KEY: &[u8] = b"lambda/url-key";
/// Woken by every commit that changes a function.
pub(crate) const CHANGED: &[u8] = b"lambda/changed";
/// Woken by every commit that leaves work in `lambda/code-unused/`.
pub(crate) const UNUSED: &[u8] = b"lambda/unused";

pub(crate) fn function(place: &Place, name: &str) -> Key {
    functions(place).str(name)
}

/// Every function of a place, by name.
pub(crate) fn functions(place: &Place) -> Key {
    Key::new(FUNCTION).str(&place.account).str(&place.region)
}

pub(crate) fn version(place: &Place, name: &str, number: u64) -> Key {
    versions(place, name).u64(number)
}

/// Every published version of a function, by number.
pub(crate) fn versions(place: &Place, name: &str) -> Key {
    Key::new(VERSION).str(&place.account).str(&place.region).str(name)
}

pub(crate) fn last_version(place: &Place, name: &str) -> Key {
    Key::new(LAST_VERSION).str(&place.account).str(&place.region).str(name)
}

pub(crate) fn alias(place: &Place, name: &str, alias: &str) -> Key {
    aliases(place, name).str(alias)
}

/// Every alias of a function, by name.
pub(crate) fn aliases(place: &Place, name: &str) -> Key {
    Key::new(ALIAS).str(&place.account).str(&place.region).str(name)
}

pub(crate) fn policy(place: &Place, name: &str) -> Key {
    attached(POLICY, place, name)
}

/// The policy of a version or an alias.
pub(crate) fn qualified_policy(place: &Place, name: &str, qualifier: &str) -> Key {
    policy(place, name).str(qualifier)
}

/// The kinds of rows that may hang on a function, and on its versions and aliases by their name, and go with them:
/// keys are the kind, account, region, name, and the qualifier where there is one.
pub(crate) const ATTACHED: [&[u8]; 6] =
    [POLICY, RUNTIME_MANAGEMENT, CONCURRENCY, PROVISIONED, EVENT_INVOKE, RECURSION];

/// What hangs on a function; the beginning of the keys of what hangs on its versions and aliases.
pub(crate) fn attached(kind: &[u8], place: &Place, name: &str) -> Key {
    Key::new(kind).str(&place.account).str(&place.region).str(name)
}

/// The place and function in the key of what hangs on a function, or on a version or alias of it.
pub(crate) fn read_attached(key: &[u8], kind: &[u8]) -> Result<(Place, String), KeyError> {
    let mut reader = KeyReader::new(key, kind)?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    Ok((place, reader.str()?))
}

pub(crate) fn concurrency(place: &Place, name: &str) -> Key {
    attached(CONCURRENCY, place, name)
}

/// Every reservation of a place, by function.
pub(crate) fn concurrencies(place: &Place) -> Key {
    Key::new(CONCURRENCY).str(&place.account).str(&place.region)
}

/// The place and function in a key of [`concurrencies`].
pub(crate) fn read_concurrency(key: &[u8]) -> Result<(Place, String), KeyError> {
    let mut reader = KeyReader::new(key, CONCURRENCY)?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    let name = reader.str()?;
    reader.end()?;
    Ok((place, name))
}

pub(crate) fn provisioned(place: &Place, name: &str, qualifier: &str) -> Key {
    provisioned_of(place, name).str(qualifier)
}

/// What is provisioned of a function, by qualifier.
pub(crate) fn provisioned_of(place: &Place, name: &str) -> Key {
    attached(PROVISIONED, place, name)
}

/// What is provisioned in a place, by function and qualifier.
pub(crate) fn provisioned_in(place: &Place) -> Key {
    Key::new(PROVISIONED).str(&place.account).str(&place.region)
}

/// What is provisioned anywhere.
pub(crate) fn all_provisioned() -> KeyRange {
    KeyRange::prefix(PROVISIONED)
}

/// The place, function and qualifier in a key of [`all_provisioned`].
pub(crate) fn read_provisioned(key: &[u8]) -> Result<(Place, String, String), KeyError> {
    read_qualified(key, PROVISIONED)
}

pub(crate) fn event_invoke(place: &Place, name: &str, qualifier: &str) -> Key {
    event_invokes(place, name).str(qualifier)
}

/// Every configuration of a function's asynchronous invocations, by qualifier.
pub(crate) fn event_invokes(place: &Place, name: &str) -> Key {
    attached(EVENT_INVOKE, place, name)
}

/// The place, function and qualifier in a key of [`event_invokes`].
pub(crate) fn read_event_invoke(key: &[u8]) -> Result<(Place, String, String), KeyError> {
    read_qualified(key, EVENT_INVOKE)
}

pub(crate) fn recursion(place: &Place, name: &str) -> Key {
    attached(RECURSION, place, name)
}

fn read_qualified(key: &[u8], kind: &'static [u8]) -> Result<(Place, String, String), KeyError> {
    let mut reader = KeyReader::new(key, kind)?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    let (name, qualifier) = (reader.str()?, reader.str()?);
    reader.end()?;
    Ok((place, name, qualifier))
}

/// The URL of a function or an alias.
pub(crate) fn url(name: &FunctionName) -> Key {
    match &name.qualifier {
        None => urls(name),
        Some(alias) => urls(name).str(alias),
    }
}

/// The URLs of a function and of its aliases.
pub(crate) fn urls(FunctionName { place, name, .. }: &FunctionName) -> Key {
    attached(URL, place, name)
}

pub(crate) fn url_id(region: &str, id: &str) -> Key {
    Key::new(URL_ID).str(region).str(id)
}

pub(crate) fn all_urls() -> KeyRange {
    KeyRange::prefix(URL)
}

pub(crate) fn all_url_ids() -> KeyRange {
    KeyRange::prefix(URL_ID)
}

pub(crate) fn pending(place: &Place, name: &str) -> Key {
    all_pending().str(&place.account).str(&place.region).str(name)
}

pub(crate) fn all_pending() -> Key {
    Key::new(PENDING)
}

/// The place and name of a pending function.
pub(crate) fn read_pending(key: &[u8]) -> Result<(Place, String), KeyError> {
    let mut reader = KeyReader::new(key, PENDING)?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    let name = reader.str()?;
    reader.end()?;
    Ok((place, name))
}

pub(crate) fn code(sha256: &str) -> Key {
    Key::new(CODE).str(sha256)
}

pub(crate) fn code_blob(id: BlobId) -> Key {
    Key::new(CODE_BLOB).raw(&id.to_bytes())
}

/// The blob in a key of [`code_blob`].
pub(crate) fn read_code_blob(key: &[u8]) -> Option<BlobId> {
    key.strip_prefix(CODE_BLOB)?.try_into().ok().map(BlobId::from_bytes)
}

pub(crate) fn code_user(sha256: &str, place: &Place, name: &str) -> Key {
    code_users(sha256).str(&place.account).str(&place.region).str(name)
}

/// Like [`code_user`], for a published version.
pub(crate) fn code_version(sha256: &str, place: &Place, name: &str, number: u64) -> Key {
    code_user(sha256, place, name).u64(number)
}

pub(crate) fn code_users(sha256: &str) -> Key {
    Key::new(CODE_USER).str(sha256)
}

pub(crate) fn code_unused(sha256: &str) -> Key {
    all_code_unused().str(sha256)
}

pub(crate) fn all_code_unused() -> Key {
    Key::new(CODE_UNUSED)
}

/// The digest of code that may be unused.
pub(crate) fn read_code_unused(key: &[u8]) -> Result<String, KeyError> {
    let mut reader = KeyReader::new(key, CODE_UNUSED)?;
    let sha256 = reader.str()?;
    reader.end()?;
    Ok(sha256)
}

/// Like [`code_user`], for a layer's version.
pub(crate) fn code_layer(sha256: &str, place: &Place, name: &str, number: u64) -> Key {
    code_users(sha256).str(LAYER).str(&place.account).str(&place.region).str(name).u64(number)
}

pub(crate) fn layer_set_user(digest: &str, place: &Place, name: &str) -> Key {
    layer_set_users(digest).str(&place.account).str(&place.region).str(name)
}

/// Like [`layer_set_user`], for a published version.
pub(crate) fn layer_set_version(digest: &str, place: &Place, name: &str, number: u64) -> Key {
    layer_set_user(digest, place, name).u64(number)
}

pub(crate) fn layer_set_users(digest: &str) -> Key {
    Key::new(LAYER_SET_USER).str(digest)
}

pub(crate) fn all_layer_set_users() -> KeyRange {
    KeyRange::prefix(LAYER_SET_USER)
}

/// Every version of every layer of a place.
pub(crate) fn layers_in(place: &Place) -> Key {
    Key::new(LAYER_VERSION).str(&place.account).str(&place.region)
}

pub(crate) fn layer_version(place: &Place, name: &str, number: u64) -> Key {
    layer_versions(place, name).u64(number)
}

/// Every version of a layer, by number.
pub(crate) fn layer_versions(place: &Place, name: &str) -> Key {
    Key::new(LAYER_VERSION).str(&place.account).str(&place.region).str(name)
}

/// Every version of every layer of every place.
pub(crate) fn all_layer_versions() -> KeyRange {
    KeyRange::prefix(LAYER_VERSION)
}

/// The place, name and number in a key of [`all_layer_versions`].
pub(crate) fn read_layer_version(key: &[u8]) -> Result<(Place, String, u64), KeyError> {
    let mut reader = KeyReader::new(key, LAYER_VERSION)?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    let (name, number) = (reader.str()?, reader.u64()?);
    reader.end()?;
    Ok((place, name, number))
}

pub(crate) fn last_layer_version(place: &Place, name: &str) -> Key {
    last_layer_versions(place).str(name)
}

/// Every layer of a place that ever was, by name.
pub(crate) fn last_layer_versions(place: &Place) -> Key {
    Key::new(LAST_LAYER_VERSION).str(&place.account).str(&place.region)
}

/// The same of every place.
pub(crate) fn all_last_layer_versions() -> KeyRange {
    KeyRange::prefix(LAST_LAYER_VERSION)
}

/// The layer's name in a key of [`last_layer_versions`].
pub(crate) fn read_last_layer_version(key: &[u8]) -> Result<String, KeyError> {
    let mut reader = KeyReader::new(key, LAST_LAYER_VERSION)?;
    let (_account, _region, name) = (reader.str()?, reader.str()?, reader.str()?);
    reader.end()?;
    Ok(name)
}

pub(crate) fn layer_policy(place: &Place, name: &str, number: u64) -> Key {
    Key::new(LAYER_POLICY).str(&place.account).str(&place.region).str(name).u64(number)
}

/// What precedes the qualifier.
pub(crate) fn runtime_management(place: &Place, name: &str) -> Key {
    attached(RUNTIME_MANAGEMENT, place, name)
}

pub(crate) fn code_signing(place: &Place, id: &str) -> Key {
    code_signings(place).str(id)
}

/// Every code signing configuration of a place.
pub(crate) fn code_signings(place: &Place) -> Key {
    Key::new(CODE_SIGNING).str(&place.account).str(&place.region)
}

pub(crate) fn all_code_signings() -> KeyRange {
    KeyRange::prefix(CODE_SIGNING)
}

pub(crate) fn code_signing_user(place: &Place, id: &str, name: &str) -> Key {
    code_signing_users(place, id).str(name)
}

/// Every function with a configuration, by name.
pub(crate) fn code_signing_users(place: &Place, id: &str) -> Key {
    Key::new(CODE_SIGNING_USER).str(&place.account).str(&place.region).str(id)
}

/// The function's name in a key of [`code_signing_users`].
pub(crate) fn read_code_signing_user(key: &[u8]) -> Result<String, KeyError> {
    let mut reader = KeyReader::new(key, CODE_SIGNING_USER)?;
    let (_account, _region, _id) = (reader.str()?, reader.str()?, reader.str()?);
    let name = reader.str()?;
    reader.end()?;
    Ok(name)
}

pub(crate) fn function_code_signing(place: &Place, name: &str) -> Key {
    Key::new(FUNCTION_CODE_SIGNING).str(&place.account).str(&place.region).str(name)
}

pub(crate) fn all_layer_policies() -> KeyRange {
    KeyRange::prefix(LAYER_POLICY)
}

/// Every function of every place.
pub(crate) fn all_functions() -> KeyRange {
    KeyRange::prefix(FUNCTION)
}

/// The place and name in a key of [`all_functions`].
pub(crate) fn read_function(key: &[u8]) -> Result<(Place, String), KeyError> {
    let mut reader = KeyReader::new(key, FUNCTION)?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    let name = reader.str()?;
    reader.end()?;
    Ok((place, name))
}

/// Every published version of every place.
pub(crate) fn all_versions() -> KeyRange {
    KeyRange::prefix(VERSION)
}

/// The place, name and number in a key of [`all_versions`].
pub(crate) fn read_version(key: &[u8]) -> Result<(Place, String, u64), KeyError> {
    let mut reader = KeyReader::new(key, VERSION)?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    let (name, number) = (reader.str()?, reader.u64()?);
    reader.end()?;
    Ok((place, name, number))
}

pub(crate) fn all_last_versions() -> KeyRange {
    KeyRange::prefix(LAST_VERSION)
}

pub(crate) fn all_aliases() -> KeyRange {
    KeyRange::prefix(ALIAS)
}

/// The place, function and name in a key of [`all_aliases`].
pub(crate) fn read_alias(key: &[u8]) -> Result<(Place, String, String), KeyError> {
    let mut reader = KeyReader::new(key, ALIAS)?;
    let place = Place { account: reader.str()?, region: reader.str()? };
    let (name, alias) = (reader.str()?, reader.str()?);
    reader.end()?;
    Ok((place, name, alias))
}

pub(crate) fn all_codes() -> KeyRange {
    KeyRange::prefix(CODE)
}

/// The digest in a key of [`all_codes`].
pub(crate) fn read_code(key: &[u8]) -> Result<String, KeyError> {
    let mut reader = KeyReader::new(key, CODE)?;
    let sha256 = reader.str()?;
    reader.end()?;
    Ok(sha256)
}

pub(crate) fn all_code_blobs() -> KeyRange {
    KeyRange::prefix(CODE_BLOB)
}

pub(crate) fn all_code_users() -> KeyRange {
    KeyRange::prefix(CODE_USER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_read_back_round_trip() {
        let place = Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() };
        assert_eq!(read_pending(&pending(&place, "thumb")).unwrap(), (place.clone(), "thumb".to_owned()));
        let version = version(&place, "thumb", 12);
        assert_eq!(read_version(&version).unwrap(), (place.clone(), "thumb".to_owned(), 12));
        let alias = alias(&place, "thumb", "live");
        assert_eq!(read_alias(&alias).unwrap(), (place.clone(), "thumb".to_owned(), "live".to_owned()));
        let qualified = (place.clone(), "thumb".to_owned(), "live".to_owned());
        assert_eq!(read_provisioned(&provisioned(&place, "thumb", "live")).unwrap(), qualified);
        assert_eq!(read_event_invoke(&event_invoke(&place, "thumb", "live")).unwrap(), qualified);
        assert_eq!(read_concurrency(&concurrency(&place, "thumb")).unwrap(), (place, "thumb".to_owned()));
        assert_eq!(read_code_unused(&code_unused("ab12")).unwrap(), "ab12");
    }
}
