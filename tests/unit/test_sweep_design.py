"""Which points a sweep has, with which seeds and names."""

import json

import numpy as np
import pytest

from kernels.errors import ConfigError, ModelError
from snn.sweeps.design import Range, axes, combinations, points
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
