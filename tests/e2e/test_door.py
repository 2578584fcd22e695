"""HTTPS and the limits of the door: whom the cloud lets in, how, and what it does with those who misbehave."""

import json
import re
import socket
import ssl
import subprocess
import time
import urllib.request
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cloud import REGION, ROOT_KEY, ROOT_SECRET, Cloud

# More than the door lets through at once, and fewer than it takes long to answer.
WRONG = 250
IDLE = 1000
# The files are looked at once a second.
LATE_S = 20


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    cloud = Cloud(tmp_path_factory.mktemp("door"), with_runtimes=False).start()
    yield cloud
    cloud.close()


def authority(cloud):
    return str(cloud.data / "tls-authority.pem")


def https(cloud, host="localhost"):
    return f"https://{host}:{urlsplit(cloud.endpoint).port}"


def client(endpoint, service, verify, **settings):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ROOT_KEY,
        aws_secret_access_key=ROOT_SECRET,
        verify=verify,
        config=Config(retries={"total_max_attempts": 1}, **settings),
    )


def test_boto3_over_https(door):
    s3 = client(https(door), "s3", authority(door), s3={"addressing_style": "path"})
    s3.create_bucket(Bucket="over-https")
    s3.put_object(Bucket="over-https", Key="k", Body=b"x" * 300_000)
    assert s3.get_object(Bucket="over-https", Key="k")["Body"].read() == b"x" * 300_000
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "over-https", "Key": "k"})
    assert url.startswith("https://")
    trusting = ssl.create_default_context(cafile=authority(door))
    assert len(urllib.request.urlopen(url, context=trusting, timeout=20).read()) == 300_000
    by_address = client(https(door, "127.0.0.1"), "sts", authority(door))
    assert by_address.get_caller_identity()["Account"] == "000000000000"


def handshake(cloud, name):
    """The names of the certificate that a client gets who asks for this one and checks it."""
    trusting = ssl.create_default_context(cafile=authority(cloud))
    address = ("127.0.0.1", urlsplit(cloud.endpoint).port)
    with socket.create_connection(address, timeout=20) as plain:
        with trusting.wrap_socket(plain, server_hostname=name) as secure:
            assert secure.version() in ("TLSv1.2", "TLSv1.3")
            return [value for _, value in secure.getpeercert()["subjectAltName"]]


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "127.0.0.1",
        "bucket.s3.localhost",
        "bucket.localhost",
        "my.bucket.s3.localhost",
        "api.execute-api.localhost",
        "abc.lambda-url.eu-central-1.localhost",
    ],
)
def test_names_of_the_certificate(door, name):
    assert name in handshake(door, name) or f"*.{name.split('.', 1)[1]}" in handshake(door, name)


def test_other_names_are_not_vouched_for(door):
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(door, "example.com")


def test_curl_trusts_what_lambent_trust_names(door):
    said = door.command("trust")
    assert said.returncode == 0, said.stderr
    file = re.search(r"authority is in (\S+)", said.stdout).group(1)
    pem = door.command("trust", "--pem").stdout
    assert pem.startswith("-----BEGIN CERTIFICATE-----")
    url = f"{https(door)}/_lambent/health"
    answer = subprocess.run(["curl", "-sS", "--cacert", file, url], capture_output=True, text=True, timeout=20)
    assert json.loads(answer.stdout)["status"] == "ready", answer.stderr
    stranger = subprocess.run(["curl", "-sS", url], capture_output=True, text=True, timeout=20)
    assert stranger.returncode == 60, stranger.stderr


def test_env_with_https(door):
    said = door.command("env", "--https").stdout
    assert f"export AWS_ENDPOINT_URL={https(door, '127.0.0.1')}\n" in said
    assert f"export AWS_CA_BUNDLE={authority(door)}\n" in said
    assert f"export NODE_EXTRA_CA_CERTS={authority(door)}\n" in said
    assert "https" not in door.command("env").stdout


def test_keys_are_private(door):
    for name in ["tls-authority.json", "tls-authority.pem"]:
        assert (door.data / name).stat().st_mode & 0o777 == 0o600, name
    assert "PRIVATE" not in (door.data / "tls-authority.pem").read_text()


def test_the_authority_stays(tmp_path):
    cloud = Cloud(tmp_path, with_runtimes=False).start()
    try:
        before = (cloud.data / "tls-authority.pem").read_text()
        cloud.stop()
        cloud.start()
        assert (cloud.data / "tls-authority.pem").read_text() == before
        assert "localhost" in handshake(cloud, "localhost")
    finally:
        cloud.close()


def given(folder, name):
    """A self-signed certificate for a name, and its key, in the files that the cloud is given."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        check=True, capture_output=True, timeout=20,
    )


def shown(cloud):
    """The certificate that strangers are shown."""
    return ssl.get_server_certificate(("127.0.0.1", urlsplit(cloud.endpoint).port))


def test_given_certificates_are_taken_anew(tmp_path):
    given(tmp_path, "first.example")
    options = ["--tls-certificate", str(tmp_path / "certificate.pem"), "--tls-key", str(tmp_path / "key.pem")]
    cloud = Cloud(tmp_path, with_runtimes=False).start(*options)
    try:
        first = shown(cloud)
        assert first.strip() == (tmp_path / "certificate.pem").read_text().strip()
        assert cloud.command("trust").returncode == 1
        given(tmp_path, "second.example")
        late = time.monotonic() + LATE_S
        while shown(cloud) == first:
            assert time.monotonic() < late, "the new certificate is not in use"
        assert shown(cloud).strip() == (tmp_path / "certificate.pem").read_text().strip()
    finally:
        cloud.close()


@pytest.fixture
def two_addresses():
    """Addresses of this host that are not loopback's, from one of which the other looks like another host."""
    addresses = ["198.51.100.7", "198.51.100.8"]
    made = []
    try:
        for address in addresses:
            command = ["ip", "address", "add", f"{address}/32", "dev", "lo"]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=10)
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"this host gives no more addresses: {error}")
            made.append(address)
        yield addresses
    finally:
        for address in made:
            subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=False, timeout=10)


def plain(cloud, source, path):
    """What is answered to a request without TLS and without a signature that comes from an address."""
    address = urlsplit(cloud.endpoint)
    place = (address.hostname, address.port)
    with socket.create_connection(place, timeout=20, source_address=(source, 0)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {address.netloc}\r\nconnection: close\r\n\r\n".encode())
        return connection.makefile("rb").read()


def test_plain_http_from_elsewhere_is_refused(tmp_path, two_addresses):
    here, elsewhere = two_addresses
    cloud = Cloud(tmp_path, with_runtimes=False).start(listen=f"{here}:0")
    try:
        assert cloud.endpoint.startswith(f"https://{here}:")
        assert cloud.command("bill").returncode == 0, "commands on this host need no TLS"
        # The address is public, so the authority was made for it.
        sts = client(cloud.endpoint, "sts", authority(cloud))
        assert sts.get_caller_identity()["Account"] == "000000000000"
        for path in ["/bucket/key", "/_lambent/bill"]:
            answer = plain(cloud, elsewhere, path)
            assert answer.startswith(b"HTTP/1.1 403 ") and b"InsecureTransport" in answer, answer
            assert b"--allow-plain-http" in answer
        assert plain(cloud, elsewhere, "/_lambent/health").startswith(b"HTTP/1.1 200 ")
        assert b"InsecureTransport" not in plain(cloud, here, "/bucket/key")
        cloud.stop()
        cloud.start("--allow-plain-http", listen=f"{here}:0")
        assert cloud.endpoint.startswith("http://")
        assert b"InsecureTransport" not in plain(cloud, elsewhere, "/bucket/key")
    finally:
        cloud.close()


def test_wrong_signatures_hold_up_nobody_else(door):
    wrong = boto3.client(
        "sts", endpoint_url=door.endpoint, region_name=REGION, aws_access_key_id=ROOT_KEY,
        aws_secret_access_key="wrong", config=Config(retries={"total_max_attempts": 1}),
    )
    for _ in range(WRONG):
        with pytest.raises(ClientError) as refused:
            wrong.get_caller_identity()
        assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert door.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_a_flood_of_idle_connections_and_a_slow_head(door):
    address = ("127.0.0.1", urlsplit(door.endpoint).port)
    idle = [socket.create_connection(address, timeout=20) for _ in range(IDLE)]
    for number, connection in enumerate(idle):
        connection.sendall(b"GET /_lambent/health HTTP/1.1\r\nx-slow: " if number % 2 else b"\x16\x03\x01")
    assert door.client("sts").get_caller_identity()["Account"] == "000000000000"
    # The handshakes that do not go on are given up first.
    idle[0].settimeout(30)
    assert idle[0].recv(100) == b""
    for connection in idle:
        connection.close()


def test_a_head_of_a_megabyte(door):
    address = ("127.0.0.1", urlsplit(door.endpoint).port)
    with socket.create_connection(address, timeout=20) as connection:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-long: " + b"x" * 2**20 + b"\r\n\r\n")
            answer = connection.recv(1000)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
