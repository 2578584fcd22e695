//! How requests end, for whoever keeps a record of them.

use std::sync::Arc;

use lambent_api::ApiError;

use crate::Inner;

/// A request that has its answer: that its body is sent is not waited for. Or one whose client went away before.
#[derive(Clone, Copy, Debug)]
pub struct RequestEnd<'a> {
    pub request_id: &'a str,
    /// The signing name: `s3`.
    pub service: &'a str,
    /// `None` when the request named none that there is.
    pub operation: Option<&'a str>,
    /// The error that goes back, if it is one.
    pub error: Option<&'a ApiError>,
    /// Whether there is an answer; without one it is not known what came of the request.
    pub is_answered: bool,
}

/// Is told of each request: the audit log.
pub trait RequestEnds: Send + Sync {
    /// Called before the answer goes out, once for each request: must be quick.
    fn ended(&self, end: &RequestEnd<'_>);
}

/// A request that is being handled. When its client goes away, all that happens is that this is dropped.
pub(crate) struct Underway {
    ends: Option<Arc<dyn RequestEnds>>,
    request_id: String,
    service: &'static str,
    /// `None` until it is known.
    pub(crate) operation: Option<&'static str>,
}

impl Inner {
    pub(crate) fn underway(&self, request_id: &str, service: &'static str) -> Underway {
        Underway { ends: self.ends.clone(), request_id: request_id.to_owned(), service, operation: None }
    }
}

impl Underway {
    /// The request has its answer, which is this error if there is one.
    pub(crate) fn ended(mut self, error: Option<&ApiError>) {
        self.tell(error, true);
    }

    fn tell(&mut self, error: Option<&ApiError>, is_answered: bool) {
        let Some(ends) = self.ends.take() else { return };
        let Self { request_id, service, operation, .. } = self;
        ends.ended(&RequestEnd { request_id, service, operation: *operation, error, is_answered });
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.tell(None, false);
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// The request, its operation, whether it failed, and whether it was answered.
    type End = (String, Option<String>, bool, bool);

    #[derive(Default)]
    struct Told(Mutex<Vec<End>>);

    impl RequestEnds for Told {
        fn ended(&self, end: &RequestEnd<'_>) {
            let operation = end.operation.map(str::to_owned);
            self.0.lock().push((end.request_id.to_owned(), operation, end.error.is_some(), end.is_answered));
        }
    }

    #[test]
    fn each_request_ends_once_with_its_answer_or_without_one() {
        let told = Arc::new(Told::default());
        let underway = |request_id: &str| Underway {
            ends: Some(told.clone()),
            request_id: request_id.to_owned(),
            service: "s3",
            operation: None,
        };
        underway("answered").ended(None);
        underway("refused").ended(Some(&ApiError::client("NoSuchKey", "none")));
        let mut gone = underway("gone");
        gone.operation = Some("GetObject");
        drop(gone);
        let told = told.0.lock();
        assert_eq!(told[0], ("answered".to_owned(), None, false, true));
        assert_eq!(told[1], ("refused".to_owned(), None, true, true));
        assert_eq!(told[2], ("gone".to_owned(), Some("GetObject".to_owned()), false, false));
        assert_eq!(told.len(), 3);
    }
}
