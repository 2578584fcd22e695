"""Reaching what is not the function's to reach, and sockets that reach below it."""

import array
import fcntl
import os
import socket
import struct

from raw import Refused, attempt

PATIENCE_S = 2
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR = 0x8913, 0x8914, 0x8916


@attempt
def connect(event):
    """Over TCP, to be answered."""
    family = socket.AF_INET6 if ":" in event["host"] else socket.AF_INET
    with socket.socket(family) as one:
        one.settimeout(PATIENCE_S)
        one.connect((event["host"], event["port"]))
        return one.recv(100)


@attempt
def send_datagram(event):
    """Over UDP, to be answered."""
    family = socket.AF_INET6 if ":" in event["host"] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.settimeout(PATIENCE_S)
        one.connect((event["host"], event["port"]))
        one.send(b"hello")
        return one.recv(100)


@attempt
def multicast(event):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        return one.sendto(b"hello", ("224.0.0.251", 5353))


@attempt
def broadcast(event):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        return one.sendto(b"hello", ("255.255.255.255", 9))


@attempt
def abstract_socket(event):
    """Names of abstract sockets belong to a network namespace, not to a file system."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(PATIENCE_S)
        one.connect("\0" + event["name"])
        return one.recv(100)


@attempt
def socket_file(event):
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(PATIENCE_S)
        one.connect(event["path"])
        return one.recv(100)


@attempt
def listeners(event):
    """Every port of 127.0.0.1: only the Runtime API and the endpoint may answer."""
    own = socket.create_server(("127.0.0.1", 0))
    port = own.getsockname()[1]
    open_ports = {number for number in range(1, 65536) if answers(number)}
    own.close()
    assert port in open_ports, "a port that is open would be found"
    more = open_ports - {port, 9001, 4566}
    if not more:
        raise Refused("none but the platform's two")
    return sorted(more)


def answers(port):
    with socket.socket() as one:
        if one.connect_ex(("127.0.0.1", port)) != 0:
            return False
        # TCP lets a socket connect to itself when it happens to be given the port that it asks for.
        return one.getsockname() != one.getpeername()


@attempt
def interfaces(event):
    more = [name for _, name in socket.if_nameindex() if name != "lo"]
    if not more:
        raise Refused("none but lo")
    return more


@attempt
def name_service(event):
    return socket.getaddrinfo(event["name"], 80)


@attempt
def open_socket(event):
    family, kind, protocol = event["socket"]
    socket.socket(family, kind, protocol).close()
    return "opened"


@attempt
def socket_option(event):
    level, option, value = event["option"]
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.setsockopt(level, option, bytes.fromhex(value) if isinstance(value, str) else value)
        return "set"


@attempt
def take_a_platform_port(event):
    """To answer in the platform's place."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((event.get("host", "127.0.0.1"), event["port"]))
        one.listen()
        return "listens"


@attempt
def bind_low_port(event):
    with socket.socket() as one:
        one.bind(("127.0.0.1", event["port"]))
        return "bound"


@attempt
def loopback_down(event):
    """Reads the flags of `lo` and sets the same again."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        request = bytearray(struct.pack("16sH22x", b"lo", 0))
        fcntl.ioctl(one, SIOCGIFFLAGS, request)
        return fcntl.ioctl(one, SIOCSIFFLAGS, request)


@attempt
def add_address(event):
    """Another address for an interface that does not exist: who may not is told so first."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        address = struct.pack("16sH2x4s8x", b"nosuch0", socket.AF_INET, socket.inet_aton("192.0.2.7"))
        return fcntl.ioctl(one, SIOCSIFADDR, address)


@attempt
def add_interface(event):
    """RTM_NEWLINK with no kind, which root is told is not enough."""
    return route_request(16, struct.pack("BxHiII", 0, 0, 0, 0, 0), 0x605)


@attempt
def add_route(event):
    """RTM_NEWROUTE to nowhere in particular."""
    return route_request(24, struct.pack("8BI", socket.AF_INET, 33, 0, 0, 254, 4, 0, 1, 0), 0x605)


def route_request(kind, body, flags):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as one:
        one.bind((0, 0))
        one.send(struct.pack("IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        answer = one.recv(65536)
    code = struct.unpack_from("i", answer, 16)[0]
    if code < 0:
        raise OSError(-code, os.strerror(-code))
    return "done"


@attempt
def sockets_of_others(event):
    """Unix sockets in /proc/net/unix that nobody here has opened."""
    with socket.socket(socket.AF_UNIX) as own:
        own.bind("\0its own")
        names = {line.split(maxsplit=7)[7].strip() for line in open("/proc/net/unix") if len(line.split()) > 7}
    assert "@its own" in names, "a name that is there would be seen"
    more = names - {"@its own", "Path"}
    if not more:
        raise Refused("none but its own")
    return sorted(more)[:20]


@attempt
def pass_a_descriptor_up(event):
    """The log's pipe carries bytes: a descriptor cannot be sent through it."""
    with socket.socket(fileno=os.dup(1)) as one:
        rights = array.array("i", [0])
        return one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
