use std::collections::BTreeSet;

use lambent_api::ApiError;
use lambent_model_s3::{
    EncodingType, ListObjectsOutput, ListObjectsRequest, ListObjectsV2Output, ListObjectsV2Request,
};
use proptest::prelude::*;

use super::{BUCKET, Fixture, code, member, pattern};

fn v2() -> ListObjectsV2Request {
    ListObjectsV2Request { bucket: BUCKET.to_owned(), ..ListObjectsV2Request::default() }
}

async fn list(fixture: &Fixture, input: ListObjectsV2Request) -> Result<ListObjectsV2Output, ApiError> {
    Ok(fixture.s3.list_objects_v2(&fixture.call().await, input).await?)
}

/// Keys, then common prefixes of a page.
fn lines(page: &ListObjectsV2Output) -> Vec<String> {
    let keys = page.contents.iter().flatten().filter_map(|object| object.key.clone());
    let prefixes = page.common_prefixes.iter().flatten().filter_map(|prefix| prefix.prefix.clone());
    keys.chain(prefixes).collect()
}

/// What a listing is by definition.
fn model(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>, after: Option<&str>) -> Vec<String> {
    let mut lines = BTreeSet::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let line = match delimiter.and_then(|delimiter| rest.find(delimiter).map(|at| at + delimiter.len())) {
            Some(end) => &key[..prefix.len() + end],
            None => key,
        };
        if after.is_none_or(|after| line > after) {
            lines.insert(line.to_owned());
        }
    }
    lines.into_iter().collect()
}

/// Short keys of few characters, so that they share prefixes; with the characters that are hard to order.
fn key() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => Just("a"), 3 => Just("b"), 4 => Just("/"), 1 => Just("\u{0}"), 1 => Just("\u{1}"),
        1 => Just("é"), 1 => Just("😀"), 1 => Just("\u{ffff}"), 1 => Just("%"), 1 => Just("//"),
    ];
    proptest::collection::vec(part, 1..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_the_listing(
        keys in proptest::collection::btree_set(key(), 0..40),
        prefix in prop_oneof![Just(String::new()), key()],
        delimiter in prop_oneof![Just(None), Just(Some("/")), Just(Some("b")), Just(Some("//")), Just(Some("a/"))],
        after in proptest::option::of(key()),
        max in 1i32..7,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::with_bucket().await;
            for key in &keys {
                fixture.put(key, b"").await;
            }
            let expected = model(&keys, &prefix, delimiter, after.as_deref());
            let mut token = None;
            let mut seen = Vec::new();
            loop {
                let page = list(&fixture, ListObjectsV2Request {
                    prefix: Some(prefix.clone()),
                    delimiter: delimiter.map(str::to_owned),
                    start_after: after.clone(),
                    continuation_token: token.take(),
                    max_keys: Some(max),
                    ..v2()
                }).await.unwrap();
                let lines = lines(&page);
                prop_assert_eq!(page.key_count, i32::try_from(lines.len()).ok());
                prop_assert!(lines.len() <= usize::try_from(max).unwrap());
                let truncated = page.is_truncated.unwrap();
                prop_assert_eq!(truncated, page.next_continuation_token.is_some());
                prop_assert!(!truncated || lines.len() == usize::try_from(max).unwrap());
                seen.push(lines);
                token = page.next_continuation_token;
                if token.is_none() {
                    break;
                }
            }
            for page in &mut seen {
                page.sort();
            }
            prop_assert_eq!(seen.concat(), expected);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn the_first_version_goes_on_by_markers() {
    let fixture = Fixture::with_bucket().await;
    for key in ["folder/aSubfolder/subFile1", "folder/aSubfolder/subFile2", "folder/file1", "folder/file2"] {
        fixture.put(key, b"1").await;
    }
    let page = async |marker: Option<String>| -> ListObjectsOutput {
        let input = ListObjectsRequest {
            bucket: BUCKET.to_owned(),
            prefix: Some("folder/".to_owned()),
            delimiter: Some("/".to_owned()),
            marker,
            max_keys: Some(1),
            ..ListObjectsRequest::default()
        };
        fixture.s3.list_objects(&fixture.call().await, input).await.unwrap()
    };
    let first = page(None).await;
    assert_eq!(first.next_marker.as_deref(), Some("folder/aSubfolder/"));
    assert!(first.contents.is_none());
    let second = page(first.next_marker).await;
    assert_eq!(second.next_marker.as_deref(), Some("folder/file1"));
    assert_eq!(second.marker.as_deref(), Some("folder/aSubfolder/"));
    assert!(second.contents.unwrap()[0].owner.is_some());
    let last = page(second.next_marker).await;
    assert_eq!((last.is_truncated, last.next_marker), (Some(false), None));
}

#[tokio::test]
async fn names_are_encoded_on_demand() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("a b/c&d/é", b"1").await;
    let input = ListObjectsV2Request {
        prefix: Some("a b/".to_owned()),
        delimiter: Some("&".to_owned()),
        start_after: Some("a ".to_owned()),
        encoding_type: Some(EncodingType::Url),
        ..v2()
    };
    let page = list(&fixture, input).await.unwrap();
    assert_eq!(lines(&page), ["a+b/c%26"]);
    assert_eq!((page.prefix.as_deref(), page.delimiter.as_deref()), (Some("a+b/"), Some("%26")));
    assert_eq!(page.start_after.as_deref(), Some("a+"));
    let wrong = ListObjectsV2Request { encoding_type: Some(EncodingType::from("value")), ..v2() };
    let error = list(&fixture, wrong).await.unwrap_err();
    assert_eq!(member(&error, "ArgumentName"), Some("encoding-type"));
}

#[tokio::test]
async fn pages_are_bounded() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("a", b"1").await;
    let none = list(&fixture, ListObjectsV2Request { max_keys: Some(0), ..v2() }).await.unwrap();
    assert_eq!((lines(&none).len(), none.is_truncated, none.key_count), (0, Some(false), Some(0)));
    let many = list(&fixture, ListObjectsV2Request { max_keys: Some(5000), ..v2() }).await.unwrap();
    assert_eq!(many.max_keys, Some(1000));
    let error = list(&fixture, ListObjectsV2Request { max_keys: Some(-1), ..v2() }).await.unwrap_err();
    assert_eq!(code(&error), "InvalidArgument");
    let wrong = ListObjectsV2Request { continuation_token: Some("???".to_owned()), ..v2() };
    let error = list(&fixture, wrong).await.unwrap_err();
    assert_eq!(member(&error, "ArgumentName"), Some("continuation-token"));
}

#[tokio::test]
async fn large_rows_fill_many_pages_of_the_store() {
    let fixture = Fixture::with_bucket().await;
    let body = pattern(32 * 1024);
    for number in 0..150 {
        fixture.put(&format!("k{number:04}"), &body).await;
    }
    let page = list(&fixture, v2()).await.unwrap();
    assert_eq!((lines(&page).len(), page.is_truncated), (150, Some(false)));
    let object = &page.contents.unwrap()[149];
    assert_eq!((object.key.as_deref(), object.size), (Some("k0149"), Some(32 * 1024)));
}
