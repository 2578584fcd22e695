//! The protocols of AWS, each a small reader and writer over the shape tables.

mod constants;
mod coral;
mod dynamic;
mod errors;
mod http;
mod http_writer;
mod json;
mod json_writer;
mod params;
mod places;
mod protocol;
mod query;
mod query_tree;
mod roots;
mod route;
mod text;
mod text_writer;
mod xml;
mod xml_tree;
mod xml_writer;

pub use dynamic::{Dynamic, Value};
pub use errors::encode_error;
pub use json::JsonReader;
pub use json_writer::JsonWriter;
pub use protocol::{Decoded, EncodedResponse, RequestView, choose, decode, decode_dynamic, encode};
pub use query::QueryReader;
pub use route::{Labels, Routed, Router};
pub use xml::XmlReader;
pub use xml_writer::{XmlStyle, XmlWriter};
