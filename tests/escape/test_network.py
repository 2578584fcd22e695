"""A function's network is its own loopback with the platform's two ports, and nothing else."""

import os
import socket
import threading
from contextlib import ExitStack

import pytest

from cases import HARMS, INSIDE, Case, by_name

AWAY = "ENETUNREACH"
SHUT = "ECONNREFUSED"
UNKNOWN = "ENOSYS"
IPV4, IPV6 = socket.AF_INET, socket.AF_INET6
STREAM, DATAGRAM, RAW, PACKETS = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET


@pytest.fixture(scope="module")
def services(cloud, tmp_path_factory):
    """Servers of the host that answer whoever speaks to them; gives what is needed to reach them."""
    path = str(tmp_path_factory.mktemp("services") / "socket")
    name = f"lambent-escape-{os.getpid()}"
    with ExitStack() as stack:
        listen = lambda *of: stack.enter_context(answering(*of))
        port = listen(IPV4, STREAM, ("0.0.0.0", 0)).getsockname()[1]
        listen(IPV4, DATAGRAM, ("0.0.0.0", port))
        listen(socket.AF_UNIX, STREAM, "\0" + name)
        listen(socket.AF_UNIX, STREAM, path)
        daemon = int(cloud.endpoint.rsplit(":", 1)[1])
        yield {"port": port, "name": name, "path": path, "daemon": daemon, "own": own_address()}


def answering(family, kind, address):
    listener = socket.socket(family, kind)
    listener.bind(address)

    def serve():
        try:
            while kind == DATAGRAM:
                listener.sendto(b"host", listener.recvfrom(100)[1])
            while True:
                connection, _ = listener.accept()
                connection.sendall(b"host")
                connection.close()
        except OSError:
            return

    if kind == STREAM:
        listener.listen()
    threading.Thread(target=serve, daemon=True).start()
    return listener


def own_address():
    """The address by which the host is reached from outside; its loopback's where it has no other."""
    with socket.socket(IPV4, DATAGRAM) as probe:
        try:
            # Sends nothing, but asks which address would be ours.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return probe.getsockname()[0]


# What reaches the host's services, which answer on the host.
SERVICES = [
    Case("network.connect", SHUT, event={"host": "127.0.0.1", "port": "{port}"}, name="the host's loopback"),
    Case("network.connect", SHUT, event={"host": "127.0.0.53", "port": "{port}"}, name="the host's loopback, elsewhere"),
    Case("network.connect", (AWAY, SHUT), event={"host": "{own}", "port": "{port}"}, name="the host's own address"),
    Case("network.connect", SHUT, event={"host": "0.0.0.0", "port": "{port}"}, name="the unspecified address"),
    Case("network.connect", SHUT, event={"host": "::ffff:127.0.0.1", "port": "{port}"}, name="the loopback as IPv6"),
    Case("network.send_datagram", SHUT, event={"host": "127.0.0.1", "port": "{port}"}, name="the host's loopback, UDP"),
    Case("network.send_datagram", (AWAY, SHUT), event={"host": "{own}", "port": "{port}"}, name="the host's address, UDP"),
    Case("network.abstract_socket", SHUT, event={"name": "{name}"}),
    Case("network.socket_file", "ENOENT", event={"path": "{path}"}),
]
# Whoever may answer outside; what the host itself reaches there depends on where it stands.
OUTSIDE = [
    Case("network.connect", AWAY, host=HARMS, event={"host": host, "port": port}, name=f"connect to {host}")
    for host, port in (
        ("169.254.169.254", 80),
        ("169.254.170.2", 80),
        ("fd00:ec2::254", 80),
        ("1.1.1.1", 53),
        ("10.0.0.1", 80),
        ("172.17.0.1", 80),
        ("192.168.0.1", 80),
        ("2606:4700:4700::1111", 53),
    )
]
OTHER = [
    Case("network.send_datagram", AWAY, host=HARMS, event={"host": "169.254.169.254", "port": 53}, name="UDP to metadata"),
    Case("network.multicast", AWAY, host=HARMS),
    Case("network.broadcast", AWAY, host=HARMS),
    Case("network.name_service", "EAI_AGAIN", host=HARMS, event={"name": "example.com"}),
    Case("network.listeners", "none but the platform's two", host=INSIDE),
    Case("network.interfaces", "none but lo", host=("succeeds", "none but lo")),
    Case("network.sockets_of_others", "none but its own", host=INSIDE),
    Case("network.take_a_platform_port", "EADDRINUSE", host=INSIDE, event={"port": 9001}, name="take the Runtime API's port"),
    Case("network.take_a_platform_port", "EADDRINUSE", host=INSIDE, event={"port": 4566}, name="take the endpoint's port"),
    Case(
        "network.take_a_platform_port",
        "EADDRINUSE",
        host=INSIDE,
        event={"port": 9001, "host": "0.0.0.0"},
        name="take the Runtime API's port everywhere",
    ),
    Case("network.bind_low_port", "EACCES", event={"port": 67}),
    Case("network.loopback_down", "EPERM"),
    Case("network.add_address", "EPERM", host="ENODEV"),
    Case("network.add_interface", ("EPERM", "EACCES"), host=("succeeds", "EINVAL", "ENOTSUP", "ENODEV")),
    Case("network.add_route", ("EPERM", "EACCES"), host=("succeeds", "EINVAL", "ENODEV", "EEXIST")),
    Case("network.pass_a_descriptor_up", "ENOTSOCK", host=INSIDE),
]

SOCKETS = {
    "raw IPv4": ((IPV4, RAW, 1), ("EPERM", UNKNOWN)),
    "raw IPv6": ((IPV6, RAW, 58), ("EPERM", UNKNOWN)),
    "packet": ((17, RAW, 0x0300), UNKNOWN),
    "netlink audit": ((16, RAW, 9), UNKNOWN),
    "netlink of socket diagnoses": ((16, RAW, 4), UNKNOWN),
    "netlink of device events": ((16, RAW, 15), UNKNOWN),
    "netlink of the packet filter": ((16, RAW, 12), UNKNOWN),
    "netlink of IPsec": ((16, RAW, 6), UNKNOWN),
    "generic netlink": ((16, RAW, 16), UNKNOWN),
    "vsock": ((40, STREAM, 0), UNKNOWN),
    "kernel crypto": ((38, PACKETS, 0), UNKNOWN),
    "key management": ((15, RAW, 2), UNKNOWN),
    "express data path": ((44, RAW, 0), UNKNOWN),
    "Bluetooth": ((31, RAW, 1), UNKNOWN),
    "TIPC": ((30, STREAM, 0), UNKNOWN),
    "CAN": ((29, RAW, 1), UNKNOWN),
    "SMC": ((43, STREAM, 0), UNKNOWN),
    "RDS": ((21, PACKETS, 0), UNKNOWN),
    "SCTP": ((IPV4, STREAM, 132), UNKNOWN),
    "DCCP": ((IPV4, 6, 33), UNKNOWN),
    "UDP-Lite": ((IPV4, DATAGRAM, 136), UNKNOWN),
    "multipath TCP": ((IPV4, STREAM, 262), UNKNOWN),
    "L2TP": ((IPV4, DATAGRAM, 115), UNKNOWN),
}
# What a kernel says that was built without a family, or has none of the kind.
NOT_BUILT = ("succeeds", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EINVAL")
FAMILIES = [
    Case("network.open_socket", refused, host=NOT_BUILT, event={"socket": list(what)}, name=name)
    for name, (what, refused) in SOCKETS.items()
]

SOL_IP, IPT_SO_SET_REPLACE = 0, 64
OPTIONS = [
    Case("network.socket_option", "EPERM", event={"option": [1, 36, 7]}, name="mark packets (SO_MARK)"),
    Case("network.socket_option", "EPERM", event={"option": [1, 32, 1 << 20]}, name="larger buffers than allowed"),
    Case("network.socket_option", "EPERM", event={"option": [6, 19, 1]}, name="repair a connection (TCP_REPAIR)"),
    Case(
        "network.socket_option",
        ("EPERM", "ENOPROTOOPT"),
        host=("EINVAL", "EFAULT", "ENOPROTOOPT"),
        event={"option": [SOL_IP, IPT_SO_SET_REPLACE, 0]},
        name="replace the packet filter",
    ),
    Case("network.socket_option", "EPERM", event={"option": [SOL_IP, 19, 1]}, name="foreign addresses (IP_TRANSPARENT)"),
]


@pytest.mark.parametrize(**by_name(SERVICES))
def test_services_of_the_host(refuses, services, case):
    refuses(case.told(services))


def test_the_daemons_own_port(attempt, host, services):
    """It answers on the host; inside, only the endpoint's own port leads to it."""
    event = {**host, "host": "127.0.0.1", "port": services["daemon"]}
    with socket.create_connection(("127.0.0.1", services["daemon"]), 3):
        pass
    assert attempt("network.connect", event) == {"refused": SHUT}


@pytest.mark.parametrize(**by_name(OUTSIDE))
def test_addresses_outside(refuses, case):
    refuses(case)


@pytest.mark.parametrize(**by_name(OTHER))
def test_the_network_itself(refuses, case):
    refuses(case)


@pytest.mark.parametrize(**by_name(FAMILIES))
def test_kinds_of_sockets(refuses, case):
    refuses(case)


@pytest.mark.parametrize(**by_name(OPTIONS))
def test_options_of_sockets(refuses, case):
    refuses(case)
