//! Statements and what AWS makes of them; the messages are recorded ones.

use proptest::prelude::*;

use crate::ordered::Kind;
use crate::partiql::{Branch, KeyNames, Select, Statement, branches, named_key, only_key, parse};
use crate::{Invalid, Item, Number, RangeTest, Value};

const KEY: KeyNames<'_> = KeyNames { hash: ("pk", Kind::S), range: Some(("sk", Kind::S)) };
const NOT_WELL_FORMED: &str = "Statement wasn't well formed, can't be processed: ";

fn text(text: &str) -> Value {
    Value::S(text.to_owned())
}

fn number(text: &str) -> Value {
    Value::N(Number::parse(text).unwrap())
}

fn refused(statement: &str) -> String {
    match parse(statement, Vec::new()) {
        Err(Invalid(message)) => message,
        Ok(read) => panic!("{statement} was read: {read:?}"),
    }
}

fn select(statement: &str) -> Select {
    match parse(statement, Vec::new()) {
        Ok(Statement::Select(select)) => select,
        other => panic!("{statement}: {other:?}"),
    }
}

/// What an INSERT puts.
fn item(literal: &str) -> Item {
    match parse(&format!("INSERT INTO t VALUE {literal}"), Vec::new()) {
        Ok(Statement::Insert { item, .. }) => item,
        other => panic!("{literal}: {other:?}"),
    }
}

#[test]
fn statements_that_are_malformed() {
    for (statement, reason) in [
        ("SLECT * FROM \"t\"", "Expected data manipulation"),
        ("SELECT * FROM \"t\" WHERE pk = 1 foo", "Unexpected token after expression"),
        ("SELECT * FROM \"t\" WHERE pk = 1 e5", "Unexpected token after expression"),
        ("SELECT * FROM \"t\" WHERE pk = 1)", "Unexpected token after expression"),
        ("INSERT INTO \"t\" VALUE {'pk': 1} foo", "Unexpected token after expression"),
        ("INSERT INTO \"t\" u VALUE {'pk': 'x'}", "Unexpected token after expression"),
        ("UPDATE \"t\" SET a = 9 WHERE pk = 1 foo", "Unexpected token after expression"),
        ("DELETE FROM \"t\" WHERE pk = 1 ORDER BY pk", "Unexpected token after expression"),
        ("SELECT * FROM \"t\" ORDER BY pk WHERE pk = 1", "Unexpected token after expression"),
        ("FROM \"t\" SET c = 1 WHERE pk = 'x'", "Unexpected token after expression"),
        ("SELECT * FROM \"t\" WHERE pk = 1e2147483648", ""),
        ("SELECT * FROM \"t\" WHERE pk = 1.5e-2147483647", ""),
        ("SELECT * FROM \"t\" WHERE pk = 1 # note", ""),
        ("SELECT * FROM \"t\" WHERE pk = 1 /* note", ""),
        ("SELECT * FROM \"t\" WHERE", "Unexpected term"),
        ("SELECT * FROM \"t\" WHERE;", "Unexpected term"),
        ("SELECT * FROM \"t\" WHERE NOT", "Unexpected term"),
        ("SELECT * FROM \"t\" WHERE (", "Unexpected term"),
        ("SELECT * FROM", "Unexpected term"),
        ("SELECT * FROM \"t\" WHERE pk = 'p' AND", "Missing right-hand side expression of infix operator"),
        ("SELECT * FROM \"t\" WHERE pk = 'p' OR", "Missing right-hand side expression of infix operator"),
        ("SELECT * FROM \"t\" WHERE ORDER BY pk", "Unexpected keyword"),
        ("SELECT * FROM \"t\" WHERE IS NULL", "Unexpected operator"),
        ("SELECT * FROM \"t\" WHERE pk = LIKE", "Unexpected operator"),
        ("SELECT * FROM \"t\" WHERE pk = 'a' AND x IS FOO", "Expected type name"),
        ("SELECT * FROM \"t\" WHERE attribute_exists(m.inner)", "Invalid path dot component"),
        ("DELETE FROM", "Expected identifier for simple path"),
        ("DELETE FROM WHERE pk = 'a'", "Expected identifier for simple path"),
    ] {
        assert_eq!(refused(statement), format!("{NOT_WELL_FORMED}{reason}"), "{statement}");
    }
}

#[test]
fn statements_that_mean_what_cannot_be() {
    let overflow = "Number overflow. Attempting to store a number with magnitude larger than supported range";
    let wrong = "Incorrect operand type for operator or function; operator or function: ";
    for (statement, message) in [
        ("SELECT * FROM \"t\" u WHERE pk = 'x'", "Aliasing is not supported"),
        ("SELECT * FROM \"t\" AS u WHERE pk = 'x'", "Aliasing is not supported"),
        ("UPDATE \"t\" u SET a = 3 WHERE pk = 'x'", "Aliasing is not supported"),
        ("SELECT * FROM \"\" WHERE pk = 'x'", "Path component cannot be an empty string"),
        ("SELECT * FROM \"t\".\"i\".\"j\"", "A path may contain at most 2 components in the FROM clause"),
        ("INSERT INTO \"t\".\"i\" VALUE {'pk': 'x'}", "FROM clause may only contain a single table name"),
        ("UPDATE \"t\".\"i\" SET a = 1 WHERE pk = 'x'", "This operation is not supported on an index"),
        ("SELECT * FROM \"t\" WHERE pk = 1e126", &format!("{overflow} under root")),
        ("INSERT INTO \"t\" VALUE {'m': {'x': 1e126}}", &format!("{overflow} under root.x")),
        ("INSERT INTO \"t\" VALUE {'l': [1, 1e126]}", &format!("{overflow} under root[1]")),
        ("SELECT l[-1] FROM t", "List index is not within the allowable range; index: [-1] at 1:11:1"),
        (
            "SELECT l[2147483648] FROM t",
            "List index is not within the allowable range; index: [2147483648] at 1:10:10",
        ),
        ("SELECT attribute_exists(ss) FROM t", "Unexpected path component at 1:8:16"),
        ("SELECT * FROM t WHERE EXISTS(ss)", "Unrecognized function: exists at 1:23:6"),
        ("SELECT * FROM t WHERE attribute_type(l, 1)", &format!("{wrong}attribute_type, operand type: N")),
        ("SELECT * FROM t WHERE a > true", &format!("{wrong}>, operand type: BOOL")),
        ("SELECT * FROM t WHERE attribute_exists(n) > false", &format!("{wrong}>, operand type: BOOL")),
        ("SELECT * FROM t WHERE a BETWEEN true AND false", &format!("{wrong}BETWEEN, operand type: BOOL")),
        ("UPDATE t SET n = 'a' + 1 WHERE pk = 'x'", &format!("{wrong}+, operand type: S")),
        (
            "SELECT * FROM t WHERE attribute_exists()",
            "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 0",
        ),
        (
            "SELECT * FROM t WHERE attribute_exists('ss')",
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
    ] {
        assert_eq!(refused(statement), message, "{statement}");
    }
    let many = vec!["1"; 101].join(",");
    let in_many = format!("SELECT * FROM t WHERE f IN [{many}]");
    assert_eq!(
        refused(&in_many),
        "The IN operator is provided with too many operands; number of operands: 101"
    );
}

#[test]
fn values_that_cannot_be() {
    for (statement, message) in [
        (
            "UPDATE t\nSET s = set_add(s, 'x')\nWHERE pk = 'x'",
            "The second argument to SET_ADD must be a value with type SET at 2:17:1",
        ),
        ("UPDATE t SET s = set_add(s)", "SET_ADD must have exactly two arguments at 1:18:7"),
        (
            "UPDATE t SET u = set_delete(s, <<'x'>>)",
            "The first argument to SET_DELETE must equal the assignment value at 1:18:10",
        ),
        ("UPDATE t SET s = <<>>", "Empty bags are not supported"),
        (
            "UPDATE t SET s = <<'b', 'b'>>",
            "One or more parameter values were invalid: Input collection [b, b] contains duplicates.",
        ),
        (
            "UPDATE t SET n = <<2, 2.0>>",
            "One or more parameter values were invalid: Input collection [2, 2.0] contains duplicates! under root",
        ),
        ("UPDATE t SET x = [?]", "Unsupported data type: Parameter under key root[0] at 1:19:1"),
        (
            "INSERT INTO t VALUE {'s': set_add(<<'a'>>, <<'b'>>)}",
            "Unsupported data type: set_add under key root at 1:27:7",
        ),
        ("SELECT * FROM t WHERE a = ?", "Number of parameters in request and statement don't match."),
        (
            "DELETE FROM t WHERE pk = 'x' RETURNING MODIFIED OLD *",
            "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE statements.",
        ),
    ] {
        assert_eq!(refused(statement), message, "{statement}");
    }
    let deep = format!("UPDATE t SET d = {}1{}", "{'a':".repeat(32), "}".repeat(32));
    assert_eq!(
        refused(&deep),
        format!("Nesting Levels have exceeded supported limits under root{}", ".a".repeat(32))
    );
}

#[test]
fn conditions_hold_as_they_do_on_aws() {
    let item = item(
        "{'pk': 'p', 'n': 1, 's': 'str', 'flag': 'right', 'yes': true, 'nul': null, 'm': {'x': 'y'}, 'l': ['a']}",
    );
    let holds = |condition: &str| {
        select(&format!("SELECT * FROM t WHERE {condition}")).condition.expect("it has one").matches(&item)
    };
    for condition in [
        "attribute_exists(m.x) AND ATTRIBUTE_NOT_EXISTS (nope) AND attribute_exists(l[0])",
        "attribute_exists(nope) = false",
        "true = attribute_exists(n)",
        "attribute_exists(n) <> 1",
        "contains(nope, 'z') = false",
        "(n BETWEEN 0 AND 5) = true",
        "(n = 5 OR flag = 'x') = false",
        "attribute_exists(nope) IN [true, false]",
        "attribute_exists(n) = attribute_exists(flag)",
        "attribute_exists(n) = yes",
        "n BETWEEN - 2 AND +5 AND n IN [- 1, 1]",
        "n = - - 1",
        "n>-5",
        "nul IS NULL",
        "s IS NOT NULL",
        "s IS STRING AND yes IS BOOL",
        "nope IS MISSING AND n IS NOT MISSING",
        "size(s) = 3",
        "NOT begins_with(\"s\", 'al')",
        "n NOT IN [2, 3]",
        "attribute_type(m, 'M')",
        "s/* c */= 'str' -- done",
    ] {
        assert!(holds(condition), "{condition}");
    }
    for condition in [
        "(attribute_exists(nope) OR NOT attribute_exists(\"m\"))",
        "attribute_exists(n) = 1",
        "NOT attribute_exists(n) = true",
        "(attribute_exists(n) = true) = false",
        "attribute_exists(n) = flag",
        "s IS NULL",
        "s IS BOOL",
    ] {
        assert!(!holds(condition), "{condition}");
    }
}

#[test]
fn updates_change_what_they_say() {
    let update = |changes: &str, item: &str| {
        let statement = format!("UPDATE t {changes} WHERE pk = 'p'");
        match parse(&statement, Vec::new()) {
            Ok(Statement::Update { update, .. }) => {
                let mut item = self::item(item);
                update.apply(&mut item).map(|()| item)
            }
            other => panic!("{statement}: {other:?}"),
        }
    };
    for (changes, before, after) in [
        ("SET n=n-1", "{'n': 5}", "{'n': 4}"),
        ("SET n = n - - 2 SET l = [- 1]", "{'n': 1}", "{'n': 3, 'l': [-1]}"),
        ("SET a = 1, b = {'x': 'y'} REMOVE c", "{'c': 2}", "{'a': 1, 'b': {'x': 'y'}}"),
        ("SET ss = set_add(ss, <<'0', 'z'>>)", "{'ss': <<'a'>>}", "{'ss': <<'0', 'a', 'z'>>}"),
        ("SET ss = SET_DELETE(ss, <<'a'>>)", "{'ss': <<'a'>>}", "{}"),
        ("SET l = list_append(l, [2])", "{'l': [1]}", "{'l': [1, 2]}"),
        ("SET m.x = 'new' REMOVE l[0]", "{'m': {'x': 'old'}, 'l': [1, 2]}", "{'m': {'x': 'new'}, 'l': [2]}"),
    ] {
        assert_eq!(update(changes, before), Ok(item(after)), "{changes}");
    }
    let wrong = Err(Invalid::new("An operand in the update expression has an incorrect data type"));
    assert_eq!(update("SET ss = set_add(ss, <<1>>)", "{'ss': <<'a'>>}"), wrong);
}

#[test]
fn conditions_that_double_have_an_end() {
    for more in [" = x", " = attribute_exists(b)", " IN [x, y]"] {
        let statement = format!("SELECT * FROM t WHERE attribute_exists(a){}", more.repeat(40));
        let refused = refused(&statement);
        assert_eq!(
            refused,
            format!("{NOT_WELL_FORMED}conditions are compared with one another too often"),
            "{more}"
        );
        let deep = format!(
            "SELECT * FROM t WHERE {}attribute_exists(a){}",
            "(".repeat(40),
            format!("{more})").repeat(40)
        );
        assert!(parse(&deep, Vec::new()).is_err(), "{more}");
    }
}

#[test]
fn columns_are_called_by_the_ends_of_their_paths() {
    let columns = select("SELECT m.k[0], l[-0], \"a b\", m['x'] FROM t").columns.expect("they are named");
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["k[0]", "l[0]", "a b", "x"]);
}

#[test]
fn parameters_stand_for_values() {
    let parameters = vec![text("p"), number("7")];
    let read = parse("FROM \"t\" WHERE pk = ? SET c = ? RETURNING ALL NEW *", parameters).unwrap();
    let Statement::Update { condition, update, returning, .. } = read else { panic!("it is an update") };
    let key = Item::from([("pk".to_owned(), text("p"))]);
    let hash_alone = KeyNames { range: None, ..KEY };
    assert_eq!(named_key(condition.as_ref(), hash_alone, true), Ok(Some(key)));
    let mut changed = Item::new();
    update.apply(&mut changed).unwrap();
    assert_eq!(changed["c"], number("7"));
    assert!(returning.is_some_and(|returning| returning.new && !returning.modified));
    assert!(parse("SELECT * FROM t", vec![text("p")]).is_err(), "one too many");
}

fn reads(condition: &str) -> Result<Option<Vec<Branch>>, Invalid> {
    branches(select(&format!("SELECT * FROM t WHERE {condition}")).condition.as_ref(), KEY)
}

#[test]
fn conditions_on_keys_are_reads() {
    let branch = |range| Branch { hash: text("r"), range };
    let one = |range| Ok(Some(vec![branch(range)]));
    assert_eq!(reads("pk='r'"), one(None));
    assert_eq!(reads("pk='r' AND sk='1' AND sk > '0' AND x=1"), one(Some(RangeTest::Eq(text("1")))));
    assert_eq!(reads("'r'=pk AND begins_with(sk, 'a')"), one(Some(RangeTest::BeginsWith(text("a")))));
    assert_eq!(reads("pk='r' AND NOT sk='1' OR pk='r' AND sk='2'"), one(None));
    assert_eq!(reads("pk='r' OR pk='r' AND NOT sk='1'"), one(None));
    assert_eq!(reads("pk='r' AND (a=1 OR b=2)"), one(None));
    assert_eq!(reads("pk='r' AND sk IN ['1','2']").unwrap().unwrap().len(), 2);
    assert_eq!(reads("pk='r' AND (sk < '1' OR sk > '1' OR sk='1')").unwrap().unwrap().len(), 3);
    assert_eq!(reads("pk='r' AND pk='s'"), Ok(Some(Vec::new())));
    for all in ["pk > 1", "x=1", "pk='r' OR x=1", "pk='r' OR sk='1'", "NOT pk='r'"] {
        assert_eq!(reads(all), Ok(None), "{all}");
    }
    let overlapping =
        Err(Invalid::new("Overlapping conditions with range keys are not supported in where clause"));
    for two in [
        "pk IN ['r','r']",
        "pk='r' OR pk='r'",
        "pk='r' AND (sk > '0' OR sk < '5')",
        "pk='r' AND (sk='1' OR flag='two')",
        "(pk='r' AND flag='one') OR (pk='r' AND flag='two')",
    ] {
        assert_eq!(reads(two), overlapping, "{two}");
    }
    let mismatch = |name| {
        Err(Invalid::new(format!(
            "Key attribute's data type should match its data type in table's schema: Key {name}"
        )))
    };
    assert_eq!(reads("pk = 1 OR pk = 'r'"), mismatch("pk"));
    assert_eq!(reads("pk = 'r' AND sk IN ['1', 2]"), mismatch("sk"));
}

#[test]
fn fifty_reads_are_the_most() {
    let values = |count: usize| (0..count).map(|at| format!("'v{at}'")).collect::<Vec<_>>().join(",");
    let too_many = Err(Invalid::new("Too many decomposed read operations for a given query."));
    assert_eq!(reads(&format!("pk IN [{}]", values(51))), too_many);
    assert_eq!(reads(&format!("pk='r' AND sk IN [{}]", values(51))), too_many);
    assert_eq!(reads(&format!("pk IN [{}] AND sk IN ['1','2']", values(26))), too_many);
    let fifty = reads(&format!("pk IN [{}] AND flag IN [{}]", values(50), values(100)));
    assert_eq!(fifty.unwrap().unwrap().len(), 50);
    assert_eq!(reads(&format!("pk IN [{}] OR flag='one'", values(51))), Ok(None));
}

#[test]
fn long_conditions_are_planned_quickly() {
    let choices = " AND (sk='1' OR sk='2')".repeat(8);
    let tests = " AND sk>'0'".repeat(600);
    assert_eq!(
        reads(&format!("pk='r'{choices}{tests}")),
        Err(Invalid::new("Too many decomposed read operations for a given query."))
    );
    assert_eq!(reads(&format!("x=1{choices}{tests}")), Ok(None));
}

#[test]
fn one_item_is_named_by_its_whole_key() {
    let condition = |text: &str| select(&format!("SELECT * FROM t WHERE {text}")).condition;
    let key = Item::from([("pk".to_owned(), text("p")), ("sk".to_owned(), text("1"))]);
    let named = |text: &str, one_value| named_key(condition(text).as_ref(), KEY, one_value);
    assert_eq!(named("(pk='p' AND sk='1') AND flag='x'", true), Ok(Some(key.clone())));
    assert_eq!(named("pk='p' AND sk='1' AND pk='p'", true), Ok(Some(key.clone())));
    assert_eq!(named("pk='p' AND sk='1' AND pk='o'", false), Ok(Some(key.clone())));
    let several = "Multiple conditions on same key pk. Only single item Update/Insert/Delete are supported";
    assert_eq!(named("pk='p' AND sk='1' AND pk='o'", true), Err(Invalid::new(several)));
    assert_eq!(named("pk='p'", true), Ok(None));
    assert_eq!(named("pk IN ['p'] AND sk='1'", true), Ok(None));

    let only = |text: &str| only_key(condition(text).as_ref(), KEY);
    assert_eq!(only("(sk='1') AND pk='p' AND pk='p'"), Some(key.clone()));
    assert_eq!(only("pk IN ['p'] AND sk IN ['1']"), Some(key));
    for other in ["pk='p'", "pk='p' AND sk='1' AND flag='x'", "pk='p' AND sk='1' AND pk='o'"] {
        assert_eq!(only(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn no_statement_makes_it_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "SELECT", "*", "FROM", "\"t\"", "t", ".", "WHERE", "pk", "=", "'a'", "1", "-", "AND", "OR", "NOT", "(", ")", "[", "]",
                "{", "}", "<<", ">>", ",", "?", "IN", "BETWEEN", "IS", "MISSING", "UPDATE", "SET", "REMOVE", "set_add", "DELETE",
                "INSERT", "INTO", "VALUE", ":", "RETURNING", "ALL", "NEW", "ORDER", "BY", "size", "<>", "<", "1e5", "é",
            ]),
            0..24,
        ),
    ) {
        let statement = words.join(" ");
        if let Ok(Statement::Select(Select { condition, .. })) = parse(&statement, vec![Value::Null]) {
            let _ = branches(condition.as_ref(), KEY);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}") {
        let _ = parse(&text, Vec::new());
    }

    #[test]
    fn values_are_read_as_they_are_written(text in "\\PC{0,8}", number in super::number()) {
        let literal = format!("{{'t': '{}', 'n': {number}, 'l': [true, null]}}", text.replace('\'', "''"));
        let expected = [
            ("t".to_owned(), Value::S(text)),
            ("n".to_owned(), Value::N(number)),
            ("l".to_owned(), Value::L(vec![Value::Bool(true), Value::Null])),
        ];
        prop_assert_eq!(item(&literal), Item::from(expected));
    }
}
