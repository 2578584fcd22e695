"""A PostgreSQL server of our own: Debian's PostgreSQL 15 on a new, temporary cluster."""

import fcntl
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

BIN = Path("/usr/lib/postgresql/15/bin")
PORT = 5432
# PostgreSQL refuses to run as root; then it runs as `nobody`.
NOBODY = 65534
READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
INSTALL = (
    f"this test needs PostgreSQL 15 in {BIN} and util-linux's setpriv; on Debian 12: "
    "apt-get install --no-install-recommends postgresql-15"
)


class Postgres:
    """A running server that listens on a Unix socket, and on `listen` (an address with a port) where that is given.

    It ends with `close`, and with the thread that made it however that ends. One server at a time for all tests of a
    user, so that none waits for the others' work to end.
    """

    def __init__(self, parent=None, fsync=False, listen=None):
        assert (BIN / "postgres").exists(), INSTALL
        self._turn = open(Path(tempfile.gettempdir()) / f"lambent-postgres-{os.geteuid()}.lock", "a")
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        # Not below pytest's folders, into which `nobody` may not look; and short, as the path of a socket must be.
        self._temporary = tempfile.TemporaryDirectory(prefix="lambent-pg-", dir=parent)
        self.folder = Path(self._temporary.name)
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        self.folder.chmod(0o700)
        self.log = self.folder / "log"
        self.fsync = fsync
        self.address, self.port = listen or ("", PORT)
        self.process = None
        made = subprocess.run(
            [*as_ordinary_user("initdb"), "--no-sync", "--auth=trust", "--username=lambent", "-D", self.data],
            env=ENVIRONMENT,
            cwd="/",
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stderr
        self.start()

    @property
    def data(self):
        return self.folder / "data"

    def start(self):
        on = "on" if self.fsync else "off"
        settings = [f"listen_addresses={self.address}", "max_connections=200", f"fsync={on}", f"full_page_writes={on}"]
        words = [*as_ordinary_user("postgres"), "-D", self.data, "-k", self.folder, "-p", str(self.port)]
        for setting in settings:
            words += ["-c", setting]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words, env=ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )
        ends = time.monotonic() + READY_TIMEOUT_S
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < ends, self.tail()
            time.sleep(0.02)

    def _answers(self):
        return self._psql("postgres", "SELECT 1").returncode == 0

    def url(self, database="postgres"):
        """Through the socket."""
        return f"postgres://lambent@{quote(str(self.folder), safe='')}:{self.port}/{database}"

    def tcp_url(self, database="postgres"):
        """Through the address that it listens on."""
        return f"postgres://lambent@{self.address}:{self.port}/{database}"

    def database(self, name):
        """Makes an empty database and gives its URL."""
        self.psql("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def psql(self, database, sql):
        """Runs a statement and gives what it prints."""
        done = self._psql(database, sql)
        assert done.returncode == 0, f"{sql}: {done.stderr}"
        return done.stdout.strip()

    def _psql(self, database, sql):
        words = [BIN / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, self.url(database)]
        return subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True)

    def crash(self):
        """Kills every process of the server at once, as a crash does; `start` brings it back."""
        self._end(signal.SIGQUIT)

    def close(self):
        """Ends its sessions and it, and removes everything."""
        self._end(signal.SIGINT)
        self._temporary.cleanup()
        self._turn.close()

    def _end(self, how):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(STOP_TIMEOUT_S)

    def tail(self, bytes_max=4000):
        return self.log.read_bytes()[-bytes_max:].decode(errors="replace") if self.log.exists() else ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def as_ordinary_user(program):
    """The words that run a program of PostgreSQL, which ends with this thread, with an ordinary user's rights."""
    words = ["setpriv", "--pdeathsig=INT"]
    if os.geteuid() == 0:
        words += [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return [*words, BIN / program]
