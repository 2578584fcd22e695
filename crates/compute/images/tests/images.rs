//! Images from a layout on disk: fetched, unpacked, and asked what is to be executed.

#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lambent_images::{Blame, ImageError, Images, ImagesConfig, Overrides, open, unpack};
use lambent_runtimes::{Family, Image};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const FILE: u8 = b'0';
const HARD_LINK: u8 = b'1';
const LINK: u8 = b'2';
const DEVICE: u8 = b'3';
const FOLDER: u8 = b'5';

/// An entry of a layer: path, type, mode, content or target.
type Entry<'a> = (&'a str, u8, u32, &'a str);

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut all = Vec::new();
    for (path, kind, mode, text) in entries {
        let is_link = matches!(*kind, LINK | HARD_LINK);
        let content = if is_link { "" } else { text };
        let mut header = [0_u8; 512];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, path);
        put(100, &format!("{mode:07o}\0"));
        put(124, &format!("{:011o}\0", content.len()));
        put(136, "14000000000\0");
        put(148, "        ");
        put(157, if is_link { text } else { "" });
        put(257, "ustar\x0000");
        header[156] = *kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        all.extend_from_slice(&header);
        all.extend_from_slice(content.as_bytes());
        all.resize(all.len().next_multiple_of(512), 0);
    }
    all.resize(all.len() + 1024, 0);
    all
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", lambent_base::text::hex(&Sha256::digest(bytes)))
}

/// A folder of layouts with one that is called `app`.
struct Shop {
    folder: TempDir,
}

impl Shop {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir_all(folder.path().join("app/blobs/sha256")).unwrap();
        Self { folder }
    }

    fn put(&self, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        fs::write(self.blob(&digest), bytes).unwrap();
        json!({"digest": digest, "size": bytes.len()})
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.folder.path().join("app/blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())
    }

    fn layer(&self, entries: &[Entry<'_>]) -> (Value, String) {
        let bytes = tar(entries);
        let mut layer = self.put(&bytes);
        layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into();
        (layer, digest(&bytes))
    }

    /// Puts an image together, and gives its manifest's digest.
    fn image(&self, layers: &[(Value, String)], config: &Value) -> String {
        let (layers, diff_ids): (Vec<&Value>, Vec<&String>) =
            layers.iter().map(|(layer, id)| (layer, id)).unzip();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.put(config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
        let index = json!({"schemaVersion": 2, "manifests": [self.put(manifest.as_bytes())]});
        fs::write(self.folder.path().join("app/index.json"), index.to_string()).unwrap();
        digest(manifest.as_bytes())
    }

    fn images(&self) -> Images {
        let folder = Some(self.folder.path().to_owned());
        Images::new(ImagesConfig { folder, ..ImagesConfig::default() }).unwrap()
    }

    async fn archive(&self, uri: &str) -> Result<Vec<u8>, ImageError> {
        let images = self.images();
        let resolved = images.resolve(uri, "x86_64").await?;
        let mut pull = images.pull(&resolved)?;
        let mut all = Vec::new();
        while let Some(piece) = pull.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    async fn unpacked(&self) -> Result<TempDir, ImageError> {
        let archive = self.archive("oci:app").await?;
        let folder = TempDir::new().unwrap();
        unpack(archive.as_slice(), folder.path(), "root", &|| Ok(()))?;
        Ok(folder)
    }

    async fn of_layers(layers: &[&[Entry<'_>]]) -> Result<TempDir, ImageError> {
        let shop = Self::new();
        let layers: Vec<_> = layers.iter().map(|entries| shop.layer(entries)).collect();
        shop.image(&layers, &json!({}));
        shop.unpacked().await
    }
}

fn read(folder: &TempDir, path: &str) -> Option<String> {
    fs::read_to_string(folder.path().join("root").join(path)).ok()
}

fn exists(folder: &TempDir, path: &str) -> bool {
    folder.path().join("root").join(path).symlink_metadata().is_ok()
}

#[tokio::test]
async fn layers_lie_over_each_other() {
    let lower: &[Entry<'_>] = &[
        ("./", FOLDER, 0o755, ""),
        ("a/", FOLDER, 0o755, ""),
        ("a/one", FILE, 0o644, "1"),
        ("a/two", FILE, 0o644, "2"),
        ("b/deep/three", FILE, 0o600, "3"),
        ("c/four", FILE, 0o4755, "4"),
        ("lib", LINK, 0o777, "usr/lib"),
        ("usr/lib/old", FILE, 0o644, "old"),
        ("d/file", FILE, 0o644, "a file"),
    ];
    let upper: &[Entry<'_>] = &[
        ("a/.wh.one", FILE, 0o644, ""),
        ("b/new", FILE, 0o644, "new"),
        ("b/.wh..wh..opq", FILE, 0o644, ""),
        ("c/again", HARD_LINK, 0o644, "c/four"),
        ("lib/new", FILE, 0o644, "through a link"),
        ("d/file/", FOLDER, 0o755, ""),
        ("d/file/inside", FILE, 0o644, "inside"),
        (".wh..wh.plnk", FILE, 0o644, ""),
    ];
    let made = Shop::of_layers(&[lower, upper]).await.unwrap();
    assert!(!exists(&made, "a/one") && !exists(&made, "b/deep") && !exists(&made, "a/.wh.one"));
    assert_eq!(read(&made, "a/two").as_deref(), Some("2"));
    assert_eq!(read(&made, "b/new").as_deref(), Some("new"), "its own layer hides nothing of it");
    assert_eq!(read(&made, "usr/lib/new").as_deref(), Some("through a link"));
    assert_eq!(read(&made, "d/file/inside").as_deref(), Some("inside"));
    let (four, again) = (made.path().join("root/c/four"), made.path().join("root/c/again"));
    let found = fs::metadata(&four).unwrap();
    assert_eq!((found.ino(), found.nlink()), (fs::metadata(&again).unwrap().ino(), 2));
    assert_eq!((found.permissions().mode() & 0o7777, found.mtime()), (0o755, 0o14_000_000_000));
    for place in ["proc", "dev", "tmp", "var/empty", "var/rapid"] {
        assert!(made.path().join("root").join(place).is_dir(), "{place}");
    }
}

#[tokio::test]
async fn an_opaque_folder_hides_what_is_below_whenever_it_says_so() {
    let lower: &[Entry<'_>] = &[("d/old", FILE, 0o644, "old"), ("d/sub/old", FILE, 0o644, "old")];
    let upper: &[Entry<'_>] = &[
        ("d/sub/new", FILE, 0o644, "new"),
        ("d/.wh..wh..opq", FILE, 0o644, ""),
        ("d/last", FILE, 0o644, ""),
    ];
    let made = Shop::of_layers(&[lower, upper]).await.unwrap();
    assert!(!exists(&made, "d/old") && !exists(&made, "d/sub/old"));
    assert!(exists(&made, "d/sub/new") && exists(&made, "d/last"));
}

#[tokio::test]
async fn nothing_is_written_outside() {
    let outside = TempDir::new().unwrap();
    let target = outside.path().to_str().unwrap();
    let up = "../".repeat(12) + target.trim_start_matches('/');
    let layer: &[Entry<'_>] = &[
        ("absolute", LINK, 0o777, target),
        ("upwards", LINK, 0o777, &up),
        ("/rooted", FILE, 0o644, "from the root"),
        ("absolute/escaped", FILE, 0o644, "1"),
        ("file", LINK, 0o777, "/etc/hostname"),
        ("file", FILE, 0o644, "in place of the link"),
    ];
    // The links lead nowhere inside, and nothing is made of that.
    let refused = Shop::of_layers(&[layer]).await.unwrap_err();
    assert!(matches!(refused, ImageError::Entry { .. }), "{refused}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let inside = target.trim_start_matches('/');
    let with_inside: Vec<Entry<'_>> =
        [&[(inside, FOLDER, 0o755, "")], layer, &[("upwards/too", FILE, 0o644, "2")]].concat();
    let made = Shop::of_layers(&[&with_inside]).await.unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(
        read(&made, &format!("{inside}/escaped")).as_deref(),
        Some("1"),
        "where the image's own would be"
    );
    assert_eq!(read(&made, &format!("{inside}/too")).as_deref(), Some("2"));
    assert_eq!(read(&made, "rooted").as_deref(), Some("from the root"));
    assert_eq!(read(&made, "file").as_deref(), Some("in place of the link"));
    assert_eq!(fs::read_link(made.path().join("root/absolute")).unwrap(), Path::new(target));
}

#[tokio::test]
async fn what_leads_out_is_refused() {
    let circle: &[Entry<'_>] =
        &[("x", LINK, 0o777, "y"), ("y", LINK, 0o777, "x"), ("x/inside", FILE, 0o644, "")];
    for layer in [
        &[("../escaped", FILE, 0o644, "")][..],
        &[("a/../../escaped", FILE, 0o644, "")],
        &[("passwd", HARD_LINK, 0o644, "../../etc/passwd")],
        &[("passwd", HARD_LINK, 0o644, "/etc/passwd")],
        &[("etc", LINK, 0o777, "/etc"), ("passwd", HARD_LINK, 0o644, "etc/passwd")],
        &[("a/", FOLDER, 0o755, ""), ("b", HARD_LINK, 0o644, "a")],
        &[("a", FILE, 0o644, ""), ("a/b", FILE, 0o644, "")],
        &[("link", LINK, 0o777, "")],
        &[("d/.wh...", FILE, 0o644, ""), ("d/x", FILE, 0o644, "")],
        &[("var", LINK, 0o777, "/tmp")],
        circle,
    ] {
        // A whiteout is looked at only where its folder is there.
        let below: &[Entry<'_>] = &[("d/there", FILE, 0o644, "")];
        let refused = Shop::of_layers(&[below, layer]).await.unwrap_err();
        assert_eq!(refused.blame(), Blame::Invalid, "{layer:?}: {refused}");
    }
}

#[tokio::test]
async fn devices_are_left_out_and_mount_points_are_folders() {
    let layer: &[Entry<'_>] = &[
        ("dev/sda", DEVICE, 0o666, ""),
        ("tmp", LINK, 0o777, "/etc"),
        ("proc", FILE, 0o644, "no folder"),
        ("etc/hosts", LINK, 0o777, "/dev/sda"),
    ];
    let made = Shop::of_layers(&[layer]).await.unwrap();
    assert!(!exists(&made, "dev/sda"));
    for place in ["tmp", "proc"] {
        assert!(made.path().join("root").join(place).symlink_metadata().unwrap().is_dir(), "{place}");
    }
    assert!(made.path().join("root/etc/hosts").symlink_metadata().unwrap().is_file());
}

#[tokio::test]
async fn every_digest_is_looked_at() {
    let shop = Shop::new();
    let (layer, id) = shop.layer(&[("a", FILE, 0o644, "good")]);
    let name = layer["digest"].as_str().unwrap().to_owned();
    let of = |layer: &Value, id: &str| [(layer.clone(), id.to_owned())];
    shop.image(&of(&layer, &digest(b"something else")), &json!({}));
    assert!(matches!(shop.unpacked().await, Err(ImageError::WrongDigest { .. })));

    let manifest = shop.image(&of(&layer, &id), &json!({}));
    let good = fs::read(shop.blob(&name)).unwrap();
    let mut bad = good.clone();
    bad[0] ^= 1;
    fs::write(shop.blob(&name), &bad).unwrap();
    assert!(matches!(shop.archive("oci:app").await, Err(ImageError::WrongDigest { .. })));
    fs::write(shop.blob(&name), &good[1..]).unwrap();
    assert!(matches!(shop.archive("oci:app").await, Err(ImageError::Malformed { .. })));
    fs::remove_file(shop.blob(&name)).unwrap();
    assert_eq!(shop.archive("oci:app").await.unwrap_err().blame(), Blame::Missing);
    std::os::unix::fs::symlink("/etc/hostname", shop.blob(&name)).unwrap();
    assert_eq!(
        shop.archive("oci:app").await.unwrap_err().blame(),
        Blame::Missing,
        "a link out of the folder"
    );
    fs::write(shop.blob(&manifest), b"{}").unwrap();
    assert!(matches!(shop.archive("oci:app").await, Err(ImageError::WrongDigest { .. })));
}

#[tokio::test]
async fn names_lead_to_what_the_operator_has() {
    let shop = Shop::new();
    let manifest = shop.image(&[shop.layer(&[("a", FILE, 0o644, "")])], &json!({}));
    let archive = shop.archive("oci:app").await.unwrap();
    assert!(
        archive.len() % 512 == 0 && shop.archive(&format!("oci:app@{manifest}")).await.unwrap() == archive
    );
    for missing in ["oci:other", "oci:app:v2", "oci:app/blobs"] {
        assert_eq!(shop.archive(missing).await.unwrap_err().blame(), Blame::Missing, "{missing}");
    }
    std::os::unix::fs::symlink("/etc", shop.folder.path().join("out")).unwrap();
    assert_eq!(shop.archive("oci:out").await.unwrap_err().blame(), Blame::Missing);
    let other = shop.images().resolve("oci:app", "arm64").await.map(drop).unwrap_err();
    assert!(matches!(other, ImageError::OtherPlatform { .. }));
    let none = Images::new(ImagesConfig::default()).unwrap();
    assert!(matches!(none.resolve("oci:app", "x86_64").await, Err(ImageError::NoFolder)));
    let asked = none.resolve("http://127.0.0.1:9/app", "x86_64").await.map(drop).unwrap_err();
    assert_eq!(asked.blame(), Blame::Denied, "{asked}");
}

#[tokio::test]
async fn a_full_disk_is_said() {
    let shop = Shop::new();
    shop.image(&[shop.layer(&[("a", FILE, 0o644, "1")])], &json!({}));
    let archive = shop.archive("oci:app").await.unwrap();
    let folder = TempDir::new().unwrap();
    let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
    assert!(unpack(archive.as_slice(), folder.path(), "root", &full).unwrap_err().is_disk_full());
}

/// What is executed of an image with these files, of mode 755.
async fn started(files: &[&str], config: Value, overrides: Overrides) -> Image {
    let shop = Shop::new();
    let entries: Vec<Entry<'_>> = files.iter().map(|path| (*path, FILE, 0o755, "#!")).collect();
    shop.image(&[shop.layer(&entries)], &config);
    let folder = shop.unpacked().await.unwrap();
    open(folder.path(), &overrides, None).unwrap()
}

#[tokio::test]
async fn entry_points_are_executed_as_they_are() {
    let config = json!({
        "Entrypoint": ["serve", "--fast"], "Cmd": ["app.handler"], "WorkingDir": "/srv", "Env": ["PATH=/x:/opt/bin"],
    });
    let its = started(&["opt/bin/serve", "usr/bin/python3"], config.clone(), Overrides::default()).await;
    assert_eq!((its.interpreter, its.program.as_str()), (None, "/opt/bin/serve"));
    assert_eq!((its.args.join(" ").as_str(), its.work_dir.as_str()), ("serve --fast app.handler", "/srv"));
    assert_eq!(its.handler.as_deref(), Some("app.handler"));
    let mine = Overrides {
        entry_point: Some(vec!["./run".to_owned()]),
        command: Some(vec!["other.handler".to_owned()]),
        working_directory: Some("/elsewhere".to_owned()),
    };
    let mine = started(&["elsewhere/run"], config, mine).await;
    assert_eq!((mine.program.as_str(), mine.work_dir.as_str()), ("./run", "/elsewhere"));
    assert_eq!(mine.args, ["./run", "other.handler"]);
}

#[tokio::test]
async fn a_functions_own_words_count_among_what_environments_are_told() {
    let shop = Shop::new();
    shop.image(&[shop.layer(&[])], &json!({"Env": [format!("A={}", "x".repeat(20_000))]}));
    let folder = shop.unpacked().await.unwrap();
    let with = |bytes: usize| Overrides { command: Some(vec!["x".repeat(bytes)]), ..Overrides::default() };
    assert!(open(folder.path(), &with(10_000), None).is_ok());
    let refused = open(folder.path(), &with(20_000), None).unwrap_err();
    assert!(matches!(refused, ImageError::TooLarge { .. }), "{refused}");
}

#[tokio::test]
async fn a_handler_without_a_client_gets_an_interpreter() {
    let config = json!({"Cmd": ["src/app.handler"], "WorkingDir": "/work"});
    let both = ["usr/bin/python3", "usr/local/bin/node", "work/src/app.mjs"];
    let of = |files: Vec<&'static str>| started_owned(files, config.clone());
    assert_eq!(of(both[..1].to_vec()).await, (Some(Family::Python), "/usr/bin/python3".to_owned()));
    assert_eq!(of(both[..2].to_vec()).await.0, Some(Family::Python));
    assert_eq!(of(both.to_vec()).await, (Some(Family::Node), "/usr/local/bin/node".to_owned()));
    let aws = vec!["usr/bin/python3", "var/runtime/bootstrap"];
    assert_eq!(of(aws).await, (None, "/var/runtime/bootstrap".to_owned()));
    assert_eq!(
        of(vec!["etc/x"]).await,
        (None, "src/app.handler".to_owned()),
        "as it is: the caller hears of it"
    );
    let program = started(&["usr/bin/tool.sh"], json!({"Cmd": ["tool.sh"]}), Overrides::default()).await;
    assert_eq!((program.interpreter, program.program.as_str()), (None, "/usr/bin/tool.sh"));
}

async fn started_owned(files: Vec<&'static str>, config: Value) -> (Option<Family>, String) {
    let image = started(&files, config, Overrides::default()).await;
    (image.interpreter, image.program)
}
