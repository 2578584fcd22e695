//! Every key: whole, as it was acknowledged, or as an unanswered request would have left it; listed as it is.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use lambent_test_client::encoded;

use crate::client::{Client, bare_etag, element, elements, s3};
use crate::content::Content;
use crate::setup::BUCKET;
use crate::work::{ObjectWorker, Slot};

/// What is listed of an object: ETag and size.
type Listing = BTreeMap<String, (String, usize)>;

/// Checks the worker's keys and settles those that were open.
pub(crate) fn objects(worker: &mut ObjectWorker, client: &mut Client) -> anyhow::Result<()> {
    let mut listed = list(client, BUCKET, &worker.prefix())?;
    for (key, slot) in &mut worker.slots {
        object(client, key, slot, listed.remove(key))?;
    }
    if let Some((key, what)) = listed.first_key_value() {
        bail!("{key} is listed as {what:?}, and was never written");
    }
    Ok(())
}

/// Reads a key, compares, and settles it.
pub(crate) fn object(
    client: &mut Client,
    key: &str,
    slot: &mut Slot,
    listed: Option<(String, usize)>,
) -> anyhow::Result<()> {
    let found = read(client, BUCKET, key).with_context(|| format!("ledger of {key}: {slot:?}"))?;
    let is = |state: &Option<Content>| match (state, &found) {
        (None, None) => true,
        (Some(content), Some((bytes, etag))) => content.is(bytes, etag),
        _ => false,
    };
    if !is(&slot.settled) {
        match slot.pending.take() {
            Some(pending) if is(&pending.state) => slot.settled = pending.state,
            pending => {
                let found =
                    found.as_ref().map(|(bytes, etag)| format!("{} bytes with the ETag {etag}", bytes.len()));
                bail!(
                    "{key}: found {found:?}, which is neither what was acknowledged nor what was attempted\n\
                     ledger: {slot:?}, {pending:?}"
                );
            }
        }
    }
    slot.pending = None;
    let expected = found.map(|(bytes, etag)| (etag, bytes.len()));
    if let (Some(content), Some((etag, _))) = (&mut slot.settled, &expected) {
        content.etag = Some(etag.clone());
    }
    if listed != expected {
        bail!("{key}: is {expected:?}, but is listed as {listed:?}\nledger: {slot:?}");
    }
    let head = client.ask(s3("HEAD", &format!("/{BUCKET}/{key}")))?;
    let length = head.header("content-length").and_then(|length| length.parse().ok());
    let head = (head.status == 200).then(|| Some((head.header("etag").map(bare_etag)?, length?)));
    if head != expected.map(Some) {
        bail!("{key}: HEAD says {head:?}, GET another thing\nledger: {slot:?}");
    }
    Ok(())
}

/// An object's bytes and ETag, or that there is none.
pub(crate) fn read(
    client: &mut Client,
    bucket: &str,
    key: &str,
) -> anyhow::Result<Option<(Vec<u8>, String)>> {
    let answer = client.ask(s3("GET", &format!("/{bucket}/{key}")))?;
    match answer.status {
        200 => {
            let etag = answer.header("etag").map(bare_etag).context("an object without an ETag")?;
            Ok(Some((answer.body, etag)))
        }
        404 => Ok(None),
        _ => bail!("GET {key}: {}", answer.text()),
    }
}

/// All objects below a prefix, page by page.
pub(crate) fn list(client: &mut Client, bucket: &str, prefix: &str) -> anyhow::Result<Listing> {
    let mut listing = Listing::new();
    let mut token = String::new();
    loop {
        let target = format!("/{bucket}?list-type=2&prefix={}{token}", encoded(prefix));
        let answer = client.must(s3("GET", &target))?;
        let text = String::from_utf8_lossy(&answer.body);
        for entry in elements(&text, "Contents") {
            let field = |name| element(entry, name).with_context(|| format!("no {name} in {entry}"));
            let size = field("Size")?.parse().context("a size that is no number")?;
            listing.insert(field("Key")?.to_owned(), (bare_etag(field("ETag")?), size));
        }
        match element(&text, "NextContinuationToken") {
            Some(next) => token = format!("&continuation-token={}", encoded(next)),
            None => return Ok(listing),
        }
    }
}
