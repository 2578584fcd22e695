//! What a function's answer means for its batch.
//! Source: Lambda Developer Guide, "Configuring partial batch response with DynamoDB and Lambda"; recorded answers.

use lambent_bus::ports::{InvokeError, Invoked};
use serde_json::Value;

use crate::source::Record;

/// How a mapping says that the last batch was done.
pub(crate) const OK: &str = "OK";

/// How a batch ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// All of it is done; with what the function returned as the state of its window.
    Done {
        state: Option<String>,
    },
    /// What comes before this record is done, and it is to be tried again from there.
    DoneBefore {
        index: usize,
        state: Option<String>,
        response: Response,
    },
    Failed(Response),
    /// The function was not run: that is no attempt. It may be soon.
    Busy(String),
    /// Likewise, until somebody changes something.
    Stopped(String),
    /// This node cannot run it.
    NotHere(String),
}

/// What the record of a batch that is given up says of the function's last answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) executed_version: Option<String>,
    pub(crate) function_error: Option<String>,
}

/// Reads an answer.
pub(crate) fn judge(
    answer: &Result<Invoked, InvokeError>,
    records: &[Record],
    reports_item_failures: bool,
    has_window: bool,
) -> Outcome {
    let invoked = match answer {
        Ok(invoked) => invoked,
        Err(error @ (InvokeError::CannotRun(..) | InvokeError::PayloadTooLarge { .. })) => {
            tracing::debug!(%error, "a batch cannot be run");
            return Outcome::Failed(Response::default());
        }
        Err(InvokeError::CannotRunHere(_, why)) => return Outcome::NotHere(why.clone()),
        Err(error) if error.is_retriable() => return Outcome::Busy(error.to_string()),
        Err(error) => return Outcome::Stopped(error.to_string()),
    };
    let response = Response {
        executed_version: Some(invoked.executed_version.clone()),
        function_error: invoked.function_error.clone(),
    };
    if invoked.function_error.is_some() {
        return Outcome::Failed(response);
    }
    let body: Value = serde_json::from_slice(&invoked.payload).unwrap_or(Value::Null);
    let state = body.get("state").map(Value::to_string);
    if has_window && state.is_none() {
        return Outcome::Failed(response);
    }
    if !reports_item_failures {
        return Outcome::Done { state };
    }
    match first_failure(&body, records) {
        Ok(None) => Outcome::Done { state },
        Ok(Some(index)) => Outcome::DoneBefore { index, state, response },
        Err(NotOneOfThese) => Outcome::Failed(response),
    }
}

/// The function named something that is no record of the batch: then nothing is known to be done.
struct NotOneOfThese;

fn first_failure(body: &Value, records: &[Record]) -> Result<Option<usize>, NotOneOfThese> {
    let failures = match body.get("batchItemFailures") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(failures)) => failures,
        Some(_) => return Err(NotOneOfThese),
    };
    let mut first = None;
    for failure in failures {
        let sequence = failure.get("itemIdentifier").and_then(Value::as_str).ok_or(NotOneOfThese)?;
        let index = records.iter().position(|record| record.sequence == sequence).ok_or(NotOneOfThese)?;
        first = Some(first.map_or(index, |first: usize| first.min(index)));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn records() -> Vec<Record> {
        ["1", "2", "3"]
            .map(|sequence| Record {
                sequence: sequence.to_owned(),
                next: format!("{sequence}+"),
                arrived_ms: 0,
                json: Bytes::from_static(b"{}"),
            })
            .to_vec()
    }

    fn answer(payload: &str) -> Result<Invoked, InvokeError> {
        Ok(Invoked {
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            function_error: None,
            executed_version: "$LATEST".to_owned(),
            log_tail: Bytes::new(),
        })
    }

    fn outcome(payload: &str) -> &'static str {
        match judge(&answer(payload), &records(), true, false) {
            Outcome::Done { .. } => "done",
            Outcome::DoneBefore { index: 0, .. } => "before 0",
            Outcome::DoneBefore { index: 1, .. } => "before 1",
            Outcome::DoneBefore { .. } => "before 2",
            Outcome::Failed(_) => "failed",
            Outcome::Busy(_) | Outcome::Stopped(_) | Outcome::NotHere(_) => "not run",
        }
    }

    /// The cases of the recorded tests.
    #[test]
    fn partial_responses() {
        for payload in
            ["[]", "null", "{}", "\"\"", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#]
        {
            assert_eq!(outcome(payload), "done", "{payload}");
        }
        for payload in [
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"foo":"2"}]}"#,
            r#"{"batchItemFailures":[{"foo":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"123"}]}"#,
            r#"{"batchItemFailures":{}}"#,
        ] {
            assert_eq!(outcome(payload), "failed", "{payload}");
        }
        let failures = r#"{"batchItemFailures":[{"itemIdentifier":"3"},{"itemIdentifier":"2"}]}"#;
        assert_eq!(outcome(failures), "before 1");
        assert_eq!(outcome(r#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#), "before 0");
    }

    #[test]
    fn windows_want_a_state() {
        let failed = judge(&answer("{}"), &records(), false, true);
        assert!(matches!(failed, Outcome::Failed(_)));
        let done = judge(&answer(r#"{"state":{"1":2}}"#), &records(), false, true);
        assert_eq!(done, Outcome::Done { state: Some(r#"{"1":2}"#.to_owned()) });
    }

    #[test]
    fn a_function_that_did_not_run_has_not_failed() {
        let function: lambent_base::Arn = "arn:aws:lambda:us-east-1:000000000000:function:f".parse().unwrap();
        let busy = judge(&Err(InvokeError::Throttled(function.clone())), &records(), false, false);
        assert!(matches!(busy, Outcome::Busy(_)));
        let stopped = judge(&Err(InvokeError::NoConcurrency(function.clone())), &records(), false, false);
        assert!(matches!(stopped, Outcome::Stopped(_)));
        let cannot_run = InvokeError::CannotRunHere(function.clone(), "arm64".to_owned());
        assert_eq!(judge(&Err(cannot_run), &records(), false, false), Outcome::NotHere("arm64".to_owned()));
        let failed = judge(&Err(InvokeError::CannotRun(function, String::new())), &records(), false, false);
        assert!(matches!(failed, Outcome::Failed(_)));
    }
}
