//! Which runtime identifiers a function may have. Source: AWS Lambda Developer Guide, "Lambda runtimes".

use lambent_model_lambda::Runtime;
use lambent_runtimes::is_webassembly;
use lambent_wire::ApiError;

use crate::errors;

/// The identifiers that AWS's refusal lists, in its order.
pub(crate) const LISTED: &str = "nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, \
    java25, python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, \
    dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2";

/// Identifiers that AWS no longer lets functions be made with.
const RETIRED: [Runtime; 20] = [
    Runtime::Nodejs,
    Runtime::Nodejs43,
    Runtime::Nodejs43Edge,
    Runtime::Nodejs610,
    Runtime::Nodejs810,
    Runtime::Nodejs10X,
    Runtime::Nodejs12X,
    Runtime::Nodejs14X,
    Runtime::Python27,
    Runtime::Python36,
    Runtime::Python37,
    Runtime::Java8,
    Runtime::Dotnetcore10,
    Runtime::Dotnetcore20,
    Runtime::Dotnetcore21,
    Runtime::Dotnetcore31,
    Runtime::Go1X,
    Runtime::Ruby25,
    Runtime::Ruby27,
    Runtime::Provided,
];

/// The first Python 3 with SnapStart.
const SNAP_START_PYTHON_MINOR: u32 = 12;

/// The identifier, where a new function may have it.
pub(crate) fn checked(runtime: &Runtime) -> Result<String, ApiError> {
    let name = runtime.as_str();
    if is_webassembly(name) {
        return Ok(name.to_owned());
    }
    if matches!(runtime, Runtime::Unknown(_)) {
        return Err(errors::invalid(format!(
            "Value {name} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: \
             [{LISTED}] or be a valid ARN"
        )));
    }
    if RETIRED.contains(runtime) {
        return Err(errors::invalid(format!(
            "The runtime parameter of {name} is no longer supported for creating or updating AWS Lambda \
             functions. We recommend you use a supported runtime while creating or updating functions."
        )));
    }
    if !["python3.", "nodejs", "provided."].iter().any(|family| name.starts_with(family)) {
        return Err(errors::unsupported(
            &format!("the runtime {name}"),
            "use python3.*, nodejs*, or provided.al2023 with a bootstrap of your own",
        ));
    }
    Ok(name.to_owned())
}

/// Whether SnapStart can be asked for. Source: "Improving startup performance with Lambda SnapStart", as far as the
/// runtimes are those that [`checked`] lets pass.
pub(crate) fn has_snap_start(identifier: &str) -> bool {
    let minor = identifier.strip_prefix("python3.").and_then(|minor| minor.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= SNAP_START_PYTHON_MINOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_are_known_retired_or_runnable() {
        assert_eq!(checked(&Runtime::Python312).unwrap(), "python3.12");
        assert_eq!(checked(&Runtime::ProvidedAl2023).unwrap(), "provided.al2023");
        assert!(has_snap_start("python3.12") && has_snap_start("python3.14"));
        assert!(!has_snap_start("python3.11") && !has_snap_start("nodejs22.x"));
        assert!(checked(&Runtime::from("nodejs14.x")).unwrap_err().message.contains("no longer supported"));
        assert!(checked(&Runtime::Java21).unwrap_err().message.contains("Lambent does not support"));
        assert_eq!(checked(&Runtime::from("wasi-http")).unwrap(), "wasi-http");
        let unknown = checked(&Runtime::from("PYTHON3.9")).unwrap_err();
        assert!(unknown.message.starts_with("Value PYTHON3.9 at 'runtime' failed"), "{unknown}");
        assert!(unknown.message.ends_with("provided.al2, java8.al2] or be a valid ARN"), "{unknown}");
    }
}
