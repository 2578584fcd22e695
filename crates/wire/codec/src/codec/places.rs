//! Where a writer is: the open shapes and the member whose value comes next.

use crate::{EMPTY, Kind, Member, Shape, TimestampFormat};

#[derive(Debug, Default)]
pub(super) struct Places {
    open: Vec<&'static Shape>,
    at: Option<&'static Member>,
}

impl Places {
    /// Stands at a member that is written outside its structure.
    pub(super) fn at(member: &'static Member) -> Self {
        Self { open: Vec::new(), at: Some(member) }
    }

    pub(super) fn open(&mut self, shape: &'static Shape) {
        self.open.push(shape);
    }

    /// Opens the list or map at the current place.
    pub(super) fn open_here(&mut self) {
        let shape = self.target();
        self.open.push(shape);
    }

    pub(super) fn close(&mut self) {
        self.open.pop();
    }

    /// Goes to a member of the open structure.
    pub(super) fn member(&mut self, index: usize) -> &'static Member {
        let shape = self.open.last().copied().unwrap_or(&EMPTY);
        self.go(&shape.members()[index])
    }

    /// Goes to an element of the open list, or a value of the open map.
    pub(super) fn element(&mut self) -> &'static Member {
        match self.open.last().map(|shape| &shape.kind) {
            Some(Kind::List(member) | Kind::Map(_, member)) => self.go(member),
            _ => unreachable!("writers announce items only in lists, and entries only in maps"),
        }
    }

    /// The key of the open map.
    pub(super) fn key_member(&self) -> Option<&'static Member> {
        match self.open.last().map(|shape| &shape.kind) {
            Some(Kind::Map(key, _)) => Some(key),
            _ => None,
        }
    }

    /// The shape of the value at the current place.
    pub(super) fn target(&self) -> &'static Shape {
        self.at.map_or(&EMPTY, |member| member.target)
    }

    /// How a timestamp at the current place is written, where the model says so.
    pub(super) fn timestamp_format(&self) -> Option<TimestampFormat> {
        self.target().timestamp_format
    }

    fn go(&mut self, member: &'static Member) -> &'static Member {
        self.at = Some(member);
        member
    }
}
