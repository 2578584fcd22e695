//! Groups and streams: made, listed, named, deleted.

use super::*;

#[tokio::test]
async fn duplicates_and_missing_ones_are_refused_in_aws_words() {
    let bench = Bench::with_stream("g", "s").await;
    let cases = [
        (
            refusal(bench.group("g").await),
            "ResourceAlreadyExistsException: The specified log group already exists",
        ),
        (
            refusal(bench.stream("g", "s").await),
            "ResourceAlreadyExistsException: The specified log stream already exists",
        ),
        (
            refusal(bench.stream("x", "s").await),
            "ResourceNotFoundException: The specified log group does not exist.",
        ),
        (
            refusal(bench.put("g", "x", vec![event(NOW_MS, "a")]).await),
            "ResourceNotFoundException: The specified log stream does not exist.",
        ),
        (
            refusal(bench.group("AWS/mine").await),
            "InvalidParameterException: Log groups starting with AWS/ are reserved for AWS.",
        ),
    ];
    for (got, expected) in cases {
        assert_eq!(got, expected);
    }
}

#[tokio::test]
async fn a_described_group_has_aws_members() {
    let bench = Bench::with_stream("/aws/lambda/f", "s").await;
    bench.put("/aws/lambda/f", "s", vec![event(NOW_MS, "hello")]).await.unwrap();
    let group = bench.groups(DescribeLogGroupsRequest::default()).await.remove(0);
    assert_eq!(group.arn.unwrap(), "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f:*");
    assert_eq!(group.log_group_arn.unwrap(), "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f");
    assert_eq!(group.creation_time, Some(NOW_MS));
    assert_eq!(group.stored_bytes, Some(5 + 26));
    assert_eq!((group.metric_filter_count, group.deletion_protection_enabled), (Some(0), Some(false)));
    assert_eq!(group.log_group_class.unwrap().as_str(), "STANDARD");
    assert_eq!(group.retention_in_days, None);
}

#[tokio::test]
async fn groups_are_listed_in_pages_and_searched() {
    let bench = Bench::new().await;
    for name in ["b/1", "a/2", "a/1", "a/3"] {
        bench.group(name).await.unwrap();
    }
    let mut token = None;
    let mut names = Vec::new();
    loop {
        let input = DescribeLogGroupsRequest { limit: Some(3), next_token: token, ..Default::default() };
        let page = bench.logs.describe_log_groups(&bench.call, input).await.unwrap();
        names.extend(page.log_groups.unwrap().into_iter().map(|group| group.log_group_name.unwrap()));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(names, ["a/1", "a/2", "a/3", "b/1"]);
    let of = |prefix: Option<&str>, pattern: Option<&str>| DescribeLogGroupsRequest {
        log_group_name_prefix: prefix.map(str::to_owned),
        log_group_name_pattern: pattern.map(str::to_owned),
        ..Default::default()
    };
    assert_eq!(bench.groups(of(Some("a/"), None)).await.len(), 3);
    let found = bench.groups(of(None, Some("/1"))).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].stored_bytes, None, "searches by pattern do not say it");
    assert_eq!(
        refusal(bench.logs.describe_log_groups(&bench.call, of(Some("a"), Some("b"))).await),
        "InvalidParameterException: LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
    );
    let elsewhere =
        bench.logs.describe_log_groups(&bench.call_in("eu-west-1").await, of(None, None)).await.unwrap();
    assert_eq!(elsewhere.log_groups, Some(vec![]));
}

#[tokio::test]
async fn streams_are_listed_by_name_and_by_last_event() {
    let bench = Bench::new().await;
    bench.group("g").await.unwrap();
    for (at, name) in [(3, "a"), (1, "b"), (2, "c")] {
        bench.stream("g", name).await.unwrap();
        bench.put("g", name, vec![event(NOW_MS - 10, "x"), event(NOW_MS + at, "y")]).await.unwrap();
    }
    bench.stream("g", "new").await.unwrap();
    let list = async |input: DescribeLogStreamsRequest| {
        let mut input =
            DescribeLogStreamsRequest { log_group_name: Some("g".to_owned()), limit: Some(3), ..input };
        let mut names = Vec::new();
        loop {
            let page = bench.logs.describe_log_streams(&bench.call, input.clone()).await.unwrap();
            names.extend(page.log_streams.unwrap().into_iter().map(|stream| stream.log_stream_name.unwrap()));
            input.next_token = page.next_token;
            if input.next_token.is_none() {
                return names.join(" ");
            }
        }
    };
    let by_time = Some(OrderBy::LastEventTime);
    assert_eq!(list(DescribeLogStreamsRequest::default()).await, "a b c new");
    let input = DescribeLogStreamsRequest { descending: Some(true), ..Default::default() };
    assert_eq!(list(input).await, "new c b a");
    let input = DescribeLogStreamsRequest { order_by: by_time.clone(), ..Default::default() };
    assert_eq!(list(input).await, "new b c a");
    let input =
        DescribeLogStreamsRequest { order_by: by_time.clone(), descending: Some(true), ..Default::default() };
    assert_eq!(list(input).await, "a c b new");
    let input =
        DescribeLogStreamsRequest { log_stream_name_prefix: Some("ne".to_owned()), ..Default::default() };
    assert_eq!(list(input).await, "new");
    let both = DescribeLogStreamsRequest {
        log_group_name: Some("g".to_owned()),
        log_stream_name_prefix: Some("a".to_owned()),
        order_by: by_time,
        ..Default::default()
    };
    assert_eq!(
        refusal(bench.logs.describe_log_streams(&bench.call, both).await),
        "InvalidParameterException: Cannot order by LastEventTime with a logStreamNamePrefix."
    );
}

#[tokio::test]
async fn a_group_is_named_by_name_or_arn_but_not_by_both() {
    let bench = Bench::with_stream("g", "s").await;
    bench.put("g", "s", vec![event(NOW_MS - 1, "a"), event(NOW_MS, "b")]).await.unwrap();
    let describe = async |name: Option<&str>, identifier: Option<&str>| {
        let input = DescribeLogStreamsRequest {
            log_group_name: name.map(str::to_owned),
            log_group_identifier: identifier.map(str::to_owned),
            ..Default::default()
        };
        bench.logs.describe_log_streams(&bench.call, input).await
    };
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:g";
    for identifier in ["g", arn, &format!("{arn}:*")] {
        let stream = describe(None, Some(identifier)).await.unwrap().log_streams.unwrap().remove(0);
        assert_eq!(stream.arn.unwrap(), format!("{arn}:log-stream:s"));
        assert_eq!(stream.first_event_timestamp, Some(NOW_MS - 1));
        assert_eq!(stream.last_event_timestamp, Some(NOW_MS));
        assert_eq!((stream.last_ingestion_time, stream.stored_bytes), (Some(NOW_MS), Some(0)));
    }
    assert_eq!(
        refusal(describe(Some("g"), Some("g")).await),
        "ValidationException: LogGroup name and LogGroup ARN are mutually exclusive parameters."
    );
    let foreign = "arn:aws:logs:eu-west-1:000000000000:log-group:g";
    assert!(refusal(describe(None, Some(foreign)).await).starts_with("ResourceNotFoundException"));
    assert!(refusal(describe(None, Some("arn:aws:s3:::g")).await).starts_with("InvalidParameterException"));
}

#[tokio::test]
async fn a_deleted_group_leaves_nothing_and_comes_back_empty() {
    let bench = Bench::with_stream("g", "s").await;
    bench.put("g", "s", vec![event(NOW_MS, &"long".repeat(50_000))]).await.unwrap();
    let delete = DeleteLogGroupRequest { log_group_name: "g".to_owned() };
    bench.logs.delete_log_group(&bench.call, delete.clone()).await.unwrap();
    assert!(
        refusal(bench.logs.delete_log_group(&bench.call, delete).await).contains("log group does not exist")
    );
    bench.group("g").await.unwrap();
    bench.stream("g", "s").await.unwrap();
    assert!(messages(&bench.get(get_request("g", "s")).await).is_empty());
    bench.logs.sweep(&work()).await.unwrap();
    assert_eq!(bench.rows().await, 3, "the new group, its stream and the stream's place in time");
}
