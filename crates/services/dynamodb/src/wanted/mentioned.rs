//! The attributes that a request names, for `dynamodb:Attributes` and `dynamodb:LeadingKeys`.
//!
//! Expressions are only glanced over, as whether they hold together is not known before somebody has decided: what the
//! grammar refuses, the handler refuses. Of an expression that it takes, this finds every attribute: both cut it into the same
//! tokens.

use std::collections::{BTreeMap, BTreeSet};

use lambent_expressions::{Piece, pieces};
use lambent_model_dynamodb::AttributeValue;

/// The names and values of placeholders.
pub(crate) type Names = BTreeMap<String, String>;
pub(crate) type Values = BTreeMap<String, AttributeValue>;

/// Adds the first steps of all paths in an expression.
pub(crate) fn attributes_of(expression: &str, names: Option<&Names>, found: &mut BTreeSet<String>) {
    for piece in pieces(expression) {
        if let Piece::Attribute(name) = piece {
            found.insert(resolved(name, names).to_owned());
        }
    }
}

/// The values that a key condition compares the attribute `hash` with.
pub(crate) fn equals<'v>(
    expression: &str,
    hash: &str,
    names: Option<&Names>,
    values: Option<&'v Values>,
) -> Vec<&'v AttributeValue> {
    let pieces = pieces(expression);
    let is_hash = |name: &str| resolved(name, names) == hash;
    let compared = pieces.windows(3).filter_map(|three| match three {
        [Piece::Attribute(name), Piece::Equals, Piece::Value(value)]
        | [Piece::Value(value), Piece::Equals, Piece::Attribute(name)]
            if is_hash(name) =>
        {
            Some(*value)
        }
        _ => None,
    });
    compared.filter_map(|value| values?.get(value)).collect()
}

fn resolved<'a>(name: &'a str, names: Option<&'a Names>) -> &'a str {
    match names {
        Some(names) if name.starts_with('#') => names.get(name).map_or(name, String::as_str),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(expression: &str, names: &[(&str, &str)]) -> Vec<String> {
        let names = names.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect();
        let mut found = BTreeSet::new();
        attributes_of(expression, Some(&names), &mut found);
        found.into_iter().collect()
    }

    fn text(text: &str) -> AttributeValue {
        AttributeValue { s: Some(text.to_owned()), ..AttributeValue::default() }
    }

    #[test]
    fn the_first_steps_of_paths_are_found() {
        assert_eq!(attributes("a, b.c[0].d, #e.#f , g [1] . h", &[("#e", "E E")]), ["E E", "a", "b", "g"]);
        assert_eq!(
            attributes("set a.b = if_not_exists(c, :d) + :e REMOVE f[0] ADD g :h delete i :j", &[]),
            ["a", "c", "f", "g", "i"]
        );
        assert_eq!(
            attributes(
                "NOT (size(a) > :b) and attribute_type(c.d, :e) OR f BETWEEN :g AND h or i IN (:j, k)",
                &[]
            ),
            ["a", "c", "f", "h", "i", "k"]
        );
        assert_eq!(attributes("SET shown = hidden-:zero, a = b-c", &[]), ["a", "b", "c", "hidden", "shown"]);
    }

    #[test]
    fn what_a_key_is_compared_with_is_found() {
        let names: Names = [("#h".to_owned(), "hash".to_owned())].into();
        let values: Values = [(":v".to_owned(), text("one")), (":w".to_owned(), text("two"))].into();
        let found = |expression| equals(expression, "hash", Some(&names), Some(&values));
        let one = text("one");
        assert_eq!(found("hash = :v AND begins_with(range, :w)"), [&one]);
        assert_eq!(found("(range >= :w) and (#h=:v)"), [&one]);
        assert_eq!(found(":v = #h AND range = :w"), [&one]);
        assert!(found("range = :v").is_empty());
        assert!(found("hash.part = :none").is_empty());
    }
}
