"""The tables of a TOML file, and the network they describe.

pydantic checks keys and types of one table at a time. What shows only in the network (shapes, rules between parameters, the
step) the network refuses itself, and the message is moved to the key that caused it. Every problem is collected. Inside
a table a problem is a text that begins with its place: ``.params.tau_m: must be ...``, or ``: must be ...`` for the whole.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import (
    AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError, create_model,
    model_validator,
)  # fmt: skip

from kernels.errors import ConfigError, FormatError, SimError
from kernels.philox import stream_key
from kernels.spec import NeuronSpec, Param, RuleSpec, nearest
from plasticity.base import RULES as PLASTICITY
from plasticity.base import PlasticityRule
from snn import connect, distributions, inputs
from snn.compile import delay_steps, resolve_parameters
from snn.distributions import Distribution
from snn.network import SPIKES, Network, Population
from snn.neurons.base import MODELS
from snn.simulation import BACKENDS

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


def toml_path(*keys: Any) -> str:
    """Keys as TOML writes them: those with other characters than A-Za-z0-9_- are quoted."""
    return ".".join(k if re.fullmatch(r"[A-Za-z0-9_-]+", k) else f'"{k}"' for k in map(str, keys))


def shown(value: Any) -> str:
    """A value as messages show it."""
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 80 else f"{text[:77]}..."


_KINDS = {"float_type": "must be a number", "int_type": "must be an integer", "string_type": "must be a text",
          "bool_type": "must be true or false", "list_type": "must be a list", "dict_type": "must be a table",
          "model_type": "must be a table", "finite_number": "must be finite"}  # fmt: skip
_SIGNS = {"greater_than": "> {gt:g}", "greater_than_equal": ">= {ge:g}", "less_than_equal": "<= {le:g}"}


def _sentence(error: Any, table: type["Table"]) -> str:
    """One pydantic error in our words. The description of a field ends the rule: a unit, or how its tables are written."""
    kind, context = error["type"], error.get("ctx", {})
    key = str(error["loc"][0]) if error["loc"] else ""
    if kind == "extra_forbidden":
        return f"no such {table.what}.{nearest(key, table.model_fields)}"
    if kind == "missing":
        return "is missing."
    if kind == "value_error":
        return str(context["error"])
    if kind in _SIGNS:
        rule = f"must be {_SIGNS[kind].format(**context)}"
    else:
        rule = _KINDS.get(kind, error["msg"].replace("Input should", "must").replace("'", '"'))
    field = table.model_fields.get(key)
    if field is not None and field.description and kind in (*_SIGNS, "list_type", "dict_type"):
        rule += f" {field.description}"
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
            loaded = loaded[key]
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


def call(make: Callable[..., V], table: Table) -> V:
    """``make`` with the arguments that ``table`` gives."""
    return make(**_given(table, inspect.signature(make).parameters))


def _given(table: Table, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(table, name) for name in names if name in table.model_fields_set}


def _one_of(makers: Mapping[str, Callable[..., Any]], what: str, raw: Any) -> Any:
    """``{name = {...}}``: what the maker of this name makes of the arguments."""
    if not isinstance(raw, dict) or len(raw) != 1:
        raise ConfigError(f"must be a {what}, {{NAME = {{...}}}} with one of {', '.join(makers)}; got {shown(raw)}.")
    ((name, given),) = raw.items()
    if name not in makers:
        raise ConfigError(f"no {what} {name!r}.{nearest(name, makers)}")
    with within(f".{name}", name):
        return call(makers[name], check(arguments(makers[name]), given))


DISTRIBUTIONS = {"uniform": distributions.uniform, "normal": distributions.normal,
                 "lognormal": distributions.lognormal, "exponential": distributions.exponential}  # fmt: skip
read_distribution = partial(_one_of, DISTRIBUTIONS, "distribution")


@dataclass(frozen=True)
class Profile:
    """Probability of a connection by distance: ``p`` at 0; ``kind`` is "gaussian", "exponential" or "disc"."""

    kind: str
    p: Annotated[float, Field(ge=0, le=1)]
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        """Probabilities, of the shape of ``distance``."""
        x = np.asarray(distance, float) / self.scale
        if self.kind == "disc":
            return self.p * (x <= 1.0)
        return np.asarray(self.p * np.exp(-0.5 * x * x if self.kind == "gaussian" else -x))


PROFILES = {kind: partial(Profile, kind) for kind in ("gaussian", "exponential", "disc")}

# --------------------------------------------------------------------------------------------- sources and rules


def _sonata_spikes(file: str, population: str) -> inputs.SpikeArray:
    return inputs.SpikeArray.from_sonata(file, population)


def _address_events(
    file: str,
    shape: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None,
    polarity: Literal["split", "merge", "on", "off"] = "split",
    time_unit: Literal["us", "ms", "s", "ns"] = "us",
    relative: bool = False,
) -> inputs.SpikeArray:
    options = {"polarity": polarity, "time_unit": time_unit, "relative": relative}
    with _reading(file):
        return inputs.SpikeArray.from_events(file, shape=None if shape is None else tuple(shape), **options)


def _distance_dependent(
    profile: Annotated[Any, PlainValidator(partial(_one_of, PROFILES, "profile"))],
    wrap: Any = None,
    autapses: bool = False,
) -> connect.Rule:
    return connect.distance_dependent(profile, wrap, autapses)


def _from_sparse(file: str) -> tuple[Any, Any, None]:
    import scipy.sparse

    with _reading(file):
        return (*connect.from_sparse(scipy.sparse.load_npz(file)), None)


def _from_sonata(file: str, population: str | None = None) -> tuple[Any, Any, Any]:
    return connect.from_sonata(file, population)


SPIKE_SOURCES: dict[str, Callable[..., Any]] = {
    "Poisson": inputs.Poisson,
    "SpikeArray": inputs.SpikeArray,
    "SonataSpikes": _sonata_spikes,
    "AddressEvents": _address_events,
}
CURRENTS: dict[str, Callable[..., Any]] = {
    "StepCurrent": inputs.StepCurrent,
    "ACCurrent": inputs.ACCurrent,
    "NoiseCurrent": inputs.NoiseCurrent,
    "OrnsteinUhlenbeck": inputs.OrnsteinUhlenbeck,
}
RULES: dict[str, Callable[..., Any]] = {  # a rule, or (rule, weights, delays)
    "all_to_all": connect.all_to_all,
    "one_to_one": connect.one_to_one,
    "fixed_indegree": connect.fixed_indegree,
    "fixed_outdegree": connect.fixed_outdegree,
    "fixed_total_number": connect.fixed_total_number,
    "pairwise_bernoulli": connect.pairwise_bernoulli,
    "distance_dependent": _distance_dependent,
    "from_arrays": connect.from_arrays,
    "from_sparse": _from_sparse,
    "from_sonata": _from_sonata,
}

# ------------------------------------------------------------------------------------------------------- tables


def _whole(table: type[Table]) -> PlainValidator:
    """The validator of a table inside a table."""
    return PlainValidator(partial(check, table))


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_several)]


class SimulationTable(Table):
    """``[simulation]``."""

    duration: float = Field(ge=0, allow_inf_nan=False, description="ms")
    dt: float = Field(0.1, gt=0, allow_inf_nan=False, description="ms")
    backend: Literal[BACKENDS] = "cpu"  # type: ignore[valid-type]
    engine: Literal["clock"] = "clock"
    threads: int | None = Field(None, ge=1)
    precision: Literal["float64", "float32"] = "float64"

    @model_validator(mode="after")
    def _reference_precision(self) -> "SimulationTable":
        if self.backend == "reference" and self.precision != "float64":
            raise ConfigError(f'backend = "reference" computes in float64; got precision = "{self.precision}".')
        return self


class OutputTable(Table):
    """``[output]``."""

    file: str | None = None
    compress: bool = False
    overwrite: bool = False
    plot: str | None = None


def _not_empty(tables: dict[str, Any]) -> dict[str, Any]:
    if not tables:
        raise ConfigError("is missing; describe at least one: [populations.NAME].")
    return tables


class Document(Table):
    """The file. Its parts are checked one by one later."""

    seed: int = Field(0, ge=0)
    simulation: Annotated[SimulationTable, _whole(SimulationTable)] = Field({}, validate_default=True)
    output: Annotated[OutputTable, _whole(OutputTable)] = Field({}, validate_default=True)
    populations: Annotated[dict[str, Any], AfterValidator(_not_empty)] = Field(
        {}, description="[populations.NAME]", validate_default=True
    )
    inputs: dict[str, Any] = Field({}, description="[inputs.NAME]")
    projections: list[Any] = Field([], description="of tables [[projections]]")
    record: list[Any] = Field([], description="of tables [[record]]")


def _positions(raw: Any) -> Any:
    """An array of shape (n, d), or a list of one distribution a dimension."""
    if not isinstance(raw, list) or not any(isinstance(x, dict) for x in raw):
        return read_value(raw)
    laws = []
    for k, each in enumerate(raw):
        with within(f".{k}"):
            laws.append(read_distribution(each))
    return laws


class PopulationTable(Table):
    """``[populations.NAME]``; the other keys are those of the source, or ``params`` and ``init`` of neurons."""

    n: int = Field(ge=1)
    model: str
    positions: Annotated[Any, PlainValidator(_positions)] = None


def _in_bounds(param: Param, value: Any) -> Any:
    if not isinstance(value, Distribution):
        with within("", f".{param.name}"):
            param.check("", value)
    return value


def _parameters(spec: NeuronSpec | RuleSpec, base: type[Table] = Table) -> type[Table]:
    fields: Any = {p.name: (Annotated[Value, AfterValidator(partial(_in_bounds, p))], None) for p in spec.params}
    table = create_model(spec.name, __base__=base, **fields)
    table.what = f"parameter of {spec.name}"
    return table


@cache
def _neurons(spec: NeuronSpec) -> Any:
    fields: Any = {s.name: (Value, None) for s in spec.state}
    init = create_model("Init", __base__=Table, **fields)
    init.what = "state variable"
    parts: Any = {
        key: (Annotated[Any, _whole(table)], Field({}, validate_default=True))
        for key, table in (("params", _parameters(spec)), ("init", init))
    }
    return create_model(spec.name, __base__=PopulationTable, **parts)


class InputTable(Table):
    """``[inputs.NAME]``; the other keys are those of the source."""

    target: str
    type: str
    weight: Value = None
    receptor: str | None = None


class PlasticityTable(Table):
    """``plasticity`` of a projection; the other keys are the parameters of the rule."""

    rule: str


def _plasticity(raw: Any) -> PlasticityRule:
    rule = PLASTICITY[chosen(raw, "rule", PLASTICITY, "plasticity rule")]
    table = check(_parameters(rule.spec, PlasticityTable), raw)
    with within("", rule.spec.name):
        return rule(**_given(table, (p.name for p in rule.spec.params)))


class ProjectionTable(Table):
    """``[[projections]]``; the other keys are those of the rule."""

    source: str
    target: str
    rule: str
    name: str | None = None
    weight: Value = None
    delay: Value = None
    receptor: str | None = None
    plasticity: Annotated[PlasticityRule | None, PlainValidator(_plasticity)] = None


class RecordTable(Table):
    """``[[record]]`` of populations."""

    population: Names
    variable: Names = [SPIKES]
    ids: Value = None
    every: float | None = Field(None, gt=0, allow_inf_nan=False, description="ms")


class WeightsTable(Table):
    """``[[record]]`` of projections."""

    projection: Names
    variable: Literal["weights"] = "weights"


# ------------------------------------------------------------------------------------------------------ network


class Builder:
    """Builds a network from a document and collects every problem on the way."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.problems: list[str] = []
        self.document: Document | None = None
        with self.at(""):
            self.document = check(Document, raw)
        self.net = Network(self.document.seed if self.document else 0)
        self.dt = self.document.simulation.dt if self.document else _dt(raw)
        self.populations = _part(raw, "populations", dict)
        self.projections: set[str] = set()
        for name, table in self.populations.items():
            self.population(name, table)
        for name, table in _part(raw, "inputs", dict).items():
            self.input(name, table)
        for k, table in enumerate(_part(raw, "projections", list)):
            self.projection(f"projections.{k}", table)
        for k, table in enumerate(_part(raw, "record", list)):
            self.record(f"record.{k}", table)
        if "record" not in raw:
            for population in self.net.populations.values():
                if population.spec is not None:
                    self.net.record(population, SPIKES)

    @contextmanager
    def at(self, path: str, *owners: Owner) -> Iterator[None]:
        """Collect what is refused inside, under ``path``; see :func:`within`."""
        try:
            with within(path, *owners):
                yield
        except Problems as error:
            self.problems += [text.lstrip(".") for text in error.found]

    def find(self, path: str, what: str, name: Any, described: Iterable[str], made: Mapping[str, V]) -> V | None:
        """What was made under ``name``; None, and no problem, where it is described but faulty."""
        if isinstance(name, str) and name not in described:
            self.problems.append(f"{path}: no {what} {name!r}.{nearest(name, described)}")
        return made.get(name) if isinstance(name, str) else None

    def end(self, path: str, raw: Any, key: str) -> Population | None:
        """The population that a table names under ``key``."""
        name = raw.get(key) if isinstance(raw, dict) else None
        return self.find(f"{path}.{key}", "population", name, self.populations, self.net.populations)

    def population(self, name: str, raw: Any) -> None:
        """Add ``[populations.NAME]``, or a stand-in, so that what refers to it can be checked."""
        path, owner, kind = toml_path("populations", name), f"Population {name!r}", None
        with self.at(path):
            kind = chosen(raw, "model", [*MODELS, *SPIKE_SOURCES], "model")
            if kind in MODELS:
                table = check(_neurons(MODELS[kind].spec), raw)
                init = _given(table.init, type(table.init).model_fields)
                owners = [(f"{owner}.init[{s!r}]", f".init.{s}") for s in init]
                with within("", (kind, ".params"), (f"{kind} of population {name!r}", ".params"), *owners, owner):
                    model = MODELS[kind](**_given(table.params, MODELS[kind].spec.names))
        if kind is not None and name not in self.net.populations:
            with suppress(SimError):
                stand_in = MODELS[kind]() if kind in MODELS else inputs.Poisson(0.0)
                self.net.population(name, raw.get("n"), stand_in)
