"""The early-termination agent: its decisions against their definitions, its traces, its mistakes named."""

import json
import math
import tracemalloc

import numpy as np
import pytest
import scipy.special

from kernels.errors import FormatError, ModelError, ShapeError, SimError
from snn import confidence
from snn.confidence import EarlyExit, FixedT, Trace, compare
from snn.confidence.evaluate import exits
from snn.io.sonata_file import OutputError

T, N, C = 12, 90, 4
FINGERPRINT = {
    "t_max": T, "encoder": "direct", "seed": None, "precision": "float64", "network": "a", "latency": "synchronous",
    "depth": 3,
}  # fmt: skip


def made(seed=0, integers=False, **changes):
    """Evidence for the label in noise; every number of a row is another one, so that there are no ties."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(N) % C)
    o = rng.normal(0.0, 1.0, (T, N, C))
    o[:, np.arange(N), y] += 0.8
    s = np.cumsum(np.rint(10 * o), axis=0).astype(np.int32) if integers else np.cumsum(o, axis=0)
    parts = {"outputs": s, "ids": np.arange(N) + 1000 * seed, "fingerprint": FINGERPRINT, "labels": y}
    parts["spikes"] = np.cumsum(rng.poisson(5.0, (T, N)), axis=0)
    parts["synops"] = 10 * parts["spikes"]
    return Trace(**(parts | changes))


def refingered(**changes):
    return FINGERPRINT | changes


def readout(s, kind, t, span):
    """r_t by the table of EarlyExit, t = 1, 2, .."""
    o = np.diff(s.astype(float), axis=0, prepend=0.0)
    if kind == "mean":
        return s[t - 1] / t
    if kind == "window":
        return o[max(0, t - span) : t].sum(axis=0)
    if kind == "ema":
        return sum(math.exp(-(t - k) / span) * o[k - 1] for k in range(1, t + 1))
    return s[t - 1].astype(float)


def score(r, kind, scale, unchanged):
    p = scipy.special.softmax(r / scale)
    top = np.sort(r)
    if kind == "margin":
        return (top[-1] - top[-2]) / scale
    if kind == "maxprob":
        return p.max()
    if kind == "entropy":
        return 1.0 + np.sum(p * np.log(p)) / math.log(C)
    if kind == "llr":
        return math.log(p.max()) - math.log(1.0 - p.max())
    return unchanged


SCORES = ["margin", "maxprob", "entropy", "llr", "patience"]


@pytest.mark.parametrize(("kind", "span"), [("sum", None), ("mean", None), ("ema", 3.0), ("window", 4)])
@pytest.mark.parametrize("integers", [False, True])
def test_scores_and_decisions_follow_their_definitions(kind, span, integers):
    trace = made(integers=integers)
    s, scale = trace.outputs, 20.0 if integers else 2.0
    for name in SCORES:
        agent = EarlyExit(name, bar=0.0, readout=kind, scale=scale, span=span, t_min=2, check_every=2)
        scores, labels, _ = agent.follow(trace)
        want, leads = np.full((T, N), -np.inf), np.empty((T, N), int)
        for n in range(N):
            unchanged = 0
            for t in range(1, T + 1):
                r = readout(s[:, n], kind, t, span)
                leads[t - 1, n] = r.argmax()
                unchanged = unchanged + 1 if t > 1 and leads[t - 1, n] == leads[t - 2, n] else 0
                if t % 2 == 0:
                    want[t - 1, n] = score(r, name, scale, unchanged)
        assert np.array_equal(labels, leads)
        assert np.allclose(scores, want, rtol=1e-9, atol=1e-9)
        agent.bar = bar = float(np.median(want[3]))
        done = agent.decide(trace)
        above = want > bar
        assert above.any(axis=0).any() and not above[:-1].any(axis=0).all()  # both happen
        stop = np.where(above.any(axis=0), above.argmax(axis=0), T - 1)
        assert np.array_equal(done.steps, stop + 1)
        assert np.array_equal(done.labels, leads[stop, np.arange(N)])
        assert np.array_equal(done.spikes, trace.spikes[stop, np.arange(N)])
        assert done.count("confident") == above.any(axis=0).sum() and done.count("cap") == N - done.count("confident")


def test_log_odds_stay_exact_where_probabilities_are_one():
    trace = made(outputs=np.cumsum(np.full((T, N, C), [300.0, 0.0, 0.0, 0.0]), axis=0))
    assert EarlyExit("maxprob").follow(trace)[0][3, 0] == 1.0
    assert EarlyExit("llr").follow(trace)[0][3, 0] == pytest.approx(1200.0 - math.log(3.0), rel=1e-14)


AGENTS = {
    "margin": EarlyExit("margin", bar=1.5),
    "ema": EarlyExit("margin", bar=1.0, readout="ema", span=3.0),
    "window": EarlyExit("maxprob", bar=0.8, readout="window", span=4),
    "auto": EarlyExit("maxprob", bar=0.8, scale="auto"),
    "per-step": EarlyExit("entropy", bar=0.5, scale="per-step"),
    "stability": EarlyExit("gate", bar=1.0),
    "correct": EarlyExit("gate", bar=1.0, target="correct"),
    "cost": confidence.JEIGate(0.3),
    "top-k": confidence.TopK(0.1),
    "give up": EarlyExit("margin", bar=3.0, give_up=(4, 0.9)),
    "budget": EarlyExit("margin", bar=3.0, max_steps=7),
    "patience": confidence.Patience(3),
}


@pytest.mark.parametrize("name", AGENTS)
def test_streams_traces_and_sweeps_decide_alike(name):
    agent, trace = AGENTS[name].fit(made(1)), made(2)
    done = agent.decide(trace)
    assert 1.0 < done.steps.mean() < T  # some stop early, not all at once
    stream = agent.stream(C, T)
    outputs = np.diff(trace.outputs, axis=0, prepend=0.0)
    for n in range(N):
        stream.reset()
        for t in range(T):
            if stream.update(outputs[t, n]):
                break
        assert (stream.t, stream.label, stream.reason) == (
            done.steps[n], done.labels[n], confidence.agent.REASONS[done.reasons[n]],
        )  # fmt: skip
    scores, labels, hopes = agent.follow(trace)
    steps, hopeless = exits(scores, hopes, [agent.bar], [agent.low], agent.max_steps)
    assert np.array_equal(steps[0], done.steps)
    assert np.array_equal(labels[done.steps - 1, np.arange(N)], done.labels)
    assert hopeless.sum() == done.count("hopeless") and (name == "give up") == (done.count("hopeless") > 0)
    assert (name == "budget") == (done.count("budget") > 0)


def test_integer_bars_stop_at_the_same_steps():
    trace = made(integers=True)
    for bar in (0.0, 7.0, 7.3, 12.9, -1.5):
        agent = EarlyExit(bar=bar)
        gap = np.sort(trace.outputs, axis=2)
        above = gap[..., -1] - gap[..., -2] > agent.integer_bar()
        stop = np.where(above.any(axis=0), above.argmax(axis=0), T - 1) + 1
        assert isinstance(agent.integer_bar(), int) and np.array_equal(agent.decide(trace).steps, stop)
    for agent in (EarlyExit(bar=math.inf), EarlyExit(bar=1.0, scale=2.0), EarlyExit("maxprob", bar=0.5)):
        with pytest.raises(ModelError, match="integer_bar: needs"):
            agent.integer_bar()


@pytest.mark.parametrize("name", AGENTS)
def test_agents_survive_json(name):
    agent, trace = AGENTS[name], made(2)
    agent = agent if agent.fingerprint else agent.fit(made(1))
    document = json.loads(json.dumps(agent.to_dict(), allow_nan=False))
    back, done = EarlyExit.from_dict(document), agent.decide(trace)
    again = back.decide(trace)
    assert np.array_equal(again.steps, done.steps) and np.array_equal(again.reasons, done.reasons)
    assert back.to_dict() == agent.to_dict()
    for call in (back.fit, back.certify):
        with pytest.raises(ModelError, match="came from a document"):
            call(made(3))
    with pytest.raises(FormatError, match="is no agent"):
        EarlyExit.from_dict({"bar": 1.0})


def test_a_sample_decides_alike_in_any_company():
    agent, trace = AGENTS["stability"].fit(made(1)), made(2)
    whole = agent.decide(trace)
    order = np.random.default_rng(3).permutation(N)[:17]
    some = agent.decide(trace.take(order))
    assert np.array_equal(some.steps, whole.steps[order]) and np.array_equal(some.labels, whole.labels[order])


def test_a_stream_allocates_nothing():
    stream = EarlyExit("entropy", bar=2.0).stream(C, 10_000)
    outputs = np.ones(C)
    for _ in range(10):
        stream.update(outputs)
    tracemalloc.start()
    for _ in range(2000):
        stream.update(outputs)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now < 4000 and peak < 8000  # numbers on their way; one row a step would be 64 kB


def test_pipelined_networks_are_not_asked_before_their_depth():
    agent = EarlyExit("margin", bar=-1.0)
    assert set(agent.decide(made()).steps) == {1}
    assert set(agent.decide(made(fingerprint=refingered(latency="pipelined"))).steps) == {3}


def test_silent_and_undecided_outputs_never_stop_early():
    zeros = made(outputs=np.zeros((T, N, C)))
    for agent in (EarlyExit(bar=0.0), EarlyExit("maxprob", bar=1 / C), EarlyExit("llr", bar=0.0)):
        done = agent.decide(zeros)
        assert set(done.steps) == {T} and set(done.labels) == {0}
    with pytest.raises(ModelError, match="the network is silent"):
        EarlyExit().fit(zeros)


def test_an_infinite_bar_never_stops_and_comparison_is_strict():
    trace = made(integers=True)
    assert set(EarlyExit(bar=math.inf).decide(trace).steps) == {T}
    gap = EarlyExit(bar=0.0).follow(trace)[0]
    n = int(np.flatnonzero((gap[1:] <= gap[0]).all(axis=0))[0]) if (gap[1:] <= gap[0]).all(axis=0).any() else 0
    bar = float(gap[:, n].max())
    assert EarlyExit(bar=bar).decide(trace).steps[n] == T
    assert EarlyExit(bar=np.nextafter(bar, 0.0)).decide(trace).steps[n] == gap[:, n].argmax() + 1


# ------------------------------------------------------------------------------------------------------- traces


def test_traces_survive_the_file(tmp_path):
    for trace in (made(), made(integers=True, labels=None, spikes=None)):
        trace.save(tmp_path / "trace.h5")
        back = Trace.load(tmp_path / "trace.h5")
        assert back.fingerprint == trace.fingerprint and back.outputs.dtype == trace.outputs.dtype
        for name in ("outputs", "ids", "labels", "spikes", "synops"):
            one, two = getattr(trace, name), getattr(back, name)
            assert (one is None and two is None) or np.array_equal(one, two)
    assert [p.name for p in tmp_path.iterdir()] == ["trace.h5"]


def test_parts_are_disjoint_and_keep_equal_samples_together():
    ids = np.arange(N) // 3
    parts = made(ids=ids).split([0.4, 0.3, 0.3], seed=1)
    assert sum(p.n for p in parts) == N
    sets = [set(p.ids) for p in parts]
    assert not sets[0] & sets[1] and not sets[1] & sets[2] and not sets[0] & sets[2]
    again = made(ids=ids).split([0.4, 0.3, 0.3], seed=1)
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(parts, again, strict=True))


def test_ids_follow_content():
    x = np.random.default_rng(0).random((5, 3))
    ids = confidence.sample_ids(x)
    assert np.array_equal(confidence.sample_ids(x[::-1])[::-1], ids) and len(set(ids)) == 5
    assert confidence.sample_ids(np.vstack([x, x[:1]]))[5] == ids[0]
    whole = np.array([[0, 3, 255], [7, 0, 1]], np.uint8)
    for same in (whole.astype(float), whole.astype(np.float32), np.where(whole, whole, -0.0), whole.tolist()):
        assert np.array_equal(confidence.sample_ids(same), confidence.sample_ids(whole))


# -------------------------------------------------------------------------------------------- certificates, reports


def test_too_few_samples_mean_never_early_and_say_so():
    fit, rest = made(1), made(2)
    agent = EarlyExit().fit(fit)
    with pytest.warns(UserWarning, match="90 samples are too few for eps 0.02: at least 114"):
        certificate = agent.certify(rest, eps=0.02, delta=0.1)
    assert not certificate.ok and certificate.bound == 1.0 and certificate.threshold == math.inf
    assert "never stops early" in certificate.statement()
    assert set(agent.decide(made(3)).steps) == {T}
    assert json.loads(json.dumps(certificate.to_dict()))["threshold"] is None


def test_a_certificate_says_what_it_found():
    agent = EarlyExit().fit(made(1))
    certificate = agent.certify(made(2), risk="accuracy_gap", eps=0.1, delta=0.1)
    assert certificate.ok and certificate.bound == 0.1 and certificate.n == N and agent.bar == certificate.threshold
    calibration = made(2)
    done = agent.decide(calibration)
    full = calibration.outputs[-1].argmax(axis=1) == calibration.labels
    assert certificate.losses == np.sum(full & (done.labels != calibration.labels))
    assert certificate.expected_steps == done.steps.mean() < T
    for part in ("probability >= 0.9", "90 calibration samples", "at most 0.1"):
        assert part in certificate.statement()
    assert certificate.fingerprint == FINGERPRINT


def test_a_certificate_knows_max_steps():
    """What stops early by max_steps alone is certified where the data allow it, and never said to run to the end."""
    agent = EarlyExit(max_steps=2).fit(made(1))
    with pytest.warns(UserWarning, match="max_steps 2 could not be shown to keep the risk below 0.03"):
        certificate = agent.certify(made(2), eps=0.03)
    assert not certificate.ok and set(agent.decide(made(3)).steps) == {2}
    assert "The agent runs to step 2 of 12, its max_steps, of which nothing is promised." in certificate.statement()
    calibration = made(2)
    late = FixedT(T - 1).fit(made(1))
    certificate = late.certify(calibration, eps=0.4)
    changed = calibration.outputs[T - 2].argmax(axis=1) != calibration.outputs[-1].argmax(axis=1)
    assert certificate.ok and certificate.losses == changed.sum() and certificate.expected_steps == T - 1
    assert f"(runs of {T - 1} steps at most;" in certificate.statement() and json.dumps(certificate.to_dict())
    with pytest.warns(UserWarning, match=f"it runs all {T} steps"):
        assert not FixedT(T).fit(made(1)).certify(made(2), eps=0.4).ok


def test_giving_up_survives_a_certificate_without_it():

    def doubtful(seed):
        """Every other sample is noise."""
        o = np.diff(made(seed).outputs, axis=0, prepend=0.0)
        o[:, ::2] = np.random.default_rng(seed).normal(0.0, 0.3, o[:, ::2].shape)
        return made(seed, outputs=np.cumsum(o, axis=0))

    few, rest = doubtful(2).split([0.1, 0.9])

    def fresh():
        return EarlyExit(give_up=(2, 0.6)).fit(doubtful(1))

    again = fresh()
    with pytest.warns(UserWarning, match="too few"):
        again.certify(few, eps=0.02)
    assert again.decide(rest).count("hopeless") == 0
    once, twice = fresh(), again
    certificates = [a.certify(rest, risk="accuracy_gap", eps=0.3) for a in (once, twice)]
    assert certificates[0].to_dict() == certificates[1].to_dict() and certificates[0].give_up is not None
    for a in (once, twice):
        a.low = None  # as a certificate leaves it that needs no giving up
    budgets = [a.for_budget(rest, mean_steps=4.0) for a in (fresh(), once, twice)]
    assert len({a.bar for a in budgets}) == 1 and 3.5 < budgets[1].decide(rest).steps.mean() <= 4.0


def test_budgets_take_the_highest_bar():
    """Against all bars that differ in what they stop; the least stops every sample at once."""
    trace = made(1)
    scores, _, hopes = EarlyExit().follow(trace)
    bars = np.concatenate([[math.inf], np.unique(scores)[::-1], [-1.0]])
    for budget in (1.0, 1.013, 3.7, 11.98, T):
        agent = EarlyExit().for_budget(trace, mean_steps=budget)
        means = exits(scores, hopes, bars.tolist(), [None] * bars.size)[0].mean(axis=1)
        best = int(np.argmax(means <= budget))
        assert agent.decide(trace).steps.mean() == means[best] and (agent.bar == bars[best] or budget == 1.0)
    single = made(1).take(np.array([0]))
    agent = EarlyExit("patience").for_budget(single, mean_steps=1.0)
    assert set(agent.decide(single).steps) == {1}
    assert EarlyExit.from_dict(json.loads(json.dumps(agent.to_dict()))).bar == agent.bar


def test_budgets_are_met_from_above():
    trace = made(1)
    for unit, value, spent in (("mean_steps", 5.0, lambda d: d.steps), ("synops", 300.0, lambda d: d.synops)):
        agent = EarlyExit().for_budget(trace, **{unit: value})
        mean = spent(agent.decide(trace)).mean()
        assert 0.9 * value < mean <= value


def test_the_table_agrees_with_the_decisions():
    trace = made(2)
    agent = AGENTS["auto"].fit(made(1))
    report = compare(trace, [agent, FixedT(5)])
    done, right = agent.decide(trace), trace.outputs.argmax(axis=2) == trace.labels
    row = report.rows[0]
    assert row["accuracy"] == np.mean(done.labels == trace.labels) and row["mean_steps"] == done.steps.mean()
    assert row["spikes"] == done.spikes.mean() and row["p99"] == np.sort(done.steps)[math.ceil(0.99 * (N - 1))]
    assert np.array_equal(report.fixed, right.mean(axis=1)) and report.rows[1]["accuracy"] == report.fixed[4]
    assert row["fixed_t"] == next(t for t in range(1, T + 1) if report.fixed[t - 1] >= row["accuracy"])
    ever = right.any(axis=0)
    assert report.oracle.accuracy == ever.mean()
    first = right.argmax(axis=0) + 1
    assert report.oracle.mean_steps_t == np.where(ever, first, T).mean()
    cutoff = [next((t for t in range(1, T + 1) if right[t - 1 :, n].all()), T) for n in range(N)]
    assert report.oct == np.mean(cutoff)
    front = report.pareto()
    assert all(a[2] < b[2] and a[3] < b[3] for a, b in zip(front, front[1:], strict=False))
    assert "fixed T = 5" in report.table() and "2 steps later" in report.table()
    assert report.rows[0]["accuracy"] == pytest.approx(report.curves["maxprob"].at(row["mean_steps"]), abs=0.03)


def test_plots_show_every_curve():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    report = compare(made(2), [AGENTS["auto"].fit(made(1)), EarlyExit("margin", bar=2.0), FixedT(5)])
    ax = report.plot()
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown == ["fixed T", "maxprob", "margin", "oracle", "OCT"]
    line = next(x for x in ax.lines if x.get_label() == "margin")
    assert np.array_equal(line.get_ydata(), 100 * report.curves["margin"].accuracy)
    ax = report.plot_calibration()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        f"maxprob, ECE {100 * report.calibration['maxprob'].ece:.1f} %"
    ]
    plt.close("all")


def test_calibration_error():
    c = confidence.calibration([0.75, 0.75, 0.75, 0.75, 0.2], [1, 1, 1, 0, 1], bins=10)
    assert c.ece == pytest.approx(0.8 / 5)  # 0.75 is right 3 times of 4
    p = np.random.default_rng(0).random(200_000)
    good = np.random.default_rng(1).random(p.size) < p
    assert confidence.calibration(p, good).ece < 0.01 < confidence.calibration(p**2, good).ece


# ----------------------------------------------------------------------------------------------------- bad input


def bad(**changes):
    return lambda: made(**changes)


def fitted(**options):
    return EarlyExit(**options).fit(made(1))


def nan_outputs():
    s = made().outputs.copy()
    s[3, 2, 1] = np.nan
    return made(outputs=s)


REFUSED = {
    "outputs: 2-D": (bad(outputs=np.ones((T, N))), "Trace.outputs: must have shape (T, N, C)"),
    "outputs: one class": (bad(outputs=np.ones((T, N, 1))), "at least two classes"),
    "outputs: NaN": (nan_outputs, "got nan at step 4 of sample 2"),
    "ids": (bad(ids=np.arange(3)), "Trace.ids: must be 90 integers"),
    "labels: too large": (bad(labels=np.full(N, C)), "Trace.labels: must be 0 to 3, one an output; got 4 to 4"),
    "labels: shape": (bad(labels=np.zeros(3, int)), "Trace.labels: must be 90 integers"),
    "spikes fall": (bad(spikes=np.arange(T * N)[::-1].reshape(T, N)), "never fall. Give cumulative sums"),
    "synops: shape": (bad(synops=np.ones(N, int)), "Trace.synops: must be integers of shape (12, 90)"),
    "fingerprint: key": (bad(fingerprint={"t_max": T}), "missing: encoder, seed"),
    "fingerprint: t_max": (bad(fingerprint=refingered(t_max=3)), "must be the 12 steps of the outputs; got 3"),
    "fingerprint: latency": (bad(fingerprint=refingered(latency="now")), "latency: must be one of synchronous"),
    "fingerprint: depth": (bad(fingerprint=refingered(depth=0)), "depth: must be an integer >= 1; got 0"),
    "fingerprint: JSON": (bad(fingerprint=refingered(encoder=np.ones(2))), "must hold what JSON can"),
    "T < depth": (bad(fingerprint=refingered(latency="pipelined", depth=13)), "got t_max 12. Raise t_max"),
    "split": (lambda: made().split([0.9, 0.3]), "must be a list of numbers > 0, of sum <= 1; got [0.9, 0.3]"),
    "split: one number": (lambda: made().split(0.5), "Trace.split.shares: must be a list of numbers > 0, of sum <= 1"),
    "split: texts": (lambda: made().split(["a"]), "Trace.split.shares: must be real numbers; got list"),
    "no trace to fit": (lambda: EarlyExit().fit(np.ones(3)), "EarlyExit.fit.trace: must be a Trace, as Classifier.rec"),
    "no trace to certify": (lambda: fitted().certify(None), "EarlyExit.trace: must be a Trace, as Classifier"),
    "no trace for a budget": (lambda: fitted().for_budget("x", mean_steps=2.0), "EarlyExit.trace: must be a Trace"),
    "no trace to compare on": (lambda: compare(1.5, [FixedT(3)]), "compare.trace: must be a Trace, as Classifier"),
    "no agents": (lambda: compare(made(), FixedT(3)), "compare.agents: must be a list of agents; got EarlyExit("),
    "an agent that is none": (
        lambda: compare(made(), [FixedT(3), 1.5]), "compare.agents: must be an EarlyExit or a preset; got float 1.5",
    ),
    "split: seed": (lambda: made().split([0.5, 0.5], seed=-1), "split.seed: must be an integer >= 0; got -1"),
    "ids: texts": (lambda: confidence.sample_ids(["a"]), "sample_ids.x: must be real numbers; got str of dtype <U1"),
    "split: empty": (lambda: made().split([0.001, 0.5]), "a part is empty"),
    "bar: NaN": (lambda: EarlyExit(bar=math.nan), "EarlyExit.bar: must be a number, or one a step, and not NaN"),
    "bar: text": (lambda: EarlyExit(bar="high"), "EarlyExit.bar: must be a number or one a step"),
    "bar: number as text": (lambda: EarlyExit(bar="1.5"), "EarlyExit.bar: must be a number or one a step; got '1.5'."),
    "bar: flag": (lambda: EarlyExit(bar=True), "EarlyExit.bar: must be a number or one a step; got True."),
    "bar: steps": (lambda: EarlyExit(bar=[1.0, 2.0]).decide(made()), "one a step, (12,); got (2,)"),
    "bar: none": (lambda: EarlyExit().decide(made()), "Call certify or for_budget, or give a bar"),
    "score": (lambda: EarlyExit("max"), "EarlyExit.score: must be one of margin, maxprob"),
    "readout": (lambda: EarlyExit(readout="last"), "EarlyExit.readout: must be one of sum"),
    "scale": (lambda: EarlyExit(scale=0.0), "EarlyExit.scale: must be > 0; got 0.0"),
    "scale: text": (lambda: EarlyExit(scale="best"), "EarlyExit.scale: must be one of auto, per-step"),
    "t_min": (lambda: EarlyExit(t_min=0), "EarlyExit.t_min: must be an integer >= 1; got 0"),
    "span": (lambda: EarlyExit(readout="ema"), 'EarlyExit.span: belongs to the readouts "ema" and "window"'),
    "span: whole": (lambda: EarlyExit(readout="window", span=2.5), "must be whole steps; got 2.5"),
    "give_up": (lambda: EarlyExit(give_up=5), "EarlyExit.give_up: must be (step, probability)"),
    "give_up: p": (lambda: EarlyExit(give_up=(5, 1.5)), "give_up[1]: must be > 0 and < 1"),
    "floor": (lambda: EarlyExit("lossless", bar=0.0), 'EarlyExit.floor: belongs to the score "lossless"'),
    "floor: size": (lambda: confidence.Lossless(np.ones((5, 3)), np.ones(3)).decide(made()), "floor: must be (4, 4)"),
    "lossless": (lambda: confidence.Lossless(np.ones(5), np.ones(3)), "Lossless.weights: must be (n, C)"),
    "lossless: text": (lambda: confidence.Lossless("x", np.ones(3)), "Lossless.weights: must be real numbers; got str"),
    "lossless: v_th": (
        lambda: confidence.Lossless(np.ones((4, 3)), np.ones(3), None), "Lossless.v_th: must be > 0; got None",
    ),
    "patience": (lambda: confidence.Patience(0), "Patience.steps: must be an integer >= 1"),
    "sprt": (lambda: confidence.SPRT(0.7), "SPRT.error: must be > 0 and < 0.5"),
    "not fitted": (lambda: confidence.DynamicConfidence(0.6).decide(made()), "has seen none. Call fit"),
    "not fitted: bars a step": (lambda: confidence.TopK().decide(made()), "'Top-K' learns from data and has seen none"),
    "not fitted: gate": (lambda: EarlyExit("gate").follow(made()), "has seen none. Call fit"),
    "other classes": (
        lambda: fitted().certify(made(2, outputs=made(2).outputs[..., :3], labels=made(2).labels % 3)),
        "EarlyExit: was fitted on 4 classes; got 3. Fit it anew.",
    ),
    "other classes after JSON": (
        lambda: EarlyExit.from_dict(fitted(bar=1.0).to_dict()).stream(3, T), "was fitted on 4 classes; got 3",
    ),
    "other steps": (lambda: fitted(bar=1.0, scale="auto").rule(5, C), "was fitted on runs of 12 steps; got 5"),
    "no labels to fit": (lambda: EarlyExit(scale="auto").fit(made(labels=None)), "needs labels, and the trace"),
    "one label": (lambda: EarlyExit(scale="auto").fit(made(labels=np.ones(N, int))), "all samples have the label"),
    "no labels to certify": (
        lambda: fitted().certify(made(2, labels=None), risk="accuracy_gap"),
        'certify with risk "accuracy_gap": needs labels',
    ),
    "data of fit": (lambda: fitted().certify(made(1)), "90 of 90 samples were used by fit"),
    "other network": (
        lambda: fitted(bar=1.0).decide(made(2, fingerprint=refingered(network="b", seed=3))),
        "network 'a' and 'b', seed None and 3",
    ),
    "other network to certify": (
        lambda: fitted().certify(made(2, fingerprint=refingered(precision="float32"))),
        "precision 'float64' and 'float32'",
    ),
    "no grid": (lambda: EarlyExit().certify(made(2)), "Call fit on other data first, or give a bar"),
    "eps": (lambda: fitted().certify(made(2), eps=0.0), "certify.eps: must be > 0 and < 1; got 0.0"),
    "method": (lambda: fitted().certify(made(2), method="tune"), "certify.method: must be one of ltt, crc"),
    "risk": (lambda: fitted().certify(made(2), risk="loss"), "certify.risk: must be one of accuracy_gap"),
    "risk: none": (lambda: fitted().certify(made(2), risk=None), "certify.risk: must be one of accuracy_gap, disagree"),
    "risk: number": (lambda: fitted().certify(made(2), risk=0.1), "certify.risk: must be one of accuracy_gap, disagre"),
    "risk: dict": (lambda: fitted().certify(made(2), risk={}), "certify.risk: must be one of accuracy_gap, disagree"),
    "samples that repeat": (
        lambda: fitted().certify(made(2).take(np.arange(2 * N) % N)),
        "certify.trace: 90 of 180 samples repeat others (equal ids), and a guarantee counts samples as independent.",
    ),
    "risk of sets": (lambda: fitted().certify(made(2), risk="miscoverage"), 'belongs to the score "setsize"'),
    "own risk": (lambda: fitted().certify(made(2), risk=lambda t, y: 2.0 * (y == y)), "in [0, 1]; got 2 to 2."),
    "own risk: text": (
        lambda: fitted().certify(made(2), risk=lambda t, y: "x"), "certify.risk, its losses: must be real numbers; got",
    ),
    "conditional": (
        lambda: EarlyExit(bar=1.0).certify(made(2), method="conditional-ltt"), '"conditional-ltt" needs fit, a named',
    ),
    "conditional with a budget": (
        lambda: fitted(max_steps=5).certify(made(2), method="conditional-ltt"), "no give_up or max_steps",
    ),
    "sets with a budget": (
        lambda: EarlyExit("setsize", bar=-1.5, max_steps=5).certify(made(2), risk="miscoverage"),
        "EarlyExit.max_steps: of sets must be t_max, 12; got 5",
    ),
    "levels": (lambda: confidence.SpikeCP(scale=1.0).decide(made()), 'Call certify(trace, risk="miscoverage")'),
    "budget": (lambda: fitted().for_budget(made(2), mean_steps=0.5), "no bar gets below 1; got 0.5"),
    "budget: two": (lambda: fitted().for_budget(made(2), mean_steps=2, spikes=3), "give one of mean_steps"),
    "budget: unknown": (lambda: fitted().for_budget(made(2, spikes=None), spikes=5.0), "the trace has no spikes"),
    "names": (lambda: compare(made(2), [EarlyExit(bar=1.0), EarlyExit(bar=2.0)]), "names must differ"),
    "compare on fit": (lambda: compare(made(1), [fitted(bar=1.0)]), "fitted or certified on samples of it"),
    "stream: no steps": (lambda: EarlyExit(bar=1.0).stream(C, 0), "stream.t_max: must be an integer >= 1; got 0"),
    "stream: part of a step": (lambda: EarlyExit(bar=1.0).stream(C, 1.5), "t_max: must be an integer >= 1; got 1.5"),
    "stream: too many": (lambda: EarlyExit(bar=1.0).stream(C, 2**70), "EarlyExit: runs have at most 100,000,000 steps"),
    "a huge integer": (lambda: FixedT(3).for_budget(made(), mean_steps=10**400), "mean_steps: must be > 0; got 1000"),
    "stream: shape": (lambda: EarlyExit(bar=1.0).stream(C, T).update(np.ones(3)), "must be (4,); got (3,)"),
    "stream: NaN": (lambda: EarlyExit(bar=1.0).stream(C, T).update([np.nan] * C), "outputs must be finite"),
    "stream: text": (
        lambda: EarlyExit(bar=1.0).stream(2, T).update(["1", "2"]),
        "Stream.update: outputs must be real numbers; got ['1', '2'].",
    ),
    "calibration": (lambda: confidence.calibration([2.0], [True]), "must lie in [0, 1]"),
    "replay": (lambda: confidence.replay([1.0, 3.0], [0.5, 0.6]), "must begin at 1 and grow by 0 to 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, text = REFUSED[name]
    with pytest.raises(SimError) as error:
        call()
    assert isinstance(error.value, (ModelError, ShapeError))
    assert text in str(error.value)


def test_calibration_data_serve_once():
    agent = EarlyExit().fit(made(1))
    agent.certify(made(2), eps=0.2)
    with pytest.raises(ModelError, match="used by an earlier certificate"):
        agent.certify(made(2), eps=0.3)
    with pytest.raises(ModelError, match="Make a new agent"):
        agent.fit(made(4))
    assert agent.certify(made(3), eps=0.3).ok


def test_missing_classes_are_said():
    y = made(1).labels.copy()
    y[y == 2] = 1
    with pytest.warns(UserWarning, match=r"1 of 4 classes never occur among 90 samples \(2\)"):
        EarlyExit(scale="auto").fit(made(1, labels=y))


def test_a_stopped_stream_wants_a_reset():
    stream = EarlyExit(bar=0.5).stream(C, T)
    assert stream.update([1.0, 0.0, 0.0, 0.0]) and stream.reason == "confident"
    with pytest.raises(ModelError, match="Call reset"):
        stream.update(np.zeros(C))
    stream.reset()
    assert not stream.update(np.zeros(C)) and stream.t == 1
    with pytest.raises(ModelError, match='belongs to the score "gate"'):
        _ = stream.p_change


def test_files_that_are_no_traces(tmp_path):
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(FormatError, match="not a readable HDF5 file"):
        Trace.load(tmp_path / "text.h5")
    with pytest.raises(FormatError, match="no such file"):
        Trace.load(tmp_path / "none.h5")
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["outputs"] = [1.0]
    with pytest.raises(FormatError, match="is no trace"):
        Trace.load(tmp_path / "other.h5")
    made().save(tmp_path / "cut.h5")
    with h5py.File(tmp_path / "cut.h5", "a") as file:
        del file["arrays/ids"]
    with pytest.raises(FormatError, match="is damaged"):
        Trace.load(tmp_path / "cut.h5")
    with pytest.raises(OutputError, match="cannot be written"):
        made().save(tmp_path / "no" / "folder.h5")
