//! Python functions: results, errors, logs, context.

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("python_answers", answers)]
}

async fn answers() {
    let bench = Bench::new();
    let function = bench
        .python("def handler(event, context):\n    return {'got': event, 'who': context.function_name}\n");
    let answer = bench.once(function, r#"{"a": [1, "ü"]}"#).await;
    assert_eq!(answer.result(), json!({"got": {"a": [1, "ü"]}, "who": "probe-0"}));
    println!("{}", answer.tail());
    println!("{:?}", answer.0.record);
}
