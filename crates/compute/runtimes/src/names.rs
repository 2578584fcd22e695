//! The runtime identifiers that AWS knows. Source: AWS Lambda Developer Guide, "Lambda runtimes"; which of them functions may
//! still be made with is what AWS's recorded answers say.

/// Identifiers that functions may be made with, by language and version.
pub const CURRENT_RUNTIMES: [&str; 31] = [
    "python3.8",
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "python3.15",
    "nodejs16.x",
    "nodejs18.x",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
    "nodejs26.x",
    "java8.al2",
    "java8.al2023",
    "java11",
    "java11.al2023",
    "java17",
    "java17.al2023",
    "java21",
    "java25",
    "dotnet6",
    "dotnet8",
    "dotnet10",
    "ruby3.2",
    "ruby3.3",
    "ruby3.4",
    "ruby4.0",
    "provided.al2",
    "provided.al2023",
];

/// Identifiers that AWS no longer lets functions be made or changed with.
pub const DEPRECATED_RUNTIMES: [&str; 20] = [
    "python2.7",
    "python3.6",
    "python3.7",
    "nodejs",
    "nodejs4.3",
    "nodejs4.3-edge",
    "nodejs6.10",
    "nodejs8.10",
    "nodejs10.x",
    "nodejs12.x",
    "nodejs14.x",
    "java8",
    "dotnetcore1.0",
    "dotnetcore2.0",
    "dotnetcore2.1",
    "dotnetcore3.1",
    "ruby2.5",
    "ruby2.7",
    "go1.x",
    "provided",
];

/// Whether AWS has, or had, this runtime.
pub fn is_runtime(identifier: &str) -> bool {
    CURRENT_RUNTIMES.contains(&identifier) || DEPRECATED_RUNTIMES.contains(&identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_runtime_is_both_current_and_deprecated() {
        assert!(CURRENT_RUNTIMES.iter().all(|one| !DEPRECATED_RUNTIMES.contains(one)));
        assert!(is_runtime("java21") && is_runtime("go1.x") && !is_runtime("cobol"));
    }
}
