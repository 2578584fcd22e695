//! `lambent env`: what a shell needs to speak to the cloud.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::cloud::{Cloud, DataArg};
use crate::{CliError, exit, trust, ui};

/// Print the environment for AWS tools, for `eval "$(lambent env)"`
#[derive(Args, Clone, Debug)]
pub struct EnvArgs {
    #[command(flatten)]
    pub data: DataArg,
    /// Use HTTPS, with the cloud's own certificate authority
    #[arg(long)]
    pub https: bool,
}

/// Prints `export` lines.
pub fn run(arguments: &EnvArgs) -> ExitCode {
    ui::finish(show(arguments))
}

fn show(arguments: &EnvArgs) -> Result<u8, CliError> {
    let cloud = Cloud::find(&arguments.data.data)?;
    let authority = trust::authority(&arguments.data.data);
    ui::print(&exports(&cloud, arguments.https, authority.as_deref()))?;
    Ok(exit::DONE)
}

fn exports(cloud: &Cloud, https: bool, authority: Option<&Path>) -> String {
    let Cloud { published, root, .. } = cloud;
    let endpoint = if https { published.replacen("http://", "https://", 1) } else { published.clone() };
    let authority = authority.filter(|_| endpoint.starts_with("https://"));
    let mut variables = vec![
        ("AWS_ACCESS_KEY_ID", root.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", root.secret_access_key.clone()),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_DEFAULT_REGION", root.region.clone()),
    ];
    if let Some(file) = authority {
        // The first is read by the AWS CLI and boto3, the second by Node.js.
        for name in ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
            variables.push((name, file.display().to_string()));
        }
    }
    variables.iter().map(|(name, value)| format!("export {name}={}\n", quote(value))).collect()
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
            published: "http://127.0.0.1:4566".to_owned(),
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
        let authority = Some(Path::new("/data/ca.pem"));
        assert_eq!(exports(&cloud, false, authority), expected);
        let https = expected.replace("http://", "https://");
        assert_eq!(exports(&cloud, true, None), https, "of a given certificate there is nothing to say");
        let trusting = "export AWS_CA_BUNDLE=/data/ca.pem\nexport NODE_EXTRA_CA_CERTS=/data/ca.pem\n";
        assert_eq!(exports(&cloud, true, authority), format!("{https}{trusting}"));
    }
}
