"""Container images made in memory, a registry that serves them, and OCI layouts on disk."""

import base64
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def entry(path, content=None, mode=None, kind=None, link=""):
    """One entry of a layer: a folder without content, a file with, or what `kind` says."""
    found = tarfile.TarInfo(path)
    found.mode = mode or (0o755 if content is None else 0o644)
    found.linkname = link
    found.type = kind or (tarfile.DIRTYPE if content is None else tarfile.REGTYPE)
    content = content.encode() if isinstance(content, str) else content or b""
    found.size = len(content)
    return found, content


def symlink(path, to):
    return entry(path, kind=tarfile.SYMTYPE, mode=0o777, link=to)


def tar(entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Image:
    """One image: its parts by their digests."""

    def __init__(self, layers, config=None, architecture=ARCHITECTURE, pack="gzip"):
        self.blobs = {}
        plain = [tar(layer) for layer in layers]
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in plain]},
        }
        self.layers = [self._layer(layer, pack) for layer in plain]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._add(json.dumps(config).encode(), CONFIG),
            "layers": self.layers,
        }
        self.manifest = json.dumps(manifest).encode()
        self.digest = digest(self.manifest)
        self.sha256 = self.digest.removeprefix("sha256:")
        self.architecture = architecture

    def _layer(self, layer, pack):
        packed = gzip.compress(layer, 1, mtime=0) if pack == "gzip" else layer
        return self._add(packed, f"{LAYER}+gzip" if pack == "gzip" else LAYER)

    def _add(self, content, kind):
        self.blobs[digest(content)] = content
        return {"mediaType": kind, "digest": digest(content), "size": len(content)}

    def descriptor(self):
        platform = {"os": "linux", "architecture": self.architecture}
        return {"mediaType": MANIFEST, "digest": self.digest, "size": len(self.manifest), "platform": platform}


def index(*images):
    """The bytes of an index of several images."""
    manifests = [image.descriptor() for image in images]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()


def write_layout(folder, image, tag=None):
    """Writes an image as an OCI layout."""
    blobs = Path(folder) / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for name, content in {**image.blobs, image.digest: image.manifest}.items():
        (blobs / name.removeprefix("sha256:")).write_bytes(content)
    one = image.descriptor()
    if tag:
        one["annotations"] = {"org.opencontainers.image.ref.name": tag}
    Path(folder, "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [one]}))
    Path(folder, "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


class Registry:
    """Serves images under /v2/ as the distribution specification says. What tests change, it does from then on."""

    def __init__(self):
        # What is served, by (repository, tag or digest) and by digest.
        self.manifests = {}
        self.blobs = {}
        # How it wants to be talked to: None, "basic" or "bearer"; and the user with its password.
        self.demand = None
        self.user = "puller:secret"
        # Where layers are sent for instead of here, if anywhere.
        self.send_to = None
        self.paths = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def push(self, repository, image, tag="latest"):
        """Takes an image in; gives its name."""
        self.blobs.update(image.blobs)
        self.manifests[repository, tag] = self.manifests[repository, image.digest] = image.manifest
        return f"{self.host}/{repository}:{tag}"

    def push_index(self, repository, *images, tag="latest"):
        for image in images:
            self.push(repository, image, tag="unused")
        self.manifests[repository, tag] = index(*images)
        return f"{self.host}/{repository}:{tag}"

    def answer(self, request):
        self.paths.append(request.path)
        path, _, query = request.path.partition("?")
        if path == "/token":
            return self._token(request)
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", path)
        if not found:
            return self._send(request, 404)
        if self.demand and not self._knows(request.headers.get("Authorization", "")):
            realm = f'realm="http://{self.host}/token",service="tests"'
            demand = f"Bearer {realm}" if self.demand == "bearer" else 'Basic realm="tests"'
            return self._send(request, 401, **{"WWW-Authenticate": demand})
        repository, what, name = found.groups()
        if what == "blobs":
            if self.send_to and name in self.blobs and self.blobs[name][:2] == b"\x1f\x8b":
                return self._send(request, 307, Location=self.send_to)
            return self._content(request, self.blobs.get(name))
        self._content(request, self.manifests.get((repository, name)))

    def _knows(self, authorization):
        pair = base64.b64encode(self.user.encode()).decode()
        wanted = f"Basic {pair}" if self.demand == "basic" else "Bearer the-token"
        return authorization == wanted

    def _token(self, request):
        pair = base64.b64encode(self.user.encode()).decode()
        if request.headers.get("Authorization") != f"Basic {pair}" or "scope=repository" not in request.path:
            return self._send(request, 401)
        self._content(request, b'{"token": "the-token"}')

    def _content(self, request, content):
        if content is None:
            return self._send(request, 404)
        self._send(request, 200, content)

    def _send(self, request, status, content=b"", **headers):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        try:
            request.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            pass


def with_libraries(program, path):
    """Entries of a program of this host and of the libraries that it needs."""
    entries = [entry(path.lstrip("/"), Path(program).read_bytes(), 0o755)]
    listed = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    for library in sorted(set(re.findall(r"(/\S+) \(0x", listed))):
        entries.append(entry(library.lstrip("/"), Path(library).read_bytes(), 0o755))
    return entries


def host_node():
    """Entries of the host's Node.js and of what it needs, as an image of its makers has it; `None` where there is none."""
    found = shutil.which("node", path="/usr/bin:/usr/local/bin") or shutil.which("node")
    return found and with_libraries(os.path.realpath(found), "/usr/local/bin/node")


def host_python():
    """Entries of the host's Python, without its packages; and the path of the program."""
    program = os.path.realpath("/usr/bin/python3")
    script = "import json, sysconfig; print(json.dumps(sysconfig.get_paths()['stdlib']))"
    stdlib = Path(json.loads(subprocess.run([program, "-c", script], capture_output=True, check=True).stdout))
    entries = with_libraries(program, program)
    left_out = {"test", "idlelib", "tkinter", "ensurepip", "site-packages", "dist-packages", "__pycache__", "lib2to3"}
    seen = {info.name for info, _ in entries}
    for folder, folders, files in os.walk(stdlib):
        folders[:] = sorted(name for name in folders if name not in left_out and not name.startswith("config-"))
        for name in sorted(files):
            file = Path(folder, name)
            if file.is_file() and file.suffix in (".py", ".so"):
                entries.append(entry(str(file).lstrip("/"), file.read_bytes()))
                if file.suffix == ".so":
                    for info, content in with_libraries(str(file), str(file))[1:]:
                        if info.name not in seen:
                            seen.add(info.name)
                            entries.append((info, content))
    return entries, program


