use lambent_api::{ApiError, Asked, Decisions};
use lambent_base::Place;
use lambent_identity::{Caller, Wanted};
use lambent_model_s3::{
    CopyObjectRequest, Delete, DeleteObjectRequest, DeleteObjectsRequest, GetObjectRequest,
    HeadObjectRequest, ObjectIdentifier, PutObjectRequest,
};
use serde_json::json;

use super::{BUCKET, Fixture, code, get_request, pieces, put_request};
use crate::objects;

#[tokio::test]
async fn a_copy_needs_leave_to_read_its_source() {
    let fixture = Fixture::with_bucket().await;
    fixture.put("in/a", b"secret").await;
    fixture.put("out/a", b"public").await;
    let statements = json!([
        { "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::photos/*" },
        { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/out/*" },
    ]);
    let target = "arn:aws:s3:::photos/copy";
    let call = fixture.call_of_role(statements, "s3:PutObject", target).await.unwrap();
    let copy = |from: &str| CopyObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "copy".to_owned(),
        copy_source: from.to_owned(),
        ..CopyObjectRequest::default()
    };
    fixture.s3.copy_object(&call, copy("photos/out/a")).await.unwrap();
    let error: ApiError = fixture.s3.copy_object(&call, copy("photos/in/a")).await.unwrap_err().into();
    assert_eq!((code(&error), error.status), ("AccessDenied", 403));
    let version = copy("photos/out/a?versionId=null");
    let error: ApiError = fixture.s3.copy_object(&call, version).await.unwrap_err().into();
    assert_eq!((code(&error), error.status), ("AccessDenied", 403));
    assert_eq!(fixture.get("copy").await, "public");
}

/// The deletion of keys, each of a version if one is named.
fn deletion(objects: &[(&str, Option<&str>)], quiet: bool) -> DeleteObjectsRequest {
    let identifier = |(key, version): &(&str, Option<&str>)| ObjectIdentifier {
        key: (*key).to_owned(),
        version_id: version.map(str::to_owned),
        ..ObjectIdentifier::default()
    };
    DeleteObjectsRequest {
        bucket: BUCKET.to_owned(),
        delete: Delete { objects: objects.iter().map(identifier).collect(), quiet: Some(quiet) },
        ..DeleteObjectsRequest::default()
    }
}

/// The keys that were deleted, and those that were not, with the reason.
type Outcome = (Vec<String>, Vec<(String, String)>);

async fn delete_as(
    fixture: &Fixture,
    caller: &Caller,
    input: DeleteObjectsRequest,
) -> Result<Outcome, ApiError> {
    let (call, decisions) = fixture.call_to_delete_by(caller, &input).await?;
    outcome(fixture, &call, input, decisions).await
}

async fn outcome(
    fixture: &Fixture,
    call: &Asked,
    input: DeleteObjectsRequest,
    decisions: Decisions,
) -> Result<Outcome, ApiError> {
    let output = fixture.s3.delete_objects(call, input, decisions).await?;
    let deleted = output.deleted.into_iter().flatten().map(|deleted| deleted.key.unwrap()).collect();
    let refused = output.errors.into_iter().flatten().map(|error| (error.key.unwrap(), error.code.unwrap()));
    Ok((deleted, refused.collect()))
}

#[tokio::test]
async fn each_deleted_object_is_decided_on() {
    let fixture = Fixture::with_bucket().await;
    for key in ["tmp/a", "tmp/b", "tmp/safe/c", "kept", "also kept"] {
        fixture.put(key, b"1").await;
    }
    let caller = fixture
        .role(json!([
            { "Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::photos/tmp/*" },
            { "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::photos/tmp/safe/*" },
        ]))
        .await;
    let denied = |key: &str| (key.to_owned(), "AccessDenied".to_owned());
    // The first is denied, and the last, and one between.
    let keys = [("kept", None), ("tmp/a", None), ("tmp/safe/c", None), ("tmp/b", None), ("also kept", None)];
    let (deleted, refused) = delete_as(&fixture, &caller, deletion(&keys, false)).await.unwrap();
    assert_eq!(deleted, ["tmp/a", "tmp/b"]);
    assert_eq!(refused, [denied("kept"), denied("tmp/safe/c"), denied("also kept")]);
    for key in ["kept", "tmp/safe/c", "also kept"] {
        assert_eq!(fixture.get(key).await, "1");
    }
    assert!(fixture.get_as(get_request("tmp/a")).await.is_err());
    fixture.put("tmp/a", b"1").await;
    let quietly = deletion(&[("kept", None), ("tmp/a", None)], true);
    assert_eq!(delete_as(&fixture, &caller, quietly).await.unwrap(), (Vec::new(), vec![denied("kept")]));
    assert!(fixture.get_as(get_request("tmp/a")).await.is_err());
    // Nothing allowed is no error of the request, either.
    let nothing = delete_as(&fixture, &caller, deletion(&[("kept", None)], false)).await.unwrap();
    assert_eq!(nothing, (Vec::new(), vec![denied("kept")]));
}

#[tokio::test]
async fn deletion_of_a_version_is_an_action_of_its_own() {
    let fixture = Fixture::with_bucket().await;
    let all = "arn:aws:s3:::photos/*";
    for (action, expected) in
        [("s3:DeleteObject", ["plain", "version"]), ("s3:DeleteObjectVersion", ["version", "plain"])]
    {
        fixture.put("plain", b"1").await;
        fixture.put("version", b"1").await;
        let caller = fixture.role(json!([{ "Effect": "Allow", "Action": action, "Resource": all }])).await;
        let both = deletion(&[("plain", None), ("version", Some("null"))], false);
        let (deleted, refused) = delete_as(&fixture, &caller, both).await.unwrap();
        assert_eq!(deleted, expected[..1]);
        assert_eq!(refused, [(expected[1].to_owned(), "AccessDenied".to_owned())]);
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_bucket_or_the_list_fails_a_deletion_as_a_whole() {
    let fixture = Fixture::new();
    let nothing = fixture.role(json!([{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}])).await;
    let told = delete_as(&fixture, &nothing, deletion(&[("k", None)], false)).await.unwrap();
    assert_eq!(told.1[0].1, "AccessDenied", "who may delete nothing learns nothing of buckets");
    let caller =
        fixture.role(json!([{"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "*"}])).await;
    let error = delete_as(&fixture, &caller, deletion(&[("k", None)], false)).await.unwrap_err();
    assert_eq!(code(&error), "NoSuchBucket");
    fixture.create_bucket(BUCKET).await.unwrap();
    let others = DeleteObjectsRequest {
        expected_bucket_owner: Some("111111111111".to_owned()),
        ..deletion(&[("k", None)], false)
    };
    let error = delete_as(&fixture, &caller, others).await.unwrap_err();
    assert_eq!((code(&error), error.status), ("AccessDenied", 403));
    let error = delete_as(&fixture, &caller, deletion(&[], false)).await.unwrap_err();
    assert_eq!(code(&error), "MalformedXML");
}

#[tokio::test]
async fn leave_for_something_else_is_no_leave_to_delete() {
    let fixture = Fixture::with_bucket().await;
    for key in ["k", "l", "m"] {
        fixture.put(key, b"1").await;
    }
    let root = fixture.identity.root_caller();
    let wanted = |action, key: &str| Wanted::new(action, format!("arn:aws:s3:::photos/{key}"));
    // A yes to another object, one to another action, and none at all.
    let elsewhere = vec![wanted("s3:DeleteObject", "l"), wanted("s3:DeleteObject", "l")];
    let (call, decisions) = fixture.call_for_each(&root, elsewhere).await.unwrap();
    assert!(decisions.iter().all(Result::is_ok));
    let input = deletion(&[("k", None), ("l", Some("null")), ("m", None)], false);
    let (deleted, refused) = outcome(&fixture, &call, input, decisions).await.unwrap();
    assert_eq!(deleted, Vec::<String>::new());
    assert_eq!(refused, ["k", "l", "m"].map(|key| (key.to_owned(), "AccessDenied".to_owned())));
    assert_eq!(fixture.get("m").await, "1");
}

#[tokio::test]
async fn nothing_to_decide_on_is_no_leave() {
    let fixture = Fixture::new();
    let error = fixture.call_for_each(&fixture.identity.root_caller(), Vec::new()).await.unwrap_err();
    assert_eq!((code(&error), error.status), ("AccessDenied", 403));
}

#[test]
fn a_version_is_read_and_deleted_by_actions_of_its_own() {
    let place = Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() };
    for (version, read, delete) in [
        (None, "s3:GetObject", "s3:DeleteObject"),
        (Some("null"), "s3:GetObjectVersion", "s3:DeleteObjectVersion"),
    ] {
        let (bucket, key, version_id) = (BUCKET.to_owned(), "k".to_owned(), version.map(str::to_owned));
        let get = GetObjectRequest { version_id: version_id.clone(), ..get_request("k") };
        let head = HeadObjectRequest {
            bucket: bucket.clone(),
            key: key.clone(),
            version_id: version_id.clone(),
            ..HeadObjectRequest::default()
        };
        let deletion = DeleteObjectRequest { bucket, key, version_id, ..DeleteObjectRequest::default() };
        let wanted = |action| {
            crate::wanted::with(Wanted::new(action, "arn:aws:s3:::photos/k"), "s3:versionid", version)
        };
        assert_eq!(objects::wanted_get(&get, &place), wanted(read));
        assert_eq!(objects::wanted_head(&head, &place), wanted(read));
        assert_eq!(objects::wanted_deletion(&deletion, &place), wanted(delete));
    }
}

#[tokio::test]
async fn who_may_not_list_does_not_learn_which_keys_are_missing() {
    let fixture = Fixture::with_bucket().await;
    let read = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*" });
    let list = json!({ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::photos" });
    let missing = "arn:aws:s3:::photos/missing";
    let call = fixture.call_of_role(json!([read]), "s3:GetObject", missing).await.unwrap();
    let error: ApiError =
        fixture.s3.get_object(&call, get_request("missing")).await.map(drop).unwrap_err().into();
    assert_eq!((code(&error), error.status), ("AccessDenied", 403));
    let call = fixture.call_of_role(json!([read, list]), "s3:GetObject", missing).await.unwrap();
    let head = HeadObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "missing".to_owned(),
        ..HeadObjectRequest::default()
    };
    let error: ApiError = fixture.s3.head_object(&call, head).await.unwrap_err().into();
    assert_eq!((code(&error), error.status), ("NoSuchKey", 404));
}

#[tokio::test]
async fn comparing_etags_needs_leave_to_read() {
    let fixture = Fixture::with_bucket().await;
    let tag = fixture.put("k", b"1").await.e_tag;
    let object = "arn:aws:s3:::photos/k";
    let write =
        json!({ "Effect": "Allow", "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": object });
    let call = fixture.call_of_role(json!([write]), "s3:PutObject", object).await.unwrap();
    let put = PutObjectRequest { if_match: tag.clone(), ..put_request("k") };
    let error: ApiError = fixture.s3.put_object(&call, put, pieces(b"2")).await.unwrap_err().into();
    assert_eq!(code(&error), "AccessDenied");
    let delete = |tag: Option<String>| DeleteObjectRequest {
        bucket: BUCKET.to_owned(),
        key: "k".to_owned(),
        if_match: tag,
        ..DeleteObjectRequest::default()
    };
    let error: ApiError = fixture.s3.delete_object(&call, delete(tag)).await.unwrap_err().into();
    assert_eq!(code(&error), "AccessDenied");
    fixture.s3.delete_object(&call, delete(Some("*".to_owned()))).await.unwrap();
}
