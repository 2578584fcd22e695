"""What /proc and /sys tell, and what can be set there."""

import os

from raw import Refused, attempt


@attempt
def write(event):
    """Writes a value; on the host the one that is there, so that nothing changes."""
    value = event.get("value")
    if value is None:
        with open(event["path"]) as file:
            value = file.read()
    descriptor = os.open(event["path"], os.O_WRONLY)
    try:
        return os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


@attempt
def open_to_write(event):
    """Only opens: what is written there would do harm."""
    return os.open(event["path"], os.O_WRONLY)


@attempt
def read(event):
    """What is there about the host; an empty file tells nothing."""
    descriptor = os.open(event["path"], os.O_RDONLY | os.O_NONBLOCK)
    try:
        content = os.read(descriptor, 200)
    finally:
        os.close(descriptor)
    if not content:
        raise Refused("empty")
    return content


@attempt
def list_folder(event):
    found = os.listdir(event["path"])
    if not found:
        raise Refused("empty")
    return found


@attempt
def host_control_groups(event):
    """The path of its own control group, as the host knows it."""
    found = {line.strip().split(":", 2)[2] for line in open("/proc/self/cgroup")} - {"/"}
    if not found:
        raise Refused("its own is the root")
    return sorted(found)


@attempt
def leave_control_group(event):
    """Any mounted control group hierarchy could be a way up, or a way to a larger limit."""
    kinds = [line.split()[1] for line in open("/proc/self/mounts") if line.split()[2].startswith("cgroup")]
    if not kinds:
        raise Refused("none is mounted")
    return kinds


@attempt
def privileges(event):
    """Anything left of capabilities, or missing of the fences, in a process's own status."""
    status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status"))
    wanted = {name: "0" * 16 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    wanted |= {"NoNewPrivs": "1", "Seccomp": "2", "TracerPid": "0", "Groups": ""}
    wrong = {name: status[name] for name, value in wanted.items() if status[name].strip() != value}
    if not wrong:
        raise Refused("none is left")
    return wrong


@attempt
def host_namespaces(event):
    """Any namespace that it shares with the host."""
    shared = [name for name, number in event["namespaces"].items() if os.readlink(f"/proc/self/ns/{name}") == number]
    if not shared:
        raise Refused("shares none")
    return shared


@attempt
def host_user(event):
    """The host's user behind its own, which must be nobody else's: not root, not one that the host gives out."""
    outside = outside_user()
    if outside >= event["least"]:
        raise Refused("nobody's")
    return outside


def outside_user():
    me = os.getuid()
    for line in open("/proc/self/uid_map"):
        inside, outside, count = map(int, line.split())
        if inside <= me < inside + count:
            return outside + me - inside
    raise Refused("no user at all")


@attempt
def root_in_its_namespace(event):
    """Whether user 0 of its user namespace is somebody."""
    for line in open("/proc/self/uid_map"):
        inside, outside, count = map(int, line.split())
        if inside == 0:
            return f"0 is {outside} outside"
    raise Refused("0 is nobody")
