//! The price table, read exactly.

use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Digits after the point that a price may have: prices are kept in 10^-12 dollars.
const PRICE_DECIMALS: usize = 12;
/// AWS's own prices.
const AWS: &str = include_str!("../prices.toml");

/// What runs cost, in 10^-12 dollars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    pub source: PriceSource,
    pub(crate) million_requests: u128,
    pub(crate) gb_second: u128,
    pub(crate) ephemeral_gb_second: u128,
    pub(crate) free_requests: u128,
    pub(crate) free_gb_seconds: u128,
}

/// Where prices come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceSource {
    /// The page's title.
    pub title: String,
    /// When the page said so.
    pub as_of: String,
}

/// Why a price table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    #[error("expected to read the price table {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("expected a price table in the form of prices.toml: {0}")]
    Form(#[from] toml::de::Error),
    #[error(
        "expected a price in dollars as \"0.0000166667\", with at most {PRICE_DECIMALS} decimals, got `{0}`"
    )]
    Price(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    source: PriceSource,
    lambda: LambdaTable,
    #[serde(default)]
    always_free: FreeTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LambdaTable {
    per_million_requests: String,
    per_gb_second: String,
    per_ephemeral_gb_second: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FreeTable {
    requests: u64,
    gb_seconds: u64,
}

impl Prices {
    /// AWS's prices.
    pub fn aws() -> Self {
        AWS.parse().expect("the table that is built in is tested")
    }

    /// Prices of an operator's own table.
    pub fn read(path: &Path) -> Result<Self, PriceError> {
        let text = std::fs::read_to_string(path);
        text.map_err(|source| PriceError::Read { path: path.display().to_string(), source })?.parse()
    }
}

impl FromStr for Prices {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let Table { source, lambda, always_free } = toml::from_str(text)?;
        Ok(Self {
            source,
            million_requests: price(&lambda.per_million_requests)?,
            gb_second: price(&lambda.per_gb_second)?,
            ephemeral_gb_second: price(&lambda.per_ephemeral_gb_second)?,
            free_requests: u128::from(always_free.requests),
            free_gb_seconds: u128::from(always_free.gb_seconds),
        })
    }
}

/// Dollars as a decimal text, in 10^-12 dollars; below a million dollars.
fn price(text: &str) -> Result<u128, PriceError> {
    let read = || {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let formed = digits(whole) && digits(decimals) && (1..=6).contains(&whole.len());
        let padded = format!("{whole}{decimals:0<PRICE_DECIMALS$}");
        (formed && decimals.len() <= PRICE_DECIMALS).then(|| padded.parse().ok())?
    };
    read().ok_or_else(|| PriceError::Price(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_is_read_exactly() {
        let prices = Prices::aws();
        assert_eq!(prices.million_requests, 200_000_000_000);
        assert_eq!(prices.gb_second, 16_666_700);
        assert_eq!(prices.ephemeral_gb_second, 30_900);
        assert_eq!((prices.free_requests, prices.free_gb_seconds), (1_000_000, 400_000));
    }

    #[test]
    fn prices_that_cannot_be_kept_exactly_are_refused() {
        for text in ["", ".5", "-1", "1e-5", "0.0000000000001", "1234567", "0.1.2"] {
            assert!(price(text).is_err(), "{text}");
        }
        assert_eq!(price("3").unwrap(), 3_000_000_000_000);
        assert_eq!(price("0.000000000001").unwrap(), 1);
    }

    #[test]
    fn other_tables_are_refused_in_words() {
        let error = "[source]\ntitle = 'x'".parse::<Prices>().unwrap_err().to_string();
        assert!(error.starts_with("expected a price table in the form of prices.toml"), "{error}");
        let dear = AWS.replace("\"0.20\"", "\"dear\"").parse::<Prices>().unwrap_err().to_string();
        assert!(dear.contains("got `dear`"), "{dear}");
    }
}
