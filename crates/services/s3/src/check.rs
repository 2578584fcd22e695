//! What a check or a backup of the whole cloud needs to know of S3's rows.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use bytes::Bytes;
use lambent_blobs::BlobId;
use lambent_care::{Findings, Mend};
use lambent_store::{Export, KeyRange, StoreError};

use crate::keys;
use crate::notifications::Rule;
use crate::rows::{self, AccessRow, BucketRow, Data, DeadRow, ObjectRow, PartRow, SpanRow, UploadRow};

const SERVICE: &str = "s3";

/// Which blob the key of a row names. Every blob that any row of S3 names has a row that counts how many do.
pub fn named_blob(key: &[u8]) -> Option<BlobId> {
    keys::blob_of_references(key)
}

/// Rows that speak of nodes that run now, so that no dump has them.
pub fn process_rows() -> Vec<KeyRange> {
    vec![keys::all_readings()]
}

/// Reads all rows of S3: whether each can be read and has what it belongs to, whether parts make whole objects, and
/// whether references are counted right.
pub async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    let mut check = Check::new(findings);
    view.for_each(keys::all_damaged(), |key, _| check.findings.set_aside_before(SERVICE, key)).await?;
    view.for_each(keys::all_buckets(), |key, row| check.bucket(key, row)).await?;
    view.for_each(keys::all_owners(), |key, row| check.owner(key, row)).await?;
    check.ownerless();
    view.for_each(keys::all_access(), |key, row| check.access(key, row)).await?;
    let mut rules = Vec::new();
    view.for_each(keys::all_notify(), |key, row| rules.push((key.clone(), row.clone()))).await?;
    for (key, row) in rules {
        let loaded = view.load_large(&key, &row).await;
        check.rules(&key, &row, loaded);
    }
    view.for_each(keys::all_objects(), |key, row| check.object(key, row)).await?;
    view.for_each(keys::all_uploads(), |key, row| check.upload(key, row)).await?;
    view.for_each(keys::all_dead(), |key, row| check.dead(key, row)).await?;
    view.for_each(keys::all_parts(), |key, row| check.part(key, row)).await?;
    view.for_each(keys::all_spans(), |key, row| check.span(key, row)).await?;
    check.whole_objects();
    view.for_each(keys::all_blob_references(), |key, row| check.references(key, row)).await?;
    check.uncounted();
    view.for_each(keys::all_readings(), |key, row| check.reading(key, row)).await?;
    Ok(())
}

/// An object whose bytes are in spans.
struct Spanned {
    what: String,
    count: u32,
    size: u64,
    seen_count: u32,
    /// Up to where the spans follow each other.
    seen_size: u64,
    is_broken: bool,
}

struct Check<'a> {
    findings: &'a mut Findings,
    /// Owners by bucket; the flag says that the owner's row was seen.
    buckets: HashMap<String, (String, bool)>,
    uploads: HashSet<String>,
    spanned: HashMap<String, Spanned>,
    /// Uploads whose parts, or spans, wait for their removal.
    dead: HashSet<String>,
    /// How many rows name each blob.
    names: HashMap<BlobId, i64>,
}

impl<'a> Check<'a> {
    fn new(findings: &'a mut Findings) -> Self {
        let (buckets, uploads, spanned) = (HashMap::new(), HashSet::new(), HashMap::new());
        Self { findings, buckets, uploads, spanned, dead: HashSet::new(), names: HashMap::new() }
    }

    fn unreadable(&mut self, kind: &str, key: &Bytes, row: &Bytes, why: &dyn Display) {
        let what = format!("{kind} {} cannot be read: {why}", key.escape_ascii());
        self.findings.unreadable(SERVICE, what, (key, row), Some(keys::damaged(key).into_bytes()));
    }

    fn bucket(&mut self, key: &Bytes, row: &Bytes) {
        match (keys::name_of_bucket(key), rows::decode::<BucketRow>(key, row)) {
            (Ok(name), Ok(bucket)) => drop(self.buckets.insert(name, (bucket.owner, false))),
            (Err(why), _) => self.unreadable("bucket", key, row, &why),
            (_, Err(why)) => self.unreadable("bucket", key, row, &why),
        }
    }

    fn owner(&mut self, key: &Bytes, row: &Bytes) {
        let names = keys::read_owned(key);
        let bucket = names.as_ref().ok().and_then(|(_, name)| self.buckets.get_mut(name));
        match (&names, bucket) {
            (Ok((account, _)), Some((owner, seen))) if account == owner => *seen = true,
            _ => self.findings.stray(
                SERVICE,
                format!("{} lists a bucket that is not its account's", key.escape_ascii()),
                (key, row),
            ),
        }
    }

    fn ownerless(&mut self) {
        for (name, (owner, _)) in self.buckets.iter().filter(|(_, (_, seen))| !seen) {
            let what = format!("bucket {name} is not listed for its account {owner}");
            let key = keys::owned_bucket(owner, name).into_bytes();
            self.findings.problem(SERVICE, what, vec![Mend::Row { key, seen: None, to: Some(Bytes::new()) }]);
        }
    }

    fn access(&mut self, key: &Bytes, row: &Bytes) {
        if let Err(why) = rows::decode::<AccessRow>(key, row) {
            self.unreadable("the policy of a bucket", key, row, &why);
        }
    }

    fn rules(&mut self, key: &Bytes, row: &Bytes, loaded: Result<Bytes, StoreError>) {
        let decoded = match loaded {
            Ok(value) => rows::decode::<Vec<Rule>>(key, &value).map_err(|why| why.to_string()),
            Err(why) => Err(why.to_string()),
        };
        if let Err(why) = decoded {
            self.unreadable("the notification rules", key, row, &why);
        }
    }

    fn object(&mut self, key: &Bytes, row: &Bytes) {
        let names = keys::bucket_and_object(key);
        let (names, object) = match (names, ObjectRow::decode(key, row)) {
            (Ok(names), Ok(object)) => (names, object),
            (Err(why), _) => return self.unreadable("object", key, row, &why),
            (_, Err(why)) => return self.unreadable("object", key, row, &why),
        };
        let what = format!("object {}/{}", names.0, names.1);
        if !self.buckets.contains_key(&names.0) {
            let what = format!("{what} is in a bucket that does not exist");
            match self.findings.is_all_known() {
                true => self.findings.problem(SERVICE, what, Vec::new()),
                false => self.findings.note(what),
            }
        }
        match object.data {
            Data::Inline if object.inline.len() as u64 != object.size => {
                let found = object.inline.len();
                let why = format!("it has {found} bytes, expected {}", object.size);
                self.unreadable("object", key, row, &why);
            }
            Data::Inline => {}
            Data::Blob(blob) => self.names(&blob, Some(object.size), Some(&what), (key, row)),
            Data::Spans { upload, count } => {
                let spanned =
                    Spanned { what, count, size: object.size, seen_count: 0, seen_size: 0, is_broken: false };
                self.spanned.insert(upload, spanned);
            }
        }
    }

    fn upload(&mut self, key: &Bytes, row: &Bytes) {
        match (keys::upload_of(key), rows::decode::<UploadRow>(key, row)) {
            (Ok(upload), Ok(_)) => drop(self.uploads.insert(upload)),
            (Err(why), _) => self.unreadable("upload", key, row, &why),
            (_, Err(why)) => self.unreadable("upload", key, row, &why),
        }
    }

    fn dead(&mut self, key: &Bytes, row: &Bytes) {
        if let Err(why) = keys::due_of_dead(key) {
            return self.unreadable("what was deleted", key, row, &why);
        }
        match rows::decode::<DeadRow>(key, row) {
            Ok(DeadRow::Blob(blob)) => self.names(&blob, None, None, (key, row)),
            Ok(DeadRow::Spans(upload) | DeadRow::Parts(upload)) => drop(self.dead.insert(upload)),
            Err(why) => self.unreadable("what was deleted", key, row, &why),
        }
    }

    fn part(&mut self, key: &Bytes, row: &Bytes) {
        let read = (keys::upload_of_part(key), rows::decode::<PartRow>(key, row));
        let (upload, part) = match read {
            (Ok(upload), Ok(part)) => (upload, part),
            (Err(why), _) => return self.unreadable("part", key, row, &why),
            (_, Err(why)) => return self.unreadable("part", key, row, &why),
        };
        let is_dead = self.dead.contains(&upload);
        if !is_dead && !self.uploads.contains(&upload) {
            return self.findings.stray(
                SERVICE,
                format!("a part of the upload {upload}, which does not exist, is left over"),
                (key, row),
            );
        }
        let what = format!("a part of the upload {upload}");
        self.names(&part.blob, Some(part.size), (!is_dead).then_some(&what[..]), (key, row));
    }

    fn span(&mut self, key: &Bytes, row: &Bytes) {
        let read = (keys::upload_and_offset(key), rows::decode::<SpanRow>(key, row));
        let ((upload, offset), span) = match read {
            (Ok(place), Ok(span)) => (place, span),
            (Err(why), _) => return self.unreadable("span", key, row, &why),
            (_, Err(why)) => return self.unreadable("span", key, row, &why),
        };
        let what = match self.spanned.get_mut(&upload) {
            Some(spanned) => {
                spanned.seen_count += 1;
                spanned.is_broken |= offset != spanned.seen_size;
                spanned.seen_size = offset.saturating_add(span.size);
                Some(spanned.what.clone())
            }
            None if self.dead.contains(&upload) => None,
            None => {
                let what = format!(
                    "a part of an object made of the upload {upload}, which does not exist, is left over"
                );
                return self.findings.stray(SERVICE, what, (key, row));
            }
        };
        self.names(&span.blob, Some(span.size), what.as_deref(), (key, row));
    }

    fn whole_objects(&mut self) {
        for spanned in self.spanned.values() {
            let Spanned { what, count, size, seen_count, seen_size, is_broken } = spanned;
            if *is_broken || seen_count != count || seen_size != size {
                let what = format!(
                    "{what} is not whole: {seen_count} of its {count} parts, up to byte {seen_size} of {size}; restore it \
                     from a backup"
                );
                self.findings.problem(SERVICE, what, Vec::new());
            }
        }
    }

    /// One more row that names a blob.
    fn names(&mut self, blob: &str, length: Option<u64>, by: Option<&str>, (key, row): (&Bytes, &Bytes)) {
        match blob.parse() {
            Ok(id) => {
                *self.names.entry(id).or_default() += 1;
                self.findings.names(id, length, by);
            }
            Err(why) => self.unreadable("a row that names a blob,", key, row, &why),
        }
    }

    fn references(&mut self, key: &Bytes, row: &Bytes) {
        let Some(blob) = named_blob(key) else {
            return self.unreadable("a count of references", key, row, &"it counts no blob");
        };
        let names = self.names.remove(&blob).unwrap_or(0);
        let count = row[..].try_into().map(i64::from_le_bytes);
        if count.is_ok_and(|count| count == names) && names > 0 {
            return;
        }
        let found = count.map_or_else(|_| format!("{} bytes", row.len()), |count| count.to_string());
        // What cannot be read may name it as well, so the count only grows then.
        if count.is_ok_and(|count| names < count) && !self.findings.is_all_known() {
            let note =
                format!("blob {blob} stays: {found} references are counted, and some rows cannot be read");
            self.findings.note(note);
            // It stays named as long as nobody knows better.
            return self.findings.names(blob, None, None);
        }
        let to = (names > 0).then(|| Bytes::copy_from_slice(&names.to_le_bytes()));
        let mends = vec![Mend::Row { key: key.clone(), seen: Some(row.clone()), to }];
        let what = format!("blob {blob} is named by {names} rows, but {found} are counted");
        self.findings.problem(SERVICE, what, mends);
    }

    fn reading(&mut self, key: &Bytes, row: &Bytes) {
        if let Err(why) = keys::node_of_reading(key) {
            let what = format!("{} speaks of a read, but of no node's: {why}", key.escape_ascii());
            self.findings.stray(SERVICE, what, (key, row));
        }
    }

    fn uncounted(&mut self) {
        for (blob, names) in &self.names {
            let what = format!("blob {blob} is named by {names} rows, but none are counted");
            let key = keys::blob_references(&blob.to_string()).into_bytes();
            let to = Some(Bytes::copy_from_slice(&names.to_le_bytes()));
            self.findings.problem(SERVICE, what, vec![Mend::Row { key, seen: None, to }]);
        }
    }
}
