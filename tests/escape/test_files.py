"""Files of the host, of the platform and of the runtime."""

import pytest

from cases import DAEMON, HARMS, INSIDE, Case, by_name

ABSENT = "ENOENT"
# /proc shows only the function's own processes; where it shows process 1, its doors are closed.
HIDDEN = ("ENOENT", "EACCES", "EPERM")
# The mount is read-only, and landlock refuses before it is asked.
FIXED = ("EROFS", "EACCES")

READING = [
    Case("files.read", ABSENT, event={"path": "/etc/shadow"}, name="read /etc/shadow"),
    Case("files.read", ABSENT, event={"path": "{key}"}, name="read the master key"),
    Case("files.read", ABSENT, event={"path": "{secret}"}, name="read a file for everybody in /tmp of the host"),
    Case("files.read", ABSENT, event={"path": "/proc/self/root{secret}"}, name="read through its own root"),
    Case(
        "files.read",
        HIDDEN,
        event={"path": "/proc/1/environ"},
        host_event={"path": "/proc/{pid}/environ"},
        name="read variables of process 1",
    ),
    Case("files.list_folder", ABSENT, event={"path": "/root"}, name="list /root"),
    Case("files.list_folder", ABSENT, event={"path": "/home"}, name="list /home"),
    Case("files.list_folder", ABSENT, event={"path": "{data}"}, name="list the data directory"),
    Case("files.list_folder", ABSENT, event={"path": "/boot"}, name="list /boot"),
    Case("files.list_folder", ABSENT, event={"path": "/sys"}, name="list /sys"),
    Case("files.climb_out", ABSENT),
    Case("files.climb_out_of_the_code", ABSENT),
    Case("files.through_proc", HIDDEN, event={"pid": 1}, host_event={"pid": DAEMON}, name="through process 1's root"),
    Case("files.through_proc", ABSENT, event={"pid": DAEMON}, name="through the daemon's root"),
    Case("files.through_working_folder", HIDDEN, event={"pid": 1}, host_event={"pid": DAEMON}),
    Case("files.through_descriptors_of", HIDDEN, event={"pid": 1}, host_event={"pid": DAEMON}),
    Case("files.memory_of", HIDDEN, event={"pid": 1}, host_event={"pid": DAEMON}),
    Case("files.through_a_symbolic_link", ABSENT),
    Case(
        "files.through_a_hard_link",
        ("EXDEV", "EACCES", "EPERM"),
        event={"path": "/etc/passwd"},
        host_event={"path": "{secret}"},
        name="hard link to /etc/passwd",
    ),
    Case(
        "files.through_a_hard_link",
        ("EXDEV", "EACCES", "EPERM"),
        event={"path": "/var/task/files.py"},
        host_event={"path": "{secret}"},
        name="hard link to the code",
    ),
    Case("files.by_handle", "ENOSYS"),
    Case("files.by_guessed_handle", "ENOSYS", host=("succeeds", "ESTALE")),
    Case("files.chroot", "ENOSYS"),
    Case("files.pivot_root", "ENOSYS", host=("EINVAL", "EBUSY")),
    Case("files.inherited_folders", "no folder is open", host=INSIDE, alone=True),
    Case("files.inherited_descriptors", "none is strange", host=INSIDE, alone=True),
    Case("files.more_than_the_usual_root", "nothing more"),
    Case("files.a_mount_that_honours_setuid", "none"),
    Case("files.a_mount_that_can_be_written", "none"),
]

WRITING = [
    *(
        Case("files.write", FIXED, event={"path": path}, host_event={"path": "{scratch}"}, name=f"write to {path}")
        for path in ("/", "/var/task", "/opt", "/usr/bin", "/usr/lib", "/etc", "/dev", "/var", "/var/rapid")
    ),
    *(
        Case("files.write", (*FIXED, ABSENT), event={"path": path}, host_event={"path": "{scratch}"}, name=f"write to {path}")
        for path in ("/var/lang", "/var/runtime", "/proc", "/etc/ssl/certs")
    ),
    *(
        Case("files.overwrite", FIXED, event={"path": path}, host_event={"path": "{secret}"}, name=f"overwrite {path}")
        for path in ("/var/task/raw.py", "/etc/passwd", "/etc/hosts", "/etc/ld.so.cache", "/usr/bin/env")
    ),
    Case("files.overwrite", FIXED, host="ETXTBSY", event={"path": "/proc/self/exe"}, name="overwrite the interpreter"),
    Case("files.overwrite", HIDDEN, host=HARMS, event={"path": "/proc/1/exe"}, name="overwrite the platform's program"),
    Case("files.remove", FIXED, host=HARMS, event={"path": "/var/task/raw.py"}, name="remove the code"),
    Case("files.remove", FIXED, host=HARMS, event={"path": "/etc/resolv.conf"}, name="remove a setting"),
    Case("files.replace", ("EXDEV", *FIXED), host=HARMS, event={"path": "/etc/passwd"}, name="replace /etc/passwd"),
    Case("files.change_mode", "EPERM", event={"path": "/dev/null"}, name="change the mode of /dev/null"),
    Case("files.change_mode", ("EPERM", "EROFS"), event={"path": "/"}, name="change the mode of the root"),
    Case("files.change_owner", ("EPERM", "EINVAL"), name="give a file away"),
    Case("files.make_device", "EPERM", event={"kind": "character", "number": [1, 1]}, name="make a device of memory"),
    Case("files.make_device", "EPERM", event={"kind": "block", "number": [254, 0]}, name="make a device of the disk"),
]

DEVICES = [
    Case("files.open_device", ABSENT, host=("succeeds", ABSENT, "EPERM", "ENXIO", "EACCES"), event={"path": path}, name=path)
    for path in (
        "/dev/mem",
        "/dev/kmsg",
        "/dev/kvm",
        "/dev/fuse",
        "/dev/loop0",
        "/dev/loop-control",
        "/dev/net/tun",
        "/dev/ptmx",
        "/dev/vsock",
        "/dev/shm",
        "/dev/vda",
        "/dev/sda",
        "/dev/console",
    )
]


@pytest.mark.parametrize(**by_name(READING))
def test_reading(refuses, case):
    refuses(case)


@pytest.mark.parametrize(**by_name(WRITING))
def test_writing(refuses, case):
    refuses(case)


@pytest.mark.parametrize(**by_name(DEVICES))
def test_devices(refuses, case):
    refuses(case)
