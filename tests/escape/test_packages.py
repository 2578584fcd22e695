"""Deployment packages that mean harm: what the platform unpacks, as itself, before anything is fenced."""

import io
import json
import re
import shutil
import struct
import subprocess
import warnings
import zipfile

import pytest
from botocore.exceptions import ClientError

from conftest import answer_of

CODE = b"def handler(event, context): return 'loaded'"
LOOK = b"""
import os, stat
def handler(event, context):
    found = {}
    for folder, folders, files in os.walk("/var/task"):
        for name in folders + files:
            path = os.path.join(folder, name)
            about = os.lstat(path)
            found[path[10:]] = [stat.filemode(about.st_mode), about.st_nlink, about.st_uid == os.getuid()]
    return found
"""
SETUID_PROGRAM = b"""
import os, subprocess
def handler(event, context):
    about = os.stat("/var/task/id")
    return {"mode": oct(about.st_mode), "user": subprocess.check_output(["/var/task/id", "-u"], text=True).strip(),
            "me": os.getuid()}
"""


def zipped(*entries, code=CODE):
    """A zip of (name, content, Unix mode, extra field)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content, mode, extra in [("index.py", code, 0o100644, b""), *entries]:
            about = zipfile.ZipInfo("placeholder", (2024, 1, 1, 0, 0, 0))
            # Set afterwards: the constructor would clean it.
            about.filename, about.orig_filename = name, name
            about.create_system, about.external_attr, about.extra = 3, mode << 16, extra
            with warnings.catch_warnings():
                # That a name comes twice is meant.
                warnings.simplefilter("ignore")
                archive.writestr(about, content)
    return buffer.getvalue()


@pytest.fixture
def create(awslambda, role, unique):
    def create(package):
        name = unique("package")
        settings = {"Runtime": "python3.13", "Handler": "index.handler", "Role": role}
        awslambda.create_function(FunctionName=name, Code={"ZipFile": package}, **settings)
        return name

    return create


def unix_extra(link=b"", device=(0, 0)):
    """The "PKWARE Unix" field, with which some tools keep hard links and devices."""
    data = struct.pack("<IIHH", 0, 0, 0, 0) + (link or struct.pack("<II", *device))
    return struct.pack("<HH", 0x000D, len(data)) + data


OUT_OF_THE_PACKAGE = {
    "up": "../planted",
    "up from below": "a/../../planted",
    "far up": "../" * 40 + "{folder}/planted",
    "absolute": "{folder}/planted",
    "twice absolute": "/{folder}/planted",
}
LINKS = {
    "to a folder of the host": "{folder}",
    "to /etc": "/etc",
    "to the root": "/",
    "up and out": "../" * 40 + "{folder}",
    "by way of a folder": "a/../../{folder}",
    "to process 1": "/proc/1/root",
}


UNREADABLE = "Could not unzip uploaded file"


@pytest.fixture
def rejects(create, cloud):
    """Makes sure that a package is refused for the one entry's sake, as the log says: with another one it is taken."""

    def rejects(*entries, why, harmless):
        before = cloud.log.stat().st_size
        with pytest.raises(ClientError, match=UNREADABLE) as refused:
            create(zipped(*entries))
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"
        assert re.search(why, cloud.log.read_bytes()[before:].decode())
        create(zipped(*harmless))

    return rejects


@pytest.mark.parametrize("name", OUT_OF_THE_PACKAGE.values(), ids=list(OUT_OF_THE_PACKAGE))
def test_names_that_lead_out(rejects, tmp_path, name):
    named = lambda name: (name, b"planted", 0o100644, b"")
    why = "has an absolute path" if name.startswith(("/", "{")) else "leads out of the package"
    rejects(named(name.format(folder=tmp_path)), why=why, harmless=[named("a/planted")])
    assert not list(tmp_path.rglob("planted"))


@pytest.mark.parametrize("target", LINKS.values(), ids=list(LINKS))
def test_symbolic_links_that_lead_out(rejects, tmp_path, target):
    to = lambda target: ("link", target.encode(), 0o120777, b"")
    why = "links (to an absolute path|out of the package|through a folder and back)"
    rejects(to(target.format(folder=tmp_path)), why=why, harmless=[to("index.py")])


def test_a_file_through_a_link(rejects):
    """A link that stays inside, used as a folder by the next entry."""
    link, file = ("link", b"folder", 0o120777, b""), ("folder/a", b"", 0o100644, b"")
    through = ("link/planted", b"planted", 0o100644, b"")
    rejects(link, file, through, why="lies in something that is no folder", harmless=[link, file])


def test_a_file_over_a_link(rejects):
    link = ("link", b"index.py", 0o120777, b"")
    rejects(link, ("link", b"planted", 0o100644, b""), why="comes twice", harmless=[link])


@pytest.mark.parametrize(
    ("mode", "extra"),
    [
        (0o020666, unix_extra(device=(1, 1))),
        (0o060666, unix_extra(device=(254, 0))),
        (0o010666, b""),
        (0o140666, b""),
    ],
    ids=["character device", "block device", "pipe", "socket"],
)
def test_entries_that_are_no_files(rejects, mode, extra):
    why = "is neither a file, a folder nor a link"
    rejects(("thing", b"", mode, extra), why=why, harmless=[("thing", b"", 0o100666, extra)])


def test_hard_links_are_files_of_their_own(awslambda, create, tmp_path):
    """A zip has hard links only in an extra field; whoever honours it links to any file of the host."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    package = zipped(("linked", b"", 0o100644, unix_extra(link=str(secret).encode())), code=LOOK)
    found = answer_of(invoke_when_active(awslambda, create(package)))
    assert found["linked"] == ["-rw-r--r--", 1, False]
    assert secret.stat().st_nlink == 1


def test_set_user_id_bits(awslambda, create, tmp_path):
    """A program of root's with the set-uid bit, unpacked by root, would run as root."""
    program = open("/usr/bin/id", "rb").read()
    package = zipped(("id", program, 0o106755, b""), code=SETUID_PROGRAM)
    seen = answer_of(invoke_when_active(awslambda, create(package)))
    assert seen["mode"] == "0o100755"
    assert seen["user"] == str(seen["me"]) != "0"


def test_set_user_id_bits_would_work(tmp_path):
    """The control: the same program with the same bits, on the host."""
    copy = tmp_path / "id"
    shutil.copy("/usr/bin/id", copy)
    copy.chmod(0o4755)
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    if copy.stat().st_uid != 0:
        pytest.skip("needs root to make a program of root's")
    told = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", copy, "-u"], capture_output=True, text=True)
    assert told.stdout == "0\n", told


def test_what_a_package_holds_is_nobodys(awslambda, create):
    """Unpacked files are not the function's to change, and have no more bits than they need."""
    package = zipped(("wide", b"x", 0o100777, b""), ("closed", b"x", 0o100000, b""), ("f/", b"", 0o040777, b""), code=LOOK)
    found = answer_of(invoke_when_active(awslambda, create(package)))
    assert found["wide"] == ["-rwxr-xr-x", 1, False]
    assert found["closed"] == ["-rw-r--r--", 1, False]
    assert found["f"][0] == "drwxr-xr-x"


def test_a_bomb(create, cloud):
    """More zeros than a package may unpack to, in little."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("index.py", CODE)
        with archive.open("zeros", "w") as entry:
            for _ in range(260):
                entry.write(bytes(1 << 20))
    cloud.forget_memory_peak()
    before = cloud.memory_peak_bytes()
    with pytest.raises(ClientError, match="262144000") as refused:
        create(buffer.getvalue())
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert cloud.memory_peak_bytes() - before < 64 << 20


def test_a_bomb_that_claims_to_be_small(create):
    """The directory says ten bytes; the data says otherwise."""
    package = bytearray(zipped(("lie", b"y" * 100_000, 0o100644, b"")))
    true_size, lie = struct.pack("<I", 100_000), struct.pack("<I", 10)
    assert package.count(true_size) >= 2
    directory = package.rindex(b"PK\x01\x02")
    at = directory + 24
    assert package[at : at + 4] == true_size
    package[at : at + 4] = lie
    with pytest.raises(ClientError, match=UNREADABLE) as refused:
        create(bytes(package))
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"


def invoke_when_active(awslambda, name):
    awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.02})
    return awslambda.invoke(FunctionName=name, Payload=json.dumps({}))
