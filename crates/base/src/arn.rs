//! Amazon Resource Names, `arn:partition:service:region:account:resource`.
//! Source: AWS General Reference, "Amazon Resource Names (ARNs)".

use std::fmt;
use std::str::FromStr;

/// A parsed ARN; empty parts are allowed where AWS allows them (S3 has no region and account).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arn {
    pub partition: String,
    pub service: String,
    pub region: String,
    pub account: String,
    /// Everything after the fifth colon, as `function:thumbnail`.
    pub resource: String,
}

/// Why a text is not an ARN.
#[derive(Debug, thiserror::Error)]
#[error("expected arn:partition:service:region:account:resource, got `{0}`")]
pub struct ArnError(pub String);

impl Arn {
    /// An ARN of the `aws` partition.
    pub fn new(service: &str, region: &str, account: &str, resource: impl Into<String>) -> Self {
        Self {
            partition: "aws".to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.into(),
        }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, service, region, account, resource] if !resource.is_empty() => Ok(Self {
                partition: (*partition).to_owned(),
                service: (*service).to_owned(),
                region: (*region).to_owned(),
                account: (*account).to_owned(),
                resource: (*resource).to_owned(),
            }),
            _ => Err(ArnError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_round_trip() {
        let text = "arn:aws:lambda:us-east-1:000000000000:function:thumbnail:7";
        let arn: Arn = text.parse().unwrap();
        assert_eq!(arn.resource, "function:thumbnail:7");
        assert_eq!(arn.to_string(), text);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "arn:aws:s3", "urn:aws:s3:::bucket", "arn:aws:s3:::"] {
            assert!(text.parse::<Arn>().is_err(), "{text}");
        }
    }
}
