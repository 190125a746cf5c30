"""``snn confidence``: from a trace to certificate, table and plot."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from snn.cli import app
from snn.confidence import EarlyExit, Trace

T, N, C = 10, 900, 4


def command(*args):
    return CliRunner().invoke(app, ["confidence", *map(str, args)])


@pytest.fixture
def trace(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, C, N)
    o = rng.normal(0.0, 1.0, (T, N, C))
    o[:, np.arange(N), y] += 1.5
    fingerprint = {
        "t_max": T, "encoder": "none", "seed": 0, "precision": "float64", "network": "a", "latency": "synchronous",
        "depth": 2,
    }  # fmt: skip
    made = Trace(np.cumsum(o, axis=0), np.arange(N), fingerprint, y, np.cumsum(rng.poisson(5, (T, N)), axis=0))
    made.save(tmp_path / "trace.h5")
    return tmp_path / "trace.h5", made


def test_certificate_table_and_plot(trace, tmp_path):
    path, made = trace
    done = command(path, "--plot", tmp_path / "a.png", "--certificate", tmp_path / "c.json", "--eps", "0.03")
    assert done.exit_code == 0, done.output
    document = json.loads((tmp_path / "c.json").read_text())
    assert document["certificate"]["ok"] and document["certificate"]["n"] == N // 3
    assert document["certificate"]["statement"] in done.output
    agent = EarlyExit.from_dict(document["agent"])
    test = made.split([1 / 3] * 3, 0)[2]
    steps = agent.decide(test).steps.mean()
    row = next(line for line in done.output.splitlines() if line.startswith("margin, certified"))
    assert f"{steps:.3f}" in row.split() and steps < T
    assert (tmp_path / "a.png").stat().st_size > 10_000
    for name in ("patience", "gate", "maxprob", "entropy", "fixed T = 10", "oracle"):
        assert name in done.output


def test_calibration_data_of_their_own(trace, tmp_path):
    path, made = trace
    first, second = made.split([0.5, 0.5])
    first.save(tmp_path / "first.h5")
    second.save(tmp_path / "second.h5")
    done = command(
        tmp_path / "first.h5", "--calibrate", tmp_path / "second.h5", "--score", "gate", "--risk", "accuracy_gap"
    )
    assert done.exit_code == 0 and "225 samples to fit, 450 to certify, 225 to test" in done.output
    done = command(path, "--calibrate", tmp_path / "second.h5", "--seed", 1)
    assert done.exit_code == 2 and "were used by fit" in done.output


def test_too_few_samples_are_said(trace):
    with pytest.warns(UserWarning, match="300 samples are too few for eps 0.001"):
        done = command(trace[0], "--eps", "0.001")
    assert done.exit_code == 0 and "Not certified: 300 samples are too few" in done.output


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--scale", "big"], "--scale: must be none, auto, per-step or a number"),
        (["--score", "sure"], "EarlyExit.score: must be one of"),
        (["--method", "tune"], "must be one of ltt"),
        (["--plot", "a.xyz"], "the name must end in"),
        (["--certificate", "none/c.json"], "none/c.json: its folder does not exist. Create it first."),
        (["--seed", "-1"], "Trace.split.seed: must be an integer >= 0; got -1."),
        (["--eps", "2"], "certify.eps: must be > 0 and < 1"),
    ],
)
def test_refused(trace, args, text):
    done = command(trace[0], *args)
    assert done.exit_code == 2 and text in done.output and not done.stdout


def test_a_certificate_never_replaces_the_trace(trace):
    done = command(trace[0], "--certificate", trace[0])
    assert done.exit_code == 2 and "is the file that is read, and would be lost" in done.output
    assert Trace.load(trace[0]).n == N


def test_labels_of_a_single_class(trace, tmp_path):
    """Disagreement needs no labels; rules that do are left out of the table."""
    path, made = trace
    of_one = np.zeros(N, np.int64)
    Trace(made.outputs, made.ids, made.fingerprint, of_one, made.spikes).save(tmp_path / "one.h5")
    done = command(tmp_path / "one.h5", "--eps", "0.03")
    assert done.exit_code == 0 and "With probability >= 0.9" in done.stdout, done.output
    assert "patience" in done.stdout and "entropy" not in done.stdout


def test_no_trace(tmp_path):
    (tmp_path / "a.h5").write_text("no")
    for name in ("a.h5", "b.h5"):
        assert command(tmp_path / name).exit_code == 2
