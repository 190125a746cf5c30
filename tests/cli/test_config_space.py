"""Networks in space described in TOML files: what they hold is what the same calls in Python give."""

import numpy as np
import pytest

import snn
from kernels.errors import ConfigError
from snn.config import load

TEXT = """
seed = 3
[simulation]
duration = 1.0
[populations.a]
n = 60
model = "LIFDelta"
positions = [{uniform = {low = 0.0, high = 1.0}}, {uniform = {low = 0.0, high = 2.0}}]
wrap = [1.0, inf]
[[projections]]
source = "a"
target = "a"
rule = "distance_dependent"
profile = {gaussian = {p = 0.9, scale = [0.05, 0.4]}}
weight = 0.2
delay = 1.0
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        (tmp_path / "net.toml").write_text(text, "utf-8")
        return tmp_path / "net.toml"

    return write


def python(a, rule):
    """The network of the file, with the positions that it drew."""
    net = snn.Network(seed=3)
    b = net.population("a", 60, snn.LIFDelta(), positions=a.positions, wrap=(1.0, np.inf))
    net.connect(b, b, rule, weight=0.2, delay=1.0)
    return net


def same_edges(net, other):
    found, wanted = (snn.Simulation(x, quiet=True).connections("a->a")[:2] for x in (net, other))
    assert len(found[0]) > 80
    for x, y in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("kind", "function"),
    [("gaussian", lambda r: np.exp(-0.5 * r * r)), ("exponential", lambda r: np.exp(-r)), ("disc", lambda r: r <= 1.0)],
)
def test_elliptic_profiles(write, kind, function):
    net = load(write(TEXT.replace("gaussian", kind))).network()
    kernel = snn.displacement(lambda dx, dy: 0.9 * function(np.sqrt((dx / 0.05) ** 2 + (dy / 0.4) ** 2)))
    same_edges(net, python(net.populations["a"], snn.distance_dependent(kernel)))


@pytest.mark.parametrize("end", ["indegree", "outdegree"])
def test_fixed_degrees_by_a_profile(write, end):
    text = TEXT.replace("distance_dependent", f"fixed_{end}").replace("p = 0.9, ", "")
    net = load(write(text + f"{end} = 9\nmultapses = false\n")).network()
    kernel = snn.displacement(lambda dx, dy: np.exp(-0.5 * ((dx / 0.05) ** 2 + (dy / 0.4) ** 2)))
    same_edges(net, python(net.populations["a"], getattr(snn, f"fixed_{end}")(9, multapses=False, p=kernel)))
    with pytest.raises(
        ConfigError, match=f"projections.0.{end}: must be at most [0-9] without multapses: .* with p > 0"
    ):
        load(write(text.replace("gaussian", "disc") + f"{end} = 25\nmultapses = false\n"))


def test_positions_on_a_line(write):
    law = "{uniform = {low = 0.0, high = 1.0}}"
    text = TEXT.replace(", {uniform = {low = 0.0, high = 2.0}}", "").replace("[1.0, inf]", "1.0")
    text = text.replace("[0.05, 0.4]", "0.2")
    one, same = (load(write(text.replace(f"[{law}]", x))).network() for x in (f"[{law}]", law))
    assert one.populations["a"].positions.shape == (60, 1)
    same_edges(one, same)
    listed = text.replace(f"[{law}]", str(one.populations["a"].positions[:, 0].tolist()))
    same_edges(one, load(write(listed)).network())


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("[0.05, 0.4]", "[0.05, 0.4, 1.0]", "projections.0.profile: must be a function of arrays of displacements, one "
         "for each of 2 dimensions; it fails: scale has 3 entries."),
        *(("[0.05, 0.4]", x, "projections.0.profile.gaussian.scale: must be > 0, a number or a list of one a dimension")
          for x in ("[0.05, 0.0]", "[]", "-1", "true", "[[1.0]]", '"x"', "inf")),
        ("[1.0, inf]", "[1.0, inf, 1.0]", "populations.a.wrap: must be a length > 0 or one for each of 2 dimensions"),
        ("[1.0, inf]", '"1 m"', "populations.a.wrap: must be a number, a list"),
    ],
)  # fmt: skip
def test_mistakes(write, old, new, text):
    with pytest.raises(ConfigError) as caught:
        load(write(TEXT.replace(old, new)))
    problems = str(caught.value).splitlines()[1:]
    assert len(problems) == 1 and problems[0].strip().startswith(text)
