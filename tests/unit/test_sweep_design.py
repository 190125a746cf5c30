"""Which points a sweep has, with which seeds and names."""

import dataclasses
import json
import math
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ConfigError, ModelError
from snn.host import Stopped
from snn.sweeps.content import canonical
from snn.sweeps.design import Range, axes, combinations, points
from snn.sweeps.points import FAILED, WAITING, run_point, state
from snn.sweeps.run import Plan
from snn.sweeps.runners import numbers
from snn.sweeps.summary import read_summary, summarise


def measured(a, b):
    return {"sum": a + b}


def rows(parameters, method, n=None, seed=0):
    return combinations(axes(parameters), method, n, seed)


def test_grid_and_zip():
    grid = rows({"a": [1, 2], "b": Range(0.0, 1.0, num=3)}, "grid")
    assert [tuple(r.values()) for r in grid] == [(1, 0.0), (1, 0.5), (1, 1.0), (2, 0.0), (2, 0.5), (2, 1.0)]
    pairs = rows({"a": [1, 2, 3], ("b", "c"): Range(1.0, 100.0, num=3, log=True)}, "zip")
    assert [r["a"] for r in pairs] == [1, 2, 3] and list(pairs[0]) == ["a", "b"]
    np.testing.assert_allclose([r["b"] for r in pairs], [1.0, 10.0, 100.0])
    assert Range(1, 4, num=7, integer=True).points() == [1, 2, 3, 4]
    with pytest.raises(ConfigError, match="zip needs as many values of each; got a 2, b 3"):
        rows({"a": [1, 2], "b": [1, 2, 3]}, "zip")


def test_rules_with_values_of_neurons_are_told_apart():
    def text(values, end=snn.per_source):
        return canonical(plasticity.TsodyksMarkram(u_se=end(values)))

    assert text([0.1, 0.2]) == text(np.array([0.1, 0.2]))
    assert len({text([0.1, 0.2]), text([0.2, 0.1]), text([0.1, 0.2], snn.per_target), canonical([0.1, 0.2])}) == 4


def test_random_points_are_a_sample():
    found = rows({"x": Range(-1.0, 3.0), "r": Range(0.01, 100.0, log=True), "k": Range(1, 4, integer=True),
                  "m": ["a", "b"]}, "random", 2000, seed=3)  # fmt: skip
    x, r = (np.array([row[name] for row in found]) for name in ("x", "r"))
    assert -1.0 <= x.min() < -0.9 and 2.9 < x.max() <= 3.0
    assert abs(x.mean() - 1.0) < 5 * 4 / np.sqrt(12 * 2000)
    assert abs(np.mean(r < 1.0) - 0.5) < 5 * 0.5 / np.sqrt(2000)  # the middle of the logarithm
    counts = np.bincount([row["k"] for row in found], minlength=5)
    assert counts[0] == 0 and all(abs(c - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75) for c in counts[1:])
    assert {row["m"] for row in found} == {"a", "b"} and abs(np.corrcoef(x, np.log(r))[0, 1]) < 5 / np.sqrt(2000)


def test_random_points_depend_on_nothing_else():
    few, many = rows({"x": Range(0.0, 1.0)}, "random", 3), rows({"y": [1, 2], "x": Range(0.0, 1.0)}, "random", 9)
    assert [r["x"] for r in few] == [r["x"] for r in many[:3]]
    assert few != rows({"x": Range(0.0, 1.0)}, "random", 3, seed=1)


def test_latin_hypercube_has_one_point_in_each_stratum():
    found = rows({"x": Range(0.0, 50.0), "y": Range(0.0, 50.0)}, "lhs", 50)
    for name in "xy":
        assert sorted(int(row[name]) for row in found) == list(range(50))
    assert found == rows({"x": Range(0.0, 50.0), "y": Range(0.0, 50.0)}, "lhs", 50)


def test_seeds_and_names_depend_on_the_values_alone():
    few = points(rows({"a": [1, 2]}, "grid"), 1, 5, "net")
    more = points(rows({"a": [3, 2, 1]}, "grid"), 3, 5, "net")
    every = {(p.values["a"], p.repetition): p for p in more}
    assert len(every) == 9 and len({p.seed for p in more}) == 9 and len({p.name for p in more}) == 9
    assert all(every[p.values["a"], 0] == p for p in few)
    other_seed, other_net = (points(rows({"a": [1, 2]}, "grid"), 1, *x) for x in ((6, "net"), (5, "other")))
    assert {p.name for p in few}.isdisjoint(p.name for p in (*other_seed, *other_net))
    assert [p.seed for p in other_net] == [p.seed for p in few] != [p.seed for p in other_seed]
    assert [p.seed for p in points(rows({"seed": [4, 9]}, "grid"), 1, 5, "net")] == [4, 9]
    assert len(points(rows({"a": [1, 1, 2]}, "grid"), 1, 0, "net")) == 2, "equal combinations are one point"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Range(1.0, 1.0), "Range.high: must be > low"),
        (lambda: Range(0.0, float("nan")), "Range.high: must be a finite number; got nan"),
        (lambda: Range(0.0, 1.0, log=True), "Range.low: must be > 0 for log; got 0.0"),
        (lambda: Range(0.5, 3, integer=True), "must be whole for integer"),
        (lambda: Range(1, 2, log="x"), "Range.log: must be True or False; got 'x'"),
        (lambda: Range(1, 2, integer=1.0), "Range.integer: must be True or False; got 1.0"),
        (lambda: Range(0.0, 1.0, num=1), "Range.num: must be an integer >= 2; got 1"),
        (lambda: rows({"a": Range(0.0, 1.0)}, "grid"), "parameter a: Range.num: is missing"),
        (lambda: rows({}, "grid"), "must name at least one parameter"),
        (lambda: rows({"a": []}, "grid"), r"parameter a: must be a list of values or a Range; got \[\]"),
        (lambda: rows({"a": "xy"}, "grid"), "parameter a: must be a list of values"),
        (lambda: rows({"a": [1], ("b", "a"): [1]}, "grid"), "parameter b: a is given twice"),
        (lambda: rows({("a", "seed"): [1]}, "grid"), '"seed" must be a parameter of its own'),
        (lambda: rows({"a": [1]}, "sobol"), "sweep.method: must be one of grid, zip, random, lhs; got 'sobol'"),
        (lambda: rows({"a": [1]}, "grid", 3), "sweep.n: is for method"),
        (lambda: rows({"a": [1]}, "lhs"), "needs the number of combinations, >= 1; got None"),
        (lambda: points([{"a": 1}], 0, 0, ""), "sweep.repetitions: must be an integer >= 1; got 0"),
        (lambda: points([{"a": 1}], 1, -1, ""), "sweep.seed: must be an integer >= 0; got -1"),
        (lambda: points([{"seed": 1}], 2, 0, ""), 'with "seed" among the parameters'),
        (lambda: Range(0.0, 1.0, num=10**12), "Range.num: a sweep has at most 100,000 points; got 1,000,000,000,000"),
        (lambda: rows({"a": [1]}, "random", 10**9), "sweep.n: a sweep has at most 100,000 points"),
        (lambda: rows({k: [*range(60)] for k in "abc"}, "grid"), "sweep.parameters: .* 100,000 points; got 216,000"),
        (lambda: points([{"a": 1}], 10**9, 0, ""), "sweep.repetitions: a sweep has at most 100,000 points"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_texts_that_no_table_can_hold(tmp_path):
    """A damaged result does not count; whatever an error says, the table is written."""
    some = points(rows({"a": ["x\0y", "z"]}, "grid"), 1, 0, "net")
    for point, (name, document) in zip(
        some, [("result.json", {"measures": {"\ud800": 1.0}}), ("failed.json", {"error": "a\0b \ud800"})], strict=True
    ):
        (tmp_path / "points" / point.name).mkdir(parents=True)
        (tmp_path / "points" / point.name / name).write_text(json.dumps(document))
    summarise(tmp_path, some, None)
    columns = read_summary(tmp_path).columns
    assert columns["status"].tolist() == ["waiting", "failed"]
    assert columns["error"].tolist() == ["", "a?b ?"] and columns["a"].tolist() == ["x?y", "z"]
    for name in ("", ".", "a\0", "\ud800"):
        with pytest.raises(ModelError, match="must have a name of text"):
            numbers(name, 1.0)


def test_points_that_are_equal_are_one_and_said(tmp_path):
    """By value: a whole float is the integer."""
    with pytest.warns(UserWarning, match="sweep.parameters: 4 of 6 points are equal to others, and left out"):
        plan = Plan.make(measured, {"a": [500, 500.0, 0.5], "b": [1, 1]}, tmp_path, "grid", None, 1, 1, None, False)
    assert [point.values for point in plan.points] == [{"a": 500, "b": 1}, {"a": 0.5, "b": 1}]
    one, other = (points(rows({"a": [value]}, "grid"), 2, 3, "net") for value in (500, 500.0))
    assert [(p.name, p.seed) for p in one] == [(p.name, p.seed) for p in other]
    found = points(rows({"a": [1, True, "1", 1.5]}, "grid"), 1, 3, "net")
    assert len({p.name for p in found}) == 4


def named(*values, owner="net"):
    """(name, seed) of points of these values."""
    return [(p.name, p.seed) for p in points(rows({"x": list(values)}, "grid"), 1, 5, owner)]


def test_names_and_seeds_of_plain_values_stay():
    """What older sweeps have done is not run again."""
    values = [
        1,
        2.5,
        -0.0,
        True,
        None,
        "text \u00e9",
        [1, [2.0, "x"]],
        {"b": 1e300, "a": [0.1]},
        math.inf,
        Path("a/b"),
        1 + 2j,
    ]
    kept = [(p.name, p.seed) for p in points(rows({"x": values, "y": [3]}, "grid"), 1, 5, "net")]
    assert kept == [
        ("63f57099ab32c535-0", 8836945363234843), ("08cc2e71e54a7a40-0", 1205715820781049),
        ("6c71704dfb10dee8-0", 6834766819266213), ("b8887754cdca5838-0", 7612987598061866),
        ("08c4feb318e93959-0", 3750867860915950), ("8c69fb9f3ff13561-0", 5982397522796846),
        ("bf0de46dcf49b8ef-0", 1678939147014544), ("3629996af6d1aea3-0", 1027787391795385),
        ("390d54edb7cd339e-0", 8628267319147351), ("006bae8879633231-0", 2317856551011909),
        ("663ef287148e2167-0", 4846361577126064),
    ]  # fmt: skip


@dataclasses.dataclass
class Short:
    v: float

    def __repr__(self):
        return "Short"


def chance(d):
    return np.exp(-d)


def of_every_kind():
    """Values that repr, or its length, does not tell apart."""
    long, other = np.zeros(2000), np.zeros(2000)
    other[1000] = 5.0
    return [
        long, other, long.reshape(2, 1000), long.astype(np.float32), other.tolist(), np.array([0.123456789012]),
        np.array([0.123456789999]), np.array(["a", 1], object), np.array(["a", 2], object),
        snn.from_arrays([0, 1], [0, 1]), snn.from_arrays([1, 0], [0, 0]), snn.LIFExp(v_th=long), snn.LIFExp(v_th=other),
        snn.LIFDelta(), snn.normal(0.123456701, 1.0), snn.normal(0.123456702, 1.0), snn.Poisson(rate=1e-3),
        snn.StepCurrent([[1.0] * 20]), snn.StepCurrent([[1.0] * 10 + [0.0, 2.0] * 5]), snn.fixed_indegree(3),
        snn.fixed_indegree(4), snn.distance_dependent(chance), Short(1.0), Short(3.0), chance, snn.LIFExp, b"ab", "ab",
        {1: 2}, {"1": 2}, {"x": long}, {"x": other},
    ]  # fmt: skip


def test_values_are_known_by_what_they_hold():
    """However they are made, in this process or another; no two of them are one point."""
    every = named(*of_every_kind())
    assert len(set(every)) == len(of_every_kind()) and every == named(*of_every_kind())
    code = f"import runpy; found = runpy.run_path({__file__!r}, run_name={__name__!r})"
    code += "; print(found['named'](*found['of_every_kind']()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(every)
    turned = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert named(turned, [np.int64(4)]) == named(np.arange(6.0).reshape(2, 3), [4])


def test_a_signal_fails_no_point(tmp_path):
    """That a batch system ends a run with, which its checkpoint survives; any other exit of a point is its error."""
    (point,) = points(rows({"x": [1]}, "grid"), 1, 5, "net")

    def ends_with(error):
        def run(*_):
            raise error

        return run_point(run, point, tmp_path, 1, None, False)

    folder = tmp_path / "points" / point.name
    for error in (Stopped(143), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            ends_with(error)
        assert state(folder) == WAITING and (folder / "log").read_text().endswith(" stopped\n")
    assert ends_with(SystemExit(143)) == FAILED == state(folder)
    assert json.loads((folder / "failed.json").read_text())["error"] == "SystemExit: 143"


class Opaque:
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Opaque(), "parameter x: values must be numbers, texts, arrays, .* got Opaque <.*Give what it is made of"),
        ([1, {"k": {2, 3}}], r"parameter x: values must be .* got set \{2, 3\}"),
        (np.ma.masked_array([1.0]), "parameter x: values must be .* got MaskedArray"),
        (lambda: 1, "parameter x: a function must be defined in a module by name; got <function <lambda>"),
        (Range(1, 2).at, "parameter x: a function must be defined in a module by name; got <bound method"),
        (snn.distance_dependent(lambda d: d), "parameter x: a function must be defined in a module by name"),
    ],
)
def test_values_that_nothing_tells_apart_are_refused(value, message):
    with pytest.raises(ConfigError, match=message):
        named(value)


@dataclasses.dataclass
class Held:
    by: str = ""

    def __reduce__(self):
        return threading.Lock().__reduce_ex__(2)


def test_what_no_other_process_can_get_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"parameter a: values must be such that pickle can send .* cannot pickle"):
        Plan.make(measured, {"a": [1, Held()], "b": [1]}, tmp_path, "grid", None, 1, 1, None, False)
    with pytest.raises(ConfigError, match="sweep: the function must be defined in a module by name; got <bound method"):
        Plan.make(Range(1, 2).at, {"u": [0.5]}, tmp_path, "grid", None, 1, 1, None, False)
