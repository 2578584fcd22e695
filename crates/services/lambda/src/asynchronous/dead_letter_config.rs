//! DeadLetterConfig: where events go whose every attempt failed. Source: Lambda API Reference, "DeadLetterConfig".

use lambent_model_lambda::DeadLetterConfig;

use crate::rows::Settings;

/// Takes over what a request says; a config without target, or with an empty one, takes the old target away.
pub(crate) fn apply(settings: &mut Settings, config: Option<&DeadLetterConfig>) {
    if let Some(config) = config {
        settings.dead_letter_arn = config.target_arn.clone().filter(|arn| !arn.is_empty());
    }
}

/// As answers have it; `None` where there is no target.
pub(crate) fn shown(settings: &Settings) -> Option<DeadLetterConfig> {
    settings.dead_letter_arn.clone().map(|arn| DeadLetterConfig { target_arn: Some(arn) })
}
