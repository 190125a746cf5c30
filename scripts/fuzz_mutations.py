"""Mutations for verify_fuzz.py: of bytes, of words of a text, of what an HDF5 file holds, of decoded content."""

from __future__ import annotations

import re
from typing import Any

import h5py
import numpy as np

EXTREME = (0, 1, -1, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), 255, 65536, float("nan"), float("inf"), 1e300, -0.0, 1e-320)
WORDS = ("nan", "-inf", "1e400", "-1", "0", "999999999999", "true", '""', '"../../x"', "[]", "{}", '"\\u0000"', "1e9")


def mutate(data: bytes, rng: np.random.Generator, text: bool) -> bytes:
    """``data`` with one to eight changes."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 9)) if rng.random() < 0.5 else 1):
        if text and rng.random() < 0.7:
            out = bytearray(mutate_text(out.decode("utf-8", "replace"), rng).encode("utf-8", "replace"))
            continue
        at, kind = int(rng.integers(0, max(len(out), 1))), int(rng.integers(0, 7))
        n = int(min(2 ** rng.integers(0, 9), len(out) - at))
        if kind == 0 and out:
            out[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1 and out:
            out[at] = int(rng.integers(0, 256))
        elif kind == 2:
            del out[at : at + n]
        elif kind == 3:
            out[at:at] = out[at : at + n]
        elif kind == 4:
            out[at : at + n] = rng.bytes(n)
        elif kind == 5:
            out = out[:at]
        else:
            value = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1, 2**62]))
            out[at : at + 8] = value.to_bytes(8, "little")
    return bytes(out)


def mutate_text(text: str, rng: np.random.Generator) -> str:
    """One change of a word, number or line."""
    kind = int(rng.integers(0, 5))
    if kind < 2:
        found = list(re.finditer(r"-?[0-9]+\.?[0-9e+-]*" if kind == 0 else r"[\"A-Za-z_]+", text))
        if found:
            m = found[int(rng.integers(0, len(found)))]
            word = (
                str(rng.choice(WORDS))
                if kind == 0 or rng.random() < 0.4
                else found[int(rng.integers(0, len(found)))][0]
            )
            return text[: m.start()] + word + text[m.end() :]
    lines = text.split("\n")
    a, b = (int(x) for x in rng.integers(0, len(lines), 2))
    if kind == 2:
        del lines[a]
    elif kind == 3:
        lines.insert(b, lines[a])
    else:
        lines[a], lines[b] = lines[b], lines[a]
    return "\n".join(lines)


def forged(value: Any, rng: np.random.Generator) -> Any:
    """Nested tables with one leaf or key changed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = list(value)[int(rng.integers(0, len(value)))]
        if rng.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: forged(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        k = int(rng.integers(0, len(value)))
        return [*value[:k], forged(value[k], rng), *value[k + 1 :]]
    return [None, True, "x", "", [], {}, [[1]], *EXTREME][int(rng.integers(0, 7 + len(EXTREME)))]


def forged_arrays(arrays: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Arrays with one missing, renamed, of another type or shape, or with other numbers."""
    name = list(arrays)[int(rng.integers(0, len(arrays)))]
    array, kind = np.array(arrays[name]), int(rng.integers(0, 6))
    if kind == 0:
        return {k: a for k, a in arrays.items() if k != name}
    if kind == 1:
        return arrays | {"other": array}
    if kind == 2:
        array = array.astype([np.float32, np.int8, np.complex128, np.uint64][int(rng.integers(0, 4))])
    elif kind == 3:
        array = np.repeat(array.ravel(), 2) if rng.random() < 0.5 else array.ravel()[: array.size // 2]
    elif array.size:
        flat = array.ravel()
        _put_extremes(flat, rng)
        array = flat.reshape(array.shape)
    return arrays | {name: array}


# ------------------------------------------------------------------------------------------------------ inside HDF5

OTHER_TYPES = ("f4", "f2", ">f8", "i1", "u8", "?", "c16", "S5", "V3", [("a", "i4"), ("b", "f8")])


def mutate_hdf5(data: bytes, rng: np.random.Generator) -> bytes:
    """An HDF5 file with one to three objects or attributes missing, renamed, replaced, or with other content.

    The file is a sound one for the library; what it holds is not what its reader expects.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fapl_core(1 << 16, False)  # in memory alone
    access.set_file_image(data)
    with h5py.File(h5py.h5f.open(b"image", h5py.h5f.ACC_RDWR, access)) as file:
        for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.4 else 1):
            names: list[str] = []
            file.visit(names.append)
            name = names[int(rng.integers(0, len(names)))] if names else "/"
            item = file[name] if rng.random() < 0.9 else file
            if len(item.attrs) and rng.random() < 0.35:
                _change_attribute(item.attrs, rng)
            elif names:
                _change_object(file, name, rng)
        file.flush()
        return bytes(file.id.get_file_image())


def _other(rng: np.random.Generator) -> Any:
    """Something that an attribute or dataset may hold."""
    values = [*EXTREME, "", "x", "../../x", "é", [], [1, 2, 3], [[0.5, 2.0]], ["a", "b"], h5py.Empty("f8")]
    values += [np.bytes_(b"ms"), np.array([b"x", b"yz"]), np.zeros((2, 0)), np.array((1, 2.0), OTHER_TYPES[-1])]
    return values[int(rng.integers(0, len(values)))]


def _change_attribute(attributes: Any, rng: np.random.Generator) -> None:
    names = list(attributes)
    name, kind = names[int(rng.integers(0, len(names)))], rng.random()
    if kind < 0.25:
        del attributes[name]
    elif kind < 0.35:
        value = attributes.get_id(name)
        attributes.create("other", attributes[name], dtype=value.dtype)
        del attributes[name]
    else:
        attributes[name] = _other(rng)


def _change_object(file: Any, name: str, rng: np.random.Generator) -> None:
    item, kind = file[name], int(rng.integers(0, 9))
    if kind < 2 or not isinstance(item, h5py.Dataset) and kind > 5:
        del file[name]
        return
    if kind == 2:
        file.move(name, f"{name}_other")
        return
    if kind == 3:  # a link: to nowhere, to another file, in a circle
        del file[name]
        links = (h5py.SoftLink("/nowhere"), h5py.SoftLink(f"/{name}"), h5py.ExternalLink("../other.h5", "/x"),
                 h5py.ExternalLink("/dev/zero", "/x"), file["/"])  # fmt: skip
        file[name] = links[int(rng.integers(0, len(links)))]
        return
    attributes = {k: (v, item.attrs.get_id(k).dtype) for k, v in item.attrs.items()}
    small = isinstance(item, h5py.Dataset) and item.nbytes < 1 << 20  # not what an earlier change made to claim much
    stored = item[()] if small else None
    del file[name]
    try:
        new = _replacement(file, name, stored, kind, rng)
    except (TypeError, ValueError, OSError):  # HDF5 does not store this as that
        new = file.create_group(name)
    for key, (value, dtype) in attributes.items():
        new.attrs.create(key, value, dtype=dtype)


def _replacement(file: Any, name: str, stored: Any, kind: int, rng: np.random.Generator) -> Any:
    """A new object ``name`` in place of a dataset that held ``stored``, or of a group (None)."""
    if stored is None or kind == 4:
        if stored is not None and rng.random() < 0.5:
            return file.create_group(name)
        file[name] = _other(rng)
        return file[name]
    array = np.asarray(stored)
    if kind == 5:
        if rng.random() < 0.3:  # texts of variable length, or references
            values = array.ravel()[:50].astype(str).astype(object)
            return file.create_dataset(name, data=values, dtype=h5py.string_dtype())
        dtype = np.dtype(OTHER_TYPES[int(rng.integers(0, len(OTHER_TYPES)))])
        with np.errstate(all="ignore"):
            data = (
                array.astype(dtype) if array.dtype.kind in "iuf" and dtype.kind != "V" else np.zeros(array.shape, dtype)
            )
        return file.create_dataset(name, data=data)
    if kind == 6:
        flat = array.ravel()
        one = flat[0] if flat.size else 0
        shapes = (flat[: flat.size // 2], np.repeat(flat, 2), array[None], array[..., None], flat[:0], one)
        return file.create_dataset(name, data=shapes[int(rng.integers(0, len(shapes)))])
    if kind == 7:  # claims much, holds little; or its numbers lie in other files
        dtype = array.dtype if array.dtype.kind in "iuf" else np.dtype("f8")
        which = int(rng.integers(0, 3))
        if which == 0:
            shape = (int(rng.choice([10**7, 2**33, 2**50])), *array.shape[1:])
            return file.create_dataset(name, shape, dtype, chunks=True, fillvalue=1)
        if which == 1:
            return file.create_dataset(name, (100,), dtype, external=[("/proc/self/environ", 0, 800)])
        layout = h5py.VirtualLayout((100,), dtype)
        layout[:] = h5py.VirtualSource("../other.h5", "x", (100,))
        return file.create_virtual_dataset(name, layout)
    values = array.copy()
    if values.size and values.dtype.kind in "iuf":
        _put_extremes(values.reshape(-1), rng)
    return file.create_dataset(name, data=values)


def _put_extremes(flat: np.ndarray, rng: np.random.Generator) -> None:
    """Replace one to three of the numbers, in place."""
    with np.errstate(all="ignore"):
        for _ in range(int(rng.integers(1, 4))):
            value: Any = EXTREME[int(rng.integers(0, len(EXTREME)))]
            if flat.dtype.kind in "iu":
                whole, limit = int(value) if np.isfinite(value) else 7, np.iinfo(flat.dtype)
                value = min(max(whole, int(limit.min)), int(limit.max))
            flat[int(rng.integers(0, flat.size))] = value
