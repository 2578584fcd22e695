//! The room for records that all lanes of a node share.
//!
//! Whoever has nothing waits its turn for a page; whoever has something, and gets no more, goes on with what it has. So
//! somebody always can: who has records lets go of them when its function has taken or refused them.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// How many bytes of records all lanes of a node hold at once, read ahead and under way.
pub(crate) const HELD_BYTES_MAX: usize = 128 * 1024 * 1024;
/// What a page is counted as before it is read: sources give about a megabyte, which is longer as JSON.
pub(crate) const PAGE_BYTES: usize = 2 * 1024 * 1024;

/// See the module.
pub(crate) struct Room {
    most: usize,
    held: Mutex<usize>,
    /// Whose turn it is: those who wait are let in one after the other.
    turn: tokio::sync::Mutex<()>,
    freed: Notify,
    /// How many wait.
    waiting: watch::Sender<usize>,
}

impl Room {
    /// With room for so many bytes, of one page at least.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(PAGE_BYTES),
            held: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            freed: Notify::new(),
            waiting: watch::Sender::new(0),
        })
    }

    /// A share of it, with nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { room: self.clone(), bytes: 0 }
    }

    /// How many wait for room.
    pub(crate) fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.subscribe()
    }

    fn try_take(&self, bytes: usize) -> bool {
        let mut held = self.held.lock();
        let has_room = *held + bytes <= self.most;
        *held += if has_room { bytes } else { 0 };
        has_room
    }
}

/// What one lane holds; given back when it is dropped.
pub(crate) struct Share {
    room: Arc<Room>,
    bytes: usize,
}

impl Share {
    /// Adds room for a page, when there is some.
    pub(crate) async fn wait_for_page(&mut self) {
        let _waiting = Waiting::new(&self.room.waiting);
        let _turn = self.room.turn.lock().await;
        loop {
            let freed = self.room.freed.notified();
            if self.room.try_take(PAGE_BYTES) {
                self.bytes += PAGE_BYTES;
                return;
            }
            freed.await;
        }
    }

    /// The same if there is some now, and nobody waits for it.
    pub(crate) fn has_page(&mut self) -> bool {
        let is_taken = *self.room.waiting.borrow() == 0 && self.room.try_take(PAGE_BYTES);
        self.bytes += if is_taken { PAGE_BYTES } else { 0 };
        is_taken
    }

    /// Says how many bytes it has come to.
    pub(crate) fn set(&mut self, bytes: usize) {
        let is_less = bytes < self.bytes;
        {
            let mut held = self.room.held.lock();
            *held = *held + bytes - self.bytes;
        }
        self.bytes = bytes;
        if is_less {
            self.room.freed.notify_one();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// One that waits, until it is dropped.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_nothing_waits_and_who_has_something_goes_on() {
        let room = Room::new(PAGE_BYTES + 10);
        let (mut one, mut other) = (room.share(), room.share());
        one.wait_for_page().await;
        assert!(!one.has_page() && !other.has_page());
        one.set(11);
        assert!(!other.has_page());
        let waits = tokio::spawn(async move {
            other.wait_for_page().await;
            other
        });
        room.waiting().wait_for(|waiting| *waiting == 1).await.unwrap();
        // There would be room for a small thing, but it is another's turn.
        assert!(!one.has_page());
        one.set(10);
        let other = waits.await.unwrap();
        assert_eq!(*room.held.lock(), PAGE_BYTES + 10);
        drop((one, other));
        assert_eq!((*room.held.lock(), *room.waiting.borrow()), (0, 0));
    }
}
