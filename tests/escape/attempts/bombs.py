"""Taking more than one's share: of processes, memory, storage, descriptors, time. Each says where it was stopped."""

import ctypes
import mmap
import os
import socket
import sys
import threading
import time

from raw import name_of


def stopped(work):
    """Makes a handler of a generator that takes a little more at each step: how many steps, and what ended it."""

    def handler(event, context=None):
        count, ends = 0, time.monotonic() + event["seconds"]
        try:
            for _ in work(event):
                count += 1
                if count >= event.get("most", sys.maxsize):
                    return {"count": count, "stopped": "never"}
                if time.monotonic() > ends:
                    return {"count": count, "stopped": "by time"}
        except OSError as error:
            return {"count": count, "stopped": name_of(error)}
        except MemoryError:
            return {"count": count, "stopped": "MemoryError"}
        except RuntimeError as error:
            return {"count": count, "stopped": str(error)}
        return {"count": count, "stopped": "never"}

    return handler


@stopped
def processes(event):
    children = []
    try:
        while True:
            child = os.fork()
            if child == 0:
                time.sleep(1000)
                os._exit(0)
            children.append(child)
            yield
    finally:
        for child in children:
            os.kill(child, 9)
        for child in children:
            os.waitpid(child, 0)


def fork_bomb(event, context):
    while True:
        try:
            os.fork()
        except OSError:
            pass


@stopped
def threads(event):
    threading.stack_size(64 * 1024)
    done = threading.Event()
    try:
        while True:
            threading.Thread(target=done.wait, daemon=True).start()
            yield
    finally:
        done.set()


@stopped
def memory(event):
    kept = []
    while True:
        kept.append(bytearray(b"x") * (8 << 20))
        yield


@stopped
def memory_file(event):
    """A file that is nothing but memory."""
    file = os.memfd_create("bomb")
    while True:
        os.write(file, bytes(8 << 20))
        yield


@stopped
def shared_mapping(event):
    """Anonymous memory shared with nobody: it is a file of the kernel's own."""
    area = mmap.mmap(-1, 4 << 30)
    for at in range(0, 4 << 30, 8 << 20):
        area[at : at + (8 << 20)] = bytes(8 << 20)
        yield


@stopped
def pipes(event):
    """Full pipes are the kernel's memory."""
    kept = []
    while True:
        ends = os.pipe()
        kept.append(ends)
        os.set_blocking(ends[1], False)
        try:
            import fcntl

            fcntl.fcntl(ends[1], 1031, 1 << 20)
        except OSError:
            pass
        try:
            while True:
                os.write(ends[1], bytes(1 << 16))
        except BlockingIOError:
            pass
        yield


@stopped
def sockets(event):
    """Unread messages are the kernel's memory, too."""
    kept = []
    while True:
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        kept.append(pair)
        pair[0].setblocking(False)
        try:
            while True:
                pair[0].send(bytes(1 << 16))
        except BlockingIOError:
            pass
        yield


@stopped
def descriptors(event):
    kept = []
    while True:
        kept.append(os.open("/dev/null", os.O_RDONLY))
        yield


@stopped
def descriptors_in_flight(event):
    """Descriptors that wait in sockets are counted for nobody."""
    import array

    kept = []
    while True:
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        pair[0].setblocking(False)
        rights = array.array("i", [0] * 250)
        try:
            while True:
                pair[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                yield
        except BlockingIOError:
            pass
        kept.append(pair)


@stopped
def storage(event):
    with open("/tmp/full", "wb", buffering=0) as file:
        while True:
            file.write(bytes(8 << 20))
            yield


@stopped
def sparse_file(event):
    """A file that says that it is larger than the disk."""
    with open("/tmp/sparse", "wb") as file:
        file.truncate(64 << 30)
        yield


@stopped
def small_files(event):
    """Inodes run out before bytes do."""
    while True:
        folder = f"/tmp/{time.monotonic_ns()}"
        os.mkdir(folder)
        for number in range(1000):
            os.close(os.open(f"{folder}/{number}", os.O_CREAT))
            yield


@stopped
def deep_folders(event):
    while True:
        os.mkdir("deep")
        os.chdir("deep")
        yield


@stopped
def watches(event):
    """Watches of files are the kernel's memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    while True:
        watcher = libc.inotify_init1(0)
        if watcher < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        yield


@stopped
def timers(event):
    libc = ctypes.CDLL(None, use_errno=True)
    timer = ctypes.c_void_p()
    while True:
        if libc.timer_create(1, None, ctypes.byref(timer)) < 0:
            raise OSError(ctypes.get_errno(), "timer_create")
        yield


@stopped
def names_that_are_not_there(event):
    """The kernel remembers every name that it did not find."""
    while True:
        for _ in range(1000):
            os.path.lexists(f"/tmp/{time.monotonic_ns()}")
        yield


@stopped
def log_lines(event):
    """As many lines as fit."""
    block = (b"x" * 999 + b"\n") * 1000
    while True:
        os.write(1, block)
        yield


@stopped
def log_frames(event):
    """Frames on the log descriptor that say that they are 4 GB long."""
    while True:
        os.write(3, b"\xa5\x5a\x00\x03" + b"\xff\xff\xff\xff" + bytes(8) + bytes(65000))
        yield


def spin(event, context):
    """More busy processes than the machine has processors."""
    for _ in range(8):
        if os.fork() == 0:
            while True:
                pass
    time.sleep(event["seconds"])
    return "spun"
