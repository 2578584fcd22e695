//! Condition and filter expressions.

use lambent_expressions::{Condition, Kind, Value};

use crate::support::*;

/// What is wrong with a filter, behind `Invalid FilterExpression: `.
fn wrong(text: &str, names: &[(&str, &str)], values: &[(&str, Value)]) -> String {
    let refused = Condition::parse(Kind::Filter, text, &mut placeholders(names, values));
    let message = refused.expect_err(text).0;
    message.strip_prefix("Invalid FilterExpression: ").expect("the prefix").to_owned()
}

#[test]
fn syntax_errors_name_the_token() {
    let cases = [
        ("things are not gonna be ok", "are", "things are not"),
        ("a > 4", "4", "> 4"),
        ("attribute_exists(Pictures-RearView)", "-", "Pictures-RearView"),
        ("attribute_exists(\"Pictures.RearView\")", "\"", "(\"Pictures"),
        ("attribute_exists(Pictures..RearView)", ".", "..RearView"),
        ("attribute_exists(Pi#ctures.RearView)", "#ctures", "Pi#ctures."),
        ("attribute_exists(asdf[a])", "a", "[a]"),
        ("a in b, c", "b", "in b,"),
        ("a > between", "between", "> between"),
        ("a in b", "b", "in b"),
        ("a in (b,c,)", ")", ",)"),
        ("(a)between(b.(c.d))and(c)", "(", ".(c"),
        ("(a)between(b.c.d)and((c)", "<EOF>", ")"),
        ("#$.b > a", "#", "#$"),
        ("a > :things.stuff", ".", ":things.stuff"),
        ("b[:a] > a", ":a", "[:a]"),
        ("b[#_] > a", "#_", "[#_]"),
        ("ü > a", "ü", "ü >"),
        ("(a)between(b.c[4.5].#d)and(:a)", ".", "4.5"),
        ("size(a).b > a", ".", ").b"),
        ("(size(a)).b > a", ".", ").b"),
        ("size(a)[0] > a", "[", ")[0"),
        ("(size(a))[0] > a", "[", ")[0"),
        ("whatever", "<EOF>", "whatever"),
        ("_id = :a", "_", "_id"),
        ("a = :a AND b", "<EOF>", "b"),
        ("(a = :a", "<EOF>", ":a"),
        ("a = :a)", ")", ":a)"),
        ("a = (b = c)", "=", "b = c"),
        ("a = b = c", "=", "b = c"),
        (
            "#articleId attribute_not_exists :ckpst",
            "attribute_not_exists",
            "#articleId attribute_not_exists :ckpst",
        ),
        ("attribute_exists()", ")", "()"),
    ];
    for (text, token, near) in cases {
        assert_eq!(
            wrong(text, &[], &[]),
            format!("Syntax error; token: \"{token}\", near: \"{near}\""),
            "{text}"
        );
    }
    assert_eq!(wrong("", &[], &[]), "The expression can not be empty;");
}

#[test]
fn redundant_parentheses_are_refused() {
    for text in [
        "a=a and a > ((views))",
        "(a)between(((b.c)).d)and(c)",
        "a > whatever((:things), ((a)))",
        "a=a AND ((a=a AND a=a)) AND a=a",
        "a=a OR ((a=a OR a=a)) OR a=a",
        "a=a AND ((a=a AND (a=a AND a=a)))",
        "a=a OR ((a=a OR (a=a OR a=a)))",
    ] {
        assert_eq!(wrong(text, &[], &[]), "The expression has redundant parentheses;", "{text}");
    }
}

#[test]
fn functions_are_known_and_where_they_belong() {
    let cases = [
        ("a=a and whatever((:things)) > a", "Invalid function name; function: whatever"),
        ("attRIbute_exIsts((views), #a)", "Invalid function name; function: attRIbute_exIsts"),
        (
            "a = if_not_exists(b, c)",
            "The function is not allowed in a condition expression; function: if_not_exists",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(wrong(text, &[], &[]), want);
    }
    let misused = [
        ("a=a and attribute_exists((views), (#a)) > b", "attribute_exists"),
        ("attribute_not_exists(things) > b", "attribute_not_exists"),
        ("attribute_type(things, :a) > b", "attribute_type"),
        ("begins_with(things, a) > b", "begins_with"),
        ("contains(:things, c) > b", "contains"),
        ("size(contains(a, b)) > a", "contains"),
        ("size(things)", "size"),
        ("a between b and attribute_exists(things)", "attribute_exists"),
        ("a in (b, attribute_exists(things))", "attribute_exists"),
    ];
    for (text, function) in misused {
        let want =
            format!("The function is not allowed to be used this way in an expression; function: {function}");
        assert_eq!(wrong(text, &[], &[]), want, "{text}");
    }
}

#[test]
fn words_and_placeholders_are_checked_before_operands() {
    let reserved = [("attribute_exists(views, #a)", "views"), (":a < abOrT", "abOrT")];
    for (text, word) in reserved {
        let want = format!("Attribute name is a reserved keyword; reserved keyword: {word}");
        assert_eq!(wrong(text, &[], &[]), want);
    }
    let names = [
        ("attribute_exists(#Pictures.RearView, :a) and a=a", "#Pictures"),
        ("begins_with(Pictures.#RearView)", "#RearView"),
        ("(#P between :lo and :hi) and (#PC in (:cat1, :cat2))", "#P"),
        ("#4g > a", "#4g"),
        ("#_ > a", "#_"),
        ("(a)between(b.c[45].#d)and(:a)", "#d"),
    ];
    for (text, name) in names {
        let want = format!(
            "An expression attribute name used in the document path is not defined; attribute name: {name}"
        );
        assert_eq!(wrong(text, &[], &[]), want, "{text}");
    }
    let values = [("begins_with(:hello, #a, #b)", ":hello"), (":a < :b", ":a"), (":_ > a", ":_")];
    for (text, value) in values {
        let want = format!(
            "An expression attribute value used in expression is not defined; attribute value: {value}"
        );
        assert_eq!(wrong(text, &[], &[]), want, "{text}");
    }
}

#[test]
fn functions_take_as_many_operands_as_they_do() {
    let cases = [
        ("attribute_exists(things, a) and a=a", "attribute_exists", 2),
        ("attribute_not_exists(things, b)", "attribute_not_exists", 2),
        ("attribute_type(things)", "attribute_type", 1),
        ("begins_with(things)", "begins_with", 1),
        ("begins_with(things, size(a), b)", "begins_with", 3),
        ("contains(things)", "contains", 1),
        ("size(things, a) > b", "size", 2),
    ];
    for (text, function, count) in cases {
        let want = format!(
            "Incorrect number of operands for operator or function; operator or function: {function}, number of operands: {count}"
        );
        assert_eq!(wrong(text, &[], &[]), want, "{text}");
    }
}

#[test]
fn operands_have_types_that_operators_take() {
    let mut cases = vec![
        ("attribute_type(a, size(a)) and a=a and a=:a", "attribute_type", "N", n("1")),
        ("begins_with(a, size(a)) and a=:a", "begins_with", "N", n("1")),
        ("size(size(a)) > :a", "size", "N", n("1")),
        ("attribute_not_exists(size(:a))", "size", "N", n("1")),
        ("size(:a) > a", "size", "BOOL", Value::Bool(true)),
        ("size(:a) > a", "size", "NULL", Value::Null),
    ];
    for value in each_type() {
        let found = value.type_name();
        if found != "S" {
            cases.push(("attribute_type(a, :a)", "attribute_type", found, value.clone()));
        }
        if !["S", "B"].contains(&found) {
            cases.push(("begins_with(a, :a)", "begins_with", found, value.clone()));
            cases.push(("begins_with(:a, a)", "begins_with", found, value.clone()));
        }
        if !["S", "N", "B"].contains(&found) {
            cases.push(("a < :a", "<", found, value.clone()));
            cases.push((":a >= a", ">=", found, value.clone()));
            cases.push(("a BETWEEN :a AND :a", "BETWEEN", found, value.clone()));
        }
    }
    for (text, operator, found, value) in cases {
        let want = format!(
            "Incorrect operand type for operator or function; operator or function: {operator}, operand type: {found}"
        );
        assert_eq!(wrong(text, &[], &[(":a", value)]), want, "{text}");
    }
}

#[test]
fn operands_of_functions_are_checked() {
    let a = [(":a", s("1"))];
    assert_eq!(
        wrong("attribute_type(a, :a)", &[], &a),
        "Invalid attribute type name found; type: 1, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
    );
    for (text, function) in [
        ("attribute_exists(:a) and a=a", "attribute_exists"),
        ("attribute_not_exists(size(:a))", "attribute_not_exists"),
    ] {
        let want = format!("Operator or function requires a document path; operator or function: {function}");
        assert_eq!(wrong(text, &[], &a), want);
    }
    let cases = [
        ("a = a AND #a = b AND :views > a", "=", "[a]"),
        ("#a <> a", "<>", "[a]"),
        ("a > #a", ">", "[a]"),
        ("((a=a) OR (a=a))", "=", "[a]"),
        ("((a=a) AND (a=a))", "=", "[a]"),
        ("contains(ab.bc[1].a, ab.bc[1].#a)", "contains", "[ab, bc, [1], a]"),
        ("attribute_type(ab.bc[1].#a, ab.bc[1].a)", "attribute_type", "[ab, bc, [1], a]"),
        ("begins_with(ab.bc[1].a, ab.bc[1].#a)", "begins_with", "[ab, bc, [1], a]"),
    ];
    for (text, operator, path) in cases {
        let want = format!(
            "The first operand must be distinct from the remaining operands for this operator or function; operator: {operator}, first operand: {path}"
        );
        assert_eq!(wrong(text, &[("#a", "a")], &[]), want, "{text}");
    }
}

#[test]
fn bounds_are_of_one_type_and_in_order() {
    assert_eq!(
        wrong("a between :b and :a", &[], &[(":a", s("a")), (":b", n("1"))]),
        "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:a}"
    );
    assert_eq!(
        wrong("a between :b and :a", &[], &[(":a", s("a")), (":b", s("b"))]),
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {S:b}, upper bound operand: AttributeValue: {S:a}"
    );
}
