"""Dumps of `lambent export`, read and written by hand: the layout that crates/care/src/dump.rs describes."""

import hashlib
import struct

MAGIC = b"LMBNDUMP"
BLOCK_BYTES = 256 * 1024


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _entry(value):
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


TABLE = [_entry(value) for value in range(256)]


def summed(data):
    return data + struct.pack("<I", crc32c(data))


def read(path):
    """The store's version, the cloud's id, and the rows by key."""
    data = path.read_bytes()
    magic, form, version, length = struct.unpack_from("<8sIQH", data)
    assert (magic, form) == (MAGIC, 1)
    head = 22 + length
    assert summed(data[:head]) == data[: head + 4]
    cloud_id, at, rows = data[22:head].decode(), head + 4, {}
    while data[at : at + 1] == b"B":
        count, length = struct.unpack_from("<II", data, at + 1)
        end = at + 9 + length
        assert summed(data[at:end]) == data[at : end + 4]
        row = at + 9
        for _ in range(count):
            key_bytes, value_bytes = struct.unpack_from("<HI", data, row)
            key = data[row + 6 : row + 6 + key_bytes]
            row += 6 + key_bytes + value_bytes
            rows[key] = data[row - value_bytes : row]
        at = end + 4
    assert data[at : at + 1] == b"E" and summed(data[at:-4]) == data[at:]
    assert data[at + 25 : at + 57] == hashlib.sha256(data[:at]).digest()
    return version, cloud_id, rows


def write(path, version, cloud_id, rows):
    data = summed(struct.pack("<8sIQH", MAGIC, 1, version, len(cloud_id)) + cloud_id.encode())
    blocks = size = 0
    block, count = b"", 0

    def end():
        nonlocal data, blocks, block, count
        data += summed(b"B" + struct.pack("<II", count, len(block)) + block)
        blocks, block, count = blocks + 1, b"", 0

    for key in sorted(rows):
        value = rows[key]
        block += struct.pack("<HI", len(key), len(value)) + key + value
        count, size = count + 1, size + len(key) + len(value)
        if len(block) >= BLOCK_BYTES:
            end()
    if count:
        end()
    tail = b"E" + struct.pack("<QQQ", blocks, len(rows), size) + hashlib.sha256(data).digest()
    path.write_bytes(data + summed(tail))
