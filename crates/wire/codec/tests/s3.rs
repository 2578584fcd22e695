//! Routing, reading and writing with the real tables of a REST-XML service.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use lambent_model_s3 as s3;
use lambent_wire::codec::{Decoded, Labels, RequestView, Routed, Router, decode, encode, encode_error};
use lambent_wire::{ApiError, Operation, ProtocolKind, Readable, Timestamp};

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = list.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    pairs.collect()
}

fn route(request: &str, list: &[(&'static str, &str)]) -> Routed {
    let (method, uri) = request.split_once(' ').unwrap();
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    Router::new(&s3::SERVICE).route(&method.parse().unwrap(), path, query, &headers(list))
}

/// A request, its headers, and the name of its operation.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// The name of the operation, marked when it is not implemented.
fn name(request: &str, list: &[(&'static str, &str)]) -> String {
    match route(request, list) {
        Routed::Operation(info, _) => info.name.to_owned(),
        Routed::Unimplemented(known) => format!("{} (not implemented)", known.name),
        Routed::Unknown => "unknown".to_owned(),
    }
}

fn labels(request: &str) -> Labels {
    match route(request, &[]) {
        Routed::Operation(_, labels) => labels,
        other => panic!("{request} is {other:?}"),
    }
}

#[test]
fn the_most_specific_operation_wins() {
    const COPY: &[(&str, &str)] = &[("x-amz-copy-source", "/source/key")];
    let cases: &[Case] = &[
        ("GET /", &[], "ListBuckets"),
        ("GET /?x-id=ListBuckets", &[], "ListBuckets"),
        ("PUT /bucket", &[], "CreateBucket"),
        ("PUT /bucket/", &[], "CreateBucket"),
        ("PUT /bucket?acl", &[], "PutBucketAcl (not implemented)"),
        ("PUT /bucket/?acl=", &[], "PutBucketAcl (not implemented)"),
        ("PUT /bucket?notification", &[], "PutBucketNotificationConfiguration"),
        ("DELETE /bucket", &[], "DeleteBucket"),
        ("HEAD /bucket", &[], "HeadBucket"),
        ("GET /bucket", &[], "ListObjects"),
        ("GET /bucket?prefix=a&location", &[], "GetBucketLocation"),
        ("GET /bucket?list-type=2&prefix=a", &[], "ListObjectsV2"),
        ("GET /bucket?list-type=1", &[], "ListObjects"),
        ("GET /bucket?uploads", &[], "ListMultipartUploads"),
        ("GET /bucket?versions", &[], "ListObjectVersions (not implemented)"),
        ("POST /bucket?delete", &[], "DeleteObjects"),
        ("PUT /bucket/key", &[], "PutObject"),
        ("PUT /bucket/a/b/c?x-id=PutObject", &[], "PutObject"),
        ("PUT /bucket/key", COPY, "CopyObject"),
        ("PUT /bucket/key?partNumber=1&uploadId=u", &[], "UploadPart"),
        ("PUT /bucket/key?partNumber=1&uploadId=u", COPY, "UploadPartCopy"),
        ("PUT /bucket/key?tagging", &[], "PutObjectTagging (not implemented)"),
        ("PUT /bucket/key?tagging", COPY, "PutObjectTagging (not implemented)"),
        ("POST /bucket/key?uploads", &[], "CreateMultipartUpload"),
        ("POST /bucket/key?uploadId=u", &[], "CompleteMultipartUpload"),
        ("DELETE /bucket/key?uploadId=u", &[], "AbortMultipartUpload"),
        ("DELETE /bucket/key", &[], "DeleteObject"),
        ("GET /bucket/key?uploadId=u", &[], "ListParts"),
        ("GET /bucket/key", &[], "GetObject"),
        ("GET /bucket/key/", &[], "GetObject"),
        ("GET /bucket/key?%61cl", &[], "GetObjectAcl (not implemented)"),
        ("PATCH /bucket/key", &[], "unknown"),
    ];
    for (request, list, expected) in cases {
        assert_eq!(name(request, list), *expected, "{request} {list:?}");
    }
}

#[test]
fn labels_are_decoded() {
    let cases = [
        ("GET /bucket/a/b%20c", "a/b c"),
        ("GET /bucket/a+b%2Bc%2Fd", "a+b+c/d"),
        ("GET /bucket//leading", "/leading"),
        ("GET /bucket/folder/", "folder/"),
        ("GET /bucket/%E2%82%AC", "€"),
    ];
    for (request, key) in cases {
        assert_eq!(labels(request).get("Key"), Some(key), "{request}");
        assert_eq!(labels(request).get("Bucket"), Some("bucket"), "{request}");
    }
    assert!(labels("GET /bucket/%FF").is_malformed());
}

fn read<I: Readable>(
    request: &str,
    list: &[(&'static str, &str)],
    body: &'static str,
) -> Result<Decoded<I>, ApiError> {
    let (method, uri) = request.split_once(' ').unwrap();
    let (raw_path, raw_query) = uri.split_once('?').unwrap_or((uri, ""));
    let Routed::Operation(info, labels) = route(request, list) else { panic!("{request} has no operation") };
    let (method, headers, body): (Method, _, _) =
        (method.parse().unwrap(), headers(list), Bytes::from_static(body.as_bytes()));
    let view =
        RequestView { method: &method, raw_path, raw_query, headers: &headers, labels: &labels, body: &body };
    decode(&s3::SERVICE, ProtocolKind::RestXml, info, &view)
}

#[test]
fn an_input_is_gathered_from_all_its_places() {
    let list = [
        ("content-type", "image/jpeg"),
        ("x-amz-meta-camera", "K-3"),
        ("x-amz-meta-place", "København"),
        ("x-amz-object-lock-retain-until-date", "2000-01-02T20:34:56Z"),
    ];
    let decoded = read::<s3::PutObjectRequest>("PUT /bucket/photos/a.jpg", &list, "").unwrap();
    assert_eq!(decoded.violation, None);
    let input = decoded.input;
    assert_eq!((input.bucket.as_str(), input.key.as_str()), ("bucket", "photos/a.jpg"));
    assert_eq!(input.content_type.as_deref(), Some("image/jpeg"));
    assert_eq!(input.object_lock_retain_until_date, Some(Timestamp::from_s(946_845_296)));
    let metadata = input.metadata.unwrap();
    assert_eq!(metadata["camera"], "K-3");
    assert_eq!(metadata["place"], "København");
}

#[test]
fn an_xml_body_is_read() {
    let body = "<?xml version=\"1.0\"?><Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <Object><Key>a&amp;b</Key></Object><Quiet>true</Quiet><Object><Key><![CDATA[<c>]]></Key></Object></Delete>";
    let decoded = read::<s3::DeleteObjectsRequest>("POST /bucket?delete", &[], body).unwrap();
    assert_eq!(decoded.violation, None);
    let keys: Vec<_> = decoded.input.delete.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["a&b", "<c>"]);
    assert_eq!(decoded.input.delete.quiet, Some(true));
}

#[test]
fn what_is_missing_is_named() {
    let decoded = read::<s3::DeleteObjectsRequest>("POST /bucket?delete", &[], "<Delete/>").unwrap();
    let violation = decoded.violation.unwrap();
    assert_eq!(
        violation,
        "1 validation error detected: Value null at 'delete.objects' failed to satisfy constraint: Member must not be null"
    );
}

#[test]
fn what_cannot_be_read_is_refused_as_s3_does() {
    let bombs = [
        "<Delete><Object>",
        "<!DOCTYPE d [<!ENTITY a \"b\">]><Delete>&a;</Delete>",
        "<Delete>&a;</Delete>",
        "<Delete/><Delete/>",
        "<Delete><Quiet>maybe</Quiet></Delete>",
        "no XML",
    ];
    for body in bombs {
        let error = read::<s3::DeleteObjectsRequest>("POST /bucket?delete", &[], body).unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("MalformedXML", 400), "{body}");
    }
    let error =
        read::<s3::ListObjectsV2Request>("GET /bucket?list-type=2&max-keys=many", &[], "").unwrap_err();
    assert_eq!(error.code, "InvalidArgument");
    assert!(error.members.contains(&("ArgumentName", "max-keys".to_owned())), "{error:?}");
    let error = read::<s3::GetObjectRequest>("GET /bucket/%FF", &[], "").unwrap_err();
    assert_eq!(error.code, "InvalidURI");
}

#[test]
fn answers_have_the_roots_of_s3() {
    let output = s3::ListBucketsOutput {
        buckets: Some(vec![s3::Bucket {
            name: Some("photos".to_owned()),
            creation_date: Some(Timestamp::from_s(946_845_296)),
            ..Default::default()
        }]),
        ..Default::default()
    };
    let response = encode(ProtocolKind::RestXml, &s3::SERVICE, s3::ops::ListBuckets::INFO, &output, "id");
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["x-amz-request-id"], "id");
    assert_eq!(
        response.body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <ListAllMyBucketsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Buckets><Bucket>\
        <CreationDate>2000-01-02T20:34:56.000Z</CreationDate><Name>photos</Name></Bucket></Buckets>\
        </ListAllMyBucketsResult>"
    );

    let output = s3::GetBucketLocationOutput { location_constraint: Some("eu-west-1".into()) };
    let response =
        encode(ProtocolKind::RestXml, &s3::SERVICE, s3::ops::GetBucketLocation::INFO, &output, "id");
    assert_eq!(
        response.body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LocationConstraint \
        xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">eu-west-1</LocationConstraint>"
    );
}

#[test]
fn answers_without_a_document_have_no_body() {
    let output = s3::PutObjectOutput { e_tag: Some("\"abc\"".to_owned()), ..Default::default() };
    let response = encode(ProtocolKind::RestXml, &s3::SERVICE, s3::ops::PutObject::INFO, &output, "id");
    assert_eq!(response.headers["etag"], "\"abc\"");
    assert!(!response.headers.contains_key("content-type"));
    assert_eq!(response.body, "");

    let metadata = [("place".to_owned(), "København\r\n".to_owned())].into();
    let output = s3::HeadObjectOutput {
        last_modified: Some(Timestamp::from_s(946_845_296)),
        metadata: Some(metadata),
        ..Default::default()
    };
    let response = encode(ProtocolKind::RestXml, &s3::SERVICE, s3::ops::HeadObject::INFO, &output, "id");
    assert_eq!(response.headers["last-modified"], "Sun, 02 Jan 2000 20:34:56 GMT");
    assert_eq!(response.headers["x-amz-meta-place"], "=?UTF-8?B?S8O4YmVuaGF2bg0K?=");
}

#[test]
fn errors_are_written_as_s3_does() {
    let error = ApiError::new("NoSuchKey", 404, "The specified key does not exist.").with("Key", "a<b");
    let response = encode_error(ProtocolKind::RestXml, &s3::SERVICE, &error, "id");
    assert_eq!(response.status, 404);
    assert_eq!(
        response.body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>\
        <Message>The specified key does not exist.</Message><Key>a&lt;b</Key>\
        <RequestId>id</RequestId><HostId>aWQ=</HostId></Error>"
    );
}
