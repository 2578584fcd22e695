//! Layers as callers name them: by name or ARN, and versions of them by ARN.
//! Source: Lambda API Reference, "LayerName" of GetLayerVersion, "Layers" of CreateFunction.

use lambent_base::Place;

use crate::errors;
use crate::names::PARTITION;

/// A layer. A bare name is one of the caller's own place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerName {
    pub(crate) place: Place,
    pub(crate) name: String,
}

/// A version of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerVersionName {
    pub(crate) layer: LayerName,
    pub(crate) number: u64,
}

impl LayerName {
    /// Reads a name or an ARN that the model's pattern has let pass; any other text is a bare name, which no layer has.
    pub(crate) fn parse(text: &str, place: &Place) -> Self {
        match split(text) {
            Some((region, account, name)) if !name.contains(':') => {
                let place = Place { account: account.to_owned(), region: region.to_owned() };
                Self { place, name: name.to_owned() }
            }
            _ => Self { place: place.clone(), name: text.to_owned() },
        }
    }

    pub(crate) fn arn(&self) -> String {
        let Self { place: Place { account, region }, name } = self;
        format!("arn:aws:lambda:{region}:{account}:layer:{name}")
    }

    /// Errors: InvalidParameterValueException for a number that no version has.
    pub(crate) fn version(self, number: i64) -> Result<LayerVersionName, lambent_wire::ApiError> {
        match u64::try_from(number) {
            Ok(number) if number > 0 => Ok(LayerVersionName { layer: self, number }),
            _ => Err(errors::invalid("Layer Version Cannot be less than 1")),
        }
    }
}

impl LayerVersionName {
    /// Reads `arn:aws:lambda:REGION:ACCOUNT:layer:NAME:NUMBER`; `None` for any other text.
    pub(crate) fn parse(arn: &str) -> Option<Self> {
        let (region, account, rest) = split(arn)?;
        let (name, number) = rest.rsplit_once(':')?;
        let layer = LayerName {
            place: Place { account: account.to_owned(), region: region.to_owned() },
            name: name.to_owned(),
        };
        let read: u64 = number.parse().ok()?;
        // No other way to write the same number.
        (read > 0 && read.to_string() == number).then_some(Self { layer, number: read })
    }

    pub(crate) fn arn(&self) -> String {
        format!("{}:{}", self.layer.arn(), self.number)
    }
}

/// The ARN of a layer that policies decide on.
pub(crate) fn layer_resource(text: &str, place: &Place) -> String {
    LayerName::parse(text, place).arn()
}

/// The same of a layer's version.
pub(crate) fn layer_version_resource(text: &str, number: i64, place: &Place) -> String {
    format!("{}:{number}", LayerName::parse(text, place).arn())
}

/// Region, account, and what follows `layer:`.
fn split(arn: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "lambda", region, account, "layer", rest] if *partition == PARTITION => {
            Some((region, account, rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arns_are_read() {
        let place = Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() };
        let own = LayerName::parse("tools", &place);
        assert_eq!(own.arn(), "arn:aws:lambda:us-east-1:000000000000:layer:tools");
        assert_eq!(LayerName::parse(&own.arn(), &place), own);
        let version = own.version(7).unwrap();
        assert_eq!(LayerVersionName::parse(&version.arn()), Some(version));
        assert_eq!(LayerVersionName::parse("arn:aws:lambda:us-east-1:000000000000:layer:tools"), None);
        assert_eq!(LayerVersionName::parse("arn:aws:lambda:::awslayer:x"), None);
        assert!(LayerName::parse("tools", &place).version(0).is_err());
    }

    #[test]
    fn a_version_has_one_spelling() {
        let spelled =
            |partition: &str, number: &str| format!("arn:{partition}:lambda:r:000000000000:layer:x:{number}");
        assert!(LayerVersionName::parse(&spelled("aws", "1")).is_some());
        for (partition, number) in [("aws", "01"), ("aws", "+1"), ("aws", "0"), ("", "1"), ("aws-cn", "1")] {
            assert_eq!(LayerVersionName::parse(&spelled(partition, number)), None, "{partition} {number}");
        }
    }
}
