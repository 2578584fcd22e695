//! What holds for all expressions: the printer here and the parser agree, no text and no item makes anything panic, and the stack
//! that reading takes is bounded.

mod made;
mod printer;

use lambent_expressions::{Condition, Item, KeyCondition, Kind, Placeholders, Projection, Update};
use proptest::prelude::*;

use printer::Printer;

/// Half of what a thread of the server has; and code that was not optimised takes several times what the server does.
const STACK: usize = 1 << 20;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn conditions_are_read_as_they_were_printed(condition in made::condition(), item in made::item()) {
        let mut printer = Printer::default();
        let text = printer.condition(&condition);
        let mut placeholders = printer.placeholders();
        let read = Condition::parse(Kind::Filter, &text, &mut placeholders);
        prop_assert_eq!(read.as_ref(), Ok(&condition), "{}", text);
        prop_assert_eq!(placeholders.all_used(), Ok(()));
        let negated = Condition::Not(Box::new(condition.clone()));
        prop_assert_ne!(negated.matches(&item), condition.matches(&item));
        // A condition on keys or not, it is one of the two.
        let _ = KeyCondition::from_condition(&condition);
    }

    #[test]
    fn updates_are_read_as_they_were_printed(update in made::update(), mut item in made::item()) {
        let mut printer = Printer::default();
        let text = printer.update(&update);
        let mut placeholders = printer.placeholders();
        let read = Update::parse(&text, &mut placeholders);
        prop_assert_eq!(read.as_ref(), Ok(&update), "{}", text);
        prop_assert_eq!(placeholders.all_used(), Ok(()));
        let before = update.touched().of(&item);
        prop_assert!(before.keys().all(|name| update.paths().any(|path| path.head == *name)));
        if update.apply(&mut item).is_ok() {
            let after = update.touched().of(&item);
            prop_assert!(after.keys().all(|name| item.contains_key(name)));
        }
    }

    #[test]
    fn projections_are_read_as_they_were_printed(projection in made::projection(), item in made::item()) {
        let mut printer = Printer::default();
        let text = printer.projection(&projection);
        let read = Projection::parse(&text, &mut printer.placeholders());
        prop_assert_eq!(read.as_ref(), Ok(&projection), "{}", text);
        let shown = projection.of(&item);
        for path in projection.paths() {
            // Lists close up, so what lies in one may have moved.
            if path.find(&item).is_some() {
                prop_assert!(shown.contains_key(&path.head));
            }
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in prop_oneof![any::<String>(), made::soup()]) {
        read_all(&text);
    }

    #[test]
    fn changes_of_lists_go_by_the_lists_as_they_were(changes in made::list_changes()) {
        let (list, sets, removed) = changes;
        let (update, mut item) = made::list_update(&list, &sets, &removed);
        update.apply(&mut item).unwrap();
        prop_assert_eq!(&item, &made::list_after(&list, &sets, &removed));
    }
}

fn read_all(text: &str) {
    let mut none = Placeholders::default();
    for kind in [Kind::Condition, Kind::Filter, Kind::KeyCondition] {
        if let Ok(condition) = Condition::parse(kind, text, &mut none) {
            condition.matches(&Item::new());
        }
    }
    let _ = KeyCondition::parse(text, &mut none);
    let _ = Projection::parse(text, &mut none);
    if let Ok(update) = Update::parse(text, &mut none) {
        let _ = update.apply(&mut Item::new());
    }
}

#[test]
fn deep_texts_take_a_bounded_stack() {
    let deep = || {
        for (open, inside, close) in [
            ("(", "a", ")"),
            ("(", "a = b", ")"),
            ("NOT ", "a = b", ""),
            ("NOT (", "a = b", ")"),
            ("(a=b OR ", "a = b", ")"),
            ("size(", "a", ")"),
            ("a = (", "b", ")"),
            ("SET a = (", "b", ")"),
            ("SET a = list_append(a, ", "b", ")"),
            ("a", "[0]", "[0]"),
        ] {
            for count in [200, 299, 300, 301, 4096 / (open.len() + close.len() + inside.len())] {
                read_all(&format!("{}{inside}{}", open.repeat(count), close.repeat(count)));
            }
        }
        for chain in [" AND ", " OR ", " + ", ", "] {
            read_all(&["a=b"; 290].join(chain));
            read_all(&["a"; 600].join(chain));
        }
    };
    std::thread::Builder::new().stack_size(STACK).spawn(deep).unwrap().join().unwrap();
}
