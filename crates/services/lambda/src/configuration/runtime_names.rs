//! Which runtime identifiers a function may have. Source: AWS Lambda Developer Guide, "Lambda runtimes".

use lambent_model_lambda::Runtime;
use lambent_runtimes::{CURRENT_RUNTIMES, DEPRECATED_RUNTIMES, is_runtime, is_webassembly};
use lambent_wire::ApiError;

use crate::errors;

/// The identifiers that AWS's refusal lists, in its order.
pub(crate) const LISTED: &str = "nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, \
    java25, python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, \
    dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2";

/// The identifiers that AWS lists where a list of layers is asked for with one that nobody knows, in its order.
const COMPATIBLE: &str = "ruby3.5, ruby2.6, dotnetcore1.0, python3.7, nodejs8.10, nasa, ruby2.7, python2.7-greengrass, \
    dotnetcore2.0, python3.8, java21, dotnet6, dotnetcore2.1, python3.9, java11, nodejs6.10, provided, \
    dotnetcore3.1, dotnet8, java25, java17, nodejs, nodejs4.3, java8.al2, go1.x, dotnet10, nodejs20.x, \
    go1.9, byol, nodejs10.x, provided.al2023, nodejs22.x, python3.10, java8, nodejs12.x, python3.11, \
    nodejs24.x, nodejs8.x, python3.12, nodejs14.x, nodejs8.9, nodejs26.x, python3.13, python3.14, \
    nodejs16.x, python3.15, provided.al2, nodejs4.3-edge, nodejs18.x, ruby3.2, python3.4, ruby3.3, \
    ruby3.4, ruby2.5, python3.6, python2.7";

/// The first Python 3 with SnapStart.
const SNAP_START_PYTHON_MINOR: u32 = 12;
const SNAP_START_JAVA: u32 = 11;
const SNAP_START_DOTNET: u32 = 8;

/// The identifier, where a new function may have it.
pub(crate) fn checked(runtime: &Runtime) -> Result<String, ApiError> {
    let name = runtime.as_str();
    if is_webassembly(name) {
        return Ok(name.to_owned());
    }
    if !CURRENT_RUNTIMES.contains(&name) && !DEPRECATED_RUNTIMES.contains(&name) {
        return Err(errors::invalid(format!(
            "Value {name} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: \
             [{LISTED}] or be a valid ARN"
        )));
    }
    check_not_retired(name)?;
    Ok(name.to_owned())
}

/// Fails for what no layer can be compatible with, where layers are listed by it.
pub(crate) fn check_compatible(runtime: Option<&Runtime>) -> Result<(), ApiError> {
    match runtime.map(Runtime::as_str) {
        Some(name) if !is_runtime(name) => {
            let constraint = format!("Member must satisfy enum value set: [{COMPATIBLE}]");
            Err(errors::violation(name, "compatibleRuntime", &constraint))
        }
        _ => Ok(()),
    }
}

/// Fails for what functions may neither be made nor changed with any more.
pub(crate) fn check_not_retired(name: &str) -> Result<(), ApiError> {
    if DEPRECATED_RUNTIMES.contains(&name) {
        return Err(errors::invalid(format!(
            "The runtime parameter of {name} is no longer supported for creating or updating AWS Lambda \
             functions. We recommend you use a supported runtime while creating or updating functions."
        )));
    }
    Ok(())
}

/// Whether SnapStart can be asked for. Source: "Improving startup performance with Lambda SnapStart", and recorded answers.
pub(crate) fn has_snap_start(identifier: &str) -> bool {
    let since = |family: &str, first: u32| {
        let version = identifier.strip_prefix(family).and_then(|version| version.split('.').next());
        version.and_then(|version| version.parse::<u32>().ok()).is_some_and(|version| version >= first)
    };
    since("python3.", SNAP_START_PYTHON_MINOR)
        || since("java", SNAP_START_JAVA)
        || since("dotnet", SNAP_START_DOTNET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_are_known_retired_or_runnable() {
        assert_eq!(checked(&Runtime::Python312).unwrap(), "python3.12");
        assert_eq!(checked(&Runtime::ProvidedAl2023).unwrap(), "provided.al2023");
        assert!(has_snap_start("python3.12") && has_snap_start("python3.14"));
        assert!(has_snap_start("java11") && has_snap_start("java17.al2023") && has_snap_start("dotnet10"));
        assert!(!has_snap_start("python3.11") && !has_snap_start("nodejs22.x"));
        assert!(!has_snap_start("java8.al2") && !has_snap_start("dotnet6"));
        assert!(checked(&Runtime::from("nodejs14.x")).unwrap_err().message.contains("no longer supported"));
        assert_eq!(checked(&Runtime::Java21).unwrap(), "java21");
        assert_eq!(checked(&Runtime::from("wasi-http")).unwrap(), "wasi-http");
        let unlisted = check_compatible(Some(&Runtime::from("cobol"))).unwrap_err();
        assert!(unlisted.message.ends_with("ruby3.4, ruby2.5, python3.6, python2.7]"), "{unlisted}");
        let unknown = checked(&Runtime::from("PYTHON3.9")).unwrap_err();
        assert!(unknown.message.starts_with("Value PYTHON3.9 at 'runtime' failed"), "{unknown}");
        assert!(unknown.message.ends_with("provided.al2, java8.al2] or be a valid ARN"), "{unknown}");
    }
}
