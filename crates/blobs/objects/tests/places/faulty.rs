//! An object store in memory that counts its uploads, and fails or falls silent when it is told to.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use lambent_blobs_objects::object_store::memory::InMemory;
use lambent_blobs_objects::object_store::path::Path;
use lambent_blobs_objects::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

#[derive(Debug, Default)]
pub(crate) struct Faulty {
    objects: InMemory,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    fault: Option<Fault>,
    open_uploads: usize,
    part_sizes: Vec<usize>,
}

/// What happens to every call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It fails with this text.
    Fails(&'static str),
    Forbidden,
    /// It never ends.
    Hangs,
    /// Parts of uploads fail with this text.
    PartsFail(&'static str),
}

impl Faulty {
    pub(crate) fn set(&self, fault: Option<Fault>) {
        self.state.0.lock().unwrap().fault = fault;
    }

    pub(crate) fn open_uploads(&self) -> usize {
        self.state.0.lock().unwrap().open_uploads
    }

    pub(crate) fn part_sizes(&self) -> Vec<usize> {
        self.state.0.lock().unwrap().part_sizes.clone()
    }
}

impl State {
    async fn pass(&self, is_part: bool) -> Result<()> {
        let fault = self.0.lock().unwrap().fault;
        match fault {
            Some(Fault::Fails(text)) => Err(failed(text)),
            Some(Fault::PartsFail(text)) if is_part => Err(failed(text)),
            Some(Fault::Forbidden) => {
                Err(Error::PermissionDenied { path: "somewhere".to_owned(), source: "AccessDenied".into() })
            }
            Some(Fault::Hangs) => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

fn failed(text: &str) -> Error {
    Error::Generic { store: "faulty", source: text.into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.state.pass(false).await?;
        self.objects.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.state.pass(false).await?;
        let upload = self.objects.put_multipart_opts(at, options).await?;
        self.state.0.lock().unwrap().open_uploads += 1;
        Ok(Box::new(Counted { upload, state: self.state.clone() }))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.state.pass(false).await?;
        self.objects.get_opts(at, options).await
    }

    fn delete_stream(&self, all: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let state = self.state.clone();
        let all = all.then(move |path| {
            let state = state.clone();
            async move {
                state.pass(false).await?;
                path
            }
        });
        self.objects.delete_stream(all.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (state, found) = (self.state.clone(), self.objects.list(prefix));
        let first = futures_util::stream::once(async move { state.pass(false).await });
        let failed = first.filter_map(|passed| std::future::ready(passed.err().map(Err)));
        failed.chain(found).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct Counted {
    upload: Box<dyn MultipartUpload>,
    state: Arc<State>,
}

#[async_trait::async_trait]
impl MultipartUpload for Counted {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.state.0.lock().unwrap().part_sizes.push(data.content_length());
        let (state, part) = (self.state.clone(), self.upload.put_part(data));
        Box::pin(async move {
            state.pass(true).await?;
            part.await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.state.pass(false).await?;
        self.state.0.lock().unwrap().open_uploads -= 1;
        self.upload.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.state.0.lock().unwrap().open_uploads -= 1;
        self.upload.abort().await
    }
}
