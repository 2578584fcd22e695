//! ImageConfig: what a function executes of its container image. Source: Lambda API Reference, "ImageConfig".

use lambent_images::Overrides;
use lambent_model_lambda::{FunctionCodeLocation, ImageConfig, ImageConfigResponse};
use lambent_wire::ApiError;

use crate::errors;
use crate::rows::{ImageConfigRow, ImageRow, Settings};

/// Takes an ImageConfig over, whole: what it leaves out is the image's own again.
pub(crate) fn apply(settings: &mut Settings, config: Option<&ImageConfig>) -> Result<(), ApiError> {
    let Some(config) = config else { return Ok(()) };
    let Some(image) = &mut settings.image else {
        return Err(errors::invalid("Please don't provide ImageConfig for a function with packageType Zip."));
    };
    let words = config.entry_point.iter().chain(&config.command).flatten();
    if words.chain(&config.working_directory).any(|text| text.contains('\0')) {
        return Err(errors::invalid("ImageConfig may not have zero bytes."));
    }
    let row = ImageConfigRow {
        entry_point: config.entry_point.clone().filter(|words| !words.is_empty()),
        command: config.command.clone().filter(|words| !words.is_empty()),
        working_directory: config.working_directory.clone().filter(|folder| !folder.is_empty()),
    };
    image.config = Some(row).filter(|row| *row != ImageConfigRow::default());
    Ok(())
}

/// As a function's configuration shows it.
pub(crate) fn shown(image: &ImageRow) -> Option<ImageConfigResponse> {
    let ImageConfigRow { entry_point, command, working_directory } = image.config.clone()?;
    let config = ImageConfig { command, entry_point, working_directory };
    Some(ImageConfigResponse { error: None, image_config: Some(config) })
}

/// As GetFunction shows where the code is.
pub(crate) fn location(image: &ImageRow) -> FunctionCodeLocation {
    FunctionCodeLocation {
        repository_type: Some("ECR".to_owned()),
        image_uri: Some(image.uri.clone()),
        resolved_image_uri: Some(image.resolved.clone()),
        ..FunctionCodeLocation::default()
    }
}

/// What is executed otherwise than the image says.
pub(crate) fn overrides(image: &ImageRow) -> Overrides {
    let ImageConfigRow { entry_point, command, working_directory } = image.config.clone().unwrap_or_default();
    Overrides { entry_point, command, working_directory }
}
