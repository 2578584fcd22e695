//! Multipart uploads: begun, given parts, given a part anew, completed, aborted.

use anyhow::{Context, bail};
use lambent_test_client::{Request, encoded};

use super::objects::ObjectWorker;
use crate::client::{Client, Told, bare_etag, element, s3};
use crate::content::{Content, below};
use crate::setup::BUCKET;

/// How many uploads a worker has under way at most.
const UPLOADS_MAX: usize = 3;
/// What every part but the last must have at least.
const PART_BYTES_MIN: usize = 5 * 1024 * 1024;

/// An upload that was begun and not yet acknowledged as completed or aborted.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) key: String,
    /// Unknown when its creation was not answered.
    pub(crate) id: Option<String>,
    pub(crate) parts: Vec<Part>,
    /// What was asked and not answered.
    pub(crate) ending: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    Abort,
}

#[derive(Clone, Debug)]
pub(crate) struct Part {
    bytes: usize,
    pub(crate) acknowledged: Option<Content>,
    pub(crate) pending: Option<Content>,
}

impl Upload {
    /// Whether something about it was asked and not answered.
    pub(crate) fn is_open(&self) -> bool {
        self.id.is_none() || self.ending.is_some() || self.parts.iter().any(|part| part.pending.is_some())
    }

    /// The object that it becomes, once all its parts are there.
    pub(crate) fn content(&self) -> Option<Content> {
        let parts: Option<Vec<&Content>> = self.parts.iter().map(|part| part.acknowledged.as_ref()).collect();
        parts.map(|parts| Content::of_parts(parts.into_iter()))
    }

    /// The request that completes it: target and body.
    pub(crate) fn completion(&self) -> anyhow::Result<(String, String)> {
        let mut body = "<CompleteMultipartUpload>".to_owned();
        for (number, part) in (1..).zip(&self.parts) {
            let etag = part.acknowledged.as_ref().and_then(|content| content.etag.as_ref());
            let etag = etag.context("an upload is completed before its parts are there")?;
            body.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>"));
        }
        body.push_str("</CompleteMultipartUpload>");
        Ok((self.target()?, body))
    }

    /// What its parts are listed at, and what it is aborted at.
    pub(crate) fn target(&self) -> anyhow::Result<String> {
        let id = self.id.as_ref().context("an upload without an id is used")?;
        Ok(format!("/{BUCKET}/{}?uploadId={}", self.key, encoded(id)))
    }
}

impl ObjectWorker {
    /// One request about an upload; says whether it was acknowledged.
    pub(super) fn step_of_upload(&mut self, client: &mut Client) -> anyhow::Result<bool> {
        let index = below(&self.random, UPLOADS_MAX);
        let Some(upload) = self.uploads.get(index) else { return self.create_upload(client) };
        if upload.id.is_none() || upload.ending.is_some() {
            return Ok(false);
        }
        let missing = upload.parts.iter().position(|part| part.acknowledged.is_none());
        match (missing, below(&self.random, 8)) {
            (Some(part), _) => self.upload_part(client, index, part),
            (None, 0) => self.abort(client, index),
            (None, 1) => self.upload_part(client, index, 0),
            (None, _) => self.complete(client, index),
        }
    }

    fn create_upload(&mut self, client: &mut Client) -> anyhow::Result<bool> {
        let Some(key) = self.free_key() else { return Ok(false) };
        let sizes = match below(&self.random, 6) {
            0 => vec![PART_BYTES_MIN + below(&self.random, 100_000), 1 + below(&self.random, 60_000)],
            _ => vec![1 + below(&self.random, 200_000)],
        };
        let part = |bytes| Part { bytes, acknowledged: None, pending: None };
        let parts = sizes.into_iter().map(part).collect();
        let target = format!("/{BUCKET}/{key}?uploads");
        self.uploads.push(Upload { key, id: None, parts, ending: None });
        let Told::Done(answer) = not_refused(client.attempt(s3("POST", &target))?)? else { return Ok(false) };
        let text = String::from_utf8_lossy(&answer.body);
        let id = element(&text, "UploadId").with_context(|| format!("no UploadId: {}", answer.text()))?;
        if let Some(upload) = self.uploads.last_mut() {
            upload.id = Some(id.to_owned());
        }
        Ok(true)
    }

    fn upload_part(&mut self, client: &mut Client, index: usize, part: usize) -> anyhow::Result<bool> {
        let seed = self.random.u64();
        let upload = &mut self.uploads[index];
        let target = upload.target()?;
        let (content, body) = Content::plain(seed, upload.parts[part].bytes);
        let etag = content.etag.clone();
        upload.parts[part].pending = Some(content);
        let target = format!("{target}&partNumber={}", part + 1);
        let told = client.attempt(Request { body: &body, ..s3("PUT", &target) })?;
        let Told::Done(answer) = not_refused(told)? else { return Ok(false) };
        let given = answer.header("etag").map(bare_etag);
        if given != etag {
            bail!("part {}: expected the ETag {etag:?}, got {given:?}\nledger: {upload:?}", part + 1);
        }
        upload.parts[part].acknowledged = upload.parts[part].pending.take();
        Ok(true)
    }

    fn complete(&mut self, client: &mut Client, index: usize) -> anyhow::Result<bool> {
        let key = self.uploads[index].key.clone();
        if self.slot(&key).pending.is_some() {
            return Ok(false);
        }
        let upload = &mut self.uploads[index];
        let content = upload.content().context("an upload is completed before its parts are there")?;
        let (target, body) = upload.completion()?;
        upload.ending = Some(Ending::Complete);
        let (round, etag) = (self.round, content.etag.clone());
        let what = format!("completion of an upload, {} bytes", content.length());
        self.slot(&key).attempt(round, what, Some(content));
        let told = client.attempt(Request { body: body.as_bytes(), ..s3("POST", &target) })?;
        let Some(answer) = self.settle(&key, told)? else { return Ok(false) };
        let given = element(&String::from_utf8_lossy(&answer.body), "ETag").map(bare_etag);
        if given != etag {
            bail!("completion of {key}: expected the ETag {etag:?}, got {}", answer.text());
        }
        self.uploads.remove(index);
        Ok(true)
    }

    fn abort(&mut self, client: &mut Client, index: usize) -> anyhow::Result<bool> {
        let upload = &mut self.uploads[index];
        upload.ending = Some(Ending::Abort);
        let target = upload.target()?;
        let Told::Done(_) = not_refused(client.attempt(s3("DELETE", &target))?)? else { return Ok(false) };
        self.uploads.remove(index);
        Ok(true)
    }
}

fn not_refused(told: Told) -> anyhow::Result<Told> {
    match told {
        Told::Refused(answer) => bail!("a request about an upload was refused: {}", answer.text()),
        other => Ok(other),
    }
}
