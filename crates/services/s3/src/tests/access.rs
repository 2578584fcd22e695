use lambent_api::ApiError;
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

#[tokio::test]
async fn each_deleted_object_is_decided_on() {
    let fixture = Fixture::with_bucket().await;
    for key in ["tmp/a", "tmp/b", "kept"] {
        fixture.put(key, b"1").await;
    }
    let statements =
        json!([{ "Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::photos/tmp/*" }]);
    let first = "arn:aws:s3:::photos/tmp/a";
    let call = fixture.call_of_role(statements, "s3:DeleteObject", first).await.unwrap();
    let objects = ["tmp/a", "kept", "tmp/b"]
        .map(|key| ObjectIdentifier { key: key.to_owned(), ..ObjectIdentifier::default() });
    let input = DeleteObjectsRequest {
        bucket: BUCKET.to_owned(),
        delete: Delete { objects: objects.to_vec(), quiet: None },
        ..DeleteObjectsRequest::default()
    };
    let output = fixture.s3.delete_objects(&call, input).await.unwrap();
    let errors = output.errors.unwrap();
    assert_eq!((errors[0].key.as_deref(), errors[0].code.as_deref()), (Some("kept"), Some("AccessDenied")));
    assert_eq!(output.deleted.unwrap().len(), 2);
    assert_eq!(fixture.get("kept").await, "1");
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
