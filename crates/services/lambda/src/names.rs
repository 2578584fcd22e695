//! Function names as callers write them: a name, a partial ARN or a whole one, each with or without a qualifier.
//! Source: Lambda API Reference, "FunctionName" of GetFunction.

use lambent_base::Place;
use lambent_wire::ApiError;

use crate::errors;

/// The partition of all that is here. No other is read, so that what policies decide on has one spelling.
pub(crate) const PARTITION: &str = "aws";
/// The version that is not published, and changes.
pub(crate) const LATEST: &str = "$LATEST";

/// A function as a caller named it. Parts that the name left out come from the caller's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionName {
    pub(crate) place: Place,
    /// The bare name.
    pub(crate) name: String,
    /// `$LATEST`, a version's number or an alias.
    pub(crate) qualifier: Option<String>,
}

/// What a qualifier means, if it can mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Latest,
    Published(u64),
}

/// The parts of a function name, as far as the text gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameParts<'a> {
    pub(crate) region: Option<&'a str>,
    pub(crate) account: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) qualifier: Option<&'a str>,
}

impl FunctionName {
    /// Reads a function name beside the qualifier that came apart from it.
    ///
    /// Errors: ValidationException for a text that is no function name, InvalidParameterValueException for two
    /// qualifiers that differ.
    pub(crate) fn parse(text: &str, qualifier: Option<&str>, place: &Place) -> Result<Self, ApiError> {
        let parts = split(text).ok_or_else(|| errors::malformed_name(text))?;
        let qualifier = match (parts.qualifier, qualifier) {
            (Some(derived), Some(given)) if derived != given => return Err(errors::qualifier_mismatch()),
            (derived, given) => derived.or(given),
        };
        Ok(Self {
            place: Place {
                account: parts.account.unwrap_or(&place.account).to_owned(),
                region: parts.region.unwrap_or(&place.region).to_owned(),
            },
            name: parts.name.to_owned(),
            qualifier: qualifier.map(str::to_owned),
        })
    }

    /// Fails where the name leads out of the caller's region or account.
    pub(crate) fn within(self, place: &Place) -> Result<Self, ApiError> {
        if self.place.region != place.region {
            return Err(errors::other_region(&self.place.region, &place.region));
        }
        if self.place.account != place.account {
            return Err(errors::other_account(&self.arn()));
        }
        Ok(self)
    }

    /// The function's ARN, without qualifier.
    pub(crate) fn arn(&self) -> String {
        function_arn(&self.place, &self.name)
    }

    /// The function's ARN, with the qualifier if the caller gave one.
    pub(crate) fn qualified_arn(&self) -> String {
        match &self.qualifier {
            None => self.arn(),
            Some(qualifier) => format!("{}:{qualifier}", self.arn()),
        }
    }

    /// What the qualifier means; `None` for one that is neither `$LATEST` nor a version's number.
    pub(crate) fn which(&self) -> Option<Which> {
        match self.qualifier.as_deref() {
            None | Some(LATEST) => Some(Which::Latest),
            // No other way to write the same number.
            Some(text) => {
                let number =
                    text.parse().ok().filter(|number: &u64| *number > 0 && number.to_string() == text);
                number.map(Which::Published)
            }
        }
    }

    /// Whether this means the function's unpublished version.
    pub(crate) fn is_latest(&self) -> bool {
        self.qualifier.as_deref().is_none_or(|qualifier| qualifier == LATEST)
    }
}

/// The ARN of a function.
pub(crate) fn function_arn(place: &Place, name: &str) -> String {
    format!("arn:aws:lambda:{}:{}:function:{name}", place.region, place.account)
}

/// The ARN that policies decide on. Texts that are no names stay what they are: only `*` matches them.
pub(crate) fn resource(text: &str, qualifier: Option<&str>, place: &Place) -> String {
    FunctionName::parse(text, qualifier, place).map_or_else(|_| text.to_owned(), |name| name.qualified_arn())
}

/// The same for an operation on the function as a whole, whose qualifier says nothing.
pub(crate) fn function_resource(text: &str, place: &Place) -> String {
    FunctionName::parse(text, None, place).map_or_else(|_| text.to_owned(), |name| name.arn())
}

/// Takes a function name apart; `None` when it is none.
pub(crate) fn split(text: &str) -> Option<NameParts<'_>> {
    let mut tokens: Vec<&str> = text.splitn(MAX_TOKENS + 1, ':').collect();
    if let ["arn", partition, "lambda", _, ..] = tokens.as_slice()
        && *partition == PARTITION
    {
        tokens.drain(..3);
    }
    let (mut region, mut account) = (None, None);
    let mut at = 0;
    // Each part that may be left out takes its token, as long as one is left for the name.
    let has_more = |at: usize| at + 1 < tokens.len();
    if has_more(at) && is_region(tokens[at]) {
        region = Some(tokens[at]);
        at += 1;
    }
    if has_more(at) && is_account(tokens[at]) {
        account = Some(tokens[at]);
        at += 1;
    }
    if has_more(at) && tokens[at] == "function" {
        at += 1;
    }
    if at > 0 && tokens.len() == at + 1 && !is_name(tokens[at]) {
        // What looked like an optional part was the name, and this its qualifier: `function:$LATEST`.
        at -= 1;
        region = region.filter(|_| at > 0);
        account = account.filter(|account| tokens[..at].contains(account));
    }
    match &tokens[at..] {
        [name] if is_name(name) => Some(NameParts { region, account, name, qualifier: None }),
        [name, qualifier] if is_name(name) && is_qualifier(qualifier) => {
            Some(NameParts { region, account, name, qualifier: Some(qualifier) })
        }
        _ => None,
    }
}

/// `arn:aws:lambda:REGION:ACCOUNT:function:NAME:QUALIFIER` has no more parts than this.
const MAX_TOKENS: usize = 8;

/// As `us-east-1`, `us-gov-west-1`, `us-isob-east-1`, `eusc-de-east-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.strip_prefix("eusc-").unwrap_or(text).split('-').collect();
    let lower = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let digit = |part: &str| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_digit());
    let country = |part: &str| part.len() == 2 && lower(part);
    let group = |part: &str| part == "gov" || (part.starts_with("iso") && part.len() <= 4 && lower(part));
    match parts.as_slice() {
        [land, area, number] => country(land) && lower(area) && digit(number),
        [land, kind, area, number] => country(land) && group(kind) && lower(area) && digit(number),
        _ => false,
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_qualifier(text: &str) -> bool {
    let is_alias = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    is_alias || text == LATEST || text == "$LATEST.PUBLISHED"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_lite::Regex;

    use super::*;

    fn place() -> Place {
        Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() }
    }

    fn parse(text: &str) -> FunctionName {
        FunctionName::parse(text, None, &place()).unwrap()
    }

    #[test]
    fn every_form_names_the_same_function() {
        for text in [
            "thumb",
            "function:thumb",
            "000000000000:thumb",
            "000000000000:function:thumb",
            "us-east-1:000000000000:function:thumb",
            "arn:aws:lambda:us-east-1:000000000000:function:thumb",
        ] {
            let name = parse(text);
            assert_eq!(name.arn(), "arn:aws:lambda:us-east-1:000000000000:function:thumb", "{text}");
            assert!(name.is_latest());
            assert_eq!(parse(&format!("{text}:7")).qualifier.as_deref(), Some("7"), "{text}");
        }
    }

    #[test]
    fn whole_functions_are_decided_on_without_qualifier() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        for text in ["f", "f:$LATEST", "function:f:1", &format!("{arn}:live")] {
            assert_eq!(function_resource(text, &place()), arn, "{text}");
        }
        assert_eq!(resource("f:$LATEST", None, &place()), format!("{arn}:$LATEST"));
    }

    #[test]
    fn other_partitions_name_nothing() {
        for partition in ["", "aws-cn", "aws-us-gov", "awsX"] {
            let text = format!("arn:{partition}:lambda:us-east-1:000000000000:function:thumb");
            let error = FunctionName::parse(&text, None, &place()).unwrap_err();
            assert_eq!(error.code, "ValidationException", "{text}");
        }
    }

    #[test]
    fn words_that_look_like_parts_can_be_names() {
        assert_eq!(parse("function").name, "function");
        assert_eq!(parse("function:function").name, "function");
        assert_eq!(parse("arn:aws:lambda:us-east-1:111111111111:function").name, "function");
        assert_eq!(parse("arn:aws:lambda:us-east-1:111111111111:function").place.account, "111111111111");
        assert_eq!(parse("us-east-1").name, "us-east-1");
        let account_name = parse("123456789012:$LATEST");
        assert_eq!((account_name.name.as_str(), account_name.is_latest()), ("123456789012", true));
        assert_eq!(account_name.place, place());
        assert_eq!(parse("function:$LATEST").name, "function");
    }

    #[test]
    fn foreign_regions_and_accounts_are_told_apart() {
        let error = parse("arn:aws:lambda:eu-west-1:000000000000:function:f").within(&place()).unwrap_err();
        assert_eq!(
            error.message,
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"
        );
        assert_eq!(parse("111111111111:f").within(&place()).unwrap_err().code, "AccessDeniedException");
    }

    #[test]
    fn numbers_name_versions() {
        for (text, which) in [
            ("f", Some(Which::Latest)),
            ("f:$LATEST", Some(Which::Latest)),
            ("f:17", Some(Which::Published(17))),
            ("f:0", None),
            ("f:017", None),
            ("f:live", None),
            ("f:99999999999999999999", None),
        ] {
            assert_eq!(parse(text).which(), which, "{text}");
        }
    }

    #[test]
    fn two_qualifiers_must_agree() {
        let both = |text, given| FunctionName::parse(text, Some(given), &place());
        assert_eq!(both("f:1", "1").unwrap().qualifier.as_deref(), Some("1"));
        let error = both("f:1", "2").unwrap_err();
        assert_eq!(
            error.message,
            "The derived qualifier from the function name does not match the specified qualifier."
        );
    }

    /// The model's own pattern of NamespacedFunctionName, but for other partitions.
    const PATTERN: &str = r"^(?:(arn:(aws):lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?)$";

    fn token() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("arn".to_owned()),
            Just("aws".to_owned()),
            Just("lambda".to_owned()),
            Just("us-east-1".to_owned()),
            Just("us-gov-west-1".to_owned()),
            Just("123456789012".to_owned()),
            Just("function".to_owned()),
            Just("$LATEST".to_owned()),
            "[a-zA-Z0-9_.!-]{0,6}",
        ]
    }

    proptest! {
        #[test]
        fn names_are_read_as_the_model_reads_them(tokens in proptest::collection::vec(token(), 1..9)) {
            let text = tokens.join(":");
            let pattern = Regex::new(PATTERN).unwrap();
            let expected = pattern.captures(&text).map(|found| {
                let group = |index: usize| found.get(index).map(|part| part.as_str().trim_end_matches(':').to_owned());
                (group(3), group(9), group(11).unwrap(), group(13))
            });
            let actual = split(&text).map(|parts| {
                let own = |part: Option<&str>| part.map(str::to_owned);
                (own(parts.region), own(parts.account), parts.name.to_owned(), own(parts.qualifier))
            });
            prop_assert_eq!(actual, expected);
        }
    }
}
