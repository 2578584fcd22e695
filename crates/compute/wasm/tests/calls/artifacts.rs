//! Compiled components: kept, found again, and never taken from anybody else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lambent_pool::FunctionSpec;

use crate::support::Platform;

/// The one compiled component beside a package.
fn compiled(function: &FunctionSpec) -> PathBuf {
    let root = function.code_dir.with_extension("compiled");
    let folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [folder] = folders.as_slice() else { panic!("one folder, not {folders:?}") };
    folder.join("component.cwasm")
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[tokio::test]
async fn a_component_is_compiled_once() {
    let mut platform = Platform::new();
    let function = Arc::new(platform.guest("event-echo"));
    platform.wasm.prepare(&function).await.unwrap();
    let before = inode(&compiled(&function));
    platform.restarted(7);
    platform.wasm.prepare(&function).await.unwrap();
    assert_eq!(platform.call(&function, "1").await.result(), "1");
    assert_eq!(inode(&compiled(&function)), before);
}

#[tokio::test]
async fn what_another_wrote_is_made_anew() {
    let mut platform = Platform::new();
    let (function, other) = (Arc::new(platform.guest("event-echo")), platform.guest("event-count"));
    platform.wasm.prepare(&function).await.unwrap();
    platform.wasm.prepare(&other).await.unwrap();
    let path = compiled(&function);
    let seal = path.with_file_name("seal");

    // Another component, as it was compiled here, in its place; with and without its own seal.
    fs::copy(compiled(&other), &path).unwrap();
    platform.restarted(7);
    assert_eq!(platform.call(&function, "1").await.result(), "1");
    fs::copy(compiled(&other), &path).unwrap();
    fs::copy(compiled(&other).with_file_name("seal"), &seal).unwrap();
    platform.restarted(7);
    assert_eq!(platform.call(&function, "1").await.result(), "1");

    // Written to in place, with its times set back.
    let times = fs::metadata(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(times.modified().unwrap()).unwrap();
    platform.restarted(7);
    assert_eq!(platform.call(&function, "1").await.result(), "1");

    // Sealed under another key.
    let before = inode(&path);
    platform.restarted(8);
    assert_eq!(platform.call(&function, "1").await.result(), "1");
    assert_ne!(inode(&path), before);

    // What others may write to.
    let before = inode(&path);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    platform.restarted(8);
    assert_eq!(platform.call(&function, "1").await.result(), "1");
    assert_ne!(inode(&path), before);
}

#[tokio::test]
async fn nothing_is_left_of_a_package_that_was_thrown_away() {
    let platform = Platform::new();
    let function = platform.guest("event-echo");
    platform.wasm.prepare(&function).await.unwrap();
    let root = function.code_dir.parent().unwrap();
    let names: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "the package and its compiled component: {names:?}");
    fs::remove_dir_all(&function.code_dir).unwrap();
    assert!(platform.wasm.prepare(&function).await.is_err());
}
