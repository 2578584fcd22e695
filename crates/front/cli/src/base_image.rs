//! `lambent runtime install --from`: an interpreter out of a container image.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use lambent_images::{ImageError, Images, ImagesConfig, RegistryRule, unpack};
use lambent_runtimes::{CURRENT_RUNTIMES, Family, take_interpreter};

use crate::ui::Steps;
use crate::{CliError, ui};

const TREE: &str = "tree";

/// Fetches an image, which who asks allows by naming it, and takes the interpreter of a runtime out of it.
pub(crate) fn take_from_image(
    name: &str,
    image: &str,
    credentials: Option<PathBuf>,
    data: &Path,
) -> Result<(), CliError> {
    let family = Family::of(name).filter(|family| *family != Family::Provided);
    if family.is_none() || !CURRENT_RUNTIMES.contains(&name) {
        return Err(CliError::UnknownRuntime(name.to_owned()));
    }
    let failed = |why: String| CliError::Image { image: image.to_owned(), why };
    let (config, uri) = allowed(image, credentials).map_err(failed)?;
    let images = Images::new(config).map_err(failed)?;
    let runtimes = data.join("runtimes");
    let scratch = fs::create_dir_all(&runtimes)
        .and_then(|()| tempfile::Builder::new().prefix(".image-").tempdir_in(&runtimes));
    let scratch = scratch.map_err(|error| failed(format!("a folder in {}: {error}", runtimes.display())))?;
    let mut steps = Steps::start("Fetching the image");
    let archive = scratch.path().join("image.tar");
    ui::block_on(async { fetch(&images, &uri, &archive).await.map_err(failed) })?;
    steps.step(1, 2, "unpacking it");
    let opened = File::open(&archive).map_err(|error| failed(error.to_string()))?;
    unpack(opened, scratch.path(), TREE, &|| Ok(())).map_err(|error| failed(error.to_string()))?;
    let interpreter = take_interpreter(name, &scratch.path().join(TREE), data)?;
    steps.step(2, 2, "taking the interpreter");
    drop(steps);
    let program = interpreter.program.display();
    ui::say(format_args!(
        "{name} is taken from {image}: {program}. A cloud that runs uses it when it starts again."
    ));
    Ok(())
}

/// What is to be allowed so that an image can be fetched, and its name there.
fn allowed(image: &str, credentials: Option<PathBuf>) -> Result<(ImagesConfig, String), String> {
    let folder = Path::new(image);
    if folder.is_dir() {
        let folder = folder.canonicalize().map_err(|error| error.to_string())?;
        let name = folder.file_name().and_then(|name| name.to_str());
        let (Some(name), Some(above)) = (name, folder.parent()) else {
            return Err("expected a folder with a name of its own".to_owned());
        };
        let uri = format!("oci:{name}");
        return Ok((ImagesConfig { folder: Some(above.to_owned()), ..ImagesConfig::default() }, uri));
    }
    if image.starts_with(['/', '.']) {
        return Err("expected a folder with an OCI layout, found none there".to_owned());
    }
    let start = image.find("://").map_or(0, |at| at + 3);
    let end = image[start..].find('/').map(|at| start + at);
    let host = end.ok_or("expected HOST/NAME:TAG, or a folder with an OCI layout that is there")?;
    let rule: RegistryRule = image[..host].parse()?;
    let config = ImagesConfig { registries: vec![rule], credentials, ..ImagesConfig::default() };
    Ok((config, image.to_owned()))
}

async fn fetch(images: &Images, uri: &str, archive: &Path) -> Result<(), String> {
    let architecture = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "x86_64" };
    let wrong = |error: ImageError| error.to_string();
    let mut file = File::create(archive).map_err(|error| error.to_string())?;
    let resolved = images.resolve(uri, architecture).await.map_err(wrong)?;
    let mut pull = images.pull(&resolved).map_err(wrong)?;
    while let Some(piece) = pull.next().await.map_err(wrong)? {
        file.write_all(&piece).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_an_image_allows_its_registry_and_no_other() {
        let rule = |image: &str| allowed(image, None).map(|(config, uri)| (config.registries.len(), uri));
        assert_eq!(rule("example.com/python:3.12").unwrap(), (1, "example.com/python:3.12".to_owned()));
        assert_eq!(rule("http://127.0.0.1:5000/a/b").unwrap().0, 1);
        assert!(rule("/nowhere/at/all").unwrap_err().contains("OCI layout"));
        assert!(rule("python:3.12").unwrap_err().contains("HOST/NAME:TAG"));
    }

    #[test]
    fn a_folder_is_a_layout() {
        let dir = tempfile::tempdir().unwrap();
        let layout = dir.path().join("base");
        fs::create_dir(&layout).unwrap();
        let (config, uri) = allowed(layout.to_str().unwrap(), None).unwrap();
        assert_eq!(uri, "oci:base");
        assert_eq!(config.folder.unwrap(), dir.path().canonicalize().unwrap());
    }
}
