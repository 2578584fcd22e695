//! Writing typed values into a message.

use crate::{Document, Shape, Timestamp};

/// Takes values in the order of the model and forms a message.
pub trait Writer {
    fn begin_structure(&mut self, shape: &'static Shape);
    /// One present member of the open structure.
    fn member(&mut self, index: usize, value: &dyn Writable);
    fn end_structure(&mut self);

    fn begin_list(&mut self);
    fn item(&mut self, value: &dyn Writable);
    fn end_list(&mut self);

    fn begin_map(&mut self);
    fn entry(&mut self, key: &str, value: &dyn Writable);
    fn end_map(&mut self);

    fn string(&mut self, value: &str);
    fn blob(&mut self, value: &[u8]);
    fn boolean(&mut self, value: bool);
    fn long(&mut self, value: i64);
    fn double(&mut self, value: f64);
    fn timestamp(&mut self, value: Timestamp);
    fn document(&mut self, value: &Document);
}

/// A value that can be written.
pub trait Writable {
    fn write(&self, writer: &mut dyn Writer);
}
