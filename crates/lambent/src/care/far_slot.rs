//! Who changes a place of backups in a bucket: an object that is written only over what was seen before.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use lambent_base::BoxFuture;
use lambent_blobs_objects::object_store::path::Path as Key;
use lambent_blobs_objects::object_store::{
    Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use lambent_care::{CareError, Mark, Slot};

/// One object; its mark is its ETag.
pub(super) struct FarSlot {
    store: Arc<dyn ObjectStore>,
    key: Key,
    /// What operators call the place.
    name: String,
}

impl FarSlot {
    pub(super) fn new(store: Arc<dyn ObjectStore>, key: Key, name: String) -> Self {
        Self { store, key, name }
    }

    fn failed(&self, action: &'static str, error: Error) -> CareError {
        CareError::Io { action, path: PathBuf::from(&self.name), source: std::io::Error::other(error) }
    }

    fn mark(&self, tag: Option<String>) -> Result<Mark, CareError> {
        let missing =
            || std::io::Error::other("it gives objects no ETag, without which two backups could meet");
        let path = || PathBuf::from(&self.name);
        tag.map(Mark).ok_or_else(|| CareError::Io { action: "lock", path: path(), source: missing() })
    }

    async fn get(&self) -> Result<Option<(Bytes, Mark)>, CareError> {
        let found = match self.store.get(&self.key).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(|error| self.failed("read from", error))?,
        };
        let mark = self.mark(found.meta.e_tag.clone())?;
        let bytes = found.bytes().await.map_err(|error| self.failed("read from", error))?;
        Ok(Some((bytes, mark)))
    }

    async fn put(&self, bytes: Bytes, over: Option<Mark>) -> Result<Option<Mark>, CareError> {
        let mode = match over {
            None => PutMode::Create,
            Some(Mark(tag)) => PutMode::Update(UpdateVersion { e_tag: Some(tag), version: None }),
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.store.put_opts(&self.key, PutPayload::from(bytes), options).await {
            Ok(put) => self.mark(put.e_tag).map(Some),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(None),
            Err(error) => Err(self.failed("write to", error)),
        }
    }
}

impl Slot for FarSlot {
    fn read(&self) -> BoxFuture<'_, Result<Option<(Bytes, Mark)>, CareError>> {
        Box::pin(self.get())
    }

    fn write(&self, bytes: Bytes, over: Option<Mark>) -> BoxFuture<'_, Result<Option<Mark>, CareError>> {
        Box::pin(self.put(bytes, over))
    }
}

#[cfg(test)]
mod tests {
    use lambent_blobs_objects::object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn nothing_is_written_over_what_was_not_seen() {
        let store = Arc::new(InMemory::new());
        let slot = FarSlot::new(store, Key::from("of/ours/lock"), "s3://backups/of/ours".to_owned());
        assert_eq!(slot.get().await.unwrap(), None);
        let [first, second] = [Bytes::from_static(b"first"), Bytes::from_static(b"second")];
        let mark = slot.put(first.clone(), None).await.unwrap().unwrap();
        assert_eq!(slot.put(second.clone(), None).await.unwrap(), None, "there is one already");
        assert_eq!(slot.get().await.unwrap(), Some((first.clone(), mark.clone())));
        let next = slot.put(second.clone(), Some(mark.clone())).await.unwrap().unwrap();
        assert_eq!(slot.put(first, Some(mark)).await.unwrap(), None, "another was faster");
        assert_eq!(slot.get().await.unwrap(), Some((second, next)));
    }
}
