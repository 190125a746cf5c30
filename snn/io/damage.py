"""Files whose damage would crash HDF5, take all memory or much time in it: found before it reads them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import h5py

from kernels.errors import FormatError

NOT_HDF5 = "not a readable HDF5 file"
HEAP = b"GCOL\1\0\0\0"
MOST_COMPRESSED = 1100  # gzip's largest factor is 1032
LINK = 16  # bytes of a text of variable length where it is used: length, address of its heap, number in it


class _Pieces:
    """The bytes of a file, by slices. Not mapped: where another process shortens a mapped file, reading it is fatal."""

    def __init__(self, handle: Any) -> None:
        self.handle, self.size = handle, os.fstat(handle.fileno()).st_size

    def __len__(self) -> int:
        return int(self.size)

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self.size)
        self.handle.seek(start)
        return bytes(self.handle.read(max(0, stop - start)))


def check_bytes(path: Path) -> None:
    """Refuse a file with damaged structures over which HDF5 would loop for ever, before it is opened."""
    data = path.read_bytes()
    _check_heaps(data, path)
    _check_trees(data, path)


def check_content(file: Any, path: Path) -> None:
    """Refuse an open file with types or texts that HDF5 or h5py cannot take: in one walk, which takes the time.

    Sequences of variable length: no file of ours or of SONATA has any, one damaged bit makes them of a text, and h5py
    3.16 crashes in reading those. Texts of variable length that claim to be longer than the file: HDF5 takes that
    memory first. Those of attributes are found in object headers of version 1; headers of version 2 carry checksums.
    """
    if file.id.get_create_plist().get_sizes() != (8, 8):
        raise FormatError(f"{path}: must have addresses and lengths of 8 bytes, as every file of SONATA has.")
    with open(path, "rb") as handle:
        data = _Pieces(handle)

        def look(name: str, item: Any) -> None:
            opened = (h5py.h5a.open(item.id, index=k) for k in range(h5py.h5a.get_num_attrs(item.id)))
            kinds = [attribute.get_type() for attribute in opened]
            kinds += [item.id.get_type()] if isinstance(item, h5py.Dataset) else []
            if any(kind.detect_class(h5py.h5t.VLEN) for kind in kinds):
                raise FormatError(
                    f"{file.filename}: /{name}: holds sequences of variable length. Damaged, or not of ours."
                )
            claimed = list(_attribute_texts(data, file.userblock_size + h5py.h5o.get_info(item.id).addr))
            if isinstance(item, h5py.Dataset) and item.dtype.kind == "O" and item.id.get_offset() is not None:
                begin = item.id.get_offset()
                claimed += _lengths(data[begin : begin + LINK * item.size], item.size)
            if max(claimed, default=0) > len(data):
                raise FormatError(f"{path}: /{name}: texts are longer than the file. Damaged.")

        look("", file)
        file.visititems(look)


def _check_heaps(data: bytes, path: Path) -> None:
    """Heaps of texts of variable length. They carry no checksum. Files of our own have none of their texts there, but
    for one that nobody reads.
    """
    at = data.find(HEAP)
    while at >= 0 and at + 16 <= len(data):
        end, place = at + struct.unpack_from("<Q", data, at + 8)[0], at + 16
        whole = end <= len(data)  # else HDF5 takes as much memory as the heap claims
        while whole and place + 16 <= end:
            index, size = struct.unpack_from("<H6xQ", data, place)
            step = 16 + -(-size // 8) * 8 if index else size  # number 0 is what is left free
            whole = step >= 16 and place + step <= end
            place += step
        if not whole:
            raise FormatError(f"{path}: {NOT_HDF5}: a heap of texts is damaged. Copy it again.")
        at = data.find(HEAP, at + 8)


def _check_trees(data: bytes, path: Path) -> None:
    """B-trees without checksums, of the names in a group or of chunks: no node may be to its own right."""
    right, at = {}, data.find(b"TREE")
    while at >= 0 and at + 24 <= len(data):
        right[at], at = struct.unpack_from("<Q", data, at + 16)[0], data.find(b"TREE", at + 4)
    ended: set[int] = set()
    for node in right:
        row: set[int] = set()
        while node in right and node not in ended:
            if node in row:
                raise FormatError(f"{path}: {NOT_HDF5}: a list of names or chunks goes in a circle. Copy it again.")
            row.add(node)
            node = right[node]
        ended |= row


def _lengths(data: bytes, n: int) -> list[int]:
    """What ``n`` texts claim; those that are not there, more than any file has."""
    found = [struct.unpack_from("<I", data, at)[0] for at in range(0, len(data) - LINK + 1, LINK)]
    return found if len(found) >= n else [2**64]


def _attribute_texts(data: _Pieces, at: int) -> Iterator[int]:
    """Lengths that the texts of variable length among the attributes of an object claim, whose header is at ``at``."""
    if data[at : at + 2] != b"\1\0":
        return
    messages, size = struct.unpack_from("<HxxxxI", data[at + 2 : at + 16])
    blocks = [(at + 16, size)]
    for begin, n in blocks:  # grows
        place, end = begin, min(begin + n, len(data))
        while place + 8 <= end and messages > 0:
            kind, size, flags = struct.unpack_from("<HHB", data[place : place + 8])
            body = data[place + 8 : min(place + 8 + size, end)]
            place, messages = place + 8 + size, messages - 1
            with suppress(struct.error, IndexError):  # HDF5 refuses what is cut short
                if kind == 0x10:  # goes on elsewhere
                    blocks.append(struct.unpack_from("<QQ", body))
                elif kind == 0x0C and not flags & 2:  # an attribute, not one that is shared
                    yield from _claims(body)


def _claims(body: bytes) -> list[int]:
    """The same of the message of one attribute: sizes, name, type, shape, values."""
    version, *sizes = struct.unpack_from("<BxHHH", body)
    if version == 1:
        sizes = [-(-size // 8) * 8 for size in sizes]
    kind = (9 if version == 3 else 8) + sizes[0]
    shape = kind + sizes[1]
    if body[kind] & 15 != 9:  # of fixed length
        return []
    rank = struct.unpack_from(f"<{body[shape + 1]}Q", body, shape + (8 if body[shape] == 1 else 4))
    return _lengths(body[shape + sizes[2] :][: LINK * prod(rank)], prod(rank))


def check_sizes(file: Any) -> None:
    """Refuse datasets that claim far more than is stored of them, as no compression does: they would fill memory."""

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.nbytes > MOST_COMPRESSED * item.id.get_storage_size() + (1 << 24):
            raise FormatError(
                f"{file.filename}: /{name}: claims {item.nbytes:,} bytes; {item.id.get_storage_size():,} are stored. "
                "Damaged."
            )

    file.visititems(look)
