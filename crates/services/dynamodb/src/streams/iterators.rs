//! Shard iterators: the stream's ARN, and sealed under it where to read on and since when. Nobody can make one up, or use
//! one for another stream than policies decide on.

use lambent_base::text;
use lambent_identity::Identity;
use lambent_model_dynamodbstreams::errors::expired_iterator_exception;
use lambent_wire::ApiError;

use super::StreamName;
use crate::error::validation;
use crate::stamped::{Position, STAMP_BYTES};

/// How long an iterator can be used. Source: API reference, GetShardIterator.
const VALID_MS: i64 = 15 * 60 * 1000;
const MARK: &str = "|1|";

/// Where GetRecords reads on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardIterator {
    pub(crate) stream: StreamName,
    pub(crate) shard: u16,
    pub(crate) from: Position,
}

impl ShardIterator {
    pub(crate) fn seal(&self, identity: &Identity, now_ms: i64) -> String {
        let plain = [&self.shard.to_be_bytes()[..], &self.from.stamp(), &now_ms.to_be_bytes()].concat();
        let arn = self.stream.arn();
        let sealed = identity.seal(&purpose(&arn), &plain);
        format!("{arn}{MARK}{}", text::hex(&sealed))
    }

    /// Errors: ValidationException, ExpiredIteratorException.
    pub(crate) fn open(identity: &Identity, iterator: &str, now_ms: i64) -> Result<Self, ApiError> {
        let read = || {
            let (arn, sealed) = iterator.split_once(MARK)?;
            let plain = identity.open(&purpose(arn), &text::unhex(sealed)?)?;
            let (shard, rest) = plain.split_first_chunk()?;
            let (stamp, made) = rest.split_first_chunk::<STAMP_BYTES>()?;
            let made_ms = i64::from_be_bytes(made.try_into().ok()?);
            let from = Position::read(*stamp);
            let shard = u16::from_be_bytes(*shard);
            Some((Self { stream: StreamName::parse(arn)?, shard, from }, made_ms))
        };
        let (found, made_ms) = read().ok_or_else(|| validation("Invalid ShardIterator"))?;
        if now_ms > made_ms.saturating_add(VALID_MS) {
            let message = "The shard iterator has expired and can no longer be used to retrieve stream records. A shard iterator expires 15 minutes after it is retrieved using the GetShardIterator action.";
            return Err(expired_iterator_exception(message));
        }
        Ok(found)
    }
}

/// The ARN of the stream that an iterator is for, as it says itself.
pub(crate) fn stream_arn(iterator: &str) -> &str {
    iterator.split_once(MARK).map_or(iterator, |(arn, _)| arn)
}

fn purpose(arn: &str) -> String {
    format!("dynamodb/iterator {arn}")
}
