//! Uploads: open ones with exactly the parts that were acknowledged, ended ones gone, none that nobody began.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use lambent_test_client::{Request, encoded};

use super::objects::{list, object};
use crate::client::{Client, bare_etag, element, elements, s3};
use crate::setup::BUCKET;
use crate::work::{Ending, ObjectWorker, Part, Upload};

/// Checks the worker's uploads and settles those that were open; its keys were settled before.
pub(crate) fn uploads(worker: &mut ObjectWorker, client: &mut Client) -> anyhow::Result<()> {
    let mut listed = listed(client, &worker.prefix())?;
    // Those with an id first: what is left for a key then is of a creation that was not answered.
    let mut open = std::mem::take(&mut worker.uploads);
    open.sort_by_key(|upload| upload.id.is_none());
    for mut upload in open {
        let context = format!("ledger: {upload:?}");
        let Some(id) = upload.id.clone() else {
            let found = listed.iter().find(|(_, key)| **key == upload.key).map(|(id, _)| id.clone());
            if let Some(id) = found {
                listed.remove(&id);
                upload.id = Some(id);
                client.must(s3("DELETE", &upload.target()?))?;
            }
            continue;
        };
        let is_listed = listed.remove(&id).is_some();
        match upload.ending {
            None if !is_listed => bail!("an upload is gone\n{context}"),
            None => {
                parts(client, &mut upload).context(context)?;
                worker.uploads.push(upload);
            }
            Some(Ending::Abort) if is_listed => drop(client.must(s3("DELETE", &upload.target()?))?),
            Some(Ending::Abort) => {}
            Some(Ending::Complete) => complete(worker, client, &mut upload, is_listed).context(context)?,
        }
    }
    match listed.first_key_value() {
        Some((id, key)) => bail!("the upload {id} of {key} is listed, but nobody began it, or it was ended"),
        None => Ok(()),
    }
}

/// A completion that was not answered: it has happened wholly or not at all, and asking again ends it either way.
fn complete(
    worker: &mut ObjectWorker,
    client: &mut Client,
    upload: &mut Upload,
    is_listed: bool,
) -> anyhow::Result<()> {
    let content = upload.content().context("an upload was completed without its parts")?;
    let key = upload.key.clone();
    let has_happened = worker.slot(&key).settled.as_ref() == Some(&content);
    if has_happened == is_listed {
        bail!("the object is there: {has_happened}; the upload is still listed: {is_listed}");
    }
    if is_listed {
        parts(client, upload)?;
    }
    let (target, body) = upload.completion()?;
    let answer = client.must(Request { body: body.as_bytes(), ..s3("POST", &target) })?;
    let given = element(&String::from_utf8_lossy(&answer.body), "ETag").map(bare_etag);
    if given != content.etag {
        bail!("asked again, the completion gave {}", answer.text());
    }
    let mut slot = worker.slot(&key).clone();
    slot.settled = Some(content);
    let listed = list(client, BUCKET, &key)?.remove(&key);
    object(client, &key, &mut slot, listed)?;
    *worker.slot(&key) = slot;
    Ok(())
}

/// Compares the parts that are listed with the ledger, and settles those that were open.
fn parts(client: &mut Client, upload: &mut Upload) -> anyhow::Result<()> {
    let answer = client.must(s3("GET", &upload.target()?))?;
    let text = String::from_utf8_lossy(&answer.body);
    let mut found = BTreeMap::new();
    for part in elements(&text, "Part") {
        let field = |name| element(part, name).with_context(|| format!("no {name} in {part}"));
        let number: usize = field("PartNumber")?.parse()?;
        found.insert(number, (bare_etag(field("ETag")?), field("Size")?.parse::<usize>()?));
    }
    for (number, part) in (1..).zip(&mut upload.parts) {
        settle(part, found.remove(&number)).with_context(|| format!("part {number}"))?;
    }
    match found.first_key_value() {
        Some((number, what)) => bail!("part {number} is listed as {what:?}, and was never sent"),
        None => Ok(()),
    }
}

fn settle(part: &mut Part, found: Option<(String, usize)>) -> anyhow::Result<()> {
    let pending = part.pending.take();
    let of = |content: &crate::content::Content| Some((content.etag.clone()?, content.length()));
    if found == part.acknowledged.as_ref().and_then(of) {
        return Ok(());
    }
    if pending.is_some() && found == pending.as_ref().and_then(of) {
        part.acknowledged = pending;
        return Ok(());
    }
    bail!("is listed as {found:?}; acknowledged was {:?}, attempted {pending:?}", part.acknowledged)
}

/// The uploads below a prefix: ids and keys.
fn listed(client: &mut Client, prefix: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let answer = client.must(s3("GET", &format!("/{BUCKET}?uploads&prefix={}", encoded(prefix))))?;
    let text = String::from_utf8_lossy(&answer.body);
    let mut uploads = BTreeMap::new();
    for upload in elements(&text, "Upload") {
        let field = |name| element(upload, name).with_context(|| format!("no {name} in {upload}"));
        uploads.insert(field("UploadId")?.to_owned(), field("Key")?.to_owned());
    }
    Ok(uploads)
}
