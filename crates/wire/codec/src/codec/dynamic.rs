//! Values that are read and written by their shape alone, without a generated type.

use bytes::Bytes;

use crate::{Document, Kind, Member, ReadError, Reader, Shape, Timestamp, Writable, Writer};

/// A value and its shape, which is a structure or a union.
#[derive(Debug, Clone)]
pub struct Dynamic {
    shape: &'static Shape,
    value: Value,
}

/// A value of any shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// The members that are set, by their places in the table.
    Structure(Vec<(usize, Self)>),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    /// A string or a value of an enum.
    String(String),
    Blob(Bytes),
    Boolean(bool),
    /// An integer or a long.
    Long(i64),
    /// A float or a double.
    Double(f64),
    Timestamp(Timestamp),
    Document(Document),
}

impl Dynamic {
    /// `value` must be of the shape, which must be a structure or a union.
    pub fn new(shape: &'static Shape, value: Value) -> Self {
        Self { shape, value }
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Reads a structure or union of this shape.
    pub fn read(shape: &'static Shape, reader: &mut dyn Reader) -> Result<Self, ReadError> {
        read_value(shape, reader).map(|value| Self { shape, value })
    }
}

fn read_value(shape: &'static Shape, reader: &mut dyn Reader) -> Result<Value, ReadError> {
    Ok(match shape.kind {
        Kind::Structure(members) | Kind::Union(members) => {
            let mut values: Vec<(usize, Value)> = Vec::new();
            reader.begin_structure(shape)?;
            while let Some(index) = reader.next_member()? {
                let value = read_value(members[index].target, reader)?;
                values.retain(|(known, _)| *known != index);
                values.push((index, value));
            }
            Value::Structure(values)
        }
        Kind::List(element) => {
            let mut values = Vec::new();
            reader.begin_list()?;
            while reader.next_item()? {
                values.push(read_value(element.target, reader)?);
            }
            Value::List(values)
        }
        Kind::Map(_, element) => {
            let mut values: Vec<(String, Value)> = Vec::new();
            reader.begin_map()?;
            while let Some(key) = reader.next_key()? {
                let value = read_value(element.target, reader)?;
                values.retain(|(known, _)| *known != key);
                values.push((key, value));
            }
            Value::Map(values)
        }
        Kind::Enum(_) | Kind::String => Value::String(reader.string()?),
        Kind::Blob => Value::Blob(reader.blob()?),
        Kind::Boolean => Value::Boolean(reader.boolean()?),
        Kind::Integer | Kind::Long => Value::Long(reader.long()?),
        Kind::Float | Kind::Double => Value::Double(reader.double()?),
        Kind::Timestamp => Value::Timestamp(reader.timestamp()?),
        Kind::Document => Value::Document(reader.document()?),
    })
}

impl Writable for Dynamic {
    fn write(&self, writer: &mut dyn Writer) {
        Place { shape: self.shape, value: &self.value }.write(writer);
    }
}

/// A value inside of another.
struct Place<'a> {
    shape: &'static Shape,
    value: &'a Value,
}

impl<'a> Place<'a> {
    fn of(member: &'static Member, value: &'a Value) -> Self {
        Self { shape: member.target, value }
    }
}

impl Writable for Place<'_> {
    fn write(&self, writer: &mut dyn Writer) {
        match (self.value, &self.shape.kind) {
            (Value::Structure(values), Kind::Structure(members) | Kind::Union(members)) => {
                writer.begin_structure(self.shape);
                for (index, value) in values {
                    writer.member(*index, &Place::of(&members[*index], value));
                }
                writer.end_structure();
            }
            (Value::List(values), Kind::List(element)) => {
                writer.begin_list();
                for value in values {
                    writer.item(&Place::of(element, value));
                }
                writer.end_list();
            }
            (Value::Map(values), Kind::Map(_, element)) => {
                writer.begin_map();
                for (key, value) in values {
                    writer.entry(key, &Place::of(element, value));
                }
                writer.end_map();
            }
            (Value::String(value), _) => writer.string(value),
            (Value::Blob(value), _) => writer.blob(value),
            (Value::Boolean(value), _) => writer.boolean(*value),
            (Value::Long(value), _) => writer.long(*value),
            (Value::Double(value), _) => writer.double(*value),
            (Value::Timestamp(value), _) => writer.timestamp(*value),
            (Value::Document(value), _) => writer.document(value),
            (Value::Structure(_) | Value::List(_) | Value::Map(_), kind) => {
                unreachable!("a value was put under a shape of another kind: {kind:?}")
            }
        }
    }
}
