//! DynamoDB's numbers: decimal, exact, 38 significant digits, magnitudes from 1E-130 to 9.99E+125.

use std::cmp::Ordering;
use std::fmt;

/// Significant digits that a number can have.
const MAX_DIGITS: u32 = 38;
/// The place of the first digit of the largest numbers, as a power of ten.
const MAX_MAGNITUDE: i32 = 125;
/// The place of the first digit of the smallest numbers.
const MIN_MAGNITUDE: i32 = -130;
/// Exponents beyond this are out of range whatever the digits are: no text is long enough to bring them back.
const ABSURD_EXPONENT: i64 = 1_000_000_000_000;
/// What exponents are cut to before they are added to anything.
const FAR_EXPONENT: i64 = 1_000_000;

/// A decimal number: `digits * 10^exponent`, in the one form without zeros at the end.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    exponent: i16,
    digits: u128,
}

/// Why a text or a result is no number of DynamoDB's. The texts are AWS's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("The parameter cannot be converted to a numeric value")]
    Empty,
    #[error("The parameter cannot be converted to a numeric value: {0}")]
    NotANumber(String),
    #[error("Number overflow. Attempting to store a number with magnitude larger than supported range")]
    Overflow,
    #[error("Number underflow. Attempting to store a number with magnitude smaller than supported range")]
    Underflow,
    #[error("Attempting to store more than 38 significant digits in a Number")]
    Digits,
}

impl Number {
    /// Nothing at all.
    pub const ZERO: Self = Self { negative: false, exponent: 0, digits: 0 };

    /// Reads `-12.5e3` and the like: digits with an optional sign, point and exponent.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        if text.is_empty() {
            return Err(NumberError::Empty);
        }
        if let Some(small) = parse_small(text.as_bytes()) {
            return Ok(small);
        }
        let scanned = Scanned::of(text.as_bytes()).ok_or_else(|| NumberError::NotANumber(text.to_owned()))?;
        scanned.number()
    }

    /// The sum, exact.
    #[expect(clippy::should_implement_trait, reason = "the operators cannot fail, this can")]
    pub fn add(self, other: Self) -> Result<Self, NumberError> {
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let shift = u32::from(high.exponent.abs_diff(low.exponent));
        if low.digits == 0 {
            return Ok(high);
        }
        if high.digits == 0 {
            return Ok(low);
        }
        // When the digits do not fit, the lower number's last one, which is no zero, lies beyond the 38th place.
        let lifted = 10u128
            .checked_pow(shift)
            .and_then(|by| high.digits.checked_mul(by))
            .ok_or(NumberError::Digits)?;
        let exponent = i32::from(low.exponent);
        if high.negative == low.negative {
            let sum = lifted.checked_add(low.digits).ok_or(NumberError::Digits)?;
            Self::normal(high.negative, sum, exponent)
        } else if lifted >= low.digits {
            Self::normal(high.negative, lifted - low.digits, exponent)
        } else {
            Self::normal(low.negative, low.digits - lifted, exponent)
        }
    }

    /// The difference, exact.
    #[expect(clippy::should_implement_trait, reason = "the operators cannot fail, this can")]
    pub fn sub(self, other: Self) -> Result<Self, NumberError> {
        self.add(other.negated())
    }

    /// The number with the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { negative: !self.negative && self.digits != 0, ..self }
    }

    /// Whether there is nothing after the point.
    pub fn is_integer(&self) -> bool {
        self.exponent >= 0
    }

    /// The number, if it is a whole one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        let power = 10u128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        let whole = i128::try_from(self.digits.checked_mul(power)?).ok()?;
        i64::try_from(if self.negative { -whole } else { whole }).ok()
    }

    /// Whether the number is below zero.
    pub(crate) fn is_negative(&self) -> bool {
        self.negative
    }

    /// The significant digits as one whole number; zero only of zero.
    pub(crate) fn digits(&self) -> u128 {
        self.digits
    }

    /// The power of ten that the digits are multiplied by.
    pub(crate) fn exponent(&self) -> i16 {
        self.exponent
    }

    /// How many significant digits there are; zero has one.
    pub(crate) fn digit_count(&self) -> u32 {
        count_digits(self.digits)
    }

    /// The place of the first digit as a power of ten.
    pub(crate) fn magnitude(&self) -> i32 {
        i32::from(self.exponent) + self.digit_count().cast_signed() - 1
    }

    /// The number `digits * 10^exponent`, brought into the one form and checked.
    pub(crate) fn normal(negative: bool, mut digits: u128, mut exponent: i32) -> Result<Self, NumberError> {
        if digits == 0 {
            return Ok(Self::ZERO);
        }
        // Divisions of 128 bits are slow, and few numbers need them.
        if let Ok(mut small) = u64::try_from(digits) {
            while small.is_multiple_of(10) {
                small /= 10;
                exponent += 1;
            }
            digits = small.into();
        } else {
            while digits.is_multiple_of(10) {
                digits /= 10;
                exponent += 1;
            }
        }
        let count = count_digits(digits);
        let magnitude = exponent + count.cast_signed() - 1;
        if magnitude > MAX_MAGNITUDE {
            return Err(NumberError::Overflow);
        }
        if magnitude < MIN_MAGNITUDE {
            return Err(NumberError::Underflow);
        }
        if count > MAX_DIGITS {
            return Err(NumberError::Digits);
        }
        let exponent = i16::try_from(exponent).map_err(|_| NumberError::Underflow)?;
        Ok(Self { negative, exponent, digits })
    }
}

impl From<i64> for Number {
    fn from(whole: i64) -> Self {
        Self::small(whole < 0, whole.unsigned_abs())
    }
}

impl From<usize> for Number {
    fn from(whole: usize) -> Self {
        Self::small(false, whole as u64)
    }
}

impl Number {
    fn small(negative: bool, mut digits: u64) -> Self {
        if digits == 0 {
            return Self::ZERO;
        }
        let mut exponent = 0;
        while digits.is_multiple_of(10) {
            digits /= 10;
            exponent += 1;
        }
        Self { negative, exponent, digits: u128::from(digits) }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits, number.negative) {
            (0, _) => 0,
            (_, true) => -1,
            (_, false) => 1,
        };
        sign(self).cmp(&sign(other)).then_with(|| {
            let sizes = compare_sizes(self, other);
            if self.negative { sizes.reverse() } else { sizes }
        })
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    /// As DynamoDB prints: no exponent, no zeros that say nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        // What most numbers are: those of 128 bits take longer to print.
        if self.exponent == 0
            && let Ok(small) = u64::try_from(self.digits)
        {
            return write!(f, "{small}");
        }
        if self.exponent >= 0 {
            return write!(f, "{}{:0<width$}", self.digits, "", width = self.exponent.unsigned_abs().into());
        }
        let fraction = usize::from(self.exponent.unsigned_abs());
        let digits = format!("{:0>width$}", self.digits, width = fraction + 1);
        let (whole, fraction) = digits.split_at(digits.len() - fraction);
        write!(f, "{whole}.{fraction}")
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whole numbers of at most 18 digits, which most are.
fn parse_small(text: &[u8]) -> Option<Number> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let whole = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(Number::small(negative, whole))
}

fn count_digits(digits: u128) -> u32 {
    match u64::try_from(digits) {
        Ok(small) => small.checked_ilog10().map_or(1, |log| log + 1),
        Err(_) => digits.ilog10() + 1,
    }
}

fn compare_sizes(one: &Number, other: &Number) -> Ordering {
    one.magnitude().cmp(&other.magnitude()).then_with(|| {
        // Of the same magnitude, so that the exponents differ by less than the digits: the lifted one still fits.
        let lift = |number: &Number| number.digits * 10u128.pow(MAX_DIGITS - number.digit_count());
        lift(one).cmp(&lift(other))
    })
}

/// A number's text, taken apart.
struct Scanned {
    negative: bool,
    /// The significant digits, at most 38 of them, without zeros at the end.
    digits: u128,
    /// Digits seen after those: zeros, unless there are `more`.
    trailing: u32,
    /// Of the last digit seen.
    exponent: i64,
    /// Whether a 39th significant digit was seen.
    more: bool,
}

impl Scanned {
    fn of(text: &[u8]) -> Option<Self> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let mark = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, power) = match mark {
            Some(at) => (&text[..at], exponent_of(&text[at + 1..])?),
            None => (text, 0),
        };
        let mut scanned = Self { negative, digits: 0, trailing: 0, exponent: power, more: false };
        let (mut seen, mut point) = (false, false);
        for &byte in mantissa {
            match byte {
                b'.' if !point => point = true,
                b'0'..=b'9' => {
                    seen = true;
                    scanned.exponent -= i64::from(point);
                    scanned.take(byte - b'0');
                }
                _ => return None,
            }
        }
        seen.then_some(scanned)
    }

    fn take(&mut self, digit: u8) {
        if self.digits == 0 {
            self.digits = digit.into();
            return;
        }
        self.trailing += 1;
        if digit == 0 || self.more {
            return;
        }
        if count_digits(self.digits) + self.trailing > MAX_DIGITS {
            self.more = true;
            return;
        }
        self.digits = self.digits * 10u128.pow(self.trailing) + u128::from(digit);
        self.trailing = 0;
    }

    fn number(self) -> Result<Number, NumberError> {
        let exponent =
            i32::try_from((self.exponent + i64::from(self.trailing)).clamp(-FAR_EXPONENT, FAR_EXPONENT))
                .unwrap_or_default();
        if self.digits == 0 {
            // AWS looks at the exponent of a zero, too.
            return match exponent {
                MIN_MAGNITUDE..=MAX_MAGNITUDE => Ok(Number::ZERO),
                ..MIN_MAGNITUDE => Err(NumberError::Underflow),
                _ => Err(NumberError::Overflow),
            };
        }
        let number = Number::normal(self.negative, self.digits, exponent)?;
        if self.more { Err(NumberError::Digits) } else { Ok(number) }
    }
}

fn exponent_of(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // One that an i64 cannot hold is no number at all.
    let size: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let size = size.min(ABSURD_EXPONENT);
    Some(if negative { -size } else { size })
}
