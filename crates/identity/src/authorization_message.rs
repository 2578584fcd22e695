//! What a denied request is told of why, sealed: only who may decode it, in the same account, can read it.
//! Source: AWS STS API Reference, "DecodeAuthorizationMessage".

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use crate::{Caller, Circumstances, Denial, Identity, Principals, StatementRef};

/// What it is sealed for.
const PURPOSE: &[u8] = b"authorization-message/1";
/// Characters of an encoded message. Source: AWS STS API Reference, "DecodeAuthorizationMessage".
const ENCODED_CHARS_MAX: usize = 10_240;

impl Identity {
    /// A denial for the client that was denied, which the client cannot read.
    pub fn encode_denial(&self, caller: &Caller, at: &Circumstances, denial: &Denial) -> String {
        let statement = |one: &StatementRef| {
            json!({
                "policy": &*one.policy,
                "statementId": one.sid.as_deref().unwrap_or_default(),
                "index": one.index,
                "effect": if one.is_allow { "ALLOW" } else { "DENY" },
            })
        };
        let condition =
            |key: &str, value: String| json!({ "key": key, "values": { "items": [{ "value": value }] } });
        let mut conditions = vec![
            condition("aws:Region", at.region.clone()),
            condition("aws:SecureTransport", at.is_secure.to_string()),
        ];
        conditions.extend(at.source_ip.map(|address| condition("aws:SourceIp", address.to_string())));
        let matched: Vec<Value> = denial.statements.iter().map(statement).collect();
        let message = json!({
            "allowed": false,
            "explicitDeny": denial.is_explicit,
            "matchedStatements": { "items": matched },
            "failures": { "items": [] },
            "context": {
                "principal": { "id": caller.user_id, "arn": caller.arn },
                "action": denial.action,
                "resource": denial.resource,
                "conditions": { "items": conditions },
            },
        });
        let plain = json!([caller.account, message]).to_string();
        BASE64.encode(self.messages.seal(&self.random, PURPOSE, plain.as_bytes()))
    }
}

impl Principals<'_> {
    /// The JSON of a message that a request of this account was answered with; `None` for anything else.
    pub fn decode_denial(self, encoded: &str) -> Option<String> {
        let account = self.account();
        if encoded.len() > ENCODED_CHARS_MAX {
            return None;
        }
        let plain = self.messages.open(PURPOSE, &BASE64.decode(encoded).ok()?)?;
        let (of, message): (String, Value) = serde_json::from_slice(&plain).ok()?;
        (of == account).then(|| message.to_string())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{ACCOUNT, identity};
    use crate::{Caller, Circumstances, IdentityError, Wanted};

    #[tokio::test]
    async fn a_message_is_read_in_its_account_alone() {
        let (identity, _hand) = identity();
        let caller = Caller::anonymous();
        let wanted = Wanted::new("s3:GetObject", "arn:aws:s3:::b/k");
        let at = Circumstances::default();
        let Err(IdentityError::Denied(denial)) = identity.authorize(&caller, &at, wanted).await else {
            panic!("nobody let it in");
        };
        let caller = Caller { account: ACCOUNT.to_owned(), ..caller };
        let encoded = identity.encode_denial(&caller, &at, &denial);
        let decoded = identity.own_principals(ACCOUNT).decode_denial(&encoded).unwrap();
        let decoded: serde_json::Value = serde_json::from_str(&decoded).unwrap();
        assert_eq!((&decoded["allowed"], &decoded["explicitDeny"]), (&false.into(), &false.into()));
        assert_eq!(decoded["context"]["action"], "s3:GetObject");
        assert!(identity.own_principals("111122223333").decode_denial(&encoded).is_none());
        assert!(identity.own_principals(ACCOUNT).decode_denial(&encoded[1..]).is_none());
    }
}
