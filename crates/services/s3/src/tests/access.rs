use lambent_api::ApiError;
use lambent_identity::Caller;
use lambent_model_s3::{
    CopyObjectRequest, Delete, DeleteObjectRequest, DeleteObjectsRequest, HeadObjectRequest,
    ObjectIdentifier, PutObjectRequest,
};
use serde_json::json;

use super::{BUCKET, Fixture, code, get_request, pieces, put_request};

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
    let call = fixture.call_to_delete_by(caller, &input).await?;
    let output = fixture.s3.delete_objects(&call, input).await?;
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
    let caller = fixture.role(json!([])).await;
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
    // Root's, but nobody decided on these objects.
    let call = fixture.call().await;
    let output =
        fixture.s3.delete_objects(&call, deletion(&[("k", None), ("l", None)], false)).await.unwrap();
    let refused: Vec<_> = output.errors.into_iter().flatten().map(|error| error.code.unwrap()).collect();
    assert_eq!((output.deleted, refused), (None, vec!["AccessDenied".to_owned(); 2]));
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
