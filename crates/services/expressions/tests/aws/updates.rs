//! Update expressions: what is refused, and what they make of items.

use lambent_expressions::{Item, Update, Value};

use crate::support::*;

const NAMES: [(&str, &str); 3] = [("#b", "b"), ("#c", "c"), ("#d", "[3]")];

/// What is wrong with an update, behind `Invalid UpdateExpression: `.
fn wrong(text: &str, names: &[(&str, &str)], values: &[(&str, Value)]) -> String {
    let refused = Update::parse(text, &mut placeholders(names, values));
    let message = refused.expect_err(text).0;
    message.strip_prefix("Invalid UpdateExpression: ").expect("the prefix").to_owned()
}

fn updated(
    item: &Item,
    text: &str,
    names: &[(&str, &str)],
    values: &[(&str, Value)],
) -> Result<Item, String> {
    let update = Update::parse(text, &mut placeholders(names, values)).expect(text);
    let mut item = item.clone();
    update.apply(&mut item).map(|()| item).map_err(|why| why.0)
}

#[test]
fn syntax_errors_name_the_token() {
    let cases = [
        ("whatever", "whatever", "whatever"),
        ("set a", "<EOF>", "a"),
        ("add a", "<EOF>", "a"),
        ("delete a", "<EOF>", "a"),
        ("set a=set", "set", "=set"),
        ("remove a = b", "=", "a = b"),
        ("add a = b", "=", "a = b"),
        ("delete a = b", "=", "a = b"),
        ("delete a b", "b", "a b"),
        ("delete a if_not_exist(b)", "if_not_exist", "a if_not_exist("),
        ("add abort b", "b", "abort b"),
        ("add a if_not_exist(b)", "if_not_exist", "a if_not_exist("),
        ("remove a b", "b", "a b"),
        ("set a b", "b", "a b"),
        ("set :a = b", ":a", "set :a ="),
        ("add :a b", ":a", "add :a b"),
        ("delete :a b", ":a", "delete :a b"),
        ("remove :a", ":a", "remove :a"),
        ("set a = b / c", "/", "b / c"),
        ("set a = b * c", "*", "b * c"),
        ("set a[1] = \"eight\"", "\"", "= \"eight"),
        ("set a[1] = 1", "1", "= 1"),
        ("SET a = if_not_exist(a, 100)", "100", ", 100)"),
        ("SET if_not_exist(a, b) = a", "(", "if_not_exist(a"),
        ("set (a = (b + c))", "(", "set (a"),
        ("set a = (b.c).d + e", ".", ").d"),
        ("set a = (b.c)[0] + e", "[", ")[0"),
        ("set a = b + c + d", "+", "c + d"),
        ("SET a = :a,", "<EOF>", ","),
        ("ADD hits : incr", ":", "hits : incr"),
        ("INVALID SYNTAX HERE", "INVALID", "INVALID SYNTAX"),
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
fn words_come_before_sections_and_placeholders() {
    let names = [("#a", "a"), ("#b", "b")];
    let values = [(":a", s("a")), (":b", s("a"))];
    let cases = [
        (" set #c = :c set abOrt = true ", "Attribute name is a reserved keyword; reserved keyword: abOrt"),
        (" remove Absolute ", "Attribute name is a reserved keyword; reserved keyword: Absolute"),
        ("set #c = if_not_exist(:c) set c = d", "Invalid function name; function: if_not_exist"),
        (
            "set #c = size(:c) set c = d",
            "The function is not allowed in an update expression; function: size",
        ),
        ("set a = #c set c = :d", "The \"SET\" section can only be used once in an update expression;"),
        (
            "remove #d set a = b remove e",
            "The \"REMOVE\" section can only be used once in an update expression;",
        ),
        (
            "add #d :e set a = b add e :f",
            "The \"ADD\" section can only be used once in an update expression;",
        ),
        (
            "delete #d :e set a = b delete #e :f",
            "The \"DELETE\" section can only be used once in an update expression;",
        ),
        (
            "SET #c = if_not_exists(:c)",
            "An expression attribute name used in the document path is not defined; attribute name: #c",
        ),
        (
            "SET #a = if_not_exists(:c)",
            "An expression attribute value used in expression is not defined; attribute value: :c",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(wrong(text, &names, &values), want, "{text}");
    }
}

#[test]
fn paths_keep_out_of_one_another() {
    let cases = [
        ("set d[1] = a, d.b = a, c[1].a = a, #c = if_not_exists(a)", "overlap", "[c, [1], a]", "[c]"),
        ("set #c[3].#d = a, #c[3] = a", "overlap", "[c, [3], [3]]", "[c, [3]]"),
        ("set a = b remove a", "overlap", "[a]", "[a]"),
        ("set #c[3].#d = a, #c.#d[3] = if_not_exists(a)", "conflict", "[c, [3], [3]]", "[c, [3], [3]]"),
        ("remove a.#c set a[1] = #d", "conflict", "[a, c]", "[a, [1]]"),
    ];
    for (text, how, one, two) in cases {
        let want = format!(
            "Two document paths {how} with each other; must remove or rewrite one of these paths; path one: {one}, path two: {two}"
        );
        assert_eq!(wrong(text, &NAMES, &[]), want, "{text}");
    }
}

#[test]
fn sections_take_values_of_some_types() {
    let a = [(":a", s("a"))];
    let want = "Incorrect operand type for operator or function; operator: ADD, operand type: STRING";
    assert_eq!(wrong("set b = list_append(:a, a), c = if_not_exists(a) add a.b :a", &[], &a), want);
    let types = ["STRING", "NUMBER", "BINARY", "BOOLEAN", "NULL", "LIST", "MAP"];
    for (value, name) in each_type().into_iter().zip(types) {
        for (text, section) in [("add a.b :a", "ADD"), ("delete a.b :a", "DELETE")] {
            if (section, name) == ("ADD", "NUMBER") {
                continue;
            }
            let want = format!(
                "Incorrect operand type for operator or function; operator: {section}, operand type: {name}"
            );
            assert_eq!(wrong(text, &[], &[(":a", value.clone())]), want);
        }
    }
}

#[test]
fn functions_take_operands_of_some_types() {
    let values = [
        (":a", s("a")),
        (":b", n("1")),
        (":c", b("a")),
        (":d", Value::Bool(false)),
        (":e", Value::Null),
        (":f", ss(["a"])),
        (":g", ns(["1"])),
        (":h", bs(["a"])),
        (":i", m([])),
        (":j", l([])),
    ];
    for (key, value) in &values {
        let found = value.type_name();
        let mut texts = Vec::new();
        if found != "L" {
            texts.push((format!("set a = list_append({key}, a)"), "list_append"));
            texts.push((format!("set a = list_append(a, {key})"), "list_append"));
        }
        if found != "N" {
            for operator in ["+", "-"] {
                texts.push((format!("set a = a {operator} {key}"), operator));
                texts.push((format!("set a = {key} {operator} a"), operator));
            }
        }
        for (text, operator) in texts {
            let want = format!(
                "Incorrect operand type for operator or function; operator or function: {operator}, operand type: {found}"
            );
            assert_eq!(wrong(&text, &[], &values), want, "{text}");
        }
    }
    for text in ["set a = if_not_exists(:a, c)", "set a = if_not_exists(if_not_exists(a, b), c)"] {
        let want = "Operator or function requires a document path; operator or function: if_not_exists";
        assert_eq!(wrong(text, &[], &values), want);
    }
    for (text, function) in
        [("set a = if_not_exists(c)", "if_not_exists"), ("set a = list_append(c)", "list_append")]
    {
        let want = format!(
            "Incorrect number of operands for operator or function; operator or function: {function}, number of operands: 1"
        );
        assert_eq!(wrong(text, &[], &values), want);
    }
}

#[test]
fn an_item_has_what_is_read_of_it() {
    let item = item([("a", s("key"))]);
    for text in ["set c = b", "set e = list_append(b, c)", "set e = b + :n", "set e = if_not_exists(b, c)"] {
        let values: &[_] = if text.contains(":n") { &[(":n", n("1"))] } else { &[] };
        let want = "The provided expression refers to an attribute that does not exist in the item";
        assert_eq!(updated(&item, text, &[], values), Err(want.to_owned()), "{text}");
    }
}

#[test]
fn operands_have_the_types_of_what_is_there() {
    let item = item([("b", m([("a", ss(["1"]))])), ("c", n("1")), ("d", ns(["1"])), ("a", s("key"))]);
    let cases = [
        ("delete d :a", ss(["1"])),
        ("delete b :a", ns(["1"])),
        ("delete b.a :a", ns(["1"])),
        ("delete b.a :a", bs(["a"])),
        ("delete c :a", ns(["1"])),
        ("add b :a", ns(["1"])),
        ("add d :a", n("1")),
        ("set e = a + :a", n("1")),
        ("set e = b - :a", n("1")),
        ("set e = list_append(d, if_not_exists(f, :a))", l([])),
    ];
    for (text, value) in cases {
        let want = "An operand in the update expression has an incorrect data type";
        assert_eq!(updated(&item, text, &[], &[(":a", value)]), Err(want.to_owned()), "{text}");
    }
}

#[test]
fn paths_lead_to_where_something_can_be() {
    let item =
        item([("a", s("key")), ("b", s("key")), ("c", m([("1", s("a"))])), ("d", l([s("a"), s("b")]))]);
    for place in ["b.a", "b[1]", "y.a", "y[1]", "c[1]", "d.#1"] {
        let other = if place == "d.#1" { "" } else { " set #1 = :a" };
        for text in [
            format!("set {place} = :a{}", other.replace(" set ", ", ")),
            format!("remove {place} set #1 = :a"),
            format!("delete {place} :a{other}"),
            format!("add {place} :a{other}"),
        ] {
            let want = "The document path provided in the update expression is invalid for update";
            let got = updated(&item, &text, &[("#1", "1")], &[(":a", ss(["a"]))]);
            assert_eq!(got, Err(want.to_owned()), "{text}");
        }
    }
}

#[test]
fn sections_do_what_they_say() {
    let before = item([("b", s("x")), ("c", ss(["a", "b"]))]);
    let values =
        [(":c", ss(["a", "b"])), (":d", n("5")), (":e", ss(["a", "b"])), (":f", l([s("a"), n("1")]))];
    let text = "REMOVE b DELETE c :c ADD d :d, e :e SET f = :f";
    let after = updated(&before, text, &[], &values).unwrap();
    assert_eq!(after, item([("d", n("5")), ("e", ss(["a", "b"])), ("f", l([s("a"), n("1")]))]));
    let values = [(":d", n("-7.5")), (":e", ss(["a", "c"]))];
    let after = updated(&after, "ADD d :d DELETE e :e", &[], &values).unwrap();
    assert_eq!(after, item([("d", n("-2.5")), ("e", ss(["b"])), ("f", l([s("a"), n("1")]))]));
}

#[test]
fn values_are_read_from_the_item_as_it_was() {
    let before = item([
        ("a", s("key")),
        ("b", m([("a", n("1")), ("b", n("2")), ("c", n("3"))])),
        ("c", l([n("1"), n("3")])),
    ]);
    let text = "set b.c=((c[1])+(b.a)),b.a = a,c[1] = a, c[4] = b.a - b.b, c[2] = b.c add c[8] :b, c[6] :a";
    let mut sent = placeholders(&[], &[(":a", n("2")), (":b", ss(["a"]))]);
    let update = Update::parse(text, &mut sent).unwrap();
    let mut after = before;
    update.apply(&mut after).unwrap();
    let want = item([
        ("a", s("key")),
        ("b", m([("a", s("key")), ("b", n("2")), ("c", n("4"))])),
        ("c", l([n("1"), s("key"), n("3"), n("-1"), n("2"), ss(["a"])])),
    ]);
    assert_eq!(after, want);
    let shown = item([("b", m([("a", s("key")), ("c", n("4"))])), ("c", l([s("key"), n("3"), n("2")]))]);
    assert_eq!(update.touched().of(&after), shown);
}

#[test]
fn typical_updates() {
    let before = item([("count", n("41")), ("tags", l([s("a")])), ("spot", m([("x", n("1"))]))]);
    type Case<'a> = (&'a str, &'a [(&'a str, Value)], Item);
    let cases: [Case<'_>; 7] = [
        ("SET #n = #n + :one", &[(":one", n("1"))], item([("count", n("42"))])),
        ("SET fresh = if_not_exists(fresh, :one) + :one", &[(":one", n("1"))], item([("fresh", n("2"))])),
        ("SET tags = list_append(:t, tags)", &[(":t", l([s("b")]))], item([("tags", l([s("b"), s("a")]))])),
        (
            "SET tags = list_append(if_not_exists(absent, :t), tags)",
            &[(":t", l([]))],
            item([("tags", l([s("a")]))]),
        ),
        ("SET tags[7] = :t", &[(":t", s("z"))], item([("tags", l([s("a"), s("z")]))])),
        ("ADD #n :one", &[(":one", n("-0.5"))], item([("count", n("40.5"))])),
        (
            "SET spot.y = spot.x, spot.x = :t",
            &[(":t", n("2"))],
            item([("spot", m([("x", n("2")), ("y", n("1"))]))]),
        ),
    ];
    for (text, values, changed) in cases {
        let names: &[_] = if text.contains('#') { &[("#n", "count")] } else { &[] };
        let mut want = before.clone();
        want.extend(changed);
        assert_eq!(updated(&before, text, names, values), Ok(want), "{text}");
    }
    let removed =
        updated(&item([("l", l([n("0"), n("1"), n("2"), n("3")]))]), "REMOVE l[1], l[3], l[9]", &[], &[]);
    assert_eq!(removed, Ok(item([("l", l([n("0"), n("2")]))])));
}

#[test]
fn sums_keep_within_the_range_of_numbers() {
    let huge = item([("n", n("9.9999999999999999999999999999999999999e125"))]);
    let overflow = "Number overflow. Attempting to store a number with magnitude larger than supported range";
    for text in ["SET n = n + n", "ADD n :n"] {
        let values: &[_] = if text.contains(":n") { &[(":n", huge["n"].clone())] } else { &[] };
        assert_eq!(updated(&huge, text, &[], values), Err(overflow.to_owned()), "{text}");
    }
}

#[test]
fn types_are_told_where_no_item_is_needed() {
    let values = [(":n", n("1")), (":s", s("x")), (":l", l([])), (":set", ss(["a"]))];
    let text = "SET a = :s, b = c + :n, d = list_append(d, :l), e = if_not_exists(e, :n), f = g, h.i = :n, m = n[0] ADD j :n, k :set REMOVE o";
    let update = Update::parse(text, &mut placeholders(&[], &values)).unwrap();
    let told = update.actions().iter().map(|action| (action.path.head.as_str(), action.static_type()));
    let want = [
        ("a", Some("S")),
        ("b", Some("N")),
        ("d", Some("L")),
        ("e", Some("N")),
        ("f", None),
        ("h", Some("N")),
        ("m", None),
        ("j", Some("N")),
        ("k", Some("SS")),
        ("o", None),
    ];
    assert_eq!(told.collect::<Vec<_>>(), want);
    let nested: Vec<_> = update.all_paths().into_iter().filter(|path| path.is_nested()).collect();
    assert_eq!(nested.iter().map(|path| path.head.as_str()).collect::<Vec<_>>(), ["h", "n"]);
}
