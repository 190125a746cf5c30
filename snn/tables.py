"""The tables of a TOML file: what they may hold, and how what is wrong is said.

pydantic checks keys and types of one table at a time. Inside a table a problem is a text that begins with its place:
``.params.tau_m: must be ...``, or ``: must be ...`` for the table as a whole.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError, create_model

from kernels.errors import ConfigError, FormatError, SimError, nearest
from kernels.spec import NeuronSpec, Param, RuleSpec, ShortTermSpec
from plasticity.base import RULES as PLASTICITY
from plasticity.base import SHORT_TERM, PlasticityRule, ShortTerm
from snn import connect, distributions, inputs, sliding
from snn.distributions import Distribution
from snn.elements import SPIKES
from snn.options import BACKENDS, MOST_THREADS
from snn.space import displacement

T = TypeVar("T", bound="Table")
V = TypeVar("V")
Owner = str | tuple[str, str]

# ----------------------------------------------------------------------------------------------------- problems


class Problems(ConfigError):
    """What is wrong in one table; each text begins with its place."""

    def __init__(self, *found: str) -> None:
        super().__init__("\n".join(found))
        self.found = found


@contextmanager
def within(place: str, *owners: Owner) -> Iterator[None]:
    """What is refused inside becomes Problems at ``place``.

    A message that begins with one of ``owners`` names an object; the place stands for it. (owner, inner place) puts the
    inner place behind ``place``.
    """
    try:
        yield
    except Problems as error:
        raise Problems(*(place + text for text in error.found)) from None
    except SimError as error:
        message = str(error)
        for owner, inner in ((each, "") if isinstance(each, str) else each for each in owners):
            if message.startswith((f"{owner}.", f"{owner}:")):
                raise Problems(place + inner + message[len(owner) :]) from None
        raise Problems(f"{place}: {message}") from None
    except (ValueError, TypeError, OverflowError) as error:  # of numpy, for shapes and sizes that nothing else refuses
        raise Problems(f"{place}: cannot be used: {error}.") from error


def toml_path(*keys: Any) -> str:
    """Keys as TOML writes them: those with other characters than A-Za-z0-9_- are quoted."""
    return ".".join(k if re.fullmatch(r"[A-Za-z0-9_-]+", k) else f'"{k}"' for k in map(str, keys))


def shown(value: Any) -> str:
    """A value as messages show it."""
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 80 else f"{text[:77]}..."


_KINDS = {"float_type": "must be a number", "int_type": "must be an integer", "string_type": "must be a text",
          "bool_type": "must be true or false", "list_type": "must be a list", "dict_type": "must be a table",
          "model_type": "must be a table", "finite_number": "must be finite",
          "too_short": "has too few entries"}  # fmt: skip
_SIGNS = {"greater_than": "> {gt:g}", "greater_than_equal": ">= {ge:g}", "less_than_equal": "<= {le:g}"}


def _sentence(error: Any, table: type["Table"]) -> str:
    """One pydantic error in our words. The description of a field (a unit, how it is written) ends the rule."""
    kind, context, place = error["type"], error.get("ctx", {}), error["loc"]
    field = table.model_fields.get(str(place[0])) if len(place) == 1 else None
    about = field.description or "" if field else ""
    if kind == "extra_forbidden":
        return f"no such {table.what}.{nearest(str(place[-1]), table.model_fields)}"
    if kind == "missing":
        return f"is missing.{f' Describe it: {about}.' if '[' in about else ''}"
    if kind == "value_error":
        return str(context["error"])
    if kind in _SIGNS:
        rule = f"must be {_SIGNS[kind].format(**context)} {about}".rstrip()
    else:
        rule = _KINDS.get(kind, error["msg"].replace("Input should", "must").replace("'", '"'))
        rule += f" {about}" if "[" in about else ""
    return f"{rule}; got {shown(error['input'])}."


def check(table: type[T], raw: Any) -> T:
    """``raw`` as a ``table``, or Problems."""
    try:
        return table.model_validate(raw)
    except ValidationError as error:
        found = []
        for each in error.errors(include_url=False):
            place = "." + toml_path(*each["loc"]) if each["loc"] else ""
            inner = each.get("ctx", {}).get("error")
            texts = inner.found if isinstance(inner, Problems) else (f": {_sentence(each, table)}",)
            found += [place + text for text in texts]
        raise Problems(*found) from None


def chosen(raw: Any, key: str, known: Iterable[str], what: str) -> str:
    """The value of ``key`` of a table, one of ``known``."""
    known = list(known)
    if not isinstance(raw, dict):
        raise Problems(f": must be a table; got {shown(raw)}.")
    if key not in raw:
        raise Problems(f".{key}: is missing. Known: {', '.join(known)}.")
    if raw[key] not in known:
        raise Problems(f".{key}: no {what} {shown(raw[key])}.{nearest(str(raw[key]), known)}")
    return str(raw[key])


# ------------------------------------------------------------------------------------------------------- values


class Table(BaseModel):
    """Base of all tables: unknown keys and other types than the declared ones are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)
    what: ClassVar[str] = "key"


@contextmanager
def _reading(file: str) -> Iterator[None]:
    """What numpy, scipy and the system raise while they read becomes FormatError."""
    try:
        yield
    except SimError:
        raise
    except FileNotFoundError:
        raise FormatError(f"{file}: no such file. Paths are relative to the configuration.") from None
    except Exception as error:  # zipfile and pickle have their own
        raise FormatError(f"{file}: cannot be read: {(str(error) or repr(error)).splitlines()[0]}.") from error


def load_array(file: str, key: str | None = None) -> np.ndarray:
    """The numbers of a ``.npy`` file, or of an array of a ``.npz`` file."""
    with _reading(file):
        loaded = np.load(file, allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            key = loaded.files[0] if key is None and len(loaded.files) == 1 else key
            if key not in loaded.files:
                raise FormatError(f"{file}: no array {key!r}; give key.{nearest(str(key), loaded.files)}")
            loaded = np.asarray(loaded[key])  # bytes, where the member is no .npy
        elif key is not None:
            raise FormatError(f"{file}: is a single array; leave out key.")
    if loaded.dtype.kind not in "iuf":
        raise FormatError(f"{file}: must hold numbers; got {loaded.dtype}.")
    return np.asarray(loaded)


def read_value(raw: Any) -> Any:
    """A number, an array or a distribution."""
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return float(raw)
    if isinstance(raw, list):
        with suppress(ValueError):
            array = np.asarray(raw)
            if array.dtype.kind in "iuf":
                return array
        raise ConfigError("must be a list of numbers, rows of one length.")
    if isinstance(raw, dict) and "file" in raw:
        return call(load_array, check(arguments(load_array), raw))
    if isinstance(raw, dict) and len(raw) == 1:
        return read_distribution(raw)
    raise ConfigError(f"must be a number, a list, a distribution or a file; got {shown(raw)}.")


Value = Annotated[Any, PlainValidator(read_value)]


@cache
def arguments(make: Callable[..., Any], base: type[Table] = Table) -> Any:
    """The table of the arguments of ``make`` and the keys of ``base``. Arguments of type Any are values."""
    fields: dict[str, Any] = {}
    for p in inspect.signature(make, eval_str=True).parameters.values():
        fields[p.name] = Value if p.annotation is Any else p.annotation, ... if p.default is p.empty else p.default
    return create_model("Arguments", __base__=base, **fields)


def given(table: Table) -> dict[str, Any]:
    """The keys that were given, and their values."""
    return {key: getattr(table, key) for key in type(table).model_fields if key in table.model_fields_set}


def call(make: Callable[..., V], table: Table) -> V:
    """``make`` with the arguments that ``table`` gives."""
    return make(**{k: v for k, v in given(table).items() if k in inspect.signature(make).parameters})


def _one_of(makers: Mapping[str, Callable[..., Any]], what: str, raw: Any) -> Any:
    """``{name = {...}}``: what the maker of this name makes of the arguments."""
    if not isinstance(raw, dict) or len(raw) != 1:
        raise ConfigError(f"must be a {what}, {{NAME = {{...}}}} with one of {', '.join(makers)}; got {shown(raw)}.")
    ((name, values),) = raw.items()
    if name not in makers:
        raise ConfigError(f"no {what} {name!r}.{nearest(name, makers)}")
    with within(f".{name}", name):
        return call(makers[name], check(arguments(makers[name]), values))


def _named(*makers: Any) -> dict[str, Callable[..., Any]]:
    return {make.__name__: make for make in makers}


DISTRIBUTIONS = _named(distributions.uniform, distributions.normal, distributions.lognormal, distributions.exponential)
read_distribution = partial(_one_of, DISTRIBUTIONS, "distribution")


def _scale(raw: Any) -> Any:
    """A length, or a list of one a dimension."""
    each = raw if isinstance(raw, list) else [raw]
    if not each or not all(type(x) in (int, float) and 0 < x < np.inf for x in each):
        raise ConfigError(f"must be > 0, a number or a list of one a dimension; got {shown(raw)}.")
    return raw


@dataclass(frozen=True)
class Profile:
    """Probability of a connection by distance: ``p`` at 0; ``kind`` is "gaussian", "exponential" or "disc".

    With one ``scale`` a dimension, by displacement: each of its components is divided by its scale.
    """

    kind: str
    scale: Annotated[Any, PlainValidator(_scale)]
    p: Annotated[float, Field(ge=0, le=1)] = 1.0

    def __call__(self, *apart: np.ndarray) -> np.ndarray:
        """Probabilities of distances, or of displacements, an array a dimension."""
        if isinstance(self.scale, list):
            if len(self.scale) != len(apart):
                raise ConfigError(f"scale has {len(self.scale)} entries")
            x = np.sqrt(sum((np.asarray(a, float) / s) ** 2 for a, s in zip(apart, self.scale, strict=True)))
        else:
            x = np.asarray(apart[0], float) / self.scale
        if self.kind == "disc":
            return np.asarray(self.p * (x <= 1.0))
        return np.asarray(self.p * np.exp(-0.5 * x * x if self.kind == "gaussian" else -x))


PROFILES: dict[str, Callable[..., Any]] = {kind: partial(Profile, kind) for kind in ("gaussian", "exponential", "disc")}


def _profile(raw: Any) -> Any:
    """A profile, as function of displacement where it has a scale for each dimension."""
    made = _one_of(PROFILES, "profile", raw)
    return displacement(made) if isinstance(made.scale, list) else made


AnyProfile = Annotated[Any, PlainValidator(_profile)]

# --------------------------------------------------------------------------------------------- sources and rules


def SonataSpikes(file: str, population: str) -> inputs.SpikeArray:
    """The recorded spikes of a population in a SONATA file."""
    return inputs.SpikeArray.from_sonata(file, population)


def AddressEvents(
    file: str, shape: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None,
    polarity: Literal["split", "merge", "on", "off"] = "split", time_unit: Literal["us", "ms", "s", "ns"] = "us",
    relative: bool = False,
) -> inputs.SpikeArray:  # fmt: skip
    """A file of camera events."""
    options: Any = {"polarity": polarity, "time_unit": time_unit, "relative": relative}
    with _reading(file):
        return inputs.SpikeArray.from_events(file, shape=None if shape is None else tuple(shape), **options)


def distance_dependent(profile: AnyProfile, autapses: bool = False) -> connect.Rule:
    """A rule with one of the named profiles."""
    return connect.distance_dependent(profile, autapses)


def fixed_indegree(
    indegree: int, autapses: bool = True, multapses: bool = True, profile: AnyProfile = None
) -> connect.Rule:  # fmt: skip
    """The rule, with one of the named profiles if any."""
    return connect.fixed_indegree(indegree, autapses, multapses, profile)


def fixed_outdegree(
    outdegree: int, autapses: bool = True, multapses: bool = True, profile: AnyProfile = None
) -> connect.Rule:  # fmt: skip
    """The rule, with one of the named profiles if any."""
    return connect.fixed_outdegree(outdegree, autapses, multapses, profile)


def conv2d(
    image: list[int], kernel: list[int], stride: int | list[int] = 1, padding: int | list[int] = 0,
    dilation: int | list[int] = 1, groups: int = 1,
) -> connect.Rule:  # fmt: skip
    """The rule, with lists of sizes."""
    return sliding.conv2d(tuple(image), tuple(kernel), stride, padding, dilation, groups)


def from_sparse(file: str) -> tuple[Any, Any, None]:
    """(rule, weights, None) of a matrix saved by ``scipy.sparse.save_npz``."""
    import scipy.sparse

    with _reading(file):
        return (*connect.from_sparse(scipy.sparse.load_npz(file)), None)


def from_sonata(file: str, population: str | None = None) -> tuple[Any, Any, Any]:
    """(rule, weights, delays) of an edges file."""
    return connect.from_sonata(file, population)


# by name; a rule gives itself, or (rule, weights, delays)
SPIKE_SOURCES = _named(inputs.Poisson, inputs.SpikeArray, SonataSpikes, AddressEvents)
CURRENTS = _named(inputs.StepCurrent, inputs.ACCurrent, inputs.NoiseCurrent, inputs.OrnsteinUhlenbeck)
RULES = _named(
    connect.all_to_all, connect.one_to_one, fixed_indegree, fixed_outdegree, connect.fixed_total_number,
    connect.pairwise_bernoulli, distance_dependent, conv2d, connect.from_arrays, from_sparse, from_sonata,
)  # fmt: skip

# ------------------------------------------------------------------------------------------------------- tables


def _whole(table: type[Table]) -> PlainValidator:
    """The validator of a table inside a table."""
    return PlainValidator(partial(check, table))


Names = Annotated[
    list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value), Field(min_length=1)
]


class SimulationTable(Table):
    """``[simulation]``."""

    duration: float = Field(ge=0, allow_inf_nan=False, description="ms")
    dt: float = Field(0.1, gt=0, allow_inf_nan=False, description="ms")
    backend: Literal[BACKENDS] = "cpu"  # type: ignore[valid-type]
    engine: Literal["clock", "event"] = "clock"
    threads: int | None = Field(None, ge=1, le=MOST_THREADS)
    precision: Literal["float64", "float32"] = "float64"


def _simulation(raw: Any) -> SimulationTable:
    table = check(SimulationTable, raw)
    for key, value in (("backend", "reference"), ("engine", "event")):
        if getattr(table, key) == value and table.precision != "float64":
            raise ConfigError(f'{key} = "{value}" computes in float64; got precision = "{table.precision}".')
    step = table.dt if table.engine == "clock" else 0.0
    end = min(inputs.LATEST, 2.0**53 * (step or 1.0))  # as Simulation.run has it
    if table.duration > end:
        raise Problems(f".duration: must be <= {end:g} ms; got {table.duration:g}.")
    if step and table.duration > 0 and not round(table.duration / step):
        raise Problems(f".duration: must be 0 or more than half a step of {step:g} ms; got {table.duration:g}.")
    return table


class OutputTable(Table):
    """``[output]``."""

    file: str | None = None
    compress: bool = False
    overwrite: bool = False
    plot: str | None = None
    every: float | None = Field(None, gt=0, allow_inf_nan=False, description="[ms] between two checkpoints")


class Document(Table):
    """The file. Its entries are checked one by one later."""

    seed: int = Field(0, ge=0)
    models: list[str] = Field([], description="of Python files that define models")
    simulation: Annotated[SimulationTable, PlainValidator(_simulation)] = Field({}, validate_default=True)
    output: Annotated[OutputTable, _whole(OutputTable)] = Field({}, validate_default=True)
    populations: dict[str, dict[str, Any]] = Field(min_length=1, description="[populations.NAME]")
    inputs: dict[str, dict[str, Any]] = Field({}, description="[inputs.NAME]")
    projections: list[dict[str, Any]] = Field([], description="of tables [[projections]]")
    gap_junctions: list[dict[str, Any]] = Field([], description="of tables [[gap_junctions]]")
    record: list[dict[str, Any]] = Field([], description="of tables [[record]]")


def _positions(raw: Any) -> Any:
    """An array of shape (n, d) or (n,), a distribution, or a list of one a dimension."""
    if not isinstance(raw, list) or not any(isinstance(x, dict) for x in raw):
        return read_value(raw)
    laws = []
    for k, each in enumerate(raw):
        with within(f".{k}"):
            laws.append(read_distribution(each))
    return laws


class PopulationTable(Table):
    """``[populations.NAME]``; the other keys are those of the source, or ``params`` and ``init`` of neurons."""

    n: int = Field(ge=1, le=2**31 - 1)
    model: str
    positions: Annotated[Any, PlainValidator(_positions)] = None
    wrap: Value = None


def _parameter(param: Param, raw: Any) -> Any:
    value = read_value(raw)
    if not isinstance(value, Distribution):
        with within("", f".{param.name}"):
            param.check("", value)
    return value


def _optional(what: str, readers: Mapping[str, Callable[[Any], Any]]) -> type[Table]:
    fields: Any = {name: (Annotated[Any, PlainValidator(read)], None) for name, read in readers.items()}
    table = create_model("Optional", __base__=Table, **fields)
    table.what = what
    return table


@cache
def parameters(spec: NeuronSpec | RuleSpec | ShortTermSpec) -> type[Table]:
    """The table of the parameters of a model or rule, each inside its bounds."""
    return _optional(f"parameter of {spec.name}", {p.name: partial(_parameter, p) for p in spec.params})


@cache
def neurons(spec: NeuronSpec) -> Any:
    """``[populations.NAME]`` of a neuron model."""
    tables = {"params": parameters(spec), "init": _optional("state variable", {s.name: read_value for s in spec.state})}
    fields: Any = {k: (Annotated[Any, _whole(t)], Field({}, validate_default=True)) for k, t in tables.items()}
    return create_model(spec.name, __base__=PopulationTable, **fields)


class InputTable(Table):
    """``[inputs.NAME]``; the other keys are those of the source."""

    target: str
    type: str
    weight: Value = None
    receptor: str | None = None


def _by_rule(known: Mapping[str, Any], what: str) -> PlainValidator:
    """The validator of a table that names one of the ``known`` rules by which synapses change."""

    def read(raw: Any) -> Any:
        rule = known[chosen(raw, "rule", known, what)]
        table = check(parameters(rule.spec), {key: value for key, value in raw.items() if key != "rule"})
        with within("", rule.spec.name):
            return rule(**given(table))

    return PlainValidator(read)


class ModulatorTable(Table):
    """``modulator`` of a projection; as :meth:`snn.Network.modulate`."""

    source: str | None = None
    delay: float = 1.0
    value: float = 0.0


class ProjectionTable(Table):
    """``[[projections]]``; the other keys are those of the rule."""

    source: str
    target: str
    rule: str
    name: str | None = None
    weight: Value = None
    delay: Value = None
    receptor: str | None = None
    plasticity: Annotated[PlasticityRule | None, _by_rule(PLASTICITY, "plasticity rule")] = None
    short_term: Annotated[ShortTerm | None, _by_rule(SHORT_TERM, "short-term rule")] = None
    axonal_delay: float = 0.0
    modulator: Annotated[ModulatorTable | None, _whole(ModulatorTable)] = None


class JunctionTable(Table):
    """``[[gap_junctions]]``; the other keys are those of the rule."""

    a: str
    b: str
    rule: str
    name: str | None = None
    conductance: Value = 1.0


class RecordTable(Table):
    """``[[record]]`` of populations."""

    population: Names
    variable: Names = [SPIKES]
    ids: Value = None
    every: float | None = Field(None, gt=0, allow_inf_nan=False, description="ms")


class WeightsTable(Table):
    """``[[record]]`` of projections."""

    projection: Names
    variable: Names = ["weights"]
    every: float | None = Field(None, gt=0, allow_inf_nan=False, description="ms")
