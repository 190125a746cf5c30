"""An experiment as a TOML file: its schema, overrides, and the network it describes.

The file is read in two passes and all problems of both are reported together. The first, pydantic, checks tables and
types; the second builds the network piece by piece and moves what it refuses to the key that caused it.
"""

import copy
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from kernels.errors import ConfigError, FormatError, SimError
from kernels.philox import stream_key
from kernels.spec import nearest
from snn import connect, distributions, inputs
from snn.compile import delay_steps, resolve_parameters
from snn.distributions import Distribution
from snn.network import SPIKES, Network, Population
from snn.neurons.base import MODELS, NeuronModel
from snn.simulation import BACKENDS
from snn.units import plain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BAD = object()  # a value that has been reported already
UNITS = {"duration": "ms", "dt": "ms", "start": "ms", "stop": "ms", "every": "ms"}
OPTIONAL = {"simulation", "output", "params", "init"}  # tables that an override may create
Value = Annotated[Any, "value"]  # a number, list, distribution or file; read in the second pass
T = TypeVar("T", bound="Table")


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_several)]


class Table(BaseModel):
    """Base of all tables: unknown keys and other types than the declared ones are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SimulationTable(Table):
    """``[simulation]``."""

    duration: float = Field(ge=0, allow_inf_nan=False)
    dt: float = Field(0.1, gt=0, allow_inf_nan=False)
    backend: str = "cpu"
    engine: Literal["clock"] = "clock"
    threads: int | None = Field(None, ge=1)
    precision: Literal["float64", "float32"] = "float64"

    @field_validator("backend")
    @classmethod
    def _known_backend(cls, value: str) -> str:
        if value not in BACKENDS:
            raise ValueError(f"must be {_either(BACKENDS)}")
        return value

    @model_validator(mode="after")
    def _reference_precision(self) -> "SimulationTable":
        if self.backend == "reference" and self.precision != "float64":
            raise ValueError(f'backend = "reference" computes in float64; got precision = "{self.precision}"')
        return self


class OutputTable(Table):
    """``[output]``."""

    file: str | None = None
    compress: bool = False
    overwrite: bool = False
    plot: str | None = None


class NeuronsTable(Table):
    """``[populations.NAME]`` of neurons."""

    n: int = Field(ge=1)
    model: str
    params: dict[str, Value] = {}
    init: dict[str, Value] = {}
    positions: Value = None


class SourcesTable(Table):
    """``[populations.NAME]`` of spike sources; the other keys are those of the source."""

    n: int = Field(ge=1)
    model: str
    positions: Value = None


class SpikeInputTable(Table):
    """``[inputs.NAME]`` of spikes; the other keys are those of the source."""

    target: str
    type: str
    weight: Value = None
    receptor: str | None = None


class CurrentInputTable(Table):
    """``[inputs.NAME]`` of a current; the other keys are those of the source."""

    target: str
    type: str


class ProjectionTable(Table):
    """``[[projections]]``; the other keys are those of the rule."""

    source: str
    target: str
    rule: str
    name: str | None = None
    weight: Value = None
    delay: Value = None
    receptor: str | None = None


class RecordTable(Table):
    """``[[record]]``."""

    population: Names
    variable: Names = [SPIKES]
    ids: Value = None
    every: float | None = Field(None, gt=0, allow_inf_nan=False)


class FileTable(Table):
    """An array in a ``.npy`` or ``.npz`` file."""

    file: str
    key: str | None = None


# ------------------------------------------------------------------------------------- distributions and profiles


class UniformTable(Table):
    """``{uniform = {...}}``."""

    low: float
    high: float


class NormalTable(Table):
    """``{normal = {...}}`` and ``{lognormal = {...}}``."""

    mean: float
    std: float
    low: float | None = None
    high: float | None = None


class ExponentialTable(Table):
    """``{exponential = {...}}``."""

    scale: float


DISTRIBUTIONS: dict[str, tuple[type[Table], Callable[..., Distribution]]] = {
    "uniform": (UniformTable, distributions.uniform),
    "normal": (NormalTable, distributions.normal),
    "lognormal": (NormalTable, distributions.lognormal),
    "exponential": (ExponentialTable, distributions.exponential),
}


class ProfileTable(Table):
    """A probability that falls with distance: ``p`` at 0, and the length ``scale``."""

    p: float = Field(ge=0, le=1)
    scale: float = Field(gt=0, allow_inf_nan=False)


@dataclass(frozen=True)
class Profile:
    """Probability of a connection by distance; ``kind`` is "gaussian", "exponential" or "disc"."""

    kind: str
    p: float
    scale: float

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        """Probabilities, of the shape of ``distance``."""
        x = np.asarray(distance, float) / self.scale
        if self.kind == "disc":
            return self.p * (x <= 1.0)
        return np.asarray(self.p * np.exp(-0.5 * x * x if self.kind == "gaussian" else -x))


PROFILES = ("gaussian", "exponential", "disc")

# --------------------------------------------------------------------------------------------- sources and rules


class PoissonTable(Table):
    """Keys of Poisson."""

    rate: Value
    times: Value = None
    shared: bool = False
    start: float = 0.0
    stop: float | None = None


class SpikeArrayTable(Table):
    """Keys of SpikeArray."""

    times: Value
    ids: Value = None
    weights: Value = None


class SonataSpikesTable(Table):
    """Keys of SonataSpikes: the recorded spikes of a population in a SONATA file."""

    file: str
    population: str


class AddressEventsTable(Table):
    """Keys of AddressEvents: a file of camera events."""

    file: str
    shape: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None
    polarity: Literal["split", "merge", "on", "off"] = "split"
    time_unit: Literal["us", "ms", "s", "ns"] = "us"
    relative: bool = False


class StepCurrentTable(Table):
    """Keys of StepCurrent."""

    amplitudes: Value
    times: Value = None


class ACCurrentTable(Table):
    """Keys of ACCurrent."""

    amplitude: float
    frequency: float
    phase: float = 0.0
    offset: float = 0.0
    start: float = 0.0
    stop: float | None = None


class NoiseCurrentTable(Table):
    """Keys of NoiseCurrent."""

    mean: float = 0.0
    std: float = 1.0
    dt: float = 1.0
    start: float = 0.0
    stop: float | None = None


class OrnsteinUhlenbeckTable(Table):
    """Keys of OrnsteinUhlenbeck."""

    mean: float = 0.0
    std: float = 1.0
    tau: float = 5.0


def _sonata_spikes(file: str, population: str) -> inputs.SpikeArray:
    return inputs.SpikeArray.from_sonata(file, population)


def _address_events(file: str, shape: Any = None, **options: Any) -> inputs.SpikeArray:
    with _file(file):
        return inputs.SpikeArray.from_events(file, shape=None if shape is None else tuple(shape), **options)


SPIKE_SOURCES: dict[str, tuple[type[Table], Callable[..., Any]]] = {
    "Poisson": (PoissonTable, inputs.Poisson),
    "SpikeArray": (SpikeArrayTable, inputs.SpikeArray),
    "SonataSpikes": (SonataSpikesTable, _sonata_spikes),
    "AddressEvents": (AddressEventsTable, _address_events),
}
CURRENTS: dict[str, tuple[type[Table], Callable[..., Any]]] = {
    "StepCurrent": (StepCurrentTable, inputs.StepCurrent),
    "ACCurrent": (ACCurrentTable, inputs.ACCurrent),
    "NoiseCurrent": (NoiseCurrentTable, inputs.NoiseCurrent),
    "OrnsteinUhlenbeck": (OrnsteinUhlenbeckTable, inputs.OrnsteinUhlenbeck),
}


class NoKeys(Table):
    """A rule without keys."""


class AllToAllTable(Table):
    """Keys of all_to_all."""

    autapses: bool = True


class IndegreeTable(Table):
    """Keys of fixed_indegree."""

    indegree: int = Field(ge=0)
    autapses: bool = True
    multapses: bool = True


class OutdegreeTable(Table):
    """Keys of fixed_outdegree."""

    outdegree: int = Field(ge=0)
    autapses: bool = True
    multapses: bool = True


class TotalNumberTable(Table):
    """Keys of fixed_total_number."""

    number: int = Field(ge=0)
    autapses: bool = True


class BernoulliTable(Table):
    """Keys of pairwise_bernoulli."""

    p: float = Field(ge=0, le=1)
    autapses: bool = True


class DistanceTable(Table):
    """Keys of distance_dependent."""

    profile: dict[str, Any]
    wrap: Value = None
    autapses: bool = False


class ArraysTable(Table):
    """Keys of from_arrays."""

    sources: Value
    targets: Value


class SparseTable(Table):
    """Keys of from_sparse: a matrix saved by ``scipy.sparse.save_npz``, of shape (source, target)."""

    file: str


class SonataEdgesTable(Table):
    """Keys of from_sonata: an edges file."""

    file: str
    population: str | None = None


def _distance_dependent(profile: Any, **more: Any) -> connect.Rule:
    return connect.distance_dependent(profile, **more)


def _from_sparse(file: str) -> tuple[Any, Any, None]:
    import scipy.sparse

    with _file(file):
        matrix = scipy.sparse.load_npz(file)
    return (*connect.from_sparse(matrix), None)


def _from_sonata(file: str, population: str | None = None) -> tuple[Any, Any, Any]:
    return connect.from_sonata(file, population)


RULES: dict[str, tuple[type[Table], Callable[..., Any]]] = {
    "all_to_all": (AllToAllTable, connect.all_to_all),
    "one_to_one": (NoKeys, connect.one_to_one),
    "fixed_indegree": (IndegreeTable, connect.fixed_indegree),
    "fixed_outdegree": (OutdegreeTable, connect.fixed_outdegree),
    "fixed_total_number": (TotalNumberTable, connect.fixed_total_number),
    "pairwise_bernoulli": (BernoulliTable, connect.pairwise_bernoulli),
    "distance_dependent": (DistanceTable, _distance_dependent),
    "from_arrays": (ArraysTable, connect.from_arrays),
    "from_sparse": (SparseTable, _from_sparse),
    "from_sonata": (SonataEdgesTable, _from_sonata),
}

# ----------------------------------------------------------------------------------------------------- problems


def _either(names: Iterable[Any]) -> str:
    return " or ".join(f'"{n}"' for n in names)


def _path(*keys: Any) -> str:
    """Keys as TOML writes them: those with other characters than A-Za-z0-9_- are quoted."""
    texts = [str(k) for k in keys]
    return ".".join(t if re.fullmatch(r"[A-Za-z0-9_-]+", t) else f'"{t}"' for t in texts)


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 80 else f"{text[:77]}..."


_KINDS = {
    "float_type": "must be a number",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "finite_number": "must be finite",
    "too_short": "has too few entries",
    "too_long": "has too many entries",
}
_SIGNS = {"greater_than": (">", "gt"), "greater_than_equal": (">=", "ge"), "less_than": ("<", "lt"),
          "less_than_equal": ("<=", "le")}  # fmt: skip


def _sentence(error: Any, known: Iterable[str]) -> str:
    """One pydantic error in our words, without its place."""
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        return f"no such key.{nearest(str(error['loc'][-1]), known)}"
    if kind == "missing":
        return "is missing."
    if kind == "value_error" and not error["loc"]:
        return f"{context['error']}."
    if kind in _SIGNS:
        sign, name = _SIGNS[kind]
        unit = UNITS.get(str(error["loc"][-1]), "")
        rule = f"must be {sign} {context[name]:g}{unit and ' ' + unit}"
    elif kind == "literal_error":
        rule = f"must be {context['expected']}".replace("'", '"')
    elif kind == "value_error":
        rule = str(context["error"])
    else:
        rule = _KINDS.get(kind, str(error["msg"]))
    return f"{rule}; got {_shown(value)}."


def _relocate(path: str, message: str, owners: Iterable[str | tuple[str, str]]) -> str:
    """``message`` with the object it names replaced by the key path; (owner, path) for another path than ``path``."""
    for each in owners:
        owner, place = (each, path) if isinstance(each, str) else each
        rest = message[len(owner) :]
        if message.startswith(owner) and rest[:1] in (".", ":"):
            return place + rest
    return f"{path}: {message}"


@contextmanager
def _file(file: str) -> Iterator[None]:
    """What numpy, scipy and the system raise while reading becomes FormatError."""
    try:
        yield
    except SimError:
        raise
    except FileNotFoundError:
        raise FormatError(f"{file}: no such file. Paths are relative to the configuration.") from None
    except (OSError, ValueError, KeyError, EOFError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise FormatError(f"{file}: cannot be read: {reason}.") from error
    except Exception as error:  # zipfile.BadZipFile and relatives
        raise FormatError(f"{file}: is no such file as expected: {error}.") from error


def _load_array(file: str, key: str | None) -> np.ndarray:
    with _file(file):
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            if key is not None:
                raise FormatError(f"{file}: is a single array; leave out key.")
            return loaded
        with loaded:
            if key is None and len(loaded.files) == 1:
                key = loaded.files[0]
            if key is None:
                raise FormatError(f"{file}: holds {', '.join(loaded.files) or 'nothing'}. Name one: key = ...")
            if key not in loaded.files:
                raise FormatError(f"{file}: no array {key!r}.{nearest(key, loaded.files)}")
            return np.asarray(loaded[key])


# ------------------------------------------------------------------------------------------------------- building


class _Builder:
    """Builds a network from a raw document and collects every problem on the way."""

    def __init__(self, raw: Mapping[str, Any], problems: list[str]) -> None:
        self.problems = problems
        self.raw = raw
        known = ("seed", "simulation", "populations", "inputs", "projections", "record", "output")
        for key in raw:
            if key not in known:
                self.report(_path(key), f"no such key.{nearest(key, known)}")
        seed = raw.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            self.report("seed", f"must be an integer >= 0; got {_shown(seed)}.")
            seed = 0
        self.net = Network(seed)
        self.simulation = self.table("simulation", raw.get("simulation", {}), SimulationTable)
        self.dt = _dt(raw) if self.simulation is None else self.simulation.dt
        self.output = self.table("output", raw.get("output", {}), OutputTable) or OutputTable()
        self.tables = self.named("populations")
        if not self.tables and not any(p.startswith("populations") for p in problems):
            self.report("populations", "is missing; describe at least one: [populations.NAME].")
        for name, table in self.tables.items():
            self.population(name, table)
        for name, table in self.named("inputs").items():
            self.input(name, table)
        for k, table in enumerate(self.listed("projections")):
            self.projection(k, table)
        if "record" not in raw:
            for population in self.net.populations.values():
                if population.spec is not None:
                    self.net.record(population, SPIKES)
        for k, table in enumerate(self.listed("record")):
            self.record(k, table)

    def report(self, path: str, sentence: str) -> None:
        self.problems.append(f"{path}: {sentence}")

    @contextmanager
    def at(self, path: str, *owners: str | tuple[str, str]) -> Iterator[None]:
        """Collect what the network layer refuses, under ``path``."""
        try:
            yield
        except SimError as error:
            self.problems.append(_relocate(path, str(error), owners))

    def named(self, key: str) -> dict[str, Any]:
        value = self.raw.get(key, {})
        if isinstance(value, dict):
            return value
        self.report(key, f"must be a table [{key}.NAME]; got {_shown(value)}.")
        return {}

    def listed(self, key: str) -> list[Any]:
        value = self.raw.get(key, [])
        if isinstance(value, list):
            return value
        self.report(key, f"must be a list of tables [[{key}]]; got {_shown(value)}.")
        return []

    def table(self, path: str, raw: Any, kind: type[T], known: Iterable[str] = ()) -> T | None:
        """``raw`` as a table of ``kind``, or None and problems."""
        try:
            return kind.model_validate(raw)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                where = ".".join([path, *([_path(*each["loc"])] if each["loc"] else [])])
                self.report(where, _sentence(each, [*kind.model_fields, *known]))
            return None

    def parts(self, path: str, raw: dict[str, Any], common: type[T], own: type[Table]) -> tuple[T | None, Table | None]:
        """One table whose keys belong to two schemas; keys of neither are reported once, by the second."""
        shared = {k: v for k, v in raw.items() if k in common.model_fields}
        rest = {k: v for k, v in raw.items() if k not in common.model_fields}
        return self.table(path, shared, common), self.table(path, rest, own, common.model_fields)

    def choice(self, path: str, raw: Any, key: str, known: Sequence[str], what: str) -> str | None:
        """The value of ``key``, one of ``known``, or None and a problem."""
        if not isinstance(raw, dict):
            self.report(path, f"must be a table; got {_shown(raw)}.")
            return None
        value = raw.get(key)
        if isinstance(value, str) and value in known:
            return value
        if key not in raw:
            self.report(f"{path}.{key}", f"is missing. Known: {', '.join(known)}.")
        else:
            self.report(f"{path}.{key}", f"no {what} {_shown(value)}.{nearest(str(value), known)}")
        return None

    def value(self, path: str, raw: Any) -> Any:
        """A number, an array or a distribution; BAD and a problem if it is none."""
        if isinstance(raw, (int, float)) and not isinstance(raw, bool):
            return float(raw)
        if isinstance(raw, list):
            try:
                array = np.asarray(raw)
            except ValueError:
                array = np.empty(0, object)
            if array.dtype.kind in "iuf":
                return array
            self.report(path, "must be a list of numbers, rows of one length.")
            return BAD
        if isinstance(raw, dict) and "file" in raw:
            table = self.table(path, raw, FileTable)
            if table is None:
                return BAD
            with self.at(path):
                array = _load_array(table.file, table.key)
                if array.dtype.kind not in "iuf":
                    raise FormatError(f"{table.file}: must hold numbers; got {array.dtype}.")
                return array
            return BAD
        if isinstance(raw, dict) and len(raw) == 1:
            ((name, arguments),) = raw.items()
            if name not in DISTRIBUTIONS:
                self.report(path, f"no distribution {name!r}.{nearest(name, DISTRIBUTIONS)}")
                return BAD
            kind, make = DISTRIBUTIONS[name]
            keys = self.table(f"{path}.{name}", arguments, kind)
            with self.at(f"{path}.{name}", name):
                return BAD if keys is None else make(**keys.model_dump(exclude_none=True))
            return BAD
        self.report(path, f"must be a number, a list, a distribution or a file; got {_shown(raw)}.")
        return BAD

    def arguments(self, path: str, table: Table) -> dict[str, Any] | None:
        """The keys given in ``table`` with their values read, or None where one is bad."""
        out = {}
        for name, info in type(table).model_fields.items():
            raw = getattr(table, name)
            if name in table.model_fields_set and raw is not None:
                is_value = "value" in info.metadata
                out[name] = self.value(f"{path}.{name}", raw) if is_value else raw
        return None if any(v is BAD for v in out.values()) else out

    def source(self, path: str, name: str, table: Table | None) -> Any:
        """A spike source or current, or BAD."""
        given = None if table is None else self.arguments(path, table)
        if given is None:
            return BAD
        with self.at(path, name, "SpikeArray", "read_events"):
            return {**SPIKE_SOURCES, **CURRENTS}[name][1](**given)
        return BAD

    def reference(self, path: str, name: str) -> Population | None:
        if name in self.net.populations:
            return self.net.populations[name]
        if name not in self.tables:
            self.report(path, f"no population {name!r}.{nearest(name, self.tables)}")
        return None

    def references(self, path: str, raw: Any, *keys: str) -> None:
        """Check the populations named in a table that cannot be read further."""
        for key in keys:
            if isinstance(raw, dict) and isinstance(raw.get(key), str):
                self.reference(f"{path}.{key}", raw[key])

    def positions(self, path: str, name: str, n: int, raw: Any) -> Any:
        """Shape (n, d): an array, or one distribution a dimension."""
        if isinstance(raw, list) and raw and all(isinstance(x, dict) for x in raw):
            laws = [self.value(f"{path}.{k}", x) for k, x in enumerate(raw)]
            if any(not isinstance(law, Distribution) for law in laws):
                return BAD
            keys = [stream_key(self.net.seed, "positions", name, k) for k in range(len(laws))]
            return np.stack([law.draw(n, key) for law, key in zip(laws, keys, strict=True)], axis=1)
        return None if raw is None else self.value(path, raw)

    def population(self, name: str, raw: Any) -> None:
        path = _path("populations", name)
        kind = self.choice(path, raw, "model", [*MODELS, *SPIKE_SOURCES], "model")
        if kind is None:
            return
        before = len(self.problems)
        if kind in MODELS:
            table = self.table(path, raw, NeuronsTable)
            params, given = (raw[k] if isinstance(raw.get(k), dict) else {} for k in ("params", "init"))
            model: Any = self.model(f"{path}.params", MODELS[kind], params)
            init = {k: self.value(f"{path}.init.{_path(k)}", v) for k, v in given.items()}
            common: NeuronsTable | SourcesTable | None = table
        else:
            common, own = self.parts(path, raw, SourcesTable, SPIKE_SOURCES[kind][0])
            model, init = self.source(path, kind, own), {}
        n = raw.get("n")
        sized = isinstance(n, int) and not isinstance(n, bool) and n >= 1
        positions = self.positions(f"{path}.positions", name, n, raw.get("positions")) if sized else None
        states = {s.name: s for s in MODELS[kind].spec.state} if kind in MODELS else {}
        for variable in [v for v in init if v not in states]:
            self.report(f"{path}.init.{_path(variable)}", f"no such state variable.{nearest(variable, states)}")
        if common is not None and model is not BAD and positions is not BAD and len(self.problems) == before:
            for variable, value in init.items():
                with self.at(path, path):
                    self.net.values(f"{path}.init.{variable}", value, states[variable].unit, (n,))
            if len(self.problems) == before:
                with self.at(path, f"Population {name!r}", "Network.population", (kind, f"{path}.params")):
                    self.on_grid(path, self.net.population(name, n, model, init, positions))
        if sized and name not in self.net.populations and name and "/" not in name:
            # a stand-in, so that what refers to it can be checked
            self.net.population(name, n, MODELS[kind]() if kind in MODELS else inputs.Poisson(0.0))

    def model(self, path: str, kind: type[NeuronModel], raw: dict[str, Any]) -> Any:
        """A neuron model; each parameter is checked by itself, then the rules between them."""
        known = {p.name: p for p in kind.spec.params}
        params = {}
        before = len(self.problems)
        for name, given in raw.items():
            if name not in known:
                self.report(f"{path}.{_path(name)}", f"no such parameter of {kind.spec.name}.{nearest(name, known)}")
                continue
            value = self.value(f"{path}.{name}", given)
            if value is not BAD and not isinstance(value, Distribution):
                with self.at(path, path):
                    value = plain(value, known[name].unit, f"{path}.{name}")
                    known[name].check(path, value)
            params[name] = value
        if len(self.problems) > before:
            return BAD
        with self.at(path, kind.spec.name):
            return kind(**params)
        return BAD

    def on_grid(self, path: str, population: Population) -> None:
        """Checks that need dt: derived constants, drawn parameters, sources."""
        dt, name = self.dt, population.name
        if isinstance(population.model, NeuronModel):
            kind = population.model.spec.name
            with self.at(f"{path}.params", f"{kind} of population {name!r}", kind):
                resolve_parameters(self.net, population, dt)
        else:
            with self.at(path, f"Population {name!r}"):
                population.model.encode(dt, population.n, f"Population {name!r}")

    def input(self, name: str, raw: Any) -> None:
        path = _path("inputs", name)
        kind = self.choice(path, raw, "type", [*SPIKE_SOURCES, *CURRENTS], "input")
        if kind is None:
            self.references(path, raw, "target")
            return
        owners = (f"Input {name!r}", "Network.input")
        common: SpikeInputTable | CurrentInputTable | None
        if kind in CURRENTS:
            common, own = self.parts(path, raw, CurrentInputTable, CURRENTS[kind][0])
        else:
            common, own = self.parts(path, raw, SpikeInputTable, SPIKE_SOURCES[kind][0])
        source = self.source(path, kind, own)
        if common is None:
            return
        target = self.reference(f"{path}.target", common.target)
        more: dict[str, Any] = {}
        if isinstance(common, SpikeInputTable):
            weight = None if common.weight is None else self.value(f"{path}.weight", common.weight)
            more = {"weight": weight, "receptor": common.receptor}
        if source is BAD or target is None or more.get("weight") is BAD:
            return
        with self.at(path, *owners):
            self.net.input(name, target, source, **more)
            source.encode(self.dt, target.n, owners[0])

    def projection(self, k: int, raw: Any) -> None:
        path = f"projections.{k}"
        kind = self.choice(path, raw, "rule", list(RULES), "rule")
        if kind is None:
            self.references(path, raw, "source", "target")
            return
        table, own = self.parts(path, raw, ProjectionTable, RULES[kind][0])
        rule, weights, delays = self.rule(path, kind, own)
        if table is None:
            return
        source = self.reference(f"{path}.source", table.source)
        target = self.reference(f"{path}.target", table.target)
        values = {}
        for key, raw_value, held in (("weight", table.weight, weights), ("delay", table.delay, delays)):
            if raw_value is None and held is None and rule is not BAD:
                self.report(f"{path}.{key}", "is missing.")
            values[key] = self.value(f"{path}.{key}", raw_value) if raw_value is not None else held
        if any(v is BAD or v is None for v in (rule, *values.values())) or source is None or target is None:
            return
        name = f"{source.name}->{target.name}" if table.name is None else table.name
        owner = f"Projection {name!r}"
        with self.at(path, owner, "Network.connect"):
            made = self.net.connect(source, target, rule, receptor=table.receptor, name=table.name, **values)
            delay_steps(made, self.dt)
            _check_rule(owner, rule, source, target)

    def rule(self, path: str, kind: str, table: Table | None) -> tuple[Any, Any, Any]:
        """(rule, weights, delays) with the values that come with the edges; the rule is BAD after a problem."""
        given = None if table is None else self.arguments(path, table)
        if given is None:
            return BAD, None, None
        if "profile" in given:
            given["profile"] = self.profile(f"{path}.profile", given["profile"])
            if given["profile"] is BAD:
                return BAD, None, None
        with self.at(path, kind):
            made = RULES[kind][1](**given)
            return made if isinstance(made, tuple) else (made, None, None)
        return BAD, None, None

    def profile(self, path: str, raw: dict[str, Any]) -> Any:
        if len(raw) != 1 or next(iter(raw)) not in PROFILES:
            example = "{gaussian = {p = 0.3, scale = 0.2}}"
            self.report(path, f"must be one of {', '.join(PROFILES)}, such as {example}; got {_shown(raw)}.")
            return BAD
        ((kind, arguments),) = raw.items()
        table = self.table(f"{path}.{kind}", arguments, ProfileTable)
        return BAD if table is None else Profile(kind, table.p, table.scale)

    def record(self, k: int, raw: Any) -> None:
        path = f"record.{k}"
        table = self.table(path, raw, RecordTable)
        if table is None:
            return
        ids = None if table.ids is None else self.value(f"{path}.ids", table.ids)
        if ids is BAD:
            return
        for name in table.population:
            population = self.reference(f"{path}.population", name)
            if population is None:
                continue
            for variable in table.variable:
                known = [SPIKES, *(s.name for s in (population.spec.state if population.spec else ()))]
                if variable not in known:
                    self.report(f"{path}.variable", f"no variable {variable!r} in {name!r}.{nearest(variable, known)}")
                    continue
                alone = variable == SPIKES and len(table.variable) > 1  # ids and every are for the other variables
                owner = f"record({name!r}, {variable!r})"
                every = None if alone else table.every
                with self.at(path, owner, ("record", path)):
                    self.net.record(population, variable, ids=None if alone else ids, every=every)
                    if every is not None and not _multiple(every, self.dt):
                        raise ConfigError(f"{owner}.every: must be a multiple of dt = {self.dt} ms; got {every}.")


def _dt(raw: Mapping[str, Any]) -> float:
    """The step of a faulty ``[simulation]``, or the default, so that what depends on it is checked all the same."""
    table = raw.get("simulation")
    dt = table.get("dt") if isinstance(table, dict) else None
    return float(dt) if isinstance(dt, (int, float)) and not isinstance(dt, bool) and 0 < dt < np.inf else 0.1


def _multiple(interval: float, dt: float) -> bool:
    return round(interval / dt) >= 1 and abs(round(interval / dt) * dt - interval) <= 1e-6 * dt


def _check_rule(owner: str, rule: connect.Rule, source: Population, target: Population) -> None:
    """What a rule refuses when its edges are drawn, found by drawing those of a single neuron."""
    n_source, n_target = source.n, target.n
    if isinstance(rule, (connect.fixed_indegree, connect.distance_dependent)):
        n_target = 1
    elif isinstance(rule, connect.fixed_outdegree):
        n_source = 1
    elif isinstance(rule, connect.fixed_total_number):
        rule = replace(rule, number=min(rule.number, 1))
    elif not isinstance(rule, (connect.one_to_one, connect.from_arrays)):
        return  # refuses nothing
    positions = source.positions, target.positions
    rule.edges(connect.Pair(owner, n_source, n_target, source is target, stream_key(0), 1, *positions))


# ------------------------------------------------------------------------------------------------------ experiment


@dataclass
class Experiment:
    """A checked experiment. Made by :func:`load` or :func:`load_provenance`.

    Parameters
    ----------
    path : file it was read from
    simulation, output : tables of the file, with defaults
    configuration : the document with overrides, defaults and absolute paths; it goes to the provenance of a record
    """

    path: Path
    simulation: SimulationTable
    output: OutputTable
    configuration: dict[str, Any]
    _net: Network | None = field(default=None, repr=False)

    def network(self) -> Network:
        """The network, a new one at every call."""
        net = self._net or _Builder(self.configuration, []).net
        self._net, net.configuration = None, copy.deepcopy(self.configuration)
        return net


def load(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Read and check an experiment.

    Parameters
    ----------
    path : a TOML file
    overrides : key path, such as "populations.exc.n" or "projections.0.weight", to the value that replaces the file's

    Raises
    ------
    ConfigError
        Lists every problem, each under its key path.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: byte {error.start}.") from None
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Check the name.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    return _check(path, _absolute(raw, path.absolute().parent), overrides or {})


def load_provenance(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """The experiment that a record was made by, to be run again; its ``[output]`` is left out.

    Raises
    ------
    FormatError
        No record, or one of a network that was described in Python.
    ConfigError
        As for :func:`load`.
    """
    from snn.io.sonata import describe

    provenance = describe(path)["provenance"]
    raw = provenance.get("configuration")
    if not isinstance(raw, dict):
        raise FormatError(f"{path}: holds no configuration: it was not made from a TOML file. Run its script again.")
    raw = {k: v for k, v in raw.items() if k != "output"}
    return _check(Path(path), raw, overrides or {})


def parse_override(text: str) -> tuple[str, Any]:
    """("key.path", value) of "key.path=value"; the value is TOML, or a bare word for a text.

    Examples
    --------
    >>> parse_override("projections.0.weight=0.2")
    ('projections.0.weight', 0.2)
    >>> parse_override("simulation.backend=reference")
    ('simulation.backend', 'reference')
    """
    key, equals, given = text.partition("=")
    key, given = key.strip(), given.strip()
    if not equals or not key or not given:
        raise ConfigError(f"--set {text}: must be KEY=VALUE, such as simulation.dt=0.05.")
    try:
        parsed = tomllib.loads(f"value = {given}")
        if list(parsed) == ["value"]:
            return key, parsed["value"]
    except tomllib.TOMLDecodeError:
        if given.replace("-", "_").replace(".", "_").isidentifier():
            return key, given
    raise ConfigError(f'--set {text}: the value must be TOML: a number, "text", true, [1, 2] or {{normal = {{...}}}}.')


def _check(path: Path, raw: dict[str, Any], overrides: Mapping[str, Any]) -> Experiment:
    problems: list[str] = []
    raw = copy.deepcopy(raw)
    for key, value in overrides.items():
        try:
            _override(raw, key, value, Path.cwd())
        except ConfigError as error:
            problems.append(str(error))
    built = _Builder(raw, problems)
    if problems or built.simulation is None:
        count = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
        raise ConfigError("\n  ".join([f"{path}: {count}", *problems]))
    resolved = raw | {"seed": built.net.seed, "simulation": built.simulation.model_dump(exclude_none=True)}
    for table in resolved["populations"].values():
        if table["model"] in MODELS:
            defaults = {p.name: float(p.default) for p in MODELS[table["model"]].spec.params}
            table["params"] = defaults | table.get("params", {})
    net = built.net
    return Experiment(path, built.simulation, built.output, resolved, net)


def _absolute(raw: Any, folder: Path) -> Any:
    """``raw`` with every path made absolute: the texts under ``file`` and ``plot``, anywhere."""
    if isinstance(raw, list):
        return [_absolute(x, folder) for x in raw]
    if not isinstance(raw, dict):
        return raw
    out = {}
    for key, value in raw.items():
        if isinstance(value, str) and key in ("file", "plot"):
            out[key] = str(folder / Path(value).expanduser())
        else:
            out[key] = _absolute(value, folder)
    return out


def _keys(key: str) -> list[str]:
    """The parts of a dotted key, which may be quoted as in TOML."""
    try:
        found: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        raise ConfigError(f'override {key}: is no key path; quote names with other signs: a."b c".d.') from None
    parts = []
    while isinstance(found, dict) and len(found) == 1:
        ((part, found),) = found.items()
        parts.append(part)
    if found != 0 or isinstance(found, dict):
        raise ConfigError(f"override {key}: is no key path such as populations.exc.n.")
    return parts


def _override(raw: dict[str, Any], key: str, value: Any, folder: Path) -> None:
    """Set the value at a key path; lists are entered by number, paths are relative to ``folder``."""
    keys = _keys(key)
    place: Any = raw
    for depth, part in enumerate(keys):
        last, here = depth == len(keys) - 1, _path(*keys[:depth])
        if isinstance(place, list):
            if not part.isdigit() or int(part) >= len(place):
                known = f"0 to {len(place) - 1}" if place else "none"
                raise ConfigError(f"override {key}: {here} has no entry {part!r}; entries: {known}.")
            index: Any = int(part)
        elif isinstance(place, dict):
            index = part
            if part not in place and not last and part not in OPTIONAL:
                raise ConfigError(f"override {key}: no {part!r} in {here or 'the file'}.{nearest(part, place)}")
        else:
            raise ConfigError(f"override {key}: {here} is no table; it is {_shown(place)}.")
        if last:
            place[index] = _absolute({part: value}, folder)[part]
        else:
            place = place.setdefault(index, {}) if isinstance(place, dict) else place[index]
