//! Values, items and expressions by chance.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use lambent_expressions::{
    Action, Change, Comparator, Condition, Item, Number, Operand, Path, Projection, Source, Step, Update,
    Value,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

/// Names of which some need placeholders; few, so that expressions meet what items have.
fn name() -> impl Strategy<Value = String> {
    select(vec!["p", "p_1", "pq", "status", "with space", "_id", "ä.ö"]).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    select(vec!["", "a", "ab", "b", "ü"]).prop_map(str::to_owned)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(0_u8..3, 0..3).prop_map(Bytes::from)
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![(-3_i64..4).prop_map(Number::from), any::<i64>().prop_map(Number::from)]
}

/// A value of a type that has an order.
fn ordered() -> impl Strategy<Value = Value> {
    prop_oneof![text().prop_map(Value::S), number().prop_map(Value::N), bytes().prop_map(Value::B)]
}

fn set() -> impl Strategy<Value = Value> {
    prop_oneof![
        btree_set(text(), 1..4).prop_map(Value::Ss),
        btree_set(number(), 1..4).prop_map(Value::Ns),
        btree_set(bytes(), 1..4).prop_map(Value::Bs),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let flat = prop_oneof![4 => ordered(), 1 => any::<bool>().prop_map(Value::Bool), 1 => Just(Value::Null), 2 => set()];
    flat.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::L),
            btree_map(name(), inner, 0..4).prop_map(Value::M),
        ]
    })
}

pub(crate) fn item() -> impl Strategy<Value = Item> {
    btree_map(name(), value(), 0..6)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![name().prop_map(Step::Name), (0_usize..4).prop_map(Step::Index)]
}

fn path() -> impl Strategy<Value = Path> {
    (name(), vec(step(), 0..3)).prop_map(|(head, rest)| Path { head, rest })
}

fn operand_of(value: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Operand> {
    prop_oneof![
        path().prop_map(Operand::Path),
        value.prop_map(|value| Operand::Value(Arc::new(value))),
        path().prop_map(|path| Operand::Size(Box::new(Operand::Path(path)))),
    ]
}

fn is_distinct(one: &Operand, others: &[&Operand]) -> bool {
    !matches!(one, Operand::Path(_)) || others.iter().all(|other| *other != one)
}

/// A path or a value that `begins_with` takes.
fn start() -> impl Strategy<Value = Operand> {
    let value = prop_oneof![text().prop_map(Value::S), bytes().prop_map(Value::B)];
    prop_oneof![path().prop_map(Operand::Path), value.prop_map(|value| Operand::Value(Arc::new(value)))]
}

fn comparison() -> impl Strategy<Value = Condition> {
    let equal = (select(vec![Comparator::Eq, Comparator::Ne]), operand_of(value()), operand_of(value()));
    let order = select(vec![Comparator::Lt, Comparator::Le, Comparator::Gt, Comparator::Ge]);
    let order = (order, operand_of(ordered()), operand_of(ordered()));
    prop_oneof![equal.boxed(), order.boxed()]
        .prop_filter("distinct", |(_, one, two)| is_distinct(one, &[two]))
        .prop_map(|(comparator, one, two)| Condition::Compare(comparator, one, two))
}

fn between() -> impl Strategy<Value = Condition> {
    (path(), number(), number(), operand_of(ordered()))
        .prop_filter("distinct", |(path, _, _, other)| is_distinct(other, &[&Operand::Path(path.clone())]))
        .prop_map(|(path, one, two, other)| {
            let value = |number| Operand::Value(Arc::new(Value::N(number)));
            match other {
                Operand::Value(_) => {
                    Condition::Between(Operand::Path(path), value(one.min(two)), value(one.max(two)))
                }
                other => Condition::Between(Operand::Path(path), other, value(two)),
            }
        })
}

fn plain_condition() -> impl Strategy<Value = Condition> {
    let types = select(vec!["S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M"]);
    prop_oneof![
        4 => comparison(),
        1 => between(),
        1 => (operand_of(value()), vec(operand_of(value()), 1..4))
            .prop_filter("distinct", |(one, others)| is_distinct(one, &others.iter().collect::<Vec<_>>()))
            .prop_map(|(one, others)| Condition::In(one, others)),
        1 => path().prop_map(Condition::Exists),
        1 => path().prop_map(Condition::NotExists),
        1 => (path(), types)
            .prop_map(|(path, name)| Condition::HasType(Operand::Path(path), Arc::new(Value::S(name.to_owned())))),
        1 => (start(), start())
            .prop_filter("distinct", |(one, two)| is_distinct(one, &[two]))
            .prop_map(|(one, two)| Condition::BeginsWith(one, two)),
        1 => (operand_of(value()), operand_of(value()))
            .prop_filter("distinct", |(one, two)| is_distinct(one, &[two]))
            .prop_map(|(one, two)| Condition::Contains(one, two)),
    ]
}

pub(crate) fn condition() -> impl Strategy<Value = Condition> {
    plain_condition().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Condition::All),
            vec(inner.clone(), 2..4).prop_map(Condition::Any),
            inner.prop_map(|part| Condition::Not(Box::new(part))),
        ]
    })
}

/// What has no sign in it, so that it may stand on one side of one.
fn term() -> impl Strategy<Value = Source> {
    let flat = prop_oneof![
        path().prop_map(Source::Path),
        number().prop_map(|number| Source::Value(Arc::new(Value::N(number)))),
    ];
    flat.prop_recursive(2, 6, 2, |inner| {
        (path(), inner).prop_map(|(path, other)| Source::IfNotExists(path, Box::new(other)))
    })
}

fn source() -> impl Strategy<Value = Source> {
    let list = prop_oneof![
        path().prop_map(Source::Path),
        vec(value(), 0..3).prop_map(|list| Source::Value(Arc::new(Value::L(list)))),
    ];
    let list = list.boxed();
    prop_oneof![
        term(),
        value().prop_map(|value| Source::Value(Arc::new(value))),
        (list.clone(), list).prop_map(|(one, two)| Source::Append(Box::new(one), Box::new(two))),
        (term(), term()).prop_map(|(one, two)| Source::Plus(Box::new(one), Box::new(two))),
        (term(), term()).prop_map(|(one, two)| Source::Minus(Box::new(one), Box::new(two))),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => source().prop_map(Change::Set),
        1 => Just(Change::Remove),
        1 => prop_oneof![number().prop_map(Value::N).boxed(), set().boxed()]
            .prop_map(|value| Change::Add(Arc::new(value))),
        1 => set().prop_map(|value| Change::Delete(Arc::new(value))),
    ]
}

/// Actions section by section, at paths in different attributes.
pub(crate) fn update() -> impl Strategy<Value = Update> {
    btree_map(name(), (vec(step(), 0..3), change()), 1..5).prop_map(|all| {
        let mut actions: Vec<_> = all
            .into_iter()
            .map(|(head, (rest, change))| Action { path: Path { head, rest }, change })
            .collect();
        actions.sort_by_key(|action| match action.change {
            Change::Set(_) => 0,
            Change::Remove => 1,
            Change::Add(_) => 2,
            Change::Delete(_) => 3,
        });
        Update::new(actions)
    })
}

pub(crate) fn projection() -> impl Strategy<Value = Projection> {
    btree_map(name(), vec(step(), 0..4), 1..5)
        .prop_map(|all| Projection::new(all.into_iter().map(|(head, rest)| Path { head, rest }).collect()))
}

/// What looks like expressions, and hardly ever is one.
pub(crate) fn soup() -> impl Strategy<Value = String> {
    let tokens = vec![
        "a",
        "b.c",
        "#n",
        ":v",
        "0",
        "[1]",
        "=",
        "<>",
        "<",
        "(",
        ")",
        "((",
        ",",
        ".",
        "+",
        "-",
        "AND",
        "or",
        "NOT",
        "between",
        "IN",
        "SET",
        "remove",
        "ADD",
        "DELETE",
        "size(",
        "contains(a,",
        "if_not_exists(",
        "status",
        "ü",
    ];
    vec((select(tokens), select(vec!["", " ", "\n"])), 0..40)
        .prop_map(|all| all.into_iter().flat_map(|(token, space)| [token, space]).collect())
}

/// A list's length, which indexes are set, and which of the others are removed.
pub(crate) fn list_changes() -> impl Strategy<Value = (usize, Vec<usize>, Vec<usize>)> {
    (0_usize..6, btree_map(0_usize..9, any::<bool>(), 1..6)).prop_map(|(length, places)| {
        let (sets, removed): (Vec<_>, Vec<_>) = places.into_iter().partition(|(_, sets)| *sets);
        let places = |all: Vec<(usize, bool)>| all.into_iter().map(|(place, _)| place).collect();
        (length, places(sets), places(removed))
    })
}

/// The list of the numbers from 0, and the update that sets and removes.
pub(crate) fn list_update(length: &usize, sets: &[usize], removed: &[usize]) -> (Update, Item) {
    let path = |index: &usize| Path { head: "list".to_owned(), rest: vec![Step::Index(*index)] };
    let sets = sets.iter().rev().map(|index| Action {
        path: path(index),
        change: Change::Set(Source::Value(Arc::new(Value::N(Number::from(1000 + index))))),
    });
    let removed = removed.iter().map(|index| Action { path: path(index), change: Change::Remove });
    let list = (0..*length).map(|index| Value::N(Number::from(index))).collect();
    (Update::new(sets.chain(removed).collect()), BTreeMap::from([("list".to_owned(), Value::L(list))]))
}

/// What it should be then.
pub(crate) fn list_after(length: &usize, sets: &[usize], removed: &[usize]) -> Item {
    let kept = (0..*length).filter(|index| !removed.contains(index));
    let kept = kept.map(|index| if sets.contains(&index) { 1000 + index } else { index });
    let appended = sets.iter().filter(|index| *index >= length).map(|index| 1000 + index);
    let list = kept.chain(appended).map(|number| Value::N(Number::from(number))).collect();
    BTreeMap::from([("list".to_owned(), Value::L(list))])
}
