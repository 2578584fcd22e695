//! The only places that read time, randomness and the environment, and the small nouns everyone shares.
#![forbid(unsafe_code)]

mod alarm;
mod arn;
mod clock;
pub mod env;
mod random;
pub mod text;

pub use alarm::{Alarm, Elapsed, Until};
pub use arn::{Arn, ArnError};
pub use clock::{Clock, ManualClock};
pub use random::Random;

/// A boxed future, for the few traits that are called through `dyn`.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a resource lives: every stored key starts with these two.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    /// An AWS region name, as `us-east-1`.
    pub region: String,
}
