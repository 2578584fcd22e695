//! Whatever is written reads as what it was, and no bytes make a reader panic.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]
#![allow(unreachable_pub, reason = "the modules of a test are seen by nobody else")]

mod random;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use lambent_wire::codec::{
    Dynamic, JsonReader, JsonWriter, QueryReader, RequestView, Routed, Router, Value, XmlReader, XmlStyle,
    XmlWriter, decode_dynamic,
};
use lambent_wire::{Kind, Member, ProtocolKind, ReadError, Shape, Timestamp, TimestampFormat, Writable};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use random::Entropy;

/// A shape and a value of it.
fn sample(bytes: &[u8]) -> (&'static Shape, Value) {
    let mut entropy = Entropy(bytes.iter());
    let shape = random::structure(&mut entropy, 0);
    let value = random::value(shape, &mut entropy);
    (shape, value)
}

fn json_text(shape: &'static Shape, value: &Value) -> Vec<u8> {
    let mut writer = JsonWriter::default();
    Dynamic::new(shape, value.clone()).write(&mut writer);
    writer.finish()
}

fn xml_text(shape: &'static Shape, value: &Value) -> String {
    let mut writer = XmlWriter::new(XmlStyle::Rest);
    writer.declaration();
    writer.start("Root", None);
    Dynamic::new(shape, value.clone()).write(&mut writer);
    writer.end("Root");
    writer.finish()
}

/// A value as a client of the query protocol sends it. We only read this protocol, so this is the only writer.
fn form(member: &Member, value: &Value, key: &str, out: &mut Vec<(String, String)>) {
    let before = out.len();
    match (value, &member.target.kind) {
        (Value::Structure(values), Kind::Structure(members)) => {
            for (index, value) in values {
                let name = members[*index].wire_name();
                let key = if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
                form(&members[*index], value, &key, out);
            }
        }
        (Value::List(values), Kind::List(element)) => {
            for (at, value) in (1..).zip(values) {
                let name =
                    if member.is_flattened() { String::new() } else { format!(".{}", element.wire_name()) };
                form(element, value, &format!("{key}{name}.{at}"), out);
            }
        }
        (Value::Map(entries), Kind::Map(names, element)) => {
            for (at, (name, value)) in (1..).zip(entries) {
                let entry = format!("{key}{}.{at}", if member.is_flattened() { "" } else { ".entry" });
                out.push((format!("{entry}.{}", names.wire_name()), name.clone()));
                form(element, value, &format!("{entry}.{}", element.wire_name()), out);
            }
        }
        _ => out.push((key.to_owned(), text(member.target, value))),
    }
    if out.len() == before && !key.is_empty() {
        out.push((key.to_owned(), String::new()));
    }
}

fn text(shape: &Shape, value: &Value) -> String {
    use base64::Engine;
    match value {
        Value::String(text) => text.clone(),
        Value::Blob(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes),
        Value::Boolean(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Double(value) if value.is_infinite() => {
            if *value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
        }
        Value::Double(value) => format!("{value:?}"),
        Value::Timestamp(time) => time.format(shape.timestamp_format.unwrap_or(TimestampFormat::Iso8601)),
        Value::Document(value) => value.to_string(),
        Value::Structure(_) | Value::List(_) | Value::Map(_) => unreachable!("not a simple value"),
    }
}

/// What XML and its attributes cannot hold: an empty list or map without an element of its own is not there.
fn without_empty_flattened(shape: &'static Shape, value: Value) -> Value {
    match (value, &shape.kind) {
        (Value::Structure(values), Kind::Structure(members)) => {
            let kept = values.into_iter().filter_map(|(index, value)| {
                let empty = matches!(&value, Value::List(items) if items.is_empty())
                    || matches!(&value, Value::Map(entries) if entries.is_empty());
                let absent = empty && members[index].is_flattened();
                (!absent).then(|| (index, without_empty_flattened(members[index].target, value)))
            });
            Value::Structure(kept.collect())
        }
        (Value::List(values), Kind::List(element)) => Value::List(
            values.into_iter().map(|value| without_empty_flattened(element.target, value)).collect(),
        ),
        (Value::Map(entries), Kind::Map(_, element)) => {
            let entries = entries.into_iter();
            Value::Map(
                entries.map(|(key, value)| (key, without_empty_flattened(element.target, value))).collect(),
            )
        }
        (value, _) => value,
    }
}

/// NaN is not equal to itself, but its text is. Attributes are read before elements, so order means nothing.
fn shown(value: &Value) -> String {
    let mut value = value.clone();
    if let Value::Structure(members) = &mut value {
        members.sort_by_key(|(index, _)| *index);
        let shown: Vec<_> = members.iter().map(|(index, value)| (index, shown(value))).collect();
        return format!("{shown:?}");
    }
    match &value {
        Value::List(items) => format!("{:?}", items.iter().map(shown).collect::<Vec<_>>()),
        Value::Map(entries) => {
            format!("{:?}", entries.iter().map(|(key, value)| (key, shown(value))).collect::<Vec<_>>())
        }
        simple => format!("{simple:?}"),
    }
}

fn read_json(shape: &'static Shape, text: &[u8]) -> Result<Dynamic, ReadError> {
    Dynamic::read(shape, &mut JsonReader::new(text)?)
}

fn read_xml(shape: &'static Shape, text: &[u8]) -> Result<Dynamic, ReadError> {
    Dynamic::read(shape, &mut XmlReader::new(text)?)
}

fn read_form(shape: &'static Shape, query: &str, body: &[u8]) -> Result<Dynamic, ReadError> {
    Dynamic::read(shape, &mut QueryReader::new(query, body)?)
}

/// Text of the pieces that the grammars are made of: it comes further than bytes do.
fn nearly_valid() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\\",
        "\\u",
        "d83d",
        "0",
        "1",
        "-",
        ".",
        "e",
        "true",
        "null",
        "Member0",
        "Member1",
        "renamed-0",
        "<",
        ">",
        "</",
        "/>",
        "<Member0>",
        "</Member0>",
        "<Root>",
        "</Root>",
        "&",
        "&#x41;",
        "&#0;",
        "&amp;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?xml",
        "?>",
        "<!DOCTYPE",
        "=",
        "a",
        " ",
        "\n",
        "%",
        "%41",
        "%ff",
        "+",
        "member",
        "entry",
        "key",
        "value",
        "é",
        "\u{feff}",
        "99999999999999999999",
        "1e999",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_reads_what_it_wrote(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (shape, value) = sample(&bytes);
        let text = json_text(shape, &value);
        let read = read_json(shape, &text).unwrap_or_else(|error| panic!("{error} in {}", text.escape_ascii()));
        prop_assert_eq!(shown(read.value()), shown(&value));
    }

    #[test]
    fn xml_reads_what_it_wrote(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (shape, value) = sample(&bytes);
        let text = xml_text(shape, &value);
        let read = read_xml(shape, text.as_bytes()).unwrap_or_else(|error| panic!("{error} in {text}"));
        prop_assert_eq!(shown(read.value()), shown(&without_empty_flattened(shape, value)), "{}", text);
    }

    #[test]
    fn query_reads_what_clients_write(bytes in prop::collection::vec(any::<u8>(), 0..200), in_url in any::<bool>()) {
        let (shape, value) = sample(&bytes);
        let root: &'static Shape = shape;
        let mut pairs = Vec::new();
        form(&Member::new("", root), &value, "", &mut pairs);
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let text: Vec<_> = pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
        let text = text.join("&");
        let (query, body) = if in_url { (text.as_str(), "") } else { ("", text.as_str()) };
        let read = read_form(shape, query, body.as_bytes()).unwrap_or_else(|error| panic!("{error} in {text}"));
        prop_assert_eq!(shown(read.value()), shown(&value), "{}", text);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(shape in prop::collection::vec(any::<u8>(), 0..100), bytes in any::<Vec<u8>>()) {
        let (shape, _) = sample(&shape);
        // A result either way is right; it is the panic that would not be.
        let _ = (read_json(shape, &bytes), read_xml(shape, &bytes), read_form(shape, "", &bytes));
    }

    #[test]
    fn no_text_makes_a_reader_panic(shape in prop::collection::vec(any::<u8>(), 0..100), text in nearly_valid()) {
        let (shape, _) = sample(&shape);
        let _ = (read_json(shape, text.as_bytes()), read_xml(shape, text.as_bytes()), read_form(shape, &text, b""));
    }

    #[test]
    fn what_json_accepts_the_reference_parser_accepts(text in nearly_valid()) {
        static ANY: Shape = Shape::new("Any", Kind::Document);
        static ROOT: Shape = Shape::new("Root", Kind::Structure(&[Member::new("Member0", &ANY)]));
        let accepted = read_json(&ROOT, text.as_bytes()).is_ok();
        let reference = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok();
        prop_assert!(!accepted || reference || text.trim_matches([' ', '\n']).is_empty() || text.contains("1e999"), "{}", text);
        prop_assert!(accepted || !reference, "{}", text);
    }

    #[test]
    fn no_request_makes_a_router_or_a_reader_panic(path in "[/a-z%A-F0-9{}+.]{0,30}", query in nearly_valid(), body in nearly_valid()) {
        let router = Router::new(&lambent_model_s3::SERVICE);
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&query) {
            for name in ["x-amz-meta-a", "if-modified-since", "content-length", "x-amz-optional-object-attributes"] {
                headers.insert(name, value.clone());
            }
        }
        for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::HEAD] {
            if let Routed::Operation(info, labels) = router.route(&method, &path, &query, &headers) {
                let body = Bytes::from(body.clone());
                let view = RequestView { method: &method, raw_path: &path, raw_query: &query, headers: &headers, labels: &labels, body: &body };
                for protocol in [ProtocolKind::RestXml, ProtocolKind::RestJson] {
                    let _ = decode_dynamic(protocol, info, &view);
                }
            }
        }
    }
}

#[test]
fn nesting_is_bounded() {
    static NOTHING: Shape = Shape::new("Nothing", Kind::Structure(&[]));
    let deep = 100_000;
    let json = format!("{{\"a\":{}{}}}", "[".repeat(deep), "]".repeat(deep));
    assert!(matches!(read_json(&NOTHING, json.as_bytes()), Err(ReadError::Limit(_))));
    let xml = format!("{}{}", "<a>".repeat(deep), "</a>".repeat(deep));
    assert!(matches!(read_xml(&NOTHING, xml.as_bytes()), Err(ReadError::Limit(_))));
    let form = format!("a{}=1", ".a".repeat(deep));
    assert!(matches!(read_form(&NOTHING, &form, b""), Err(ReadError::Limit(_))));
}

#[test]
fn sizes_are_bounded() {
    static NOTHING: Shape = Shape::new("Nothing", Kind::Structure(&[]));
    let elements = format!("<a>{}</a>", "<b/>".repeat(300_000));
    assert!(matches!(read_xml(&NOTHING, elements.as_bytes()), Err(ReadError::Limit(_))));
    let attributes: String = (0..100).map(|at| format!(" a{at}=\"\"")).collect();
    assert!(matches!(read_xml(&NOTHING, format!("<a{attributes}/>").as_bytes()), Err(ReadError::Limit(_))));
    assert!(matches!(read_form(&NOTHING, "", "a=1&".repeat(20_000).as_bytes()), Err(ReadError::Limit(_))));
    let names: String = (0..2000).map(|at| format!("{at}{}=1&", ".a".repeat(50))).collect();
    assert!(matches!(read_form(&NOTHING, "", names.as_bytes()), Err(ReadError::Limit(_))));
}

#[test]
fn json_is_strict() {
    static TIME: Shape = Shape::new("Time", Kind::Timestamp);
    static COUNT: Shape = Shape::new("Count", Kind::Integer);
    static TEXT: Shape = Shape::new("Text", Kind::String);
    static ROOT: Shape = Shape::new(
        "Root",
        Kind::Structure(&[
            Member::new("text", &TEXT),
            Member::new("count", &COUNT),
            Member::new("time", &TIME),
        ]),
    );
    let syntax: &[&[u8]] = &[
        b"{\"text\":\"a\"} x",
        b"{\"text\":\"\xff\"}",
        b"{\"text\":\"\\x\"}",
        b"{\"text\":\"\\ud800\"}",
        b"{\"text\":\"\n\"}",
        b"{\"text\":\"a\",}",
        b"{\"count\":01}",
        b"{\"count\":1.}",
        b"{text:1}",
        b"{\"text\":\"a\"",
        b"{\"other\":nul}",
    ];
    for text in syntax {
        let read = read_json(&ROOT, text);
        assert!(matches!(read, Err(ReadError::Syntax(_))), "{}: {read:?}", text.escape_ascii());
    }
    let types: &[(&str, &str)] = &[
        ("{\"text\":1}", "expected a String at `text`, found NUMBER_VALUE"),
        ("{\"text\":{}}", "expected a String at `text`, found START_OBJECT"),
        ("{\"count\":\"1\"}", "expected an Integer at `count`, found STRING_VALUE"),
        ("{\"count\":1.5}", "expected an Integer at `count`, found 1.5"),
        ("{\"count\":true}", "expected an Integer at `count`, found TRUE_VALUE"),
        ("{\"time\":[]}", "expected a Timestamp at `time`, found START_ARRAY"),
        ("[]", "expected a structure at ``, found START_ARRAY"),
    ];
    for (text, message) in types {
        assert_eq!(read_json(&ROOT, text.as_bytes()).unwrap_err().to_string(), *message, "{text}");
    }
    let lenient =
        read_json(&ROOT, b" {\"x\":[{}],\"text\":null,\"count\":1e3,\"time\":\"2000-01-02T20:34:56Z\"} ")
            .unwrap();
    let expected = [(1, Value::Long(1000)), (2, Value::Timestamp(Timestamp::from_s(946_845_296)))];
    assert_eq!(*lenient.value(), Value::Structure(expected.into()));
    assert_eq!(*read_json(&ROOT, b" ").unwrap().value(), Value::Structure(Vec::new()));
}
