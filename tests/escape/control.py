"""Makes attempts on the host itself, for comparison: each in a child of its own, in namespaces that keep the host from
harm. Reads and answers JSON lines: {"attempt": "module.function", "event": {...}}.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "attempts"))

import raw  # noqa: E402

TIMEOUT_S = 20
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
MS_PRIVATE, MS_REC = 1 << 18, 1 << 14
LIBC = ctypes.CDLL(None, use_errno=True)


def main():
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(raw.in_a_child(lambda: make(request["attempt"], request["event"]))), flush=True)


def make(attempt, event):
    signal.alarm(TIMEOUT_S)
    os.setsid()
    if LIBC.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) != 0:
        return {"refused": "EPERM"}
    LIBC.mount(None, b"/", None, ctypes.c_ulong(MS_PRIVATE | MS_REC), None)
    os.chdir(event["scratch"])
    return raw.named(attempt)(event)


if __name__ == "__main__":
    main()
