//! The glue between a generated type and its table. The numbers are the members' places in the table.

/// Reads and writes a struct whose optional members are `Option`s and whose required ones are plain.
#[macro_export]
macro_rules! structure {
    ($type:ident, $shape:path, [$($ri:literal $required:ident),*], [$($oi:literal $optional:ident),*]) => {
        impl $crate::Readable for $type {
            #[allow(unused_mut, reason = "a structure may have no members")]
            fn read(reader: &mut dyn $crate::Reader) -> ::std::result::Result<Self, $crate::ReadError> {
                let mut out = Self::default();
                reader.begin_structure(&$shape)?;
                while let Some(index) = reader.next_member()? {
                    match index {
                        $($ri => out.$required = $crate::Readable::read(reader)?,)*
                        $($oi => out.$optional = Some($crate::Readable::read(reader)?),)*
                        _ => reader.skip()?,
                    }
                }
                Ok(out)
            }
        }
        impl $crate::Writable for $type {
            fn write(&self, writer: &mut dyn $crate::Writer) {
                writer.begin_structure(&$shape);
                $(writer.member($ri, &self.$required);)*
                $(if let Some(value) = &self.$optional {
                    writer.member($oi, value);
                })*
                writer.end_structure();
            }
        }
    };
}

/// Reads and writes an enum of which exactly one member is set; what the model does not know is `Unknown`.
#[macro_export]
macro_rules! union {
    ($type:ident, $shape:path, [$($index:literal $variant:ident),*]) => {
        impl $crate::Readable for $type {
            fn read(reader: &mut dyn $crate::Reader) -> ::std::result::Result<Self, $crate::ReadError> {
                let mut out = Self::Unknown;
                reader.begin_structure(&$shape)?;
                while let Some(index) = reader.next_member()? {
                    match index {
                        $($index => out = Self::$variant($crate::Readable::read(reader)?),)*
                        _ => reader.skip()?,
                    }
                }
                Ok(out)
            }
        }
        impl $crate::Writable for $type {
            fn write(&self, writer: &mut dyn $crate::Writer) {
                writer.begin_structure(&$shape);
                match self {
                    $(Self::$variant(value) => writer.member($index, value),)*
                    Self::Unknown => {}
                }
                writer.end_structure();
            }
        }
    };
}

/// A string of which the model lists the values; others are kept as they came.
#[macro_export]
macro_rules! string_enum {
    ($type:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type {
            $($variant,)*
            Unknown(::std::string::String),
        }
        impl $type {
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown(text) => text,
                }
            }
        }
        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    _ => Self::Unknown(text.to_owned()),
                }
            }
        }
        impl Default for $type {
            fn default() -> Self {
                Self::Unknown(::std::string::String::new())
            }
        }
        impl $crate::Readable for $type {
            fn read(reader: &mut dyn $crate::Reader) -> ::std::result::Result<Self, $crate::ReadError> {
                Ok(Self::from(reader.string()?.as_str()))
            }
        }
        impl $crate::Writable for $type {
            fn write(&self, writer: &mut dyn $crate::Writer) {
                writer.string(self.as_str());
            }
        }
    };
}

/// An operation's unit struct, tied to its table and types.
#[macro_export]
macro_rules! operation {
    ($type:ident($input:ty) -> $output:ty, $info:ident) => {
        #[derive(Debug, Clone, Copy)]
        pub struct $type;
        impl $crate::Operation for $type {
            type Input = $input;
            type Output = $output;
            const INFO: &'static $crate::OperationInfo = &$info;
        }
    };
}
