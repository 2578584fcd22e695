//! DynamoDB's expressions and statements of any form, and stored items of any bytes: reading them never panics, and what was read
//! works on any item.
#![no_main]

use std::collections::BTreeMap;

use lambent_expressions::partiql::{KeyNames, branches};
use lambent_expressions::{
    Condition, Item, KeyCondition, Kind, Number, Placeholders, Projection, Update, Value, decode_item,
    encode_item, ordered, partiql,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(item) = decode_item(input) {
        assert_eq!(decode_item(&encode_item(&item)), Ok(item), "what is stored must be readable");
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let item = some_item();
    for kind in [Kind::Condition, Kind::KeyCondition] {
        if let Ok(condition) = Condition::parse(kind, text, &mut placeholders()) {
            let _ = (condition.matches(&item), condition.matches(&Item::new()));
            let _ = KeyCondition::from_condition(&condition);
        }
    }
    if let Ok(update) = Update::parse(text, &mut placeholders()) {
        let _ = (update.apply(&mut item.clone()), update.apply(&mut Item::new()));
    }
    if let Ok(projection) = Projection::parse(text, &mut placeholders()) {
        let _ = projection.of(&item);
    }
    if let Ok(partiql::Statement::Select(select)) = partiql::parse(text, vec![Value::Null]) {
        let key = KeyNames { hash: ("a", ordered::Kind::S), range: Some(("n", ordered::Kind::N)) };
        let _ = branches(select.condition.as_ref(), key);
    }
});

/// Something at the names that the seeds have.
fn some_item() -> Item {
    let list = vec![Value::N(Number::from(1_i64)), Value::M(Item::from([("c".to_owned(), Value::Null)]))];
    Item::from([
        ("a".to_owned(), Value::S("text".to_owned())),
        ("b".to_owned(), Value::L(list)),
        ("n".to_owned(), Value::N(Number::from(-7_i64))),
    ])
}

fn placeholders() -> Placeholders {
    let names = ["a", "b", "n"].map(|name| (format!("#{name}"), name.to_owned()));
    let values =
        [(":s", Value::S("t".to_owned())), (":n", Value::N(Number::from(3_i64))), (":l", Value::L(vec![]))];
    let values = values.map(|(key, value)| (key.to_owned(), value));
    Placeholders::new(Some(BTreeMap::from(names)), Some(BTreeMap::from(values)))
        .expect("keys as they have to be")
}
