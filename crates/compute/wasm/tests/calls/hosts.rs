//! What a component may have the host keep for it.

use std::sync::Arc;

use crate::support::{Platform, function};

/// Far more than the host keeps for one instance, far less than what it kept without bounds.
const GROWTH_KIB_MAX: u64 = 64 << 10;

/// The most that this process ever had in memory.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn header_fields_without_end_do_not_fill_the_host() {
    let platform = Platform::new();
    let code_dir = platform.package("app.wasm", &lambent_test_components::one("event-fields"));
    let function = Arc::new(function("event-fields", &code_dir));
    platform.wasm.prepare(&function).await.unwrap();
    let before = peak_kib();
    for _ in 0..3 {
        let (kind, message) = platform.call(&function, "{}").await.error();
        assert_eq!(kind, "Runtime.ExitError", "{message}");
        assert!(message.contains("resource table has no free keys"), "{message}");
    }
    let growth = peak_kib() - before;
    assert!(growth < GROWTH_KIB_MAX, "the host grew by {growth} KiB");
}

#[tokio::test]
async fn no_part_of_a_request_is_large() {
    let platform = Platform::new();
    let code_dir = platform.package("app.wasm", &lambent_test_components::one("event-method"));
    let function = Arc::new(function("event-method", &code_dir));
    // One digit for a method of 4 KiB, which is set, and one for a longer one, which is not.
    assert_eq!(platform.call(&function, "{}").await.result(), "11");
}
