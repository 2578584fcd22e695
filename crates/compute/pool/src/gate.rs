//! The gate before the first call: functions run only where the host was found to isolate them.

use tokio::sync::OnceCell;

use crate::error::InvokeError;

/// Remembers that the host isolates. That it does not, or that it could not be found out, is asked again at the next
/// call: what was missing may have been for want of memory or processes, or may have been put right.
#[derive(Default)]
pub(crate) struct Gate {
    isolates: OnceCell<()>,
}

impl Gate {
    /// Passes when nothing is missing. `find_missing` may block, and is not asked again once it found nothing; calls
    /// that come meanwhile wait for its answer.
    pub(crate) async fn pass(
        &self,
        find_missing: impl FnOnce() -> Option<String> + Send + 'static,
    ) -> Result<(), InvokeError> {
        let find = || async {
            match tokio::task::spawn_blocking(find_missing).await {
                Ok(None) => Ok(()),
                Ok(Some(missing)) => Err(InvokeError::Environment(format!(
                    "this host cannot isolate functions as promised: {missing}. `lambent doctor` tells more; \
                     `lambent up --allow-weak-isolation` runs them all the same"
                ))),
                Err(error) => Err(InvokeError::Environment(format!(
                    "expected to find out what this host isolates, but the look at it ended early ({error}): \
                     try again, and see `lambent doctor`"
                ))),
            }
        };
        self.isolates.get_or_try_init(find).await.copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_was_found_whole_is_let_through_and_remembered() {
        let gate = Gate::default();
        let unknown = gate.pass(|| panic!("the look fails")).await.unwrap_err().to_string();
        assert!(unknown.contains("expected to find out what this host isolates"), "{unknown}");
        let missing =
            gate.pass(|| Some("memory (no control group)".to_owned())).await.unwrap_err().to_string();
        assert!(missing.contains("as promised: memory (no control group)."), "{missing}");
        gate.pass(|| None).await.unwrap();
        gate.pass(|| panic!("it is known")).await.unwrap();
    }
}
