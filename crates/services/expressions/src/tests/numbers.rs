use proptest::prelude::*;

use super::number;
use crate::{Number, NumberError, Value, value_bytes};

fn parse(text: &str) -> Number {
    Number::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What dynalite's recordings of AWS say of the forms that numbers come back in.
#[test]
fn prints_as_dynamodb_does() {
    let zeros = |count| "0".repeat(count);
    for (given, printed) in [
        ("0", "0".to_owned()),
        ("-0", "0".to_owned()),
        ("0e125", "0".to_owned()),
        ("1.50", "1.5".to_owned()),
        ("0042.1200", "42.12".to_owned()),
        ("0.00001", "0.00001".to_owned()),
        (".73e1", "7.3".to_owned()),
        ("-0015.789e6", "-15789000".to_owned()),
        ("1e100", format!("1{}", zeros(100))),
        ("1E125", format!("1{}", zeros(125))),
        ("-0001.000e-130", format!("-0.{}1", zeros(129))),
        (
            "-00001.23456789012345678901234567890123456780000",
            "-1.2345678901234567890123456789012345678".to_owned(),
        ),
        ("-0009.99999999999999999999999999999999999990000e125", format!("-{}{}", "9".repeat(38), zeros(88))),
    ] {
        assert_eq!(parse(given).to_string(), printed, "{given}");
    }
}

#[test]
fn refuses_what_dynamodb_refuses() {
    use NumberError::{Digits, Empty, NotANumber, Overflow, Underflow};
    let no = |text: &str| NotANumber(text.to_owned());
    for (given, error) in [
        ("", Empty),
        ("b", no("b")),
        ("-", no("-")),
        (".", no(".")),
        ("1.2.3", no("1.2.3")),
        ("1e", no("1e")),
        (" 1", no(" 1")),
        ("0x10", no("0x10")),
        ("NaN", no("NaN")),
        ("1e9223372036854775808", no("1e9223372036854775808")),
        ("123456789012345678901234567890123456789", Digits),
        ("-1.23456789012345678901234567890123456789", Digits),
        ("1e126", Overflow),
        ("-1e126", Overflow),
        ("1e-131", Underflow),
        ("1e99999999999", Overflow),
        ("1e-99999999999", Underflow),
        ("0e126", Overflow),
        ("0e-131", Underflow),
    ] {
        assert_eq!(Number::parse(given), Err(error), "{given}");
    }
}

/// Sizes measured on AWS at the limit of 400 KB, by the project dynamodb-conformance.
#[test]
fn weighs_what_dynamodb_weighs() {
    for (number, bytes) in [
        ("0", 1),
        ("1", 2),
        ("12", 2),
        ("123", 3),
        ("1234", 3),
        ("12345678901234567890123456789012345678", 20),
        ("100", 2),
        ("1010", 3),
        ("0.0000001", 2),
        ("1E125", 2),
        ("1E-100", 2),
        ("1.5", 3),
        ("1.234", 4),
        ("3.14159", 5),
        ("123456", 4),
        ("100.5", 4),
        ("0.15", 2),
        ("-42", 3),
    ] {
        assert_eq!(value_bytes(&Value::N(parse(number))), bytes, "{number}");
    }
}

#[test]
fn sums_are_exact_or_refused() {
    let sum = |one: &str, other: &str| parse(one).add(parse(other)).map(|sum| sum.to_string());
    assert_eq!(sum("0.1", "0.2"), Ok("0.3".to_owned()));
    assert_eq!(sum("-5", "5"), Ok("0".to_owned()));
    assert_eq!(sum("99999999999999999999999999999999999999", "1"), Ok(format!("1{}", "0".repeat(38))));
    assert_eq!(sum("1e38", "1"), Err(NumberError::Digits));
    assert_eq!(sum("1e125", "1e-130"), Err(NumberError::Digits));
    assert_eq!(sum("9e125", "1e125"), Err(NumberError::Overflow));
    assert_eq!(parse("3").sub(parse("5.5")), Ok(parse("-2.5")));
}

proptest! {
    #[test]
    fn printing_and_parsing_agree(number in number()) {
        prop_assert_eq!(Number::parse(&number.to_string()), Ok(number));
    }

    #[test]
    fn whole_numbers_add_as_they_should(one in any::<i64>(), other in any::<i64>()) {
        let sum = Number::from(one).add(Number::from(other)).map(|sum| sum.to_string());
        prop_assert_eq!(sum, Ok((i128::from(one) + i128::from(other)).to_string()));
        prop_assert_eq!(Number::from(one).cmp(&Number::from(other)), one.cmp(&other));
        prop_assert_eq!(Number::from(one).as_i64(), Some(one));
    }

    #[test]
    fn what_was_added_can_be_taken_away(one in number(), other in number()) {
        prop_assert_eq!(one.add(other), other.add(one));
        if let Ok(sum) = one.add(other) {
            prop_assert_eq!(sum.sub(other), Ok(one));
            prop_assert_eq!(sum.cmp(&one), other.cmp(&Number::ZERO));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-+.eE0-9]{0,48}") {
        let _ = Number::parse(&text);
    }
}
