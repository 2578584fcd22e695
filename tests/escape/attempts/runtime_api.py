"""Abuse of the Runtime API, whose other end is the platform itself."""

import os
import socket
import time

PREFIX = "/2018-06-01/runtime/"


def dial(patience_s=5):
    host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].rsplit(":", 1)
    return socket.create_connection((host, int(port)), patience_s)


def all_of(connection):
    """What comes until the platform closes the connection or says nothing for a while."""
    connection.settimeout(0.5)
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except TimeoutError:
        parts.append(b" (open)")
    except ConnectionResetError:
        parts.append(b" (reset)")
    return b"".join(parts).decode(errors="replace")


def send_until_refused(connection, pieces):
    sent = 0
    try:
        for piece in pieces:
            connection.sendall(piece)
            sent += len(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


def huge_header(event, context):
    """A head that never ends: how much the platform took of it, and what it said."""
    with dial() as connection:
        connection.sendall(f"GET {PREFIX}invocation/next HTTP/1.1\r\nX-Long: ".encode())
        sent = send_until_refused(connection, (b"x" * 65536 for _ in range(1000)))
        return {"sent": sent, "answer": all_of(connection)}


def many_headers(event, context):
    with dial() as connection:
        connection.sendall(f"GET {PREFIX}invocation/next HTTP/1.1\r\n".encode())
        sent = send_until_refused(connection, (b"X-Many: yes\r\n" * 100 for _ in range(10_000)))
        return {"sent": sent, "answer": all_of(connection)}


def huge_path(event, context):
    with dial() as connection:
        connection.sendall(b"GET /")
        sent = send_until_refused(connection, (b"x" * 65536 for _ in range(1000)))
        return {"sent": sent, "answer": all_of(connection)}


def huge_body(event, context):
    """A response of 4 GB, in chunks, sent for as long as it is taken."""
    with dial() as connection:
        path = f"{PREFIX}invocation/{context.aws_request_id}/response"
        connection.sendall(f"POST {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        ends = time.monotonic() + event["seconds"]
        sent = send_until_refused(connection, (chunk for _ in range(4096) if time.monotonic() < ends))
    return {"sent": sent}


def wrong_length(event, context):
    """More is promised than is sent, and less."""
    answers = []
    for promised in ("18446744073709551616", "-1", "1e3", "0x10"):
        with dial() as connection:
            path = f"{PREFIX}invocation/{context.aws_request_id}/response"
            connection.sendall(f"POST {path} HTTP/1.1\r\nContent-Length: {promised}\r\n\r\nx".encode())
            answers.append(all_of(connection))
    return answers


def smuggled(event, context):
    """Two lengths in one request: whoever trusts the other one reads a request that was never made."""
    with dial() as connection:
        path = f"{PREFIX}invocation/nobody/response"
        body = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
        head = f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + body)
        return all_of(connection)


def drip(event, context):
    """The response, one byte at a time."""
    with dial() as connection:
        path = f"{PREFIX}invocation/{context.aws_request_id}/response"
        connection.sendall(f"POST {path} HTTP/1.1\r\nContent-Length: 100000\r\n\r\n".encode())
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)


def drip_head(event, context):
    """A head, one byte at a time, on as many connections as there can be."""
    connections = []
    try:
        while len(connections) < 900:
            connections.append(dial(0.3))
    except OSError:
        pass
    open_ones = list(connections)
    ends = time.monotonic() + event["seconds"]
    while time.monotonic() < ends:
        for connection in list(open_ones):
            try:
                connection.send(b"x")
            except OSError:
                open_ones.remove(connection)
        time.sleep(0.05)
    return {"opened": len(connections), "still open": len(open_ones)}


def flood(event, context):
    """Requests that are no requests, as fast as they are taken, for a while."""
    ends = time.monotonic() + event["seconds"]
    count = 0
    while time.monotonic() < ends:
        try:
            with dial(0.3) as connection:
                connection.sendall(b"\x00\xff" * 4096)
            count += 1
        except OSError:
            pass
    return {"connections": count}
