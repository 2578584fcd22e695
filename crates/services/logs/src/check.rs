//! Whether the rows of CloudWatch Logs fit together.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use bytes::Bytes;
use lambent_care::{Findings, Mend};
use lambent_store::{Export, StoreError};

use crate::chunk::read_head;
use crate::keys::{self, ChunkRef};
use crate::rows::{GroupRow, StreamRow};

const SERVICE: &str = "logs";

/// Reads all rows of Logs: whether each can be read and belongs to a group, whether chunks have all their parts, and
/// whether stored bytes are counted right.
pub async fn check(view: &Export, findings: &mut Findings) -> Result<(), StoreError> {
    let mut check = Check {
        findings,
        groups: HashMap::new(),
        dead: HashSet::new(),
        streams: HashSet::new(),
        recents: HashSet::new(),
        bytes: HashMap::new(),
        times: HashSet::new(),
        chunk: None,
    };
    view.for_each(keys::all_groups(), |key, row| check.group(key, row)).await?;
    view.for_each(keys::all_dead(), |key, row| check.dead(key, row)).await?;
    view.for_each(keys::all_streams(), |key, row| check.stream(key, row)).await?;
    view.for_each(keys::all_recents(), |key, row| check.recent(key, row)).await?;
    view.for_each(keys::all_chunks(), |key, row| check.chunk_part(key, row)).await?;
    check.end_chunk();
    view.for_each(keys::all_times(), |key, row| check.time(key, row)).await?;
    check.unlisted();
    view.for_each(keys::all_bytes(), |key, row| check.counted(key, row)).await?;
    Ok(())
}

/// A chunk whose parts are being read.
struct Reading {
    group: u64,
    chunk: ChunkRef,
    parts: u64,
    seen: u64,
    stored_bytes: i64,
}

struct Check<'a> {
    findings: &'a mut Findings,
    /// Names by the groups' numbers.
    groups: HashMap<u64, String>,
    dead: HashSet<u64>,
    streams: HashSet<(u64, String)>,
    /// The keys below `logs/recent/` that the streams need.
    recents: HashSet<Bytes>,
    /// Of the chunks of each group.
    bytes: HashMap<u64, i64>,
    /// The keys below `logs/time/` that the chunks need.
    times: HashSet<Bytes>,
    chunk: Option<Reading>,
}

impl Check<'_> {
    fn unreadable(&mut self, kind: &str, key: &Bytes, row: &Bytes, why: &dyn Display) {
        let what = format!("{kind} {} cannot be read: {why}", key.escape_ascii());
        self.findings.unreadable(SERVICE, what, (key, row), None);
    }

    fn is_known(&self, group: u64) -> bool {
        self.groups.contains_key(&group) || self.dead.contains(&group)
    }

    fn name(&self, group: u64) -> &str {
        self.groups.get(&group).map_or("(deleted)", String::as_str)
    }

    fn group(&mut self, key: &Bytes, row: &Bytes) {
        match (keys::read_group(key), serde_json::from_slice::<GroupRow>(row)) {
            (Ok(name), Ok(group)) => drop(self.groups.insert(group.id, name)),
            (Err(why), _) => self.unreadable("log group", key, row, &why),
            (_, Err(why)) => self.unreadable("log group", key, row, &why),
        }
    }

    fn dead(&mut self, key: &Bytes, row: &Bytes) {
        match keys::read_dead(key) {
            Ok(group) => drop(self.dead.insert(group)),
            Err(why) => self.unreadable("a deleted log group", key, row, &why),
        }
    }

    fn stream(&mut self, key: &Bytes, row: &Bytes) {
        let (group, name, stream) = match (keys::read_stream(key), serde_json::from_slice::<StreamRow>(row)) {
            (Ok((group, name)), Ok(stream)) => (group, name, stream),
            (Err(why), _) => return self.unreadable("log stream", key, row, &why),
            (_, Err(why)) => return self.unreadable("log stream", key, row, &why),
        };
        if !self.is_known(group) {
            return self.findings.stray(SERVICE, format!("log stream {name} is in no group"), (key, row));
        }
        self.recents.insert(keys::recent(group, stream.recent_ms(), &name).into_bytes());
        self.streams.insert((group, name));
    }

    fn recent(&mut self, key: &Bytes, row: &Bytes) {
        match keys::group_and_recent(key) {
            Ok((group, _)) if self.recents.remove(key) || self.dead.contains(&group) => {}
            Ok((_, name)) => self.findings.stray(
                SERVICE,
                format!("log stream {name} is listed under a time that is not its last"),
                (key, row),
            ),
            Err(why) => self.unreadable("the time of a log stream", key, row, &why),
        }
    }

    fn chunk_part(&mut self, key: &Bytes, row: &Bytes) {
        let (group, chunk, part) = match keys::group_and_part(key) {
            Ok(place) => place,
            Err(why) => return self.unreadable("log events", key, row, &why),
        };
        if let Some(reading) = self.chunk.as_mut().filter(|open| open.group == group && open.chunk == chunk) {
            reading.seen += u64::from(part == reading.seen);
            return;
        }
        self.end_chunk();
        if self.dead.contains(&group) {
            return;
        }
        if !self.streams.contains(&(group, chunk.stream.clone())) {
            let what = format!("log events of {} are in no stream {}", self.name(group), chunk.stream);
            return self.findings.stray(SERVICE, what, (key, row));
        }
        match read_head(row) {
            Ok((parts, _, stored_bytes)) if part == 0 => {
                self.chunk = Some(Reading { group, chunk, parts, seen: 1, stored_bytes });
            }
            Ok(_) => self.unreadable("log events", key, row, &"what comes before them is missing"),
            Err(why) => self.unreadable("log events", key, row, &why),
        }
    }

    fn end_chunk(&mut self) {
        let Some(Reading { group, chunk, parts, seen, stored_bytes }) = self.chunk.take() else { return };
        if seen != parts {
            let group = self.name(group);
            let what =
                format!("log events of {group} {} lack parts: {seen} of {parts} are there", chunk.stream);
            self.findings.problem(SERVICE, what, Vec::new());
        }
        *self.bytes.entry(group).or_default() += stored_bytes;
        self.times.insert(keys::time(group, &chunk).into_bytes());
    }

    fn time(&mut self, key: &Bytes, row: &Bytes) {
        let group = match keys::group_of_time(key) {
            Ok(group) => group,
            Err(why) => return self.unreadable("the time of log events", key, row, &why),
        };
        if !self.times.remove(key) && !self.dead.contains(&group) {
            let what = format!("log events of {} are listed, but do not exist", self.name(group));
            self.findings.stray(SERVICE, what, (key, row));
        }
    }

    /// Lists what is not listed; a group that is being cleared loses its rows one after the other.
    fn unlisted(&mut self) {
        let groups = &self.dead;
        let is_dead = |key: &Bytes| keys::group_of_time(key).is_ok_and(|group| groups.contains(&group));
        let times = self.times.drain().filter(|key| !is_dead(key)).map(|key| (key, "log events are"));
        let is_dead =
            |key: &Bytes| keys::group_and_recent(key).is_ok_and(|(group, _)| groups.contains(&group));
        let recents = self.recents.drain().filter(|key| !is_dead(key)).map(|key| (key, "a log stream is"));
        for (key, which) in times.chain(recents) {
            let what = format!("{which} not listed by time: {}", key.escape_ascii());
            self.findings.problem(SERVICE, what, vec![Mend::Row { key, seen: None, to: Some(Bytes::new()) }]);
        }
    }

    fn counted(&mut self, key: &Bytes, row: &Bytes) {
        let group = match keys::group_of_bytes(key) {
            Ok(group) => group,
            Err(why) => return self.unreadable("the size of a log group", key, row, &why),
        };
        let stored = self.bytes.get(&group).copied().unwrap_or(0);
        let counted = row[..].try_into().map(i64::from_le_bytes);
        if self.dead.contains(&group) || counted.is_ok_and(|counted| counted == stored) {
            return;
        }
        if !self.groups.contains_key(&group) {
            return self.findings.stray(
                SERVICE,
                "the size of a log group that does not exist is left over".to_owned(),
                (key, row),
            );
        }
        let found =
            counted.map_or_else(|_| format!("{} bytes of row", row.len()), |counted| counted.to_string());
        let what =
            format!("log group {} has {stored} stored bytes, but {found} are counted", self.name(group));
        let to = Some(Bytes::copy_from_slice(&stored.to_le_bytes()));
        self.findings.problem(
            SERVICE,
            what,
            vec![Mend::Row { key: key.clone(), seen: Some(row.clone()), to }],
        );
    }
}
