from datetime import datetime, timedelta, timezone

import pytest
import requests

from cloud import ROOT_SECRET
from recorded import assert_like, snapshot
from signing import presigned, xml_error

FILE = "s3/test_s3"


@pytest.fixture
def something(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"something", ContentType="text/plain")
    return {"Bucket": bucket, "Key": "k"}


@pytest.fixture(scope="session")
def s3(cloud):
    """Boto3 still presigns with version 2 unless it is told otherwise."""
    return cloud.client("s3", signature_version="s3v4")


def url(s3, operation, expires_s=60, **parameters):
    return s3.generate_presigned_url(operation, Params=parameters, ExpiresIn=expires_s)


def url_from(cloud, which, clock_is_off, expires_s=60):
    """A URL that was made by a clock which goes wrong by so much."""
    at = datetime.now(timezone.utc) + clock_is_off
    return presigned(cloud, "GET", f"/{which['Bucket']}/{which['Key']}", at=at, expires_s=expires_s)


def problem(response):
    return {"Error": xml_error(type("Answer", (), {"body": response.content}))}


def test_get_put_head_delete(s3, bucket):
    which = {"Bucket": bucket, "Key": "a/b c+ü"}
    put = requests.put(url(s3, "put_object", **which), data=b"something")
    assert put.status_code == 200, put.text
    got = requests.get(url(s3, "get_object", **which))
    assert (got.status_code, got.content) == (200, b"something")
    assert requests.head(url(s3, "head_object", **which)).headers["Content-Length"] == "9"
    assert requests.delete(url(s3, "delete_object", **which)).status_code == 204
    assert requests.get(url(s3, "get_object", **which)).status_code == 404


def test_version_2_which_boto3_makes_by_default(cloud, something):
    older = cloud.client("s3", signature_version="s3")
    made = older.generate_presigned_url("get_object", Params=something, ExpiresIn=60)
    assert "AWSAccessKeyId=" in made
    assert requests.get(made).content == b"something"
    assert requests.get(made.replace("/k?", "/other?")).status_code == 403
    late = older.generate_presigned_url("get_object", Params=something, ExpiresIn=-10)
    assert requests.get(late).status_code == 403


def test_response_overrides_are_signed_into_it(s3, something):
    got = requests.get(url(s3, "get_object", **something, ResponseContentType="image/png"))
    assert got.headers["Content-Type"] == "image/png"
    spoilt = url(s3, "get_object", **something) + "&response-content-type=image/png"
    assert requests.get(spoilt).status_code == 403


def test_expired(cloud, something):
    recorded = snapshot(FILE, "TestS3PresignedUrl::test_s3_presigned_url_expired[s3v4]")["expired-exception"]
    late = requests.get(url_from(cloud, something, -timedelta(seconds=10), expires_s=2))
    assert late.status_code == 403
    assert_like(problem(late), recorded, ignore={"RequestId", "HostId"})


def test_from_the_future(cloud, something):
    early = requests.get(url_from(cloud, something, timedelta(hours=1)))
    assert early.status_code == 403
    assert problem(early)["Error"]["Code"] == "AccessDenied"
    assert problem(early)["Error"]["Message"] == "Request is not yet valid"


def test_longer_than_a_week(s3, something):
    week = 7 * 24 * 3600
    assert requests.get(url(s3, "get_object", expires_s=week, **something)).status_code == 200
    longer = requests.get(url(s3, "get_object", expires_s=week + 1, **something))
    assert longer.status_code == 400
    error = problem(longer)["Error"]
    assert error["Code"] == "AuthorizationQueryParametersError"
    assert (
        error["Message"]
        == "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"
    )


def test_wrong_signature(s3, something):
    recorded = snapshot(FILE, "TestS3PresignedUrl::test_presigned_url_signature_authentication[s3v4-False]")
    spoilt = url(s3, "get_object", **something).replace("/k?", "/other?")
    answer = requests.get(spoilt)
    assert answer.status_code == 403
    assert_like(problem(answer), recorded["invalid-get-1"], ignore={"RequestId", "HostId"})
    assert ROOT_SECRET not in answer.text


def test_another_method(s3, something):
    assert requests.put(url(s3, "get_object", **something), data=b"x").status_code == 403
    assert s3.get_object(**something)["Body"].read() == b"something"


def test_a_missing_parameter(s3, something):
    recorded = snapshot(FILE, "TestS3PresignedUrl::test_s3_put_presigned_url_missing_sig_param[s3v4]")
    whole = url(s3, "get_object", **something)
    start, rest = whole.split("?")
    kept = [pair for pair in rest.split("&") if not pair.startswith("X-Amz-Signature=")]
    answer = requests.get(f"{start}?{'&'.join(kept)}")
    assert answer.status_code == 400
    expected = {"Error": recorded["missing-param-exception"]["Error"]}
    assert_like(problem(answer), expected, ignore={"RequestId", "HostId"})


def test_a_signed_header_must_be_sent(s3, something):
    signed = url(s3, "put_object", **something, ContentType="text/plain")
    assert requests.put(signed, data=b"x", headers={"Content-Type": "text/html"}).status_code == 403
    assert requests.put(signed, data=b"x", headers={"Content-Type": "text/plain"}).status_code == 200


def test_without_any_signature(s3, cloud, something):
    answer = requests.get(f"{cloud.endpoint}/{something['Bucket']}/k")
    assert answer.status_code == 403
    error = problem(answer)["Error"]
    assert (error["Code"], error["Message"]) == ("AccessDenied", "Access Denied")
