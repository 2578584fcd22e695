//! The credential: an access key id and the scope in which its derived key is valid.

use crate::MAX_CREDENTIAL_BYTES;
use std::borrow::Cow;

/// The last piece of every credential scope.
pub(crate) const TERMINATOR: &str = "aws4_request";

/// `AKID/20150830/us-east-1/s3/aws4_request`, with the places of its pieces.
#[derive(Clone, Debug)]
pub(crate) struct Credential<'a> {
    text: Cow<'a, str>,
    /// Ends of access key id, date, region, service.
    ends: [usize; 4],
}

impl<'a> Credential<'a> {
    /// `None` unless there are five pieces and none is empty, within [`MAX_CREDENTIAL_BYTES`].
    pub(crate) fn parse(text: Cow<'a, str>) -> Option<Self> {
        if text.len() > MAX_CREDENTIAL_BYTES {
            return None;
        }
        let (mut ends, mut found, mut start) = ([0; 4], 0, 0);
        for (at, _) in text.bytes().enumerate().filter(|(_, byte)| *byte == b'/') {
            if at == start {
                return None;
            }
            *ends.get_mut(found)? = at;
            (found, start) = (found + 1, at + 1);
        }
        (found == ends.len() && start < text.len()).then_some(Self { text, ends })
    }

    pub(crate) fn access_key_id(&self) -> &str {
        &self.text[..self.ends[0]]
    }

    pub(crate) fn date(&self) -> &str {
        &self.text[self.ends[0] + 1..self.ends[1]]
    }

    pub(crate) fn region(&self) -> &str {
        &self.text[self.ends[1] + 1..self.ends[2]]
    }

    pub(crate) fn service(&self) -> &str {
        &self.text[self.ends[2] + 1..self.ends[3]]
    }

    pub(crate) fn terminator(&self) -> &str {
        &self.text[self.ends[3] + 1..]
    }

    /// Date to terminator: the scope as the string to sign names it.
    pub(crate) fn scope(&self) -> &str {
        &self.text[self.ends[0] + 1..]
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found() {
        let credential = Credential::parse("AKID/20150830/us-east-1/s3/aws4_request".into()).unwrap();
        assert_eq!(credential.access_key_id(), "AKID");
        assert_eq!(credential.date(), "20150830");
        assert_eq!(credential.region(), "us-east-1");
        assert_eq!(credential.service(), "s3");
        assert_eq!(credential.terminator(), "aws4_request");
        assert_eq!(credential.scope(), "20150830/us-east-1/s3/aws4_request");
    }

    #[test]
    fn four_six_or_empty_pieces_are_refused() {
        for text in [
            "",
            "AKID/20150830/service/aws4_request",
            "A/B/C/D/E/F",
            "/20150830/r/s/aws4_request",
            "A/d//s/t",
        ] {
            assert!(Credential::parse(text.into()).is_none(), "{text}");
        }
        let long = format!("AKID/20150830/{}/s3/aws4_request", "r".repeat(MAX_CREDENTIAL_BYTES));
        assert!(Credential::parse(long.into()).is_none());
    }
}
