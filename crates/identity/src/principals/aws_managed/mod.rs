//! Managed policies that AWS owns: the same in every account, attachable, not changeable.

mod catalogue;

use lambent_base::Arn;

use super::ID_ALPHABET;

/// The account in the ARNs of AWS's own policies.
pub(crate) const AWS: &str = "aws";

/// A managed policy of AWS.
#[derive(Debug)]
pub(crate) struct AwsManaged {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    known_id: &'static str,
    /// The number of the default version, the only one that is kept.
    pub(crate) version: u64,
    /// When that version was made, seconds since 1970.
    pub(crate) made_s: i64,
    pub(crate) description: &'static str,
    pub(crate) document: &'static str,
}

/// All of them, by name.
pub(crate) fn all() -> &'static [AwsManaged] {
    catalogue::CATALOGUE
}

/// The one with this ARN.
pub(crate) fn find(arn: &Arn) -> Option<&'static AwsManaged> {
    let name = arn.resource.rsplit('/').next()?;
    let at = all().binary_search_by(|policy| policy.name.cmp(name)).ok()?;
    let found = &all()[at];
    (arn.resource == format!("policy{}{}", found.path, found.name)).then_some(found)
}

impl AwsManaged {
    /// AWS's own id; where that is not known one that is always the same.
    pub(crate) fn id(&self) -> String {
        if !self.known_id.is_empty() {
            return self.known_id.to_owned();
        }
        // FNV-1a, drawn on as far as there are letters to choose.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut step = |byte: u8| {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            hash
        };
        for byte in self.name.bytes() {
            step(byte);
        }
        let letters = (0..super::ID_LENGTH).map(|_| {
            let letter = usize::try_from(step(0) >> 59).expect("five bits");
            char::from(ID_ALPHABET[letter])
        });
        format!("ANPA{}", letters.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Policy;

    #[test]
    fn every_document_is_a_policy_that_its_arn_finds() {
        let mut ids = HashSet::new();
        for policy in all() {
            assert!(Policy::stored(policy.document).is_ok(), "{}", policy.name);
            let arn = Arn::new("iam", "", AWS, format!("policy{}{}", policy.path, policy.name));
            assert_eq!(find(&arn).map(|found| found.name), Some(policy.name));
            let id = policy.id();
            assert!(id.len() == 21 && id.starts_with("ANPA"), "{id}");
            assert!(ids.insert(id), "{} has the id of another", policy.name);
        }
        let elsewhere: Arn = "arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole".parse().unwrap();
        assert!(find(&elsewhere).is_none(), "it lies under /service-role/");
    }
}
