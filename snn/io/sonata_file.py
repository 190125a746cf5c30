"""Opening SONATA files and what can go wrong with that: paths, damaged files, files that a killed writer left open."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np

from kernels.errors import FormatError, ModelError, SimError
from snn.io.damage import NOT_HDF5, check_bytes, check_content

PathLike: TypeAlias = str | os.PathLike[str]

MAGIC, VERSION = 0x0A7A, (0, 1)  # as bmtk writes them
LIBVER = ("v110", "v110")  # the oldest file layout with checksums and the single-writer mode
BYTES_CHECKED = 256 << 20  # bytes, the largest file: it is read whole for it, 0.1 s
MARGIN = 256 << 10  # bytes for HDF5's own structures when space is reserved


class OutputError(SimError, OSError):
    """A file cannot be written where it was asked for."""


def part_path(path: PathLike) -> Path:
    """Name of the file while a run is writing it."""
    return Path(f"{os.fspath(path)}.part")


def check_destination(path: PathLike, overwrite: bool = False) -> Path:
    """``path`` if a new file may be written there, else OutputError that says what to do.

    Called before a run, so that nobody waits an hour for a refusal.
    """
    target = Path(path)
    part = part_path(target)
    try:
        if target.is_dir():
            raise OutputError(f"{target}: is a folder. Give a file name inside it.")
        if not target.parent.is_dir():
            raise OutputError(f"{target}: there is no folder {target.parent}. Create it first.")
        if target.exists() and not overwrite:
            raise OutputError(f"{target}: exists already. Choose another name or pass overwrite=True.")
        if part.exists() and not overwrite:
            raise OutputError(
                f"{part}: is left from an unfinished run. Read it with read_result, rename it, or pass overwrite=True."
            )
        if not os.access(target.parent, os.W_OK):
            raise OutputError(f"{target}: the folder {target.parent} is not writable. Choose another folder.")
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}. Choose another place.") from error
    return target


@contextmanager
def writing(path: Path, kept: str = "") -> Iterator[None]:
    """Turn what h5py and the system raise while writing into OutputError."""
    try:
        yield
    except SimError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        fix = kept or "Free space or choose another place."
        raise OutputError(f"{path}: cannot be written: {reason}. {fix}") from error


def claim_space(path: Path, nbytes: int) -> None:
    """Make a file of ``nbytes`` and more for HDF5's structures, which HDF5 then writes anew: where the disk is full the
    system refuses cleanly; HDF5 does not recover, or crashes.
    """
    with open(path, "wb") as handle:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle.fileno(), 0, nbytes + MARGIN)


def check_name(name: str) -> None:
    """Refuse a name that cannot name a group."""
    if not name or "/" in name or name in (".", "..") or name != name.strip():
        raise ModelError(
            f"name {name!r}: must not be empty, hold '/' or begin or end with a space: it names a group in a file. "
            "Rename it."
        )


def write_root(root: Any) -> None:
    """Write what marks a file as SONATA."""
    root.attrs["magic"] = np.uint32(MAGIC)
    root.attrs["version"] = np.array(VERSION, dtype=np.uint32)


def _lookup3(data: bytes) -> int:
    """Bob Jenkins' hash (lookup3, hashlittle), with which HDF5 guards its superblock."""
    mask = 0xFFFFFFFF

    def rotate(x: int, k: int) -> int:
        return (x << k | x >> (32 - k)) & mask

    a = b = c = (0xDEADBEEF + len(data)) & mask
    words = struct.unpack(f"<{-(-len(data) // 12) * 3}I", data + bytes(-len(data) % 12))
    for k in range(0, len(words), 3):
        a, b, c = (a + words[k]) & mask, (b + words[k + 1]) & mask, (c + words[k + 2]) & mask
        if k + 3 < len(words):
            for turn in (4, 6, 8, 16, 19, 4):
                a, b, c = b, (c + b) & mask, ((a - c) & mask) ^ rotate(c, turn)
    for turn in (14, 11, 25, 16, 4, 14, 24):
        a, b, c = b, ((c ^ b) - rotate(b, turn)) & mask, a
    return b


def _superblock(path: Path) -> tuple[int | None, bytes | None]:
    """End of the file as HDF5 noted it, None where there is no telling; and, where a writer left the file open,
    the superblock of the same file closed.
    """
    with open(path, "rb") as handle:
        head = handle.read(48)
    if len(head) < 48 or head[:8] != b"\x89HDF\r\n\x1a\n" or head[8] != 3 or head[9] != 8:
        return None, None
    if _lookup3(head[:44]) != struct.unpack_from("<I", head, 44)[0]:
        raise FormatError(f"{path}: {NOT_HDF5}: its first bytes are damaged. Copy it again or rerun the simulation.")
    end = int(struct.unpack_from("<Q", head, 28)[0])
    if not head[11]:
        return end, None
    closed = head[:11] + b"\0" + head[12:28] + struct.pack("<Q", path.stat().st_size) + head[36:44]
    return end, closed + struct.pack("<I", _lookup3(closed))


class _Closed(io.FileIO):
    """A file that a killed writer left open, read as if it had been closed; the file itself stays as it is.

    ``h5py.File(path, swmr=True)`` would open it too, but waits for ever on damaged ones.
    """

    def __init__(self, path: Path, superblock: bytes) -> None:
        super().__init__(path, "rb")
        self._superblock = superblock

    def readinto(self, buffer: Any) -> int:
        """Read at the current position."""
        at, n = self.tell(), super().readinto(buffer) or 0
        if at < len(self._superblock):
            part = self._superblock[at : at + n]
            memoryview(buffer).cast("B")[: len(part)] = part
        return n


def open_to_read(path: PathLike) -> Any:
    """The open file, without a lock; with one where this process has it open with one: HDF5 refuses other flags."""
    for locking in (False, "best-effort", True):
        try:
            return h5py.File(path, "r", locking=locking)
        except OSError as error:
            if "flag values don't match" not in str(error) or locking is True:
                raise
    raise AssertionError  # pragma: no cover - the last one returns or raises


@contextmanager
def reading(path: Path, checked: bool = False) -> Iterator[Any]:
    """The open file; FormatError for everything that is wrong with it. ``checked``: it was read before, as it is."""
    try:
        if not path.exists():
            hint = " An unfinished run left the .part file: read that." if part_path(path).exists() else ""
            raise FormatError(f"{path}: no such file.{hint or ' Check the name.'}")
        if path.is_dir():
            raise FormatError(f"{path}: is a folder. Give a file.")
        (end, closed), size = _superblock(path), path.stat().st_size
        if end is not None and end > size:
            raise FormatError(
                f"{path}: truncated: {size:,} of {end:,} bytes are there. Copy it again or rerun the simulation."
            )
        if not checked and size <= BYTES_CHECKED:
            check_bytes(path)
        with ExitStack() as stack:
            if closed is None:
                file = stack.enter_context(open_to_read(path))
            else:
                file = stack.enter_context(h5py.File(stack.enter_context(_Closed(path, closed)), "r"))
            if not checked:
                check_content(file, path)
            yield file
    except SimError as error:
        if isinstance(error, (FormatError, OutputError)):
            raise
        raise FormatError(f"{path}: {error}") from error
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        MemoryError,
        EOFError,
        IndexError,
        ArithmeticError,
    ) as error:
        reason = str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(
            f"{path}: {NOT_HDF5} of ours or of SONATA: {reason}. "
            "Truncated or damaged files cannot be repaired: copy it again or rerun the simulation."
        ) from error


def text_of(value: Any) -> str:
    """A string attribute or dataset, however it is stored; a single space stands for an empty one."""
    text = value.decode("utf-8", "replace").rstrip("\0") if isinstance(value, bytes) else str(value)
    return "" if text == " " else text


def dataset(group: Any, name: str, ndim: int = 1) -> Any:
    """A numeric dataset of the wanted rank, or FormatError."""
    data = group.get(name)
    where = f"{group.file.filename}: {group.name}/{name}"
    if not isinstance(data, h5py.Dataset):
        raise FormatError(f"{where}: is missing. This is no SONATA file of the expected kind.")
    if data.ndim != ndim or data.dtype.kind not in "iuf":
        raise FormatError(f"{where}: must be {ndim}-D numbers; got {data.ndim}-D {data.dtype}.")
    return data


def groups(file: Any, name: str) -> dict[str, Any]:
    """The groups inside the group ``name``; none where it is missing."""
    parent = file.get(name)
    if not isinstance(parent, h5py.Group):
        return {}
    return {key: group for key, group in parent.items() if isinstance(group, h5py.Group)}
