"""Reservoirs and readouts in files: HDF5 with a hash of its content, never pickle."""

from typing import Any

import numpy as np
import scipy.sparse

from kernels.errors import FormatError, ModelError
from reservoir.compose import Deep, Parallel
from reservoir.dale import DaleNetwork
from reservoir.esn import EchoStateNetwork
from reservoir.readouts import NLMS, RLS, Ridge, Softmax
from snn.io import own
from snn.io.sonata_file import PathLike

FORMAT, VERSION = "volley reservoir", 1

_LEARNED = ("weights", "bias")
# Of each class: arguments that make one, by the attributes that hold them, and the attributes that change later.
_FIELDS: dict[type, tuple[dict[str, str], tuple[str, ...]]] = {
    EchoStateNetwork: ({k: k for k in ("w", "w_in", "bias", "leak", "readout")}, ("x",)),
    DaleNetwork: (
        {k: k for k in ("excitatory", "inhibitory", "slope", "threshold", "leak", "readout")} | {"w_in": "inputs"},
        ("x",),
    ),
    Deep: ({"parts": "parts", "readout": "readout"}, ()),
    Parallel: ({"parts": "parts", "readout": "readout"}, ()),
    Ridge: (
        {"penalty": "penalty"},
        ("_count", "_stale", "_xx", "_xy", "_yy", "_mean_x", "_mean_y", "chosen", *_LEARNED),
    ),
    RLS: ({"alpha": "alpha", "forgetting": "forgetting"}, ("_root", *_LEARNED)),
    NLMS: ({"rate": "rate", "tau": "tau"}, ("_seen", "_mean", "_offset", *_LEARNED)),
    Softmax: ({"penalty": "penalty"}, ("_parts", *_LEARNED)),
}
_CLASSES = {cls.__name__: cls for cls in _FIELDS}


def save(path: PathLike, what: Any) -> None:
    """Write a reservoir, with its readout and its present state, or a readout alone; :func:`load` goes on from there.

    What is written: ``EchoStateNetwork``, ``DaleNetwork``, ``Deep`` and ``Parallel`` of these, and the readouts. A
    spiking reservoir is a description and a readout: save the readout, and make the network again by the code that made
    it, with the same seed. ``FORCE`` and ``WhatWhen`` have a ``save`` of their own.

    Raises
    ------
    ModelError
        For another object.
    OutputError
        Where the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    own.write(path, FORMAT, VERSION, {"what": _pack(what, "what", arrays)}, arrays)


def load(path: PathLike) -> Any:
    """The reservoir or readout in a file of :func:`save`.

    Raises
    ------
    FormatError
        Where the file is missing, damaged, or holds something else.

    Examples
    --------
    >>> import os, tempfile
    >>> import reservoir
    >>> u, y = reservoir.tasks.narma(500, order=5, seed=1)
    >>> net = reservoir.EchoStateNetwork.random(50, readout=reservoir.Ridge(), seed=1).fit(u, y, washout=20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(os.path.join(folder, "net.h5"), net)
    ...     again = load(os.path.join(folder, "net.h5"))
    >>> bool((again.predict(u) == net.predict(u)).all())
    True
    """
    about, arrays = own.read(path, FORMAT, VERSION, "reservoir.save()")
    try:
        return _unpack(about["what"], arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FormatError(f"{path}: is no whole reservoir: {error}. Save it again.") from error


def _pack(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """``value`` as JSON; its arrays go to ``arrays``."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_pack(item, f"{name}/{k}", arrays) for k, item in enumerate(value)]
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, scipy.sparse.csr_array):
        for part in ("data", "indices", "indptr"):
            arrays[f"{name}/{part}"] = getattr(value, part)
        return {"sparse": name, "shape": list(value.shape)}
    if type(value) not in _FIELDS:
        known = ", ".join(_CLASSES)
        raise ModelError(f"reservoir.save: writes {known}; got {type(value).__name__}. Of others save the readout.")
    made, changing = _FIELDS[type(value)]
    attributes = [a for a in (*made.values(), *changing) if hasattr(value, a)]
    fields = {a: _pack(getattr(value, a), f"{name}/{a}", arrays) for a in attributes}
    return {"class": type(value).__name__, "fields": fields}


def _unpack(found: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(found, list):
        return [_unpack(item, arrays) for item in found]
    if not isinstance(found, dict):
        return found
    if "array" in found:
        return arrays[found["array"]]
    if "sparse" in found:
        parts = tuple(arrays[f"{found['sparse']}/{part}"] for part in ("data", "indices", "indptr"))
        return scipy.sparse.csr_array(parts, shape=tuple(found["shape"]))
    cls = _CLASSES[found["class"]]
    made, changing = _FIELDS[cls]
    if other := set(found["fields"]) - {*made.values(), *changing}:
        raise KeyError(f"{cls.__name__} has no {', '.join(sorted(other))}")
    fields = {name: _unpack(value, arrays) for name, value in found["fields"].items()}
    new = cls(**{argument: fields[attribute] for argument, attribute in made.items()})
    for name in changing:
        if name in fields:
            setattr(new, name, fields[name])
    return new
