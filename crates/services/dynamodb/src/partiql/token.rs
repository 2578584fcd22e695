//! NextToken of SELECT: which read comes next, and after which item.
//!
//! A digest of statement and parameters (16 bytes), the read's number (2), and the item's keys, as items are stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambent_expressions::{Invalid, Item, decode_item, encode_item};
use lambent_model_dynamodb::AttributeValue;
use ring::digest;

const DIGEST_BYTES: usize = 16;

/// Where a SELECT goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Next {
    /// Which of the reads.
    pub(super) read: u16,
    /// The keys of the item after which it goes on; from the beginning without.
    pub(super) after: Option<Item>,
}

/// What binds tokens to a statement.
pub(super) struct Binding([u8; DIGEST_BYTES]);

impl Binding {
    pub(super) fn new(statement: &str, parameters: Option<&[AttributeValue]>) -> Self {
        // Any text that tells two requests apart will do.
        let asked = format!("{statement}\0{parameters:?}");
        let mut bytes = [0; DIGEST_BYTES];
        bytes.copy_from_slice(&digest::digest(&digest::SHA256, asked.as_bytes()).as_ref()[..DIGEST_BYTES]);
        Self(bytes)
    }

    pub(super) fn token(&self, next: &Next) -> String {
        let mut bytes = self.0.to_vec();
        bytes.extend_from_slice(&next.read.to_be_bytes());
        bytes.extend(next.after.iter().flat_map(encode_item));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token back.
    /// Errors: it is none, or one of another statement.
    pub(super) fn read(&self, token: &str) -> Result<Next, Invalid> {
        let invalid = || Invalid::new("Invalid NextToken");
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
        let (bound, rest) = bytes.split_first_chunk::<DIGEST_BYTES>().ok_or_else(invalid)?;
        if *bound != self.0 {
            return Err(Invalid::new("NextToken does not match request"));
        }
        let (read, keys) = rest.split_first_chunk().ok_or_else(invalid)?;
        let after = if keys.is_empty() { None } else { Some(decode_item(keys).map_err(|_| invalid())?) };
        Ok(Next { read: u16::from_be_bytes(*read), after })
    }
}

#[cfg(test)]
mod tests {
    use lambent_expressions::Value;

    use super::*;

    #[test]
    fn tokens_are_of_one_statement() {
        let binding = Binding::new("SELECT * FROM t", None);
        let keys = Item::from([("pk".to_owned(), Value::S("a".to_owned()))]);
        for next in [Next::default(), Next { read: 7, after: Some(keys) }] {
            let token = binding.token(&next);
            assert_eq!(binding.read(&token), Ok(next));
            let other = Binding::new("SELECT * FROM t", Some(&[]));
            assert_eq!(other.read(&token), Err(Invalid::new("NextToken does not match request")));
        }
        for wrong in ["", "AAAA", "not base64!"] {
            assert_eq!(binding.read(wrong), Err(Invalid::new("Invalid NextToken")), "{wrong}");
        }
    }
}
