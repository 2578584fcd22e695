//! The structs and enums of a service.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use super::botocore::{MemberModel, Model, members};
use super::{names, tables};

/// The source of `types.rs`.
pub(super) fn source(model: &Model) -> String {
    let mut out = String::from("use lambent_wire::prelude::*;\n\nuse crate::shapes;\n\n");
    for (name, shape) in model.shapes() {
        if shape["exception"].as_bool().unwrap_or(false) {
            continue;
        }
        if let Some(values) = shape["enum"].as_array() {
            out += &enum_source(name, values);
        } else if model.is_structure(name) && shape["union"].as_bool().unwrap_or(false) {
            out += &union_source(model, name, shape);
        } else if model.is_structure(name) {
            out += &struct_source(model, name, shape);
        }
    }
    out
}

/// The Rust type that holds a shape's values.
pub(super) fn rust_type(model: &Model, name: &str) -> String {
    let shape = model.shape(name);
    match model.kind(name) {
        "structure" if model.is_structure(name) => names::type_name(name),
        "structure" => "Document".to_owned(),
        "list" => format!("Vec<{}>", rust_type(model, shape["member"]["shape"].as_str().unwrap_or_default())),
        "map" => format!(
            "BTreeMap<String, {}>",
            rust_type(model, shape["value"]["shape"].as_str().unwrap_or_default())
        ),
        "string" if shape["enum"].is_array() => names::type_name(name),
        "blob" => "Bytes".to_owned(),
        "boolean" => "bool".to_owned(),
        "integer" => "i32".to_owned(),
        "long" => "i64".to_owned(),
        "float" | "double" => "f64".to_owned(),
        "timestamp" => "Timestamp".to_owned(),
        _ => "String".to_owned(),
    }
}

fn struct_source(model: &Model, name: &str, shape: &Value) -> String {
    let type_name = names::type_name(name);
    let mut fields = String::new();
    let (mut required, mut optional) = (Vec::new(), Vec::new());
    for (index, member) in
        members(shape).enumerate().filter(|(_, member)| !tables::is_streaming(model, member))
    {
        let field = names::snake(member.name);
        let plain = is_plain(model, name, &member);
        let inner = field_type(model, name, &member);
        let (list, shown) =
            if plain { (&mut required, inner) } else { (&mut optional, format!("Option<{inner}>")) };
        list.push(format!("{index} {field}"));
        let _ = writeln!(fields, "pub {field}: {shown},");
    }
    format!(
        "#[derive(Debug, Clone, Default, PartialEq)]\npub struct {type_name} {{\n{fields}}}\nstructure!({type_name}, {table}, [{}], [{}]);\n\n",
        required.join(", "),
        optional.join(", "),
        table = table_path(name),
    )
}

/// Required members are plain fields; a reader reports a missing one before anybody sees its default.
fn is_plain(model: &Model, owner: &str, member: &MemberModel<'_>) -> bool {
    member.required && !model.holds(member.shape, owner)
}

fn field_type(model: &Model, owner: &str, member: &MemberModel<'_>) -> String {
    let inner = rust_type(model, member.shape);
    if model.holds(member.shape, owner) { format!("Box<{inner}>") } else { inner }
}

fn union_source(model: &Model, name: &str, shape: &Value) -> String {
    let type_name = names::type_name(name);
    let mut variants = String::new();
    let mut listed = Vec::new();
    for (index, member) in members(shape).enumerate() {
        let variant = names::variant(member.name);
        let _ = writeln!(variants, "{variant}({}),", field_type(model, name, &member));
        listed.push(format!("{index} {variant}"));
    }
    format!(
        "#[derive(Debug, Clone, Default, PartialEq)]\npub enum {type_name} {{\n{variants}#[default]\nUnknown,\n}}\nunion!({type_name}, {}, [{}]);\n\n",
        table_path(name),
        listed.join(", "),
    )
}

fn enum_source(name: &str, values: &[Value]) -> String {
    let mut used = BTreeSet::new();
    let variants = values.iter().filter_map(Value::as_str).map(|value| {
        let mut variant = names::variant(value);
        while !used.insert(variant.clone()) {
            variant.push('_');
        }
        format!("{variant} = {value:?}")
    });
    let variants: Vec<String> = variants.collect();
    format!("string_enum!({} {{ {} }});\n\n", names::type_name(name), variants.join(", "))
}

/// The macros take an identifier, so the table is brought into scope by a local name.
fn table_path(name: &str) -> String {
    format!("shapes::{}", names::constant(name))
}
