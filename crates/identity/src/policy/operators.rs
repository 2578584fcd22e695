//! What condition operators compare, and how.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::MalformedPolicy;
use super::date;
use super::glob::Glob;
use super::keys::{Key, Request};
use super::pattern::{ArnPattern, Match, Pattern, Style};

/// An operator without quantifier and `IfExists`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) kind: Kind,
    /// `StringNotEquals` is the negated `StringEquals`.
    pub(crate) is_negated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text { has_wildcards: bool, folds_case: bool },
    Arn,
    Number(Order),
    Date(Order),
    Binary,
    Address,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An operator with the values that it is compared with: one of them must match.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Texts {
        patterns: Vec<Pattern>,
        folds_case: bool,
    },
    Arns(Vec<ArnPattern>),
    Numbers(Order, Vec<f64>),
    /// Milliseconds since 1970.
    Dates(Order, Vec<i64>),
    Binaries(Vec<Vec<u8>>),
    Addresses(Vec<Network>),
    Null(Vec<bool>),
}

/// Bits of the widest networks that do not count as everybody.
/// Source: Amazon S3 User Guide, "Blocking public access to your Amazon S3 storage", "The meaning of public".
const NARROW_BITS_V4: u32 = 8;
const NARROW_BITS_V6: u32 = 32;

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Operator {
    pub(crate) fn named(name: &str) -> Option<Self> {
        let text = |has_wildcards, folds_case| Kind::Text { has_wildcards, folds_case };
        let (kind, is_negated) = match name {
            "StringEquals" => (text(false, false), false),
            "StringNotEquals" => (text(false, false), true),
            "StringEqualsIgnoreCase" => (text(false, true), false),
            "StringNotEqualsIgnoreCase" => (text(false, true), true),
            "StringLike" => (text(true, false), false),
            "StringNotLike" => (text(true, false), true),
            // The texts of the two truths are compared without regard to case.
            "Bool" => (text(false, true), false),
            "NumericEquals" => (Kind::Number(Order::Equal), false),
            "NumericNotEquals" => (Kind::Number(Order::Equal), true),
            "NumericLessThan" => (Kind::Number(Order::Less), false),
            "NumericLessThanEquals" => (Kind::Number(Order::LessOrEqual), false),
            "NumericGreaterThan" => (Kind::Number(Order::Greater), false),
            "NumericGreaterThanEquals" => (Kind::Number(Order::GreaterOrEqual), false),
            "DateEquals" => (Kind::Date(Order::Equal), false),
            "DateNotEquals" => (Kind::Date(Order::Equal), true),
            "DateLessThan" => (Kind::Date(Order::Less), false),
            "DateLessThanEquals" => (Kind::Date(Order::LessOrEqual), false),
            "DateGreaterThan" => (Kind::Date(Order::Greater), false),
            "DateGreaterThanEquals" => (Kind::Date(Order::GreaterOrEqual), false),
            "BinaryEquals" => (Kind::Binary, false),
            "IpAddress" => (Kind::Address, false),
            "NotIpAddress" => (Kind::Address, true),
            "ArnEquals" | "ArnLike" => (Kind::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Kind::Arn, true),
            "Null" => (Kind::Null, false),
            _ => return None,
        };
        Some(Self { kind, is_negated })
    }
}

impl Test {
    pub(crate) fn new(kind: Kind, texts: &[String], has_variables: bool) -> Result<Self, MalformedPolicy> {
        Ok(match kind {
            Kind::Text { has_wildcards, folds_case } => {
                let style = Style { has_wildcards, folds_case, has_variables };
                Self::Texts { patterns: each(texts, |text| Pattern::new(text, style))?, folds_case }
            }
            Kind::Arn => {
                let style = Style { has_wildcards: true, folds_case: false, has_variables };
                Self::Arns(each(texts, |text| ArnPattern::new(text, style))?)
            }
            Kind::Number(order) => {
                Self::Numbers(order, each(texts, |text| number(text).ok_or(MalformedPolicy::Syntax))?)
            }
            Kind::Date(order) => {
                let date = |text: &String| date::parse_ms(text).ok_or(MalformedPolicy::Legacy);
                Self::Dates(order, each(texts, date)?)
            }
            Kind::Binary => {
                Self::Binaries(each(texts, |text| BASE64.decode(text).map_err(|_| MalformedPolicy::Syntax))?)
            }
            Kind::Address => {
                Self::Addresses(each(texts, |text| Network::parse(text).ok_or(MalformedPolicy::Syntax))?)
            }
            Kind::Null => Self::Null(each(texts, |text| truth(text).ok_or(MalformedPolicy::Syntax))?),
        })
    }

    /// Whether a value of the request matches one of the policy's.
    pub(crate) fn matches(&self, value: &str, request: &Request<'_>) -> Match {
        match self {
            Self::Texts { patterns, folds_case: true } => {
                let lower = value.to_lowercase();
                any(patterns, |pattern| pattern.matches(&lower, request))
            }
            Self::Texts { patterns, folds_case: false } => {
                any(patterns, |pattern| pattern.matches(value, request))
            }
            Self::Arns(patterns) => any(patterns, |pattern| pattern.matches(value, request)),
            Self::Numbers(order, numbers) => {
                let value = number(value);
                any(numbers, |wanted| yes(value.is_some_and(|value| order.holds(value, *wanted))))
            }
            Self::Dates(order, dates) => {
                let value = date::parse_ms(value);
                any(dates, |wanted| yes(value.is_some_and(|value| order.holds(value, *wanted))))
            }
            Self::Binaries(binaries) => {
                let value = BASE64.decode(value).ok();
                any(binaries, |wanted| yes(value.as_ref() == Some(wanted)))
            }
            Self::Addresses(networks) => {
                let address = value.parse::<IpAddr>().ok();
                any(networks, |network| yes(address.is_some_and(|address| network.contains(address))))
            }
            Self::Null(_) => Match::No,
        }
    }

    /// The keys that its policy variables name.
    pub(crate) fn keys(&self) -> Vec<&Key> {
        match self {
            Self::Texts { patterns, .. } => patterns.iter().flat_map(Pattern::keys).collect(),
            Self::Arns(patterns) => patterns.iter().flat_map(ArnPattern::keys).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether its values hold neither wildcards nor variables, and networks are not wide; ARNs must at least name the
    /// resource or the account, with `needs_account` the account.
    pub(crate) fn is_fixed(&self, needs_account: bool) -> bool {
        match self {
            Self::Texts { patterns, .. } => {
                patterns.iter().all(|pattern| matches!(pattern, Pattern::Fixed(Glob::Exact(_))))
            }
            Self::Arns(patterns) if needs_account => patterns.iter().all(ArnPattern::names_an_account),
            Self::Arns(patterns) => patterns.iter().all(ArnPattern::names_an_account_or_resource),
            Self::Addresses(networks) => !networks.iter().any(|network| network.is_wide()),
            _ => false,
        }
    }
}

impl Network {
    /// `203.0.113.0/24`, `2001:db8::/32`, or a single address.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(max);
        (bits <= max).then_some(Self { address, bits })
    }

    /// Whether it is as good as the whole world.
    fn is_wide(self) -> bool {
        self.bits < if self.address.is_ipv4() { NARROW_BITS_V4 } else { NARROW_BITS_V6 }
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

fn each<T>(
    texts: &[String],
    read: impl Fn(&String) -> Result<T, MalformedPolicy>,
) -> Result<Vec<T>, MalformedPolicy> {
    texts.iter().map(read).collect()
}

fn any<T>(wanted: &[T], matches: impl Fn(&T) -> Match) -> Match {
    let mut found = Match::No;
    for one in wanted {
        match matches(one) {
            Match::Yes => return Match::Yes,
            Match::Unknown => found = Match::Unknown,
            Match::No => {}
        }
    }
    found
}

fn yes(is_so: bool) -> Match {
    if is_so { Match::Yes } else { Match::No }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
