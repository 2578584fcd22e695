//! Model names as Rust names.

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// Type names that the generated code uses itself.
const TAKEN_TYPES: &[&str] =
    &["BTreeMap", "Box", "Bytes", "Document", "Empty", "Option", "Self", "String", "Timestamp", "Vec"];

/// `VersionId` to `version_id`, `SSEKMSKeyId` to `ssekms_key_id`, `Type` to `type_`.
pub(super) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, &c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            separate(&mut out);
            continue;
        }
        let previous = index.checked_sub(1).map(|at| chars[at]);
        let next = chars.get(index + 1);
        let starts_word = c.is_ascii_uppercase()
            && previous.is_some_and(|p| {
                p.is_ascii_lowercase()
                    || p.is_ascii_digit()
                    || (p.is_ascii_uppercase() && next.is_some_and(char::is_ascii_lowercase))
            });
        if starts_word {
            separate(&mut out);
        }
        out.push(c.to_ascii_lowercase());
    }
    let out = out.trim_matches('_').to_owned();
    if KEYWORDS.contains(&out.as_str()) { out + "_" } else { out }
}

fn separate(out: &mut String) {
    if !out.is_empty() && !out.ends_with('_') {
        out.push('_');
    }
}

/// `VERSION_ID`, for statics.
pub(super) fn constant(name: &str) -> String {
    snake(name).trim_end_matches('_').to_ascii_uppercase()
}

/// A shape's name as a type.
pub(super) fn type_name(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    let name: String = first.into_iter().chain(chars).collect();
    if TAKEN_TYPES.contains(&name.as_str()) { name + "Shape" } else { name }
}

/// An enum's value as a variant: `s3:ObjectCreated:*` to `S3ObjectCreatedAll`, `python3.12` to `Python312`.
pub(super) fn variant(value: &str) -> String {
    let mut out = String::new();
    for word in
        value.replace('*', "-all").split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
    {
        let shouting = word.chars().all(|c| !c.is_ascii_lowercase());
        let mut chars = word.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.extend(chars.map(|c| if shouting { c.to_ascii_lowercase() } else { c }));
    }
    match out.chars().next() {
        None => "Empty".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("V{out}"),
        _ if out == "Unknown" || out == "Self" => out + "Value",
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_fields() {
        for (name, field) in [
            ("VersionId", "version_id"),
            ("SSEKMSKeyId", "ssekms_key_id"),
            ("ETag", "e_tag"),
            ("ChecksumCRC32C", "checksum_crc32_c"),
            ("Type", "type_"),
            ("x-amz-id", "x_amz_id"),
        ] {
            assert_eq!(snake(name), field);
        }
    }

    #[test]
    fn values_become_variants() {
        for (value, name) in [
            ("s3:ObjectCreated:*", "S3ObjectCreatedAll"),
            ("python3.12", "Python312"),
            ("FULL_OBJECT", "FullObject"),
            ("us-gov-west-1", "UsGovWest1"),
            ("16", "V16"),
        ] {
            assert_eq!(variant(value), name);
        }
    }
}
