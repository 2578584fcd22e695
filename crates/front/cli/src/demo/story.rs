//! What happened, read from the function's log and the bill.

use std::collections::BTreeMap;
use std::time::Duration;

use lambent_metering::Bill;

use super::deploy::{FUNCTION, Thumbnail, log};
use super::packages::Photo;
use crate::CliError;
use crate::client::Client;
use crate::logs::{LogEvent, events, group_of};
use crate::table::table;
use crate::text::{LEFT, RIGHT, dollars, size};

/// How long the last REPORT line may take to arrive after its thumbnail.
const REPORT_TIMEOUT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One run of the function, from its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// Width and height of the thumbnail, as `256x171`.
    thumbnail: String,
    /// As `212.34 ms`.
    duration: String,
    billed: String,
    memory: String,
    /// Only of the run that started its environment.
    init: Option<String>,
}

/// The runs by the photo's key, once every photo has its REPORT line.
pub(super) async fn runs(client: &Client, photos: &[Photo]) -> Result<BTreeMap<String, Run>, CliError> {
    let started = client.clock().monotonic();
    loop {
        let found = events(client, &group_of(FUNCTION), 0, "").await?.unwrap_or_default();
        let runs = read_runs(&found);
        if photos.iter().all(|photo| runs.contains_key(&photo.key)) {
            return Ok(runs);
        }
        if client.clock().monotonic().saturating_sub(started) > REPORT_TIMEOUT {
            let what = "the REPORT lines of the function".to_owned();
            return Err(CliError::DemoLate {
                what,
                seconds: REPORT_TIMEOUT.as_secs(),
                log: log(client).await,
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The whole story, for stdout.
pub(super) fn story(
    photos: &[Photo],
    thumbnails: &[Thumbnail],
    runs: &BTreeMap<String, Run>,
    bill: &Bill,
) -> String {
    let head = [
        ("PHOTO", LEFT),
        ("UPLOADED", RIGHT),
        ("", RIGHT),
        ("THUMBNAIL", RIGHT),
        ("", RIGHT),
        ("AFTER", RIGHT),
        ("INIT", RIGHT),
        ("RUN", RIGHT),
        ("BILLED", RIGHT),
        ("MEMORY", RIGHT),
    ];
    let rows = photos.iter().zip(thumbnails).map(|(photo, thumbnail)| {
        let run = runs.get(&photo.key).cloned().unwrap_or_default();
        vec![
            photo.key.clone(),
            format!("{}x{}", photo.width, photo.height),
            size(photo.bytes.len() as u64),
            run.thumbnail,
            size(thumbnail.bytes.len() as u64),
            format!("{} ms", thumbnail.after.as_millis()),
            run.init.unwrap_or_else(|| "warm".to_owned()),
            run.duration,
            run.billed,
            run.memory,
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let mut text =
        format!("\n{} photos went in, {} thumbnails came out.\n\n", photos.len(), thumbnails.len());
    text.push_str(&table(&head, &rows));
    text.push_str(&format!(
        "\nThis cost {} for {} requests and {:.4} GB-seconds; AWS would ask {}, before its free tier.\n",
        dollars(bill.cost.total_nano_usd),
        bill.requests,
        bill.gb_seconds,
        dollars(bill.aws.total_nano_usd),
    ));
    let authors: Vec<String> =
        photos.iter().map(|photo| format!("{} by {} ({})", photo.key, photo.author, photo.licence)).collect();
    text.push_str(&format!("Photographs: {}.\n", authors.join(", ")));
    text.push_str(
        "\nEverything is in ./lambent-photos: photos, thumbnails, function.zip, and the JSON files with which\n\
         README.md does the same by hand.\n",
    );
    text
}

/// Reads the runs of all streams: a stream holds one run after the other.
fn read_runs(events: &[LogEvent]) -> BTreeMap<String, Run> {
    let mut runs = BTreeMap::new();
    let mut open: BTreeMap<&str, (String, Run)> = BTreeMap::new();
    for event in events {
        let stream = event.log_stream_name.as_str();
        if event.message.starts_with("START ") {
            open.remove(stream);
        } else if let Some((key, thumbnail)) = made(&event.message) {
            open.insert(stream, (key, Run { thumbnail, ..Run::default() }));
        } else if let Some(report) = event.message.strip_prefix("REPORT ")
            && let Some((key, run)) = open.remove(stream)
        {
            let field =
                |name: &str| Some(report.split('\t').find_map(|part| part.strip_prefix(name))?.to_owned());
            let run = Run {
                duration: field("Duration: ").unwrap_or_default(),
                billed: field("Billed Duration: ").unwrap_or_default(),
                memory: field("Max Memory Used: ").unwrap_or_default(),
                init: field("Init Duration: "),
                ..run
            };
            runs.insert(key, run);
        }
    }
    runs
}

/// Key and thumbnail's width and height of the line that the function prints:
/// `photos/KEY: 640x427, 1 bytes -> photo-thumbnails/thumbnails/KEY: 256x171, 1 bytes`.
fn made(line: &str) -> Option<(String, String)> {
    let (photo, thumbnail) = line.split_once(" -> ")?;
    let key = photo.strip_prefix("photos/")?.rsplit_once(": ")?.0;
    let dimensions = thumbnail.rsplit_once(": ")?.1.split(',').next()?;
    Some((key.to_owned(), dimensions.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_from_interleaved_streams() {
        let event = |stream: &str, message: &str| LogEvent {
            log_stream_name: stream.to_owned(),
            message: message.to_owned(),
            ..LogEvent::default()
        };
        let events = [
            event("1", "START RequestId: a Version: $LATEST\n"),
            event("2", "START RequestId: b Version: $LATEST\n"),
            event(
                "2",
                "photos/b: c.jpg: 64x42, 9 bytes -> photo-thumbnails/thumbnails/b: c.jpg: 25x17, 3 bytes\n",
            ),
            event(
                "1",
                "photos/a.jpg: 640x427, 9 bytes -> photo-thumbnails/thumbnails/a.jpg: 256x171, 3 bytes\n",
            ),
            event("1", "END RequestId: a\n"),
            event("2", "END RequestId: b\n"),
            event(
                "2",
                "REPORT RequestId: b\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMemory Size: 512 MB\tMax Memory Used: 60 MB\t\n",
            ),
            event(
                "1",
                "REPORT RequestId: a\tDuration: 12.00 ms\tBilled Duration: 112 ms\tMemory Size: 512 MB\tMax Memory Used: 61 MB\tInit Duration: 99.10 ms\t\n",
            ),
        ];
        let runs = read_runs(&events);
        let first = Run {
            thumbnail: "256x171".to_owned(),
            duration: "12.00 ms".to_owned(),
            billed: "112 ms".to_owned(),
            memory: "61 MB".to_owned(),
            init: Some("99.10 ms".to_owned()),
        };
        assert_eq!(runs["a.jpg"], first);
        assert_eq!((runs["b: c.jpg"].thumbnail.as_str(), &runs["b: c.jpg"].init), ("25x17", &None));
    }
}
