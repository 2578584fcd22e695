//! The simple values that generated structs are made of.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{ReadError, Readable, Reader, Timestamp, Writable, Writer};

/// A free-form value (Smithy's document type).
pub type Document = serde_json::Value;

/// The input or output of an operation that has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Empty {}

impl Readable for Empty {
    fn read(reader: &mut dyn Reader) -> Result<Self, ReadError> {
        reader.begin_structure(&crate::EMPTY)?;
        while reader.next_member()?.is_some() {
            reader.skip()?;
        }
        Ok(Self {})
    }
}

impl Writable for Empty {
    fn write(&self, writer: &mut dyn Writer) {
        writer.begin_structure(&crate::EMPTY);
        writer.end_structure();
    }
}

macro_rules! simple {
    ($($type:ty: $read:ident => |$value:ident| $write:expr, |$raw:ident| $convert:expr;)*) => {$(
        impl Readable for $type {
            fn read(reader: &mut dyn Reader) -> Result<Self, ReadError> {
                let $raw = reader.$read()?;
                Ok($convert)
            }
        }
        impl Writable for $type {
            fn write(&self, writer: &mut dyn Writer) {
                let $value = self;
                writer.$read($write);
            }
        }
    )*};
}

simple! {
    String: string => |value| value, |raw| raw;
    Bytes: blob => |value| value, |raw| raw;
    bool: boolean => |value| *value, |raw| raw;
    i64: long => |value| *value, |raw| raw;
    // Readers check an Integer's range from its shape, so the narrowing never cuts.
    i32: long => |value| i64::from(*value), |raw| i32::try_from(raw).unwrap_or_default();
    f64: double => |value| *value, |raw| raw;
    Timestamp: timestamp => |value| *value, |raw| raw;
    Document: document => |value| value, |raw| raw;
}

impl<T: Readable> Readable for Vec<T> {
    fn read(reader: &mut dyn Reader) -> Result<Self, ReadError> {
        let mut items = Self::new();
        reader.begin_list()?;
        while reader.next_item()? {
            items.push(T::read(reader)?);
        }
        Ok(items)
    }
}

impl<T: Writable> Writable for Vec<T> {
    fn write(&self, writer: &mut dyn Writer) {
        writer.begin_list();
        for item in self {
            writer.item(item);
        }
        writer.end_list();
    }
}

impl<T: Readable> Readable for BTreeMap<String, T> {
    fn read(reader: &mut dyn Reader) -> Result<Self, ReadError> {
        let mut entries = Self::new();
        reader.begin_map()?;
        while let Some(key) = reader.next_key()? {
            entries.insert(key, T::read(reader)?);
        }
        Ok(entries)
    }
}

impl<T: Writable> Writable for BTreeMap<String, T> {
    fn write(&self, writer: &mut dyn Writer) {
        writer.begin_map();
        for (key, value) in self {
            writer.entry(key, value);
        }
        writer.end_map();
    }
}

impl<T: Readable> Readable for Box<T> {
    fn read(reader: &mut dyn Reader) -> Result<Self, ReadError> {
        T::read(reader).map(Self::new)
    }
}

impl<T: Writable> Writable for Box<T> {
    fn write(&self, writer: &mut dyn Writer) {
        (**self).write(writer);
    }
}
