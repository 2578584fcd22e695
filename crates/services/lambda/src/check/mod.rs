//! What a check or a backup of the whole cloud needs to know of Lambda's rows.

mod attached;

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use bytes::Bytes;
use lambent_blobs::BlobId;
use lambent_care::{Findings, Mend};
use lambent_store::{Export, StoreError};
use serde::de::DeserializeOwned;

use self::attached::check_attached;
use crate::code::signing::CodeSigningRow;
use crate::keys;
use crate::rows::{
    AliasRow, CodeRow, FunctionRow, Held, LayerPolicyRow, LayerVersionRow, Phase, Settings, VersionRow,
};

const SERVICE: &str = "lambda";

/// Which blob the key of a row names. Every package has a row for its blob.
pub fn named_blob(key: &[u8]) -> Option<BlobId> {
    keys::read_code_blob(key)
}

/// Reads all rows of Lambda: whether each can be read, and whether functions, packages and blobs name each other.
pub async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    let mut check = Check {
        findings,
        codes: HashMap::new(),
        kept: HashSet::new(),
        users: HashMap::new(),
        coming: HashSet::new(),
        set_users: HashSet::new(),
        layer_policies: HashSet::new(),
        unused: HashSet::new(),
        functions: HashSet::new(),
        last_versions: HashMap::new(),
        is_any_lost: false,
    };
    let mut functions = Vec::new();
    view.for_each(keys::all_functions(), |key, row| functions.push((key.clone(), row.clone()))).await?;
    for (key, row) in functions {
        let loaded = view.load_large(&key, &row).await;
        check.function(&key, &row, loaded);
    }
    view.for_each(keys::all_versions(), |key, row| check.version(key, row)).await?;
    view.for_each(keys::all_code_signings(), |key, row| {
        check.readable::<CodeSigningRow>("code signing configuration", key, row);
    })
    .await?;
    view.for_each(keys::all_layer_versions(), |key, row| check.layer_version(key, row)).await?;
    view.for_each(keys::all_layer_policies(), |key, row| check.layer_policy(key, row)).await?;
    view.for_each(keys::all_last_versions(), |key, row| check.last_version(key, row)).await?;
    view.for_each(keys::all_last_layer_versions(), |key, row| check.last_version(key, row)).await?;
    check.reused_numbers();
    view.for_each(keys::all_aliases(), |key, row| check.alias(key, row)).await?;
    check_attached(view, &mut check).await?;
    view.for_each(keys::all_code_unused().range(), |key, row| check.unused(key, row)).await?;
    view.for_each(keys::all_codes(), |key, row| check.code(key, row)).await?;
    let is_lost =
        |(user, sha256): (&Bytes, &String)| !check.kept.contains(sha256) && !check.coming.contains(user);
    check.is_any_lost = check.users.iter().any(is_lost);
    view.for_each(keys::all_code_blobs(), |key, row| check.code_blob(key, row)).await?;
    view.for_each(keys::all_code_users(), |key, row| check.code_user(key, row)).await?;
    view.for_each(keys::all_layer_set_users(), |key, row| check.layer_set_user(key, row)).await?;
    check.missing();
    Ok(())
}

fn last_version_mend(key: Bytes, seen: Option<Bytes>, number: u64) -> Mend {
    Mend::Row { key, seen, to: Some(number.to_string().into()) }
}

fn is_image(settings: &Settings, sha256: &str) -> bool {
    settings.image.is_some() && settings.code.sha256 == sha256
}

struct Check<'a> {
    findings: &'a mut Findings,
    /// The package of each blob; `true` once the blob's own row was seen.
    codes: HashMap<BlobId, (String, bool)>,
    /// The packages that there are.
    kept: HashSet<String>,
    /// The keys that functions and versions need below `lambda/code-user/`, with the package.
    users: HashMap<Bytes, String>,
    /// Those of them whose image may not have been fetched yet, or could not be.
    coming: HashSet<Bytes>,
    /// The keys that functions and versions need below `lambda/layer-set-user/`.
    set_users: HashSet<Bytes>,
    /// The keys that policies of layer versions may have.
    layer_policies: HashSet<Bytes>,
    unused: HashSet<String>,
    /// The keys of all functions.
    functions: HashSet<Bytes>,
    /// By the keys that last versions should have: the highest number that there is.
    last_versions: HashMap<Bytes, u64>,
    /// Whether a function needs a package whose row is gone. Its blob may be there still.
    is_any_lost: bool,
}

impl Check<'_> {
    fn unreadable(&mut self, kind: &str, key: &Bytes, row: &Bytes, why: &dyn Display) {
        let what = format!("{kind} {} cannot be read: {why}", key.escape_ascii());
        self.findings.unreadable(SERVICE, what, (key, row), None);
    }

    fn readable<T: DeserializeOwned>(&mut self, kind: &str, key: &Bytes, row: &Bytes) {
        if let Err(why) = serde_json::from_slice::<T>(row) {
            self.unreadable(kind, key, row, &why);
        }
    }

    fn function(&mut self, key: &Bytes, row: &Bytes, loaded: Result<Bytes, StoreError>) {
        let decoded = match loaded {
            Ok(value) => serde_json::from_slice::<FunctionRow>(&value).map_err(|why| why.to_string()),
            Err(why) => Err(why.to_string()),
        };
        let (place, function) = match (keys::read_function(key), decoded) {
            (Ok((place, _)), Ok(function)) => (place, function),
            (Err(why), _) => return self.unreadable("function", key, row, &why),
            (_, Err(why)) => return self.unreadable("function", key, row, &why),
        };
        self.functions.insert(key.clone());
        for held in function.held() {
            match held {
                Held::Package(sha256) => {
                    let user = keys::code_user(&sha256, &place, &function.name).into_bytes();
                    if function.phase != Phase::Ready && is_image(&function.settings, &sha256) {
                        self.coming.insert(user.clone());
                    }
                    self.users.insert(user, sha256);
                }
                Held::LayerSet(digest) => {
                    let user = keys::layer_set_user(&digest, &place, &function.name).into_bytes();
                    self.set_users.insert(user);
                }
            }
        }
    }

    fn version(&mut self, key: &Bytes, row: &Bytes) {
        let (place, name, number) = match keys::read_version(key) {
            Ok(version) => version,
            Err(why) => return self.unreadable("version", key, row, &why),
        };
        let version = match serde_json::from_slice::<VersionRow>(row) {
            Ok(version) => version,
            Err(why) => return self.unreadable("version", key, row, &why),
        };
        let last = keys::last_version(&place, &name).into_bytes();
        let highest = self.last_versions.entry(last).or_default();
        *highest = number.max(*highest);
        if !self.functions.contains(&*keys::function(&place, &name)) {
            let what = format!("version {number} is of a function, {name}, which does not exist");
            return self.findings.stray(SERVICE, what, (key, row));
        }
        for held in version.settings.held() {
            match held {
                Held::Package(sha256) => {
                    let user = keys::code_version(&sha256, &place, &name, number).into_bytes();
                    if version.phase != Phase::Ready && is_image(&version.settings, &sha256) {
                        self.coming.insert(user.clone());
                    }
                    self.users.insert(user, sha256);
                }
                Held::LayerSet(digest) => {
                    let user = keys::layer_set_version(&digest, &place, &name, number).into_bytes();
                    self.set_users.insert(user);
                }
            }
        }
    }

    fn layer_version(&mut self, key: &Bytes, row: &Bytes) {
        let (place, name, number) = match keys::read_layer_version(key) {
            Ok(version) => version,
            Err(why) => return self.unreadable("layer version", key, row, &why),
        };
        let version = match serde_json::from_slice::<LayerVersionRow>(row) {
            Ok(version) => version,
            Err(why) => return self.unreadable("layer version", key, row, &why),
        };
        let last = keys::last_layer_version(&place, &name).into_bytes();
        let highest = self.last_versions.entry(last).or_default();
        *highest = number.max(*highest);
        let sha256 = version.code.sha256;
        self.users.insert(keys::code_layer(&sha256, &place, &name, number).into_bytes(), sha256);
        self.layer_policies.insert(keys::layer_policy(&place, &name, number).into_bytes());
    }

    fn layer_policy(&mut self, key: &Bytes, row: &Bytes) {
        if !self.layer_policies.contains(key) {
            let what = format!("{} is a policy of a layer version that does not exist", key.escape_ascii());
            return self.findings.stray(SERVICE, what, (key, row));
        }
        self.readable::<LayerPolicyRow>("layer policy", key, row);
    }

    fn layer_set_user(&mut self, key: &Bytes, row: &Bytes) {
        if !self.set_users.remove(key) {
            let what =
                format!("{} says that a function needs these layers, but it does not", key.escape_ascii());
            self.findings.stray(SERVICE, what, (key, row));
        }
    }

    fn alias(&mut self, key: &Bytes, row: &Bytes) {
        match (keys::read_alias(key), serde_json::from_slice::<AliasRow>(row)) {
            (Ok((place, name, alias)), Ok(_)) => {
                if !self.functions.contains(&*keys::function(&place, &name)) {
                    let what = format!("alias {alias} is of a function, {name}, which does not exist");
                    self.findings.stray(SERVICE, what, (key, row));
                }
            }
            (Err(why), _) => self.unreadable("alias", key, row, &why),
            (_, Err(why)) => self.unreadable("alias", key, row, &why),
        }
    }

    fn last_version(&mut self, key: &Bytes, row: &Bytes) {
        let highest = self.last_versions.remove(key).unwrap_or(0);
        match serde_json::from_slice::<u64>(row) {
            Ok(last) if last >= highest => {}
            Ok(last) => {
                let what = format!(
                    "{} says that version {last} is the last, but version {highest} exists",
                    key.escape_ascii()
                );
                let seen = Some(row.clone());
                self.findings.problem(SERVICE, what, vec![last_version_mend(key.clone(), seen, highest)]);
            }
            Err(why) => self.unreadable("the number of the last version", key, row, &why),
        }
    }

    /// Without the number of its last version a function would give numbers again.
    fn reused_numbers(&mut self) {
        for (key, highest) in std::mem::take(&mut self.last_versions) {
            let what = format!("{} is missing, though version {highest} exists", key.escape_ascii());
            self.findings.problem(SERVICE, what, vec![last_version_mend(key, None, highest)]);
        }
    }

    fn unused(&mut self, key: &Bytes, row: &Bytes) {
        match keys::read_code_unused(key) {
            Ok(sha256) => drop(self.unused.insert(sha256)),
            Err(why) => self.unreadable("a mark of an unused package", key, row, &why),
        }
    }

    fn code(&mut self, key: &Bytes, row: &Bytes) {
        match (keys::read_code(key), serde_json::from_slice::<CodeRow>(row)) {
            (Ok(sha256), Ok(code)) => {
                let blob = BlobId::from_bytes(code.blob);
                let by = format!("package {sha256}");
                self.findings.names(blob, Some(code.size), Some(&by));
                self.kept.insert(sha256.clone());
                self.codes.insert(blob, (sha256, false));
            }
            (Err(why), _) => self.unreadable("package", key, row, &why),
            (_, Err(why)) => self.unreadable("package", key, row, &why),
        }
    }

    fn code_blob(&mut self, key: &Bytes, row: &Bytes) {
        let Some(blob) = named_blob(key) else {
            return self.unreadable("the mark of a package's blob", key, row, &"it names no blob");
        };
        match self.codes.get_mut(&blob) {
            Some((_, seen)) => *seen = true,
            None => {
                // Until it is dropped, the blob counts as named.
                self.findings.names(blob, None, None);
                let what = format!("blob {blob} is marked as a package's, but no package names it");
                if self.is_any_lost {
                    let why = "it stays, as it may be one that a function needs";
                    self.findings.note(format!("{SERVICE}: {what}; {why}"));
                } else {
                    self.findings.stray(SERVICE, what, (key, row));
                }
            }
        }
    }

    fn code_user(&mut self, key: &Bytes, row: &Bytes) {
        match self.users.remove(key) {
            Some(sha256) if !self.kept.contains(&sha256) && !self.coming.contains(key) => {
                let what = format!(
                    "package {sha256} is needed by a function, but is missing; restore it from a backup"
                );
                self.findings.problem(SERVICE, what, Vec::new());
            }
            Some(_) => {}
            None => self.findings.stray(
                SERVICE,
                format!(
                    "{} says that a function or version needs a package, but it does not",
                    key.escape_ascii()
                ),
                (key, row),
            ),
        }
    }

    fn missing(&mut self) {
        for key in std::mem::take(&mut self.set_users) {
            let what = format!("{} is missing, though a function has these layers", key.escape_ascii());
            let mend = Mend::Row { key, seen: None, to: Some(Bytes::new()) };
            self.findings.problem(SERVICE, what, vec![mend]);
        }
        for (key, sha256) in std::mem::take(&mut self.users) {
            let what = format!("package {sha256} does not know a function that needs it");
            let mend = Mend::Row { key, seen: None, to: Some(Bytes::new()) };
            self.findings.problem(SERVICE, what, vec![mend]);
        }
        for (blob, (sha256, seen)) in &self.codes {
            // A package that is being thrown away loses its rows one after the other.
            if !seen && !self.unused.contains(sha256) {
                let what = format!("blob {blob} of package {sha256} is not marked as needed");
                let key = keys::code_blob(*blob).into_bytes();
                self.findings.problem(
                    SERVICE,
                    what,
                    vec![Mend::Row { key, seen: None, to: Some(Bytes::new()) }],
                );
            }
        }
    }
}
