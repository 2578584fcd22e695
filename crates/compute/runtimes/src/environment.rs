//! The environment variables of a function.
//! Source: AWS Lambda Developer Guide, "Using Lambda environment variables", "Defined runtime environment variables".

use crate::catalogue::{Family, Runtime, version_of};
use crate::launch::{ENDPOINT_PORT, RUNTIME_API_PORT, START_DEFAULTS, TELEMETRY_FD};

/// What the variables say of a function and its environment.
#[derive(Clone, Debug)]
pub struct FunctionFacts<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub handler: &'a str,
    pub region: &'a str,
    pub memory_mib: u32,
    pub log_group: &'a str,
    pub log_stream: &'a str,
    pub access_key_id: &'a str,
    pub secret_access_key: &'a str,
    pub session_token: &'a str,
    /// Environment.Variables of the function's configuration.
    pub own: &'a [(String, String)],
}

/// The whole environment: defaults that a function may replace, then its own variables, then the reserved ones.
pub fn variables(runtime: &Runtime, facts: &FunctionFacts<'_>) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: String| {
        variables.retain(|(old, _)| old != name);
        variables.push((name.to_owned(), value));
    };
    for (name, value) in START_DEFAULTS {
        set(name, value.to_owned());
    }
    set("TZ", ":UTC".to_owned());
    set("PATH", "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin".to_owned());
    set("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{ENDPOINT_PORT}"));
    match (runtime.family, &runtime.interpreter) {
        (Family::Python, _) => set("PYTHONPATH", "/var/runtime".to_owned()),
        // By the runtime's name, even where another version stands in: layers are made for names.
        (Family::Node, Some(interpreter)) => {
            let major = version_of(&runtime.identifier).unwrap_or(interpreter.version).0;
            set(
                "NODE_PATH",
                format!(
                    "/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:\
                     /var/runtime/node_modules:/var/runtime:/var/task"
                ),
            );
        }
        _ => {}
    }
    for (name, value) in facts.own {
        set(name, value.clone());
    }
    set_reserved(runtime, facts, &mut set);
    variables
}

/// Sets what a function's own variables cannot replace.
pub(crate) fn set_reserved(runtime: &Runtime, facts: &FunctionFacts<'_>, set: &mut impl FnMut(&str, String)) {
    let reserved = [
        ("_HANDLER", facts.handler),
        ("AWS_REGION", facts.region),
        ("AWS_DEFAULT_REGION", facts.region),
        ("AWS_LAMBDA_FUNCTION_NAME", facts.name),
        ("AWS_LAMBDA_FUNCTION_VERSION", facts.version),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", facts.log_group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", facts.log_stream),
        ("AWS_ACCESS_KEY_ID", facts.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", facts.secret_access_key),
        ("AWS_SESSION_TOKEN", facts.session_token),
        ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
    ];
    for (name, value) in reserved {
        set(name, value.to_owned());
    }
    set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", facts.memory_mib.to_string());
    set("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{RUNTIME_API_PORT}"));
    // Only managed runtimes have it, and those that write framed log events know the descriptor by it.
    if runtime.family != Family::Provided {
        set("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", runtime.identifier));
        set("_LAMBDA_TELEMETRY_LOG_FD", TELEMETRY_FD.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<'a> FunctionFacts<'a> {
        /// Of a function with these variables.
        pub(crate) fn of_test(own: &'a [(String, String)]) -> Self {
            Self {
                name: "f",
                version: "$LATEST",
                handler: "app.handler",
                region: "us-east-1",
                memory_mib: 128,
                log_group: "/aws/lambda/f",
                log_stream: "s",
                access_key_id: "a",
                secret_access_key: "b",
                session_token: "c",
                own,
            }
        }
    }

    #[test]
    fn reserved_names_win_and_defaults_lose() {
        let own = [
            ("PATH".to_owned(), "/mine".to_owned()),
            ("AWS_REGION".to_owned(), "moon".to_owned()),
            ("COLOUR".to_owned(), "red".to_owned()),
        ];
        let facts = FunctionFacts::of_test(&own);
        let runtime = crate::Catalogue::of(Vec::new()).resolve("provided.al2023").unwrap();
        let variables = variables(&runtime, &facts);
        let get = |name: &str| {
            let all: Vec<&str> =
                variables.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
            assert!(all.len() < 2, "{name} is there twice");
            all.first().copied()
        };
        assert_eq!(get("PATH"), Some("/mine"));
        assert_eq!(get("AWS_REGION"), Some("us-east-1"));
        assert_eq!(get("COLOUR"), Some("red"));
        assert_eq!(get("AWS_EXECUTION_ENV"), None);
    }
}
