//! `lambent env`: what a shell needs to speak to the cloud.

use std::process::ExitCode;

use clap::Args;

use crate::cloud::{Cloud, DataArg};
use crate::{CliError, exit, ui};

/// Print the environment for AWS tools, for `eval "$(lambent env)"`
#[derive(Args, Clone, Debug)]
pub struct EnvArgs {
    #[command(flatten)]
    pub data: DataArg,
}

/// Prints `export` lines.
pub fn run(arguments: &EnvArgs) -> ExitCode {
    ui::finish(show(arguments))
}

fn show(arguments: &EnvArgs) -> Result<u8, CliError> {
    let cloud = Cloud::find(&arguments.data.data)?;
    ui::print(&exports(&cloud))?;
    Ok(exit::DONE)
}

fn exports(cloud: &Cloud) -> String {
    let Cloud { endpoint, root } = cloud;
    let variables = [
        ("AWS_ACCESS_KEY_ID", &root.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &root.secret_access_key),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_DEFAULT_REGION", &root.region),
    ];
    variables.map(|(name, value)| format!("export {name}={}\n", quote(value))).concat()
}

/// A word as every POSIX shell reads it back.
fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:+=@%,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::RootKey;

    #[test]
    fn values_are_safe_for_eval() {
        let cloud = Cloud {
            endpoint: "http://127.0.0.1:4566".to_owned(),
            root: RootKey {
                access_key_id: "AKIAEXAMPLE".to_owned(),
                secret_access_key: "a/b+c$(rm)'".to_owned(),
                account: "000000000000".to_owned(),
                region: "us-east-1".to_owned(),
            },
        };
        let expected = "export AWS_ACCESS_KEY_ID=AKIAEXAMPLE\n\
                        export AWS_SECRET_ACCESS_KEY='a/b+c$(rm)'\\'''\n\
                        export AWS_ENDPOINT_URL=http://127.0.0.1:4566\n\
                        export AWS_DEFAULT_REGION=us-east-1\n";
        assert_eq!(exports(&cloud), expected);
    }
}
