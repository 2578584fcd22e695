//! An image's configuration. Source: OCI image specification, "Image Configuration".

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::error::ImageError;
use crate::limits::{EXECUTION_BYTES_MAX, VARIABLES_MAX};
use crate::manifest::platform_of;

/// What an image says of itself.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    pub(crate) config: Execution,
    pub(crate) rootfs: RootFs,
}

/// What is to be executed, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Execution {
    #[serde(deserialize_with = "or_default")]
    pub(crate) env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) entrypoint: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) cmd: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) working_dir: String,
}

/// The layers, unpacked.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RootFs {
    pub(crate) diff_ids: Vec<Digest>,
}

/// Many builders write `null` for what is not there.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Execution {
    /// Fails where it is more than environments can be told.
    pub(crate) fn check_size(&self) -> Result<(), ImageError> {
        let what = "its environment variables, entry point, command and working directory together";
        let text = serde_json::to_vec(self).map_err(|error| ImageError::malformed(what, error))?;
        let (got, max) = (text.len() as u64, EXECUTION_BYTES_MAX as u64);
        if got > max { Err(ImageError::TooLarge { what, got, max }) } else { Ok(()) }
    }
}

impl Config {
    /// Reads it; `layers` is how many the manifest has.
    pub(crate) fn read(bytes: &[u8], layers: usize) -> Result<Self, ImageError> {
        let malformed = |cause: String| ImageError::malformed("the configuration", cause);
        let config: Self = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        let diff_ids = config.rootfs.diff_ids.len();
        if diff_ids != layers {
            return Err(malformed(format!("it has {diff_ids} layers, and the manifest {layers}")));
        }
        let texts = [&config.config.env, &config.config.entrypoint, &config.config.cmd];
        if texts.iter().any(|list| list.len() > VARIABLES_MAX) {
            return Err(ImageError::TooMany { what: "variables or arguments", max: VARIABLES_MAX });
        }
        let has_zero = texts.iter().flat_map(|list| list.iter()).any(|text| text.contains('\0'));
        if has_zero || config.config.working_dir.contains('\0') {
            return Err(malformed(
                "a variable, an argument or the working directory has a zero byte".to_owned(),
            ));
        }
        config.config.check_size()?;
        Ok(config)
    }

    /// Fails where the image is for something else than Linux on this architecture, in Lambda's words.
    pub(crate) fn check_platform(&self, architecture: &str) -> Result<(), ImageError> {
        let (found, wanted) = (format!("{}/{}", self.os, self.architecture), platform_of(architecture));
        if found == wanted { Ok(()) } else { Err(ImageError::OtherPlatform { found, wanted }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_members_and_null_are_the_same() {
        let digest = Digest::of(b"l");
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":null,"Cmd":["app.handler"]}},"rootfs":{{"diff_ids":["{digest}"]}}}}"#
        );
        let config = Config::read(text.as_bytes(), 1).unwrap();
        assert_eq!(config.config, Execution { cmd: vec!["app.handler".to_owned()], ..Execution::default() });
        assert!(config.check_platform("x86_64").is_ok());
        let other = config.check_platform("arm64").unwrap_err();
        assert_eq!(other.to_string(), "it is for linux/amd64, and the function for linux/arm64");
        assert!(Config::read(text.as_bytes(), 2).is_err());
    }

    #[test]
    fn more_than_an_environment_can_be_told_is_refused() {
        let read = |config: serde_json::Value| {
            let text = serde_json::json!({"config": config, "rootfs": {"diff_ids": []}});
            Config::read(text.to_string().as_bytes(), 0)
        };
        let long = |bytes: usize| "x".repeat(bytes);
        assert!(read(serde_json::json!({"Env": [format!("A={}", long(EXECUTION_BYTES_MAX / 2))]})).is_ok());
        // What has to be escaped takes more room than it has bytes.
        let escaped = "\u{1}".repeat(EXECUTION_BYTES_MAX / 6);
        for config in [
            serde_json::json!({"Env": [format!("A={}", long(EXECUTION_BYTES_MAX))]}),
            serde_json::json!({"Env": [format!("A={escaped}")]}),
            serde_json::json!({"Cmd": [long(EXECUTION_BYTES_MAX / 2)], "Entrypoint": [long(EXECUTION_BYTES_MAX / 2)]}),
        ] {
            let error = read(config).unwrap_err();
            assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
            assert_eq!(error.blame(), crate::error::Blame::Invalid);
        }
    }
}
