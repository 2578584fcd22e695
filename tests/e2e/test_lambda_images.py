"""Functions that are container images, from a registry and from a folder."""

import base64
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import images
import packages
from cloud import Cloud, eventually
from conftest import make_role
from images import Image, entry, symlink

PROBE = """
import json, os

def handler(event, context):
    return eval(event["say"], {"os": os, "event": event, "read": read, "attempt": attempt})

def read(path):
    with open(path) as file:
        return file.read()

def attempt(work):
    try:
        return work()
    except OSError as error:
        return error.strerror
"""


@pytest.fixture(scope="module")
def registry():
    registry = images.Registry()
    yield registry
    registry.close()


@pytest.fixture(autouse=True)
def registry_is_open(registry):
    yield
    registry.demand = registry.send_to = None


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """The operator's folder of images."""
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture(scope="module")
def options(registry, shelf, tmp_path_factory):
    credentials = tmp_path_factory.mktemp("operator") / "registries.json"
    pair = base64.b64encode(registry.user.encode()).decode()
    credentials.write_text(json.dumps({"auths": {registry.host: {"auth": pair}}}))
    given = ["--registry", f"http://{registry.host}", "--registry-credentials", str(credentials)]
    return [*given, "--images", str(shelf)]


@pytest.fixture(scope="module")
def house(options, tmp_path_factory):
    """A cloud whose operator allows images."""
    house = Cloud(tmp_path_factory.mktemp("house"))
    house.start(*options)
    yield house
    alive = house.process.poll() is None
    house.close()
    assert alive, f"lambent ended by itself\n{house.tail()}"


@pytest.fixture(scope="module")
def client(house):
    return house.client("lambda")


@pytest.fixture(scope="module")
def taken(house):
    return make_role(house.client("iam"), "image-role", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A program that speaks the Runtime API, linked statically."""
    program = tmp_path_factory.mktemp("program") / "bootstrap"
    source = Path(__file__).with_name("bootstrap.rs")
    static = ["-C", "target-feature=+crt-static", "-C", "strip=symbols", "-O", "--edition", "2021"]
    subprocess.run(["rustc", *static, "-o", program, source], check=True)
    return program.read_bytes()


@pytest.fixture(scope="module")
def python():
    """The lower layer of an image with an interpreter and no client of the Runtime API."""
    entries, program = images.host_python()
    return [*entries, symlink("usr/bin/python3", program)] if program != "/usr/bin/python3" else entries


@pytest.fixture
def create(client, taken, unique):
    made = []

    def create(uri, **settings):
        name = settings.pop("FunctionName", None) or unique("image")
        defaults = {"PackageType": "Image", "Role": taken, "Timeout": 20, "MemorySize": 512}
        answer = client.create_function(FunctionName=name, Code={"ImageUri": uri}, **{**defaults, **settings})
        made.append(name)
        return answer

    yield create
    for name in made:
        try:
            client.delete_function(FunctionName=name)
        except client.exceptions.ResourceNotFoundException:
            pass


@pytest.fixture
def deploy(create, client):
    def deploy(uri, **settings):
        name = create(uri, **settings)["FunctionName"]
        wait(client, name)
        return name

    return deploy


def wait(client, name):
    client.get_waiter("function_active_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200}
    )
    client.get_waiter("function_updated_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200}
    )


def failed(client, name):
    """The configuration of a function that could not become active."""
    return eventually(
        lambda: (found := client.get_function_configuration(FunctionName=name))["State"] == "Failed" and found
    )


def ask(client, name, event):
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    return answer, json.loads(answer["Payload"].read())


def say(client, name, expression, **more):
    answer, reply = ask(client, name, {"say": expression, **more})
    assert "FunctionError" not in answer, reply
    return reply


def probe(python, *more, config=None):
    """An image whose handler says what it is asked."""
    own = [entry("app/"), entry("app/app.py", PROBE)]
    defaults = {"Cmd": ["app.handler"], "WorkingDir": "/app", "Env": ["COLOUR=red", "SIZE=big"]}
    return Image([python, own, *more], {**defaults, **(config or {})})


def test_an_entry_point_that_speaks_the_runtime_api(client, deploy, registry, program):
    image = Image([[entry("srv/serve", program, 0o755)]], {"Entrypoint": ["/srv/serve"]})
    uri = registry.push("team/app", image, "v1")
    name = deploy(uri)
    answer, reply = ask(client, name, {"say": "hello"})
    assert reply["said"] == "HELLO"
    assert answer["ExecutedVersion"] == "$LATEST"
    found = client.get_function(FunctionName=name)
    assert found["Code"] == {
        "RepositoryType": "ECR",
        "ImageUri": uri,
        "ResolvedImageUri": f"{registry.host}/team/app@{image.digest}",
    }
    shown = found["Configuration"]
    assert (shown["PackageType"], shown["CodeSha256"], shown["CodeSize"]) == ("Image", image.sha256, 0)
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")
    assert not {"Runtime", "Handler", "RuntimeVersionConfig", "ImageConfigResponse", "Layers"} & set(shown)


def test_a_handler_without_a_client(client, deploy, registry, python):
    name = deploy(registry.push("probe", probe(python)), Environment={"Variables": {"SIZE": "small"}})
    assert say(client, name, "event['n'] + 1", n=41) == 42
    asked = "[os.environ[n] for n in ('COLOUR', 'SIZE', '_HANDLER', 'LAMBDA_TASK_ROOT', 'AWS_EXECUTION_ENV')]"
    assert say(client, name, asked) == ["red", "small", "app.handler", "/app", "AWS_Lambda_Image"]
    assert say(client, name, "os.getcwd()") == "/app"
    answer, reply = ask(client, name, {"say": "1 / 0"})
    assert (answer["FunctionError"], reply["errorType"]) == ("Unhandled", "ZeroDivisionError")
    assert "REPORT RequestId" in base64.b64decode(answer["LogResult"]).decode()


def test_a_handler_in_node_without_a_client(client, deploy, registry):
    node = images.host_node()
    if not node:
        pytest.skip("there is no Node.js")
    code = """
    export const handler = async (event, context) => {
      if (event.fail) throw new RangeError('asked to');
      return [event.n + 1, process.cwd(), process.env.COLOUR, process.env._HANDLER, context.functionVersion];
    };
    """
    own = [entry("app/"), entry("app/src/"), entry("app/src/app.mjs", code)]
    config = {"Cmd": ["src/app.handler"], "WorkingDir": "/app", "Env": ["COLOUR=red", "PATH=/usr/local/bin"]}
    name = deploy(registry.push("node", Image([node, own], config)))
    answer, reply = ask(client, name, {"n": 41})
    assert reply == [42, "/app", "red", "src/app.handler", "$LATEST"]
    answer, reply = ask(client, name, {"fail": True})
    assert (answer["FunctionError"], reply["errorType"], reply["errorMessage"]) == ("Unhandled", "RangeError", "asked to")
    assert "REPORT RequestId" in base64.b64decode(answer["LogResult"]).decode()


def test_layers_lie_over_each_other(client, deploy, registry, python):
    lower = [entry("data/"), entry("data/old", "old"), entry("data/kept", "kept"), entry("gone/file", "x")]
    upper = [
        entry("data/.wh.old", ""),
        entry("data/new", "new"),
        entry("gone/.wh..wh..opq", ""),
        entry("gone/instead", "y"),
    ]
    name = deploy(registry.push("layers", probe(python, lower, upper)))
    assert say(client, name, "sorted(os.listdir('/data'))") == ["kept", "new"]
    assert say(client, name, "os.listdir('/gone')") == ["instead"]


def test_the_functions_own_words_go_before_the_images(client, deploy, registry, python, program):
    more = [entry("other/other.py", "def run(event, context):\n    return 'other'\n"), entry("srv/serve", program, 0o755)]
    uri = registry.push("overrides", probe(python, more))
    own = {"Command": ["other.run"], "WorkingDirectory": "/other"}
    name = deploy(uri, ImageConfig=own)
    shown = client.get_function_configuration(FunctionName=name)
    assert shown["ImageConfigResponse"] == {"ImageConfig": own}
    assert ask(client, name, {})[1] == "other"
    client.update_function_configuration(FunctionName=name, ImageConfig={"EntryPoint": ["/srv/serve"]})
    wait(client, name)
    assert ask(client, name, {"say": "own"})[1]["said"] == "OWN"
    client.update_function_configuration(FunctionName=name, ImageConfig={})
    wait(client, name)
    assert "ImageConfigResponse" not in client.get_function_configuration(FunctionName=name)
    assert say(client, name, "os.getcwd()") == "/app"


def test_what_cannot_be_executed_is_said(client, deploy, registry, program):
    image = Image([[entry("srv/serve", program, 0o755), entry("srv/data", "no program", 0o755)]], {"Cmd": ["/srv/serve"]})
    uri = registry.push("words", image)
    for config, kind, words in [
        ({"EntryPoint": ["/srv/none"]}, "Runtime.InvalidEntrypoint", "fork/exec /srv/none: no such file or directory"),
        ({"EntryPoint": ["/srv/data"]}, "Runtime.InvalidEntrypoint", "fork/exec /srv/data: exec format error"),
        ({"WorkingDirectory": "/nowhere"}, "Runtime.InvalidWorkingDir", "chdir /nowhere: no such file or directory"),
    ]:
        answer, reply = ask(client, deploy(uri, ImageConfig=config), {})
        assert answer["FunctionError"] == "Unhandled"
        assert reply["errorType"] == kind and words in reply["errorMessage"], reply
        assert "REPORT RequestId" in base64.b64decode(answer["LogResult"]).decode()


def test_an_index_has_an_image_for_each_architecture(create, client, deploy, registry, program):
    def one(architecture):
        return Image([[entry("serve", program, 0o755)]], {"Cmd": ["/serve"]}, architecture)

    both = [one("amd64"), one("arm64")]
    mine = next(image for image in both if image.architecture == images.ARCHITECTURE)
    uri = registry.push_index("both", *both)
    architecture = {"amd64": "x86_64", "arm64": "arm64"}[images.ARCHITECTURE]
    name = deploy(uri, Architectures=[architecture])
    assert client.get_function_configuration(FunctionName=name)["CodeSha256"] == mine.sha256
    assert ask(client, name, {"say": "x"})[1]["said"] == "X"
    for uri in (registry.push_index("strange", one("s390x")), registry.push("strange", one("s390x"), "single")):
        with pytest.raises(ClientError) as refused:
            create(uri, Architectures=[architecture])
        error = refused.value.response["Error"]
        assert error["Code"] == "InvalidParameterValueException"
        assert f"Source image {uri} is not valid. Provide a valid source image." in error["Message"]
        assert "it is for linux/s390x, and the function for linux/" in error["Message"]


def test_images_that_are_not_there(create, registry, shelf):
    for uri in (f"{registry.host}/none:v1", "oci:none"):
        with pytest.raises(ClientError) as refused:
            create(uri)
        error = refused.value.response["Error"]
        assert error["Code"] == "InvalidParameterValueException"
        assert error["Message"] == f"Source image {uri} does not exist. Provide a valid source image."


def test_a_layer_that_is_missing_and_one_that_is_another(client, create, registry, program):
    image = Image([[entry("serve", program, 0o755)]], {"Cmd": ["/serve"]})
    layer = image.layers[0]["digest"]
    uri = registry.push("missing", image)
    whole = registry.blobs.pop(layer)
    shown = failed(client, create(uri)["FunctionName"])
    assert shown["StateReasonCode"] == "ImageDeleted"
    assert shown["StateReason"].startswith("The function is trying to use a deleted image")
    for wrong in (bytes([whole[0] ^ 255]) + whole[1:], whole[:-1], whole + b"x"):
        registry.blobs[layer] = wrong
        name = create(uri)["FunctionName"]
        assert failed(client, name)["StateReasonCode"] == "InvalidImage"
        with pytest.raises(ClientError) as refused:
            client.invoke(FunctionName=name)
        assert refused.value.response["Error"]["Code"] == "ResourceConflictException"
    registry.blobs[layer] = whole
    client.update_function_code(FunctionName=name, ImageUri=uri)
    wait(client, name)
    reply = ask(client, name, {"say": "well"})[1]
    assert reply.get("said") == "WELL", reply


@pytest.mark.parametrize(
    "layer",
    [
        [entry("../escaped", "x")],
        [entry("a/../../escaped", "x")],
        [entry("passwd", kind=tarfile.LNKTYPE, link="../../etc/passwd")],
        [symlink("etc", "/etc"), entry("shadow", kind=tarfile.LNKTYPE, link="etc/shadow")],
        [entry("a", "file"), entry("a/b", "beneath a file")],
        [symlink("var", "/root")],
    ],
)
def test_what_leads_out_is_no_image(client, create, registry, unique, layer):
    uri = registry.push(unique("bad"), Image([layer], {"Cmd": ["/serve"]}))
    shown = failed(client, create(uri)["FunctionName"])
    assert shown["StateReasonCode"] == "InvalidImage"
    assert shown["StateReason"].startswith("The function is using an invalid image: the entry")


def test_links_and_devices_of_an_image_open_nothing(client, deploy, registry, python, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    disk = tarfile.TarInfo("disk")
    disk.type, disk.mode, disk.devmajor, disk.devminor = tarfile.BLKTYPE, 0o666, 8, 0
    upper = [
        symlink("secret", str(secret)),
        symlink("passwd", "/etc/passwd"),
        symlink("up", "../../../../../../../.." + str(secret)),
        entry("root-file", "of root", 0o4755),
        entry("private", "of root", 0o600),
        symlink("tmp", "/app"),
        symlink("proc", "/"),
        (disk, b""),
    ]
    name = deploy(registry.push("links", probe(python, upper)))
    for path in ("/secret", "/up", "/passwd"):
        assert say(client, name, f"attempt(lambda: read({path!r}))") == "No such file or directory"
    assert say(client, name, "os.path.lexists('/disk')") is False
    assert say(client, name, "[oct(os.stat('/root-file').st_mode & 0o7777), os.getuid()]") == ["0o755", 993]
    assert say(client, name, "sorted(os.listdir('/dev'))[0]") == "fd"
    assert say(client, name, "[os.getpid() > 0, read('/proc/self/comm').strip()[:6]]") == [True, "python"]
    assert say(client, name, "attempt(lambda: open('/app/new', 'w'))") == "Read-only file system"
    assert say(client, name, "[open('/tmp/new', 'w').write('x'), 'new' in os.listdir('/tmp')]") == [1, True]
    asked = "[line.split()[5:] for line in read('/proc/self/mountinfo').splitlines() if line.split()[4] == '/'][0][0]"
    assert {"ro", "nosuid", "nodev"} <= set(say(client, name, asked).split(","))


def test_hosts_and_private_files_are_the_environments_own(client, deploy, registry, python):
    upper = [entry("etc/hosts", "6.6.6.6 evil\n"), symlink("etc/resolv.conf", "/run/systemd/resolve.conf")]
    name = deploy(registry.push("hosts", probe(python, upper)))
    assert "evil" not in say(client, name, "read('/etc/hosts')")
    assert say(client, name, "read('/etc/resolv.conf')") == ""
    assert say(client, name, "attempt(lambda: open('/etc/hosts', 'a'))") == "Permission denied"


def test_registries_that_ask_who_we_are(client, deploy, create, registry, program):
    for number, demand in enumerate(("basic", "bearer")):
        image = Image([[entry("serve", program, 0o755), entry(f"number{number}", "")]], {"Cmd": ["/serve"]})
        uri = registry.push("guarded", image, demand)
        registry.demand = demand
        assert ask(client, deploy(uri), {"say": demand})[1]["said"] == demand.upper()
    user, registry.user = registry.user, "somebody:else"
    try:
        with pytest.raises(ClientError) as refused:
            create(uri)
    finally:
        registry.user = user
    error = refused.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert error["Message"].startswith("Lambda does not have permission to access the ECR image.")


def test_only_what_the_operator_named_is_asked(client, create, registry, program, house):
    other = images.Registry()
    try:
        image = Image([[entry("serve", program, 0o755)]], {"Cmd": ["/serve"]})
        for uri in (
            other.push("app", image),
            f"http://{other.host}/app",
            f"https://{registry.host}/app",
            f"localhost:{registry.server.server_port}/app",
            house.endpoint + "/app",
            "169.254.169.254:80/latest",
        ):
            with pytest.raises(ClientError) as refused:
                create(uri)
            error = refused.value.response["Error"]
            assert error["Code"] == "AccessDeniedException" and "may not be reached" in error["Message"], uri
        # A registry that was named sends to one that was not.
        uri = registry.push("redirected", image)
        registry.send_to = f"http://{other.host}/v2/app/blobs/{image.layers[0]['digest']}"
        assert failed(client, create(uri)["FunctionName"])["StateReasonCode"] == "ImageAccessDenied"
        assert other.paths == []
    finally:
        other.close()


def test_names_that_are_none(create):
    for uri in ("", "app", "host.example/../x", "oci:../etc", "oci:/etc", "file:///etc/passwd"):
        with pytest.raises(ClientError) as refused:
            create(uri)
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException", uri


def test_images_and_packages_do_not_mix(client, create, deploy, registry, program, taken, unique):
    image = Image([[entry("serve", program, 0o755)]], {"Cmd": ["/serve"]})
    uri = registry.push("mix", image)
    name = deploy(uri)
    zipped = packages.python("handler = None")

    def refused(operation, **request):
        with pytest.raises(ClientError) as error:
            operation(**request)
        assert error.value.response["Error"]["Code"] == "InvalidParameterValueException"
        return error.value.response["Error"]["Message"]

    told = refused(client.update_function_code, FunctionName=name, ZipFile=zipped)
    assert told == "Please provide ImageUri when updating a function with packageType Image."
    for more in ({"Runtime": "python3.12"}, {"Handler": "a.b"}, {"Layers": [f"arn:aws:lambda:us-east-1:{'0' * 12}:layer:x:1"]}):
        assert "container images" in refused(client.update_function_configuration, FunctionName=name, **more)
        assert "container images" in refused(create, uri=uri, **more)
    assert "packageType Zip" in refused(create, uri=uri, PackageType="Zip", Runtime="python3.12", Handler="a.b")
    plain = unique("zip")
    defaults = {"Role": taken, "Runtime": "python3.13", "Handler": "index.handler"}
    client.create_function(FunctionName=plain, Code={"ZipFile": zipped}, **defaults)
    wait(client, plain)
    told = refused(client.update_function_code, FunctionName=plain, ImageUri=uri)
    assert told == "Please don't provide ImageUri when updating a function with packageType Zip."
    client.delete_function(FunctionName=plain)


def test_an_update_is_another_image_and_versions_stay(client, deploy, registry, python):
    def number(value):
        return probe(python, [entry("app/number.py", f"NUMBER = {value}\n")])

    name = deploy(registry.push("numbers", number(1)), Publish=True)
    asked = "__import__('number').NUMBER"
    assert say(client, name, asked) == 1
    uri = registry.push("numbers", number(2))
    assert say(client, name, asked) == 1, "a tag that moves changes nothing"
    client.update_function_code(FunctionName=name, ImageUri=uri)
    wait(client, name)
    assert say(client, name, asked) == 2
    answer = client.invoke(FunctionName=name, Qualifier="1", Payload=json.dumps({"say": asked}))
    assert (json.loads(answer["Payload"].read()), answer["ExecutedVersion"]) == (1, "1")


def test_an_image_that_goes_and_comes_back(house, client, create, registry, program):
    image = Image([[entry("serve", program, 0o755), entry("again", "")]], {"Cmd": ["/serve"]})
    uri = registry.push("again", image)
    for word in ("first", "second"):
        name = create(uri, FunctionName=f"again-{word}")["FunctionName"]
        wait(client, name)
        assert ask(client, name, {"say": word})[1]["said"] == word.upper()
        client.delete_function(FunctionName=name)
        eventually(lambda: not (house.data / "code" / image.sha256).exists(), 90)


def test_a_layout_on_disk(client, create, deploy, shelf, program):
    image = Image([[entry("serve", program, 0o755)]], {"Cmd": ["/serve"]}, pack=None)
    images.write_layout(shelf / "team" / "app", image, tag="v1")
    name = deploy("oci:team/app:v1")
    assert ask(client, name, {"say": "disk"})[1]["said"] == "DISK"
    found = client.get_function(FunctionName=name)["Code"]
    assert found["ResolvedImageUri"] == f"oci:team/app@{image.digest}"
    (shelf / "out").symlink_to("/")
    with pytest.raises(ClientError) as refused:
        create("oci:out/etc")
    assert "does not exist" in refused.value.response["Error"]["Message"]


def test_a_function_outlives_its_registry_and_the_cache(options, tmp_path, program, python):
    registry = images.Registry()
    cloud = Cloud(tmp_path)
    cloud.start("--registry", f"http://{registry.host}")
    try:
        role = make_role(cloud.client("iam"), "keeper", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
        client = cloud.client("lambda")
        uri = registry.push("kept", probe(python))
        defaults = {"PackageType": "Image", "Role": role, "Timeout": 20, "MemorySize": 512}
        client.create_function(FunctionName="kept", Code={"ImageUri": uri}, **defaults)
        wait(client, "kept")
        assert say(client, "kept", "1") == 1
        registry.close()
        cloud.kill()
        subprocess.run(["rm", "-rf", *map(str, (cloud.data / "code").iterdir())], check=True)
        # Without any registry allowed, and with nothing unpacked.
        cloud.start()
        client = cloud.client("lambda")
        assert say(client, "kept", "2") == 2
        cloud.stop()
        checked = cloud.command("check")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        cloud.start()
        client = cloud.client("lambda")
        assert say(client, "kept", "3") == 3, "a cold start after a restart"
        client.delete_function(FunctionName="kept")
        eventually(lambda: not any(len(path.name) == 64 for path in (cloud.data / "code").iterdir()), 60)
    finally:
        cloud.close()


def test_without_the_operator_there_are_no_images(awslambda, role, unique):
    for uri, words in (("127.0.0.1:5000/app", "--registry"), ("oci:app", "--images")):
        with pytest.raises(ClientError) as refused:
            awslambda.create_function(
                FunctionName=unique("image"), PackageType="Image", Role=role, Code={"ImageUri": uri}
            )
        error = refused.value.response["Error"]
        assert error["Code"] == "AccessDeniedException" and words in error["Message"]
