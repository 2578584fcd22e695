//! The one place where the record of a call is made, however the call was run.

use crate::invocation::{InvocationRecord, InvokeRequest, Restore};

/// What was measured of a call, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) started_unix_ms: i64,
    pub(crate) cold_start: bool,
    pub(crate) init_ms: Option<f64>,
    pub(crate) restore: Option<Restore>,
    pub(crate) duration_ms: f64,
    pub(crate) extensions_ms: Option<f64>,
    /// As it was counted; no more than it may have is told.
    pub(crate) max_memory_mib: u32,
    pub(crate) error_type: Option<String>,
    pub(crate) timed_out: bool,
    pub(crate) out_of_memory: bool,
}

/// The record from which log, meter and metrics are made.
pub(crate) fn record(request: &InvokeRequest, log_stream: &str, measured: Measured) -> InvocationRecord {
    let function = &request.function;
    let used = measured.max_memory_mib.min(function.memory_mib);
    InvocationRecord {
        function: function.key.clone(),
        request_id: request.request_id.clone(),
        log_group: function.log_group.clone(),
        log_stream: log_stream.to_owned(),
        started_unix_ms: measured.started_unix_ms,
        cold_start: measured.cold_start,
        init_ms: measured.init_ms,
        restore: measured.restore,
        duration_ms: measured.duration_ms,
        extensions_ms: measured.extensions_ms,
        // Since August 2025 AWS bills initialisation of every on-demand function along with its first call.
        billed_ms: whole_ms(measured.init_ms.unwrap_or(0.0) + measured.duration_ms)
            + measured.restore.map_or(0, |restore| restore.billed_ms),
        memory_mib: function.memory_mib,
        max_memory_mib: if measured.out_of_memory { function.memory_mib } else { used },
        ephemeral_mib: function.ephemeral_mib,
        error_type: measured.error_type,
        timed_out: measured.timed_out,
        out_of_memory: measured.out_of_memory,
    }
}

/// Milliseconds as they are billed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and is never negative"
)]
pub(crate) fn whole_ms(ms: f64) -> u64 {
    ms.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn billing_rounds_up_to_whole_milliseconds() {
        assert_eq!([whole_ms(0.0), whole_ms(0.01), whole_ms(1.0), whole_ms(113.11)], [0, 1, 1, 114]);
    }
}
