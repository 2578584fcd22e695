//! From an image's archive to a folder that environments can have as their root.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use lambent_runtimes::Image;
use rustix::fs::syncfs;
use serde::{Deserialize, Serialize};

use crate::apply::{Applier, unreadable};
use crate::beneath::Beneath;
use crate::command::{self, Overrides};
use crate::config::Execution;
use crate::error::ImageError;
use crate::layer::Unpacked;
use crate::limits::UNPACKED_BYTES_MAX;
use crate::{archive, mount_points, tar};

/// What is to be executed, in the folder of an unpacked image.
const EXECUTION_FILE: &str = "execution.json";

/// What that file holds.
#[derive(Deserialize, Serialize)]
struct Kept {
    /// The name of the tree beside it.
    tree: String,
    execution: Execution,
}

/// Unpacks an archive that [`crate::Pull`] made into `folder`, which is there and empty, and makes it durable. `room` is asked
/// before each piece that is written, and fails when there is no more. Blocks.
///
/// `tree_name` is that of the tree in there, and must be of no other tree that ever was: environments are made with a tree as
/// their root, and one that was removed and made again under its name would be another.
///
/// Links lead where they lead; nothing is written through one that leads out of the tree. Owners are forgotten, and so are
/// set-user-id bits, devices and pipes.
pub fn unpack(
    source: impl Read,
    folder: &Path,
    tree_name: &str,
    room: &dyn Fn() -> io::Result<()>,
) -> Result<(), ImageError> {
    let mut archive = tar::Reader::new(source);
    let (manifest, config) = archive::read_head(&mut archive)?;
    let tree = folder.join(tree_name);
    fs::create_dir(&tree).map_err(|error| ImageError::io("make", &tree, error))?;
    let opened = Beneath::open(&tree).map_err(|error| ImageError::io("open", &tree, error))?;
    opened.make_searchable().map_err(|error| ImageError::io("set the mode of", &tree, error))?;
    let mut applier = Applier::new(opened, room);
    let mut left = UNPACKED_BYTES_MAX;
    for (layer, expected) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        archive::next_part(&mut archive, &archive::blob_path(&layer.digest))?;
        let unpacked = Unpacked::new(Content(&mut archive), left).map_err(|error| unreadable(&error))?;
        let mut layer_tar = tar::Reader::new(unpacked);
        applier.apply(&mut layer_tar).map_err(|error| in_layer(error, layer.digest))?;
        let (digest, room) = layer_tar.into_source().finish();
        left = room;
        if digest != *expected {
            let what = format!("the layer {}, unpacked,", layer.digest);
            return Err(ImageError::WrongDigest {
                what,
                expected: expected.to_string(),
                got: digest.to_string(),
            });
        }
    }
    let mut tree = applier.into_tree();
    mount_points::make(&mut tree)?;
    make_work_dir(&mut tree, &config.config);
    keep(folder, &Kept { tree: tree_name.to_owned(), execution: config.config })
}

/// What is to be executed of an unpacked image, its own words replaced by those of a function's configuration.
/// `path` is the function's own `PATH`, if it has one. Fails where all of it together is more than an environment can be told. Blocks for a moment.
pub fn open(folder: &Path, overrides: &Overrides, path: Option<&str>) -> Result<Image, ImageError> {
    let file = folder.join(EXECUTION_FILE);
    let text = fs::read(&file).map_err(|error| ImageError::io("read", &file, error))?;
    let kept = serde_json::from_slice(&text);
    let Kept { tree, execution } = kept.map_err(|error| ImageError::malformed(EXECUTION_FILE, error))?;
    let tree = folder.join(tree);
    let beneath = Beneath::open(&tree).map_err(|error| ImageError::io("open", &tree, error))?;
    let execution = overrides.over(execution);
    execution.check_size()?;
    Ok(command::choose(tree, &beneath, execution, path))
}

/// A folder that builders made in no layer: as with container engines, it is there.
fn make_work_dir(tree: &mut Beneath, execution: &Execution) {
    let path = execution.working_dir.trim_start_matches('/');
    if !path.split('/').any(|part| part == "..")
        && let Err(error) = tree.folder(Path::new(path))
    {
        // Who calls the function hears of it.
        tracing::info!(%error, path, "the working directory of an image is not there");
    }
}

fn keep(folder: &Path, kept: &Kept) -> Result<(), ImageError> {
    let file = folder.join(EXECUTION_FILE);
    let text = serde_json::to_vec(kept).expect("lists of texts are JSON");
    fs::write(&file, text).map_err(|error| ImageError::io("write", &file, error))?;
    let opened = File::open(folder).map_err(|error| ImageError::io("open", folder, error))?;
    syncfs(&opened).map_err(|error| ImageError::io("sync", folder, error))
}

fn in_layer(error: ImageError, digest: crate::digest::Digest) -> ImageError {
    match error {
        ImageError::Malformed { cause, .. } => ImageError::malformed(format!("the layer {digest}"), cause),
        other => other,
    }
}

/// The content of the archive's present entry.
struct Content<'a, R>(&'a mut tar::Reader<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_content(buffer)
    }
}
