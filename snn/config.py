"""An experiment as a TOML file, or as the configuration in a record: reading, overrides, what is kept as provenance.

What the tables may hold is in ``snn.tables``; the network they describe is built by ``snn.build``.
"""

import copy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernels.errors import ConfigError, FormatError, nearest
from snn.build import Builder
from snn.network import Network
from snn.tables import OutputTable, SimulationTable, shown, toml_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PATHS = {"file", "plot", "models"}  # keys of texts that are paths
OPTIONAL = {"simulation", "output", "params", "init"}  # tables that an override may create


@dataclass
class Experiment:
    """A checked experiment. Made by :func:`load` or :func:`load_provenance`.

    Parameters
    ----------
    path : file it was read from
    simulation, output : tables of the file, with defaults
    configuration : the document with overrides, defaults and absolute paths; it goes to the provenance of a record
    made : of a record that is run again as it was: (hash of its network, version that it was made by)
    """

    path: Path
    simulation: SimulationTable
    output: OutputTable
    configuration: dict[str, Any]
    made: tuple[str, str] | None = None
    _net: Network | None = field(default=None, repr=False)

    def network(self) -> Network:
        """The network, a new one at every call."""
        net = self._net or Builder(self.configuration, allow_code=True).net  # asked for when it was loaded
        self._net, net.configuration = None, copy.deepcopy(self.configuration)
        return net

    def check_same(self, network_hash: str) -> None:
        """Refuse to run a record again on another network: a file that it names may have changed since."""
        if self.made is not None and self.made[0] != network_hash:
            raise ConfigError(
                f"{self.path}: was made by another network than its configuration gives now: a file that it names has "
                f"changed, or Volley has (it was made by {self.made[1]}). Run the TOML file, or override a value "
                "(--set), for what it is now."
            )


def load(path: str | Path, overrides: Mapping[str, Any] | None = None, allow_code: bool = False) -> Experiment:
    """Read and check an experiment.

    Parameters
    ----------
    path : a TOML file
    overrides : key path, such as "populations.exc.n" or "projections.0.weight", to the value that replaces the file's
    allow_code : run the Python files under ``models``; without it they are refused

    Raises
    ------
    ConfigError
        Lists every problem, each under its key path.
    """
    path = Path(path)
    raw = read_toml(path)
    outside = [
        f'output.{key}: must lie in the folder of the file or below; got "{name}". Use --{flag} for another place.'
        for key, flag in (("file", "out"), ("plot", "plot"))
        for name in [raw["output"].get(key) if isinstance(raw.get("output"), dict) else None]
        if isinstance(name, str) and leaves(name)
    ]
    return resolve(path, absolute(raw, path.absolute().parent), overrides or {}, allow_code, outside)


def read_toml(path: Path) -> dict[str, Any]:
    """The document as it is in the file; ConfigError where it cannot be read."""
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Check the name.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValueError as error:  # of tomllib, or in decoding
        raise ConfigError(f"{path}: is not valid TOML: {error}.") from None


def load_provenance(
    path: str | Path, overrides: Mapping[str, Any] | None = None, allow_code: bool = False
) -> Experiment:
    """The experiment that a record was made by, to be run again; its ``[output]`` is left out.

    Raises
    ------
    FormatError
        No record, one of a network that was described in Python, or of a simulation that was changed between runs.
    ConfigError
        As for :func:`load`.
    """
    from snn.io.sonata import describe

    provenance = describe(path)["provenance"]
    if provenance.get("changes") and provenance.get("configuration"):
        calls = ", ".join(dict.fromkeys(str(row["call"]) for row in provenance["changes"]))
        raise FormatError(
            f"{path}: is of a simulation that a program had changed ({calls}), which the file alone cannot repeat. Run "
            "the program again, or the TOML file."
        )
    experiment = from_configuration(path, provenance.get("configuration"), overrides, allow_code)
    if set(overrides or {}) <= {"simulation.threads", "simulation.duration"} and "network_hash" in provenance:
        experiment.made = str(provenance["network_hash"]), str(provenance.get("version"))
    return experiment


def from_configuration(
    path: str | Path, raw: Any, overrides: Mapping[str, Any] | None = None, allow_code: bool = False
) -> Experiment:
    """The experiment of a configuration that was kept in the file ``path``; its ``[output]`` is left out."""
    if not isinstance(raw, dict):
        raise FormatError(f"{path}: holds no configuration: it was not made from a TOML file. Run its script again.")
    raw = {k: v for k, v in raw.items() if k != "output"}
    return resolve(Path(path), raw, overrides or {}, allow_code)


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


def leaves(name: str) -> bool:
    """Whether a path leads out of the folder that it begins in."""
    path = Path(name)
    return path.is_absolute() or bool(path.drive) or name.startswith("~") or ".." in path.parts


def resolve(
    path: Path, raw: dict[str, Any], overrides: Mapping[str, Any], allow_code: bool, found: Sequence[str] = ()
) -> Experiment:
    """The experiment of a document with absolute paths, as :func:`load`; ``path`` is where it was read.

    ``found``: problems that are known already.
    """
    raw, problems = copy.deepcopy(raw), list(found)
    for key, value in overrides.items():
        try:
            _override(raw, key, value)
        except ConfigError as error:
            problems.append(str(error))
    built = Builder(raw, allow_code)
    problems += built.problems
    if problems or built.document is None:
        raise listed(path, problems)
    simulation, output = built.document.simulation, built.document.output
    raw |= {"seed": built.document.seed, "simulation": simulation.model_dump(exclude_none=True)}
    for name, population in built.net.populations.items():
        if population.spec is not None:
            table = raw["populations"][name]
            table["params"] = {p.name: float(p.default) for p in population.spec.params} | table.get("params", {})
    for projection, table in zip(built.net.projections.values(), raw.get("projections", []), strict=True):
        for key, rule in (("plasticity", projection.plasticity), ("short_term", projection.short_term)):
            if rule is not None:
                numbers = {name: x for name, x in rule.params.items() if isinstance(x, float)}
                table[key] = table[key] | numbers  # what synapses draw stays as it was written
    return Experiment(path, simulation, output, raw, _net=built.net)


def listed(path: Path, problems: list[str]) -> ConfigError:
    """The error that lists what is wrong in a file."""
    count = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
    return ConfigError("\n  ".join([f"{path}: {count}", *problems]))


def absolute(raw: Any, folder: Path, key: str = "") -> Any:
    """``raw``, the value of ``key``, with every path (a text under one of PATHS, anywhere) made absolute."""
    if isinstance(raw, dict):
        return {k: absolute(value, folder, k) for k, value in raw.items()}
    if isinstance(raw, list):
        return [absolute(x, folder, key) for x in raw]
    return str(folder / Path(raw).expanduser()) if isinstance(raw, str) and key in PATHS else raw


def _keys(key: str) -> list[str]:
    """The parts of a dotted key, which may be quoted as in TOML."""
    try:
        rest: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        rest = {}
    parts = []
    while isinstance(rest, dict) and len(rest) == 1:
        ((part, rest),) = rest.items()
        parts.append(part)
    if rest != 0:
        raise ConfigError(f'override {key}: is no key path such as populations.exc.n; quote other signs: a."b c".d.')
    return parts


def _override(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set the value at a key path; lists are entered by number, paths are relative to the working folder."""
    keys = _keys(key)
    place: Any = raw
    for depth, part in enumerate(keys):
        here, last = toml_path(*keys[:depth]), depth == len(keys) - 1
        index: Any = part
        if isinstance(place, list):
            if not part.isdigit() or int(part) >= len(place):
                known = f"0 to {len(place) - 1}" if place else "none"
                raise ConfigError(f"override {key}: {here} has no entry {part!r}; entries: {known}.")
            index = int(part)
        elif not isinstance(place, dict):
            raise ConfigError(f"override {key}: {here} is no table; it is {shown(place)}.")
        elif part not in place and not last:
            if part not in OPTIONAL:
                raise ConfigError(f"override {key}: no {part!r} in {here or 'the file'}.{nearest(part, place)}")
            place[part] = {}
        if last:
            place[index] = absolute(value, Path.cwd(), part)
        place = place[index]
