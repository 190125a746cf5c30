"""The TOML file: plasticity, short-term plasticity, modulators and recorded weights."""

import json

import numpy as np
import pytest

import snn
from plasticity import DopamineSTDP, STDPPair, TsodyksMarkram
from snn.build import Builder
from snn.config import load

BASE = """
seed = 3
[simulation]
duration = 50.0
[populations.exc]
n = 10
model = "LIFExp"
[populations.inh]
n = 5
model = "LIFExp"
"""
PROJECTION = """
[[projections]]
source = "exc"
target = "inh"
rule = "fixed_indegree"
indegree = 4
weight = 1.0
delay = 1.0
"""
WEIGHTS = '[[record]]\nprojection = "exc->inh"\nvariable = "weights"\n'
REWARDED = PROJECTION + 'plasticity = {rule = "DopamineSTDP", w_max = 2.0}\n'


def test_plasticity(write):
    text = BASE + PROJECTION + 'plasticity = {rule = "STDPPair", tau_plus = 15, lambda_ = 0.1}\n' + WEIGHTS
    experiment = load(write(text), {"projections.0.plasticity.alpha": 1.5})
    for each in (experiment, load(write(text), {"projections.0.plasticity.alpha": 1.5})):
        net = each.network()
        (projection,) = net.projections.values()
        assert repr(projection.plasticity) == repr(STDPPair(tau_plus=15.0, lambda_=0.1, alpha=1.5))
        assert [p.projection for p in net.weight_probes] == [projection] and not net.probes
    # the record of the run names the rule and all its parameters
    stored = experiment.configuration["projections"][0]["plasticity"]
    assert stored == {"rule": "STDPPair"} | STDPPair(tau_plus=15.0, lambda_=0.1, alpha=1.5).params
    assert json.loads(json.dumps(stored)) == stored


def test_short_term_axonal_delay_and_modulator(write):
    """As in Python, also from the record's configuration; and the network runs alike."""
    text = BASE + REWARDED.replace("weight = 1.0", "weight = {uniform = {low = 0.0, high = 2.0}}")
    text += 'short_term = {rule = "TsodyksMarkram", tau_rec = 100.0}\naxonal_delay = 0.4\n'
    text += 'modulator = {source = "inh", delay = 0.5, value = 0.01}\n' + WEIGHTS
    text += '[inputs.noise]\ntarget = "exc"\ntype = "Poisson"\nrate = 9000.0\nweight = 80.0\n'
    text += '[inputs.more]\ntarget = "inh"\ntype = "Poisson"\nrate = 9000.0\nweight = 80.0\n'
    experiment = load(write(text))
    stored = experiment.configuration["projections"][0]
    assert stored["short_term"] == {"rule": "TsodyksMarkram"} | TsodyksMarkram(tau_rec=100.0).params
    net = snn.Network(seed=3)
    exc, inh = (net.population(name, n, snn.LIFExp()) for name, n in (("exc", 10), ("inh", 5)))
    net.input("noise", exc, snn.Poisson(rate=9000.0), weight=80.0)
    net.input("more", inh, snn.Poisson(rate=9000.0), weight=80.0)
    rules = {"plasticity": DopamineSTDP(w_max=2.0), "short_term": TsodyksMarkram(tau_rec=100.0)}
    weight = snn.uniform(0.0, 2.0)
    net.connect(exc, inh, snn.fixed_indegree(4), weight=weight, delay=1.0, axonal_delay=0.4, **rules)
    net.modulate("exc->inh", inh, delay=0.5, value=0.01)
    net.record_weights(net.projections["exc->inh"])
    again = Builder(json.loads(json.dumps(experiment.configuration)))
    assert not again.problems
    assert repr(again.net.projections["exc->inh"]) == repr(net.projections["exc->inh"])
    from_file, from_python = (
        snn.Simulation(each, backend="reference").run(60.0).weights["exc->inh"][1]
        for each in (experiment.network(), net)
    )
    np.testing.assert_array_equal(from_file, from_python)
    first = snn.Simulation(net, backend="reference").connections("exc->inh")[2]
    assert np.abs(from_python - first).max() > 1e-3, "nothing was learned: the comparison shows nothing"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", ".modulator: DopamineSTDP needs 'n', which was never connected."),
        ('modulator = {source = "ihn"}', ".modulator.source: no population 'ihn'. Did you mean 'inh'?"),
        ('modulator = {sorce = "inh"}', ".modulator.sorce: no such key. Did you mean 'source'?"),
        ("modulator = {value = true}", ".modulator.value: must be a number; got true."),
        ("modulator = {value = nan}", ".modulator.value: must be a finite number; got nan."),
        ('modulator = {source = "inh", delay = 0.05}', ".modulator.delay: must be >= dt = 0.1 ms; got 0.05."),
        ('modulator = {source = "inh", delay = -1}', ".modulator.delay: must be a number > 0 ms; got -1.0."),
        ('modulator = "inh"', ".modulator: must be a table; got 'inh'."),
        ("modulator = {}\naxonal_delay = 1.0", ".axonal_delay: must be at least dt = 0.1 ms below every delay; got 1"),
        ("modulator = {}\naxonal_delay = -1.0", ".axonal_delay: must be a number >= 0 ms; got -1.0."),
        (
            "modulator = {}\nshort_term = {}",
            ".short_term.rule: is missing. Known: Bernoulli, QuantalSTP, SaturatingNMDA, Tsody",
        ),
        (
            'modulator = {}\nshort_term = {rule = "TsodyksMarkram", u_se = 2.0}',
            ".short_term.u_se: must be > 0 and <= 1",
        ),
        ('modulator = {}\nshort_term = {rule = "STDPPair"}', ".short_term.rule: no short-term rule 'STDPPair'."),
    ],
)
def test_bad_modulator_short_term_and_axonal_delay(write, keys, expected, problems):
    (line,) = problems(write(BASE + REWARDED + keys + "\n" + WEIGHTS))
    assert line.startswith(f"projections.0{expected}")


def test_modulator_without_a_rule_that_takes_it(write, problems):
    (line,) = problems(write(BASE + PROJECTION + "modulator = {value = 1.0}\n"))
    assert line.startswith("projections.0.modulator: a projection without plasticity takes none.")


def test_recorded_weights_of_several(write):
    text = BASE + PROJECTION + PROJECTION.replace("weight", 'name = "b"\nweight')
    net = load(write(text + '[[record]]\nprojection = ["b", "exc->inh"]\nvariable = "weights"\n')).network()
    assert [p.projection.name for p in net.weight_probes] == ["b", "exc->inh"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ('rule = "STDPPear"', ".rule: no plasticity rule 'STDPPear'. Did you mean 'STDPPair'?"),
        ("tau_plus = 20.0", ".rule: is missing. Known: "),
        ('rule = "STDPPair", tau_pls = 1.0', ".tau_pls: no such parameter of STDPPair. Did you mean 'tau_plus'?"),
        ('rule = "STDPPair", tau_plus = 0.0', ".tau_plus: must be > 0 ms; got 0.0."),
        ('rule = "STDPPair", tau_plus = [1.0, 2.0]', ".tau_plus: must be one number a projection, because trace 'pre'"),
        ('rule = "STDPPair", tau_plus = true', ".tau_plus: must be a number, a list, a distribution or a file;"),
    ],
)  # fmt: skip
def test_bad_plasticity(write, keys, expected, problems):
    (line,) = problems(write(BASE + PROJECTION + f"plasticity = {{{keys}}}\n" + WEIGHTS))
    assert line.startswith(f"projections.0.plasticity{expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('plasticity = "STDPPair"\n', "projections.0.plasticity: must be a table; got 'STDPPair'."),
        (
            'plasticity = {rule = "STDPPair", w_max = 0.5}\n',
            "projections.0.weight: must be in [0, 0.5], the bounds of STDPPair; got ",
        ),
        (WEIGHTS.replace("inh", "ihn"), "record.0.projection: no projection 'exc->ihn'. Did you mean 'exc->inh'?"),
        (WEIGHTS + "evry = 1.0", "record.0.evry: no such key. Did you mean 'every'?"),
        (WEIGHTS + "every = 0", "record.0.every: must be > 0 ms; got 0."),
        (WEIGHTS + "every = 0.15", "record.0.every: must be a multiple of dt = 0.1 ms; got 0.15."),
        (WEIGHTS + WEIGHTS, "record.1: 'exc->inh' is recorded already."),
        ('[[record]]\nvariable = "weights"', "record.0.projection: is missing."),
        (WEIGHTS.replace("weights", "v"), "record.0: no state variable 'v'; there are none."),
        ('[[record]]\npopulation = "exc"\nvariable = "vv"', "record.0.variable: no such variable. Did you mean 'v'?"),
    ],
)
def test_bad_plastic_projections_and_records(write, text, expected, problems):
    (line,) = problems(write(BASE + PROJECTION + text))
    assert line.startswith(expected)
