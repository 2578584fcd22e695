"""A `lambent up` of our own, and the clients that talk to it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import boto3
from botocore.config import Config

ROOT_KEY = "AKIALAMBENTENDTOEND0"
ROOT_SECRET = "end-to-end/secret+0123456789abcdefghijkl"
ACCOUNT = "000000000000"
REGION = "us-east-1"

READY_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30


class Cloud:
    """One data directory and the process that serves it; it can be stopped, killed and started again."""

    def __init__(self, folder, with_runtimes=True):
        self.folder = Path(folder)
        # The name that commands look for when they are run beside it.
        self.data = self.folder / "lambent-data"
        self.log = self.folder / "lambent.log"
        self.process = None
        self.endpoint = None
        if with_runtimes:
            give_runtimes(self.data)

    def start(self, *options, listen="127.0.0.1:0", **settings):
        """Starts it with more options of `up`, and more variables in its environment."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [binary(), "up", "--listen", listen, "--data", str(self.data), *options],
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env={**environment(), **settings},
                text=True,
            )
        self.endpoint = self._wait_until_ready()
        return self

    def _wait_until_ready(self):
        found = []
        ready = threading.Event()

        def read(lines):
            for line in lines:
                match = re.search(r"https?://[0-9A-Za-z.\[\]:-]+", line)
                if match and not found:
                    found.append(match.group().rstrip("."))
                    ready.set()
            ready.set()

        threading.Thread(target=read, args=(self.process.stdout,), daemon=True).start()
        ready.wait(READY_TIMEOUT_S)
        if not found:
            self.process.kill()
            raise AssertionError(f"lambent did not become ready\n{self.tail()}")
        return found[0]

    def stop(self):
        """Asks it to end, as an operator does; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)

    def kill(self):
        """Takes it away without a word, as a power cut does."""
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)

    def close(self):
        if self.process and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()

    def tail(self, bytes_max=4000):
        return self.log.read_bytes()[-bytes_max:].decode(errors="replace")

    def memory_peak_bytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024

    def forget_memory_peak(self):
        """Lets the peak begin anew from what is used now: else a test cannot see what it caused itself."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def client(self, service, key=ROOT_KEY, secret=ROOT_SECRET, token=None, **config):
        """A boto3 client that does not try again, so that a test sees the first answer."""
        settings = {"retries": {"total_max_attempts": 1}, "read_timeout": 90, "max_pool_connections": 64}
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(**{**settings, **config}),
        )

    def command(self, *words, timeout_s=60, **settings):
        """Runs a `lambent` command beside the data directory, with more variables in its environment."""
        return subprocess.run(
            [binary(), *words],
            cwd=self.folder,
            env={**environment(), **settings},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )

    def aws(self, *words, timeout_s=60):
        """Runs an `aws` command against this cloud."""
        settings = {
            "AWS_ACCESS_KEY_ID": ROOT_KEY,
            "AWS_SECRET_ACCESS_KEY": ROOT_SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
        }
        return subprocess.run(
            [beside_python("aws"), *words],
            cwd=self.folder,
            env={**environment(), **settings},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )


def give_runtimes(data):
    """Links the packages of the runtimes, which were fetched once, into a new data directory.

    Whole folders: each has thousands of files, which take seconds to remove. Nobody changes what is in them.
    """
    runtimes = os.environ.get("LAMBENT_TEST_RUNTIMES")
    assert runtimes, "LAMBENT_TEST_RUNTIMES must name a folder that `lambent runtime install` has filled"
    data.mkdir(mode=0o700)
    (data / "runtimes").mkdir()
    for packages in Path(runtimes).iterdir():
        (data / "runtimes" / packages.name).symlink_to(packages)


def binary():
    path = os.environ.get("LAMBENT_BIN")
    assert path, "LAMBENT_BIN must name the lambent binary to test"
    return path


def beside_python(program):
    """A program of the environment that pytest runs in."""
    return str(Path(sys.executable).parent / program)


def environment():
    """Ours, without what could lead a client or the server astray."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAMBENT_"))}
    kept["LAMBENT_ROOT_ACCESS_KEY_ID"] = ROOT_KEY
    kept["LAMBENT_ROOT_SECRET_ACCESS_KEY"] = ROOT_SECRET
    kept["AWS_EC2_METADATA_DISABLED"] = "true"
    kept["AWS_CONFIG_FILE"] = kept["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    return kept


def eventually(probe, timeout_s=30, every_s=0.05):
    """The first true value that `probe` gives; it is asked again until then."""
    ends = time.monotonic() + timeout_s
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < ends, f"still {value!r} after {timeout_s} s"
        time.sleep(every_s)
