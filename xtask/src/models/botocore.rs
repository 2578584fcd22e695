//! Reads `service-2.json` of the pinned botocore, pruned to the operations that are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use flate2::read::GzDecoder;
use serde_json::{Map, Value};

use crate::tools;

/// One service's model.
pub(super) struct Model {
    root: Value,
    allowed: BTreeSet<String>,
    open_enums: BTreeSet<String>,
    /// The shapes that allowed operations reach, by name.
    reached: BTreeMap<String, Value>,
}

/// One member of a structure as the model has it.
pub(super) struct MemberModel<'a> {
    pub(super) name: &'a str,
    pub(super) shape: &'a str,
    pub(super) required: bool,
    pub(super) traits: &'a Map<String, Value>,
}

/// Downloads and unpacks botocore's data once; gives the folder that holds a folder for each service.
pub(super) fn fetch(version: &str) -> anyhow::Result<PathBuf> {
    let folder = tools::target_dir().join("botocore").join(version);
    let data = folder.join("botocore/data");
    if !data.is_dir() {
        let requirement = format!("botocore=={version}");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target"]);
        tools::run(pip.arg(&folder).arg(&requirement))
            .with_context(|| format!("get {requirement} with pip"))?;
    }
    Ok(data)
}

impl Model {
    pub(super) fn load(
        data: &Path,
        service: &str,
        allowed: &[String],
        open_enums: &[String],
    ) -> anyhow::Result<Self> {
        let folder = data.join(service);
        let versions = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
        let mut versions = versions.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
        versions.sort();
        let newest =
            versions.iter().rev().map(|path| path.join("service-2.json.gz")).find(|path| path.is_file());
        let path = newest.with_context(|| format!("{} has no service-2.json.gz", folder.display()))?;
        let mut text = String::new();
        GzDecoder::new(fs::File::open(&path)?)
            .read_to_string(&mut text)
            .with_context(|| format!("unpack {}", path.display()))?;
        let root: Value = serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        let allowed: BTreeSet<String> = allowed.iter().cloned().collect();
        for name in &allowed {
            ensure!(root["operations"].get(name).is_some(), "{service} has no operation {name}");
        }
        let open_enums: BTreeSet<String> = open_enums.iter().cloned().collect();
        for name in &open_enums {
            ensure!(root["shapes"][name].get("enum").is_some(), "{service} has no enumeration {name}");
        }
        let mut model = Self { root, allowed, open_enums, reached: BTreeMap::new() };
        model.reach();
        Ok(model)
    }

    /// Whether any text is a value of this enumeration, as far as validation goes.
    pub(super) fn is_open_enum(&self, name: &str) -> bool {
        self.open_enums.contains(name)
    }

    pub(super) fn full_name(&self) -> &str {
        self.metadata("serviceFullName")
    }

    pub(super) fn metadata(&self, key: &str) -> &str {
        self.root["metadata"][key].as_str().unwrap_or_default()
    }

    /// The protocols as our enum names them, the model's first choice first.
    pub(super) fn protocols(&self) -> Vec<&'static str> {
        let listed = self.root["metadata"]["protocols"].as_array().cloned().unwrap_or_default();
        let known = listed.iter().filter_map(|protocol| match protocol.as_str()? {
            "rest-xml" => Some("RestXml"),
            "rest-json" => Some("RestJson"),
            "query" => Some("Query"),
            "smithy-rpc-v2-cbor" => Some("RpcV2Cbor"),
            "json" if self.metadata("jsonVersion") == "1.0" => Some("Json10"),
            "json" => Some("Json11"),
            _ => None,
        });
        known.collect()
    }

    /// The operations that are generated.
    pub(super) fn operations(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.all_operations().filter(|(name, _)| self.allowed.contains(*name))
    }

    /// The operations that are only known by name.
    pub(super) fn unimplemented(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.all_operations().filter(|(name, _)| !self.allowed.contains(*name))
    }

    pub(super) fn shapes(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.reached.iter()
    }

    pub(super) fn shape(&self, name: &str) -> &Value {
        self.reached.get(name).unwrap_or(&Value::Null)
    }

    pub(super) fn kind(&self, name: &str) -> &str {
        self.shape(name)["type"].as_str().unwrap_or_default()
    }

    pub(super) fn is_structure(&self, name: &str) -> bool {
        self.kind(name) == "structure" && !self.shape(name)["document"].as_bool().unwrap_or(false)
    }

    /// The error shapes that allowed operations name.
    pub(super) fn errors(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.shapes().filter(|(_, shape)| shape["exception"].as_bool().unwrap_or(false))
    }

    /// Whether a value of `from` can hold, without a list or map between, one of `to`.
    pub(super) fn holds(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            if name == to {
                return true;
            }
            if self.is_structure(name) && seen.insert(name) {
                open.extend(members(self.shape(name)).map(|member| member.shape));
            }
        }
        false
    }

    fn all_operations(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.root["operations"].as_object().into_iter().flatten()
    }

    fn reach(&mut self) {
        let mut open: Vec<String> = Vec::new();
        for (_, operation) in self.operations() {
            for side in ["input", "output"] {
                open.extend(operation[side]["shape"].as_str().map(str::to_owned));
            }
            let errors = operation["errors"].as_array().into_iter().flatten();
            open.extend(errors.filter_map(|error| error["shape"].as_str()).map(str::to_owned));
        }
        while let Some(name) = open.pop() {
            if self.reached.contains_key(&name) {
                continue;
            }
            let shape = self.root["shapes"][&name].clone();
            open.extend(members(&shape).map(|member| member.shape.to_owned()));
            for part in ["member", "key", "value"] {
                open.extend(shape[part]["shape"].as_str().map(str::to_owned));
            }
            self.reached.insert(name, shape);
        }
    }
}

/// The members of a structure or union.
pub(super) fn members(shape: &Value) -> impl Iterator<Item = MemberModel<'_>> {
    let required = shape["required"].as_array();
    shape["members"].as_object().into_iter().flatten().filter_map(move |(name, member)| {
        Some(MemberModel {
            name,
            shape: member["shape"].as_str()?,
            required: required.is_some_and(|required| required.iter().any(|entry| entry == name.as_str())),
            traits: member.as_object()?,
        })
    })
}

/// Whether a trait is set to true.
pub(super) fn flag(traits: &Map<String, Value>, name: &str) -> bool {
    traits.get(name).and_then(Value::as_bool).unwrap_or(false)
}
