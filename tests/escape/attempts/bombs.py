"""Taking more than one's share: of processes, memory, storage, descriptors, time. Each says where it was stopped."""

import array
import ctypes
import fcntl
import mmap
import os
import socket
import threading
import time

from raw import LIBC, name_of

F_SETPIPE_SZ = 1031


held = []


def stopped(work):
    """Makes a handler of a generator that takes a little more at each step: how many steps, and what ended it.

    What was taken is held for a while, as somebody would who wants others to have none.
    """

    def handler(event, context=None):
        count, ends = 0, time.monotonic() + event["seconds"]
        steps = work(held)
        try:
            for _ in steps:
                count += 1
                if time.monotonic() > ends:
                    why = "by time"
                    break
            else:
                why = "never"
        except OSError as error:
            why = name_of(error)
        except MemoryError:
            why = "MemoryError"
        except RuntimeError as error:
            why = str(error)
        time.sleep(event["hold"])
        return {"count": count, "stopped": why}

    return handler


def neighbour(event, context):
    """A little of everything: it must always be had."""
    read, write = os.pipe()
    fcntl.fcntl(write, F_SETPIPE_SZ, 1 << 16)
    os.write(write, b"x" * 1000)
    watcher = LIBC.inotify_init1(0)
    if watcher < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    timer = ctypes.c_void_p()
    if LIBC.timer_create(1, None, ctypes.byref(timer)) < 0:
        raise OSError(ctypes.get_errno(), "timer_create")
    LIBC.timer_delete(timer)
    thread = threading.Thread(target=len, args=("",))
    thread.start()
    thread.join()
    child = os.fork()
    if child == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with open("/tmp/little", "wb") as file:
        file.write(bytes(1 << 16))
    for descriptor in (read, write, watcher):
        os.close(descriptor)
    return "fine"


@stopped
def processes(held):
    while True:
        if os.fork() == 0:
            time.sleep(1000)
            os._exit(0)
        yield


def fork_bomb(event, context):
    while True:
        try:
            os.fork()
        except OSError:
            pass


@stopped
def threads(held):
    threading.stack_size(64 * 1024)
    while True:
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        yield


@stopped
def memory(held):
    while True:
        held.append(bytearray(b"x") * (8 << 20))
        yield


@stopped
def memory_file(held):
    """A file that is nothing but memory."""
    file = os.memfd_create("bomb")
    while True:
        os.write(file, bytes(8 << 20))
        yield


@stopped
def shared_mapping(held):
    """Anonymous memory shared with nobody: it is a file of the kernel's own."""
    area = mmap.mmap(-1, 4 << 30)
    held.append(area)
    for at in range(0, 4 << 30, 8 << 20):
        area[at : at + (8 << 20)] = bytes(8 << 20)
        yield


@stopped
def pipes(held):
    """Full pipes are the kernel's memory."""
    while True:
        ends = os.pipe()
        held.append(ends)
        os.set_blocking(ends[1], False)
        try:
            fcntl.fcntl(ends[1], F_SETPIPE_SZ, 1 << 20)
        except PermissionError:
            pass
        try:
            while True:
                os.write(ends[1], bytes(1 << 16))
        except BlockingIOError:
            pass
        yield


@stopped
def sockets(held):
    """Unread messages are the kernel's memory, too."""
    while True:
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        held.append(pair)
        pair[0].setblocking(False)
        try:
            while True:
                pair[0].send(bytes(1 << 16))
        except BlockingIOError:
            pass
        yield


@stopped
def descriptors(held):
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
        yield


@stopped
def descriptors_in_flight(held):
    """Descriptors that wait in sockets are counted for nobody."""
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
        held.append(pair)


@stopped
def storage(held):
    with open("/tmp/full", "wb", buffering=0) as file:
        while True:
            file.write(bytes(8 << 20))
            yield


@stopped
def sparse_file(held):
    """A file that says that it is larger than the disk."""
    with open("/tmp/sparse", "wb") as file:
        file.truncate(64 << 30)
        yield


@stopped
def small_files(held):
    """Inodes run out before bytes do."""
    while True:
        folder = f"/tmp/{time.monotonic_ns()}"
        os.mkdir(folder)
        for number in range(1000):
            os.close(os.open(f"{folder}/{number}", os.O_CREAT))
            yield


@stopped
def deep_folders(held):
    os.chdir("/tmp")
    while True:
        os.mkdir("deep")
        os.chdir("deep")
        yield


@stopped
def watches(held):
    """Watches of files are the kernel's memory."""
    while True:
        watcher = LIBC.inotify_init1(0)
        if watcher < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        yield


@stopped
def timers(held):
    timer = ctypes.c_void_p()
    while True:
        if LIBC.timer_create(1, None, ctypes.byref(timer)) < 0:
            raise OSError(ctypes.get_errno(), "timer_create")
        yield


@stopped
def names_that_are_not_there(held):
    """The kernel remembers every name that it did not find."""
    while True:
        for _ in range(1000):
            os.path.lexists(f"/tmp/{time.monotonic_ns()}")
        yield


@stopped
def log_lines(held):
    """As many lines as fit."""
    block = (b"x" * 999 + b"\n") * 1000
    while True:
        os.write(1, block)
        yield


@stopped
def log_frames(held):
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
