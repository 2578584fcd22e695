//! The layers of a function: which it may have, and that they stay as long as it has them.
//! Source: Lambda API Reference, "Layers" of CreateFunction; Lambda Developer Guide, "Managing Lambda dependencies with
//! layers".

use lambent_api::Call;
use lambent_base::Place;
use lambent_identity::Wanted;
use lambent_store::Txn;
use lambent_wire::ApiError;

use crate::code::packages;
use crate::errors::{self, LambdaError};
use crate::keys;
use crate::lambda::Lambda;
use crate::layers::names::LayerVersionName;
use crate::limits::{LAYERS_MAX, UNZIPPED_BYTES_LIMIT};
use crate::rows::{self, CodeRef, CodeRow, LayerRef, Settings};

impl Lambda {
    /// The layers that a caller asks for, by the ARNs of their versions.
    ///
    /// Errors: InvalidParameterValueException for too many, for two of one layer, and for what is not there;
    /// AccessDeniedException for what the caller may not look at.
    pub(crate) async fn layers_of(&self, call: &Call, arns: &[String]) -> Result<Vec<LayerRef>, LambdaError> {
        let versions = checked(arns, call.place())?;
        let mut layers = Vec::new();
        for version in versions {
            let arn = version.arn();
            call.authorize(Wanted::new("lambda:GetLayerVersion", arn.clone())).await?;
            let row = self.layer_version(call, &version).await?.ok_or_else(|| missing(&arn))?;
            layers.push(LayerRef { arn, code: row.code });
        }
        Ok(layers)
    }
}

/// Has a function need its layers, in the transaction that makes them its own. Its package is kept already.
///
/// Errors: InvalidParameterValueException for a layer that went away meanwhile, and where all together is too much.
pub(crate) async fn hold_layers(
    txn: &Txn,
    settings: &Settings,
    place: &Place,
    name: &str,
) -> Result<(), LambdaError> {
    if settings.layers.is_empty() {
        return Ok(());
    }
    let mut bytes = 0;
    for layer in &settings.layers {
        bytes += unpacked_bytes(txn, &layer.code).await?.ok_or_else(|| missing(&layer.arn))?;
    }
    if bytes >= UNZIPPED_BYTES_LIMIT {
        return Err(errors::layers_too_large(UNZIPPED_BYTES_LIMIT).into());
    }
    bytes += unpacked_bytes(txn, &settings.code).await?.unwrap_or(0);
    if bytes >= UNZIPPED_BYTES_LIMIT {
        return Err(errors::code_with_layers_too_large(bytes, UNZIPPED_BYTES_LIMIT).into());
    }
    for held in settings.held() {
        packages::hold(txn, &held, place, name);
    }
    Ok(())
}

/// Bytes of a package's files, or of its zip where that is all that is known; `None` where the package is gone.
async fn unpacked_bytes(txn: &Txn, code: &CodeRef) -> Result<Option<u64>, LambdaError> {
    let row = rows::get::<CodeRow>(txn, &keys::code(&code.sha256)).await?;
    Ok(row.map(|row| row.unpacked.unwrap_or(row.size)))
}

/// The versions that these ARNs name, where a function of this place could have them together.
fn checked(arns: &[String], place: &Place) -> Result<Vec<LayerVersionName>, ApiError> {
    if arns.len() > LAYERS_MAX {
        return Err(errors::invalid(format!("Cannot reference more than {LAYERS_MAX} layers.")));
    }
    let mut versions: Vec<LayerVersionName> = Vec::new();
    for arn in arns {
        let version = LayerVersionName::parse(arn).ok_or_else(|| missing(arn))?;
        if version.layer.place.region != place.region {
            return Err(errors::invalid(format!(
                "Layers are not in the same region as the function. Layers are expected to be in region {}.",
                place.region
            )));
        }
        if let Some(other) = versions.iter().find(|other| other.layer == version.layer) {
            return Err(errors::invalid(format!(
                "Two different versions of the same layer are not allowed to be referenced in the same function. {} \
                 and {arn} are versions of the same layer.",
                other.arn()
            )));
        }
        versions.push(version);
    }
    Ok(versions)
}

fn missing(arn: &str) -> ApiError {
    errors::invalid(format!("Layer version {arn} does not exist."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arns(list: &[&str]) -> Vec<String> {
        let arn = |rest: &&str| format!("arn:aws:lambda:us-east-1:000000000000:layer:{rest}");
        list.iter().map(arn).collect()
    }

    #[test]
    fn layers_that_do_not_go_together_are_refused() {
        let place = Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() };
        assert_eq!(checked(&arns(&["a:1", "b:1", "c:2"]), &place).unwrap().len(), 3);
        let refused = |list: &[String]| checked(list, &place).unwrap_err().message;
        assert_eq!(
            refused(&arns(&["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"])),
            "Cannot reference more than 5 layers."
        );
        assert!(refused(&arns(&["a:1", "b:1", "a:2"])).ends_with(
            "arn:aws:lambda:us-east-1:000000000000:layer:a:1 and arn:aws:lambda:us-east-1:000000000000:layer:a:2 are \
             versions of the same layer."
        ));
        let elsewhere = Place { region: "eu-west-1".to_owned(), ..place.clone() };
        let error = checked(&arns(&["a:1"]), &elsewhere).unwrap_err();
        assert!(error.message.ends_with("Layers are expected to be in region eu-west-1."), "{error}");
        assert!(refused(&["arn:aws:lambda:::awslayer:x".to_owned()]).ends_with("does not exist."));
    }
}
