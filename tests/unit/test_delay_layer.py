"""The layer of delays and its task, against plain NumPy."""

import numpy as np
import pytest

import reservoir
import snn
from kernels.cpu import delays as loops
from kernels.errors import ModelError, ShapeError
from reservoir import motion
from reservoir.delay_layer import DelayLayer

SMALL = {"n_classes": 4, "frame": (14, 17), "delays": 6, "size": 5, "voxels": 256, "batch": 32, "seed": 3}


def random_events(steps, density=0.1, seed=0, frame=(14, 17)):
    rng = np.random.default_rng(seed)
    return np.nonzero(rng.random((steps, 2 * frame[0] * frame[1])) < density)


def random_layer(**changes):
    layer = DelayLayer(**SMALL | changes)
    rng = np.random.default_rng(5)
    layer.weights = rng.normal(size=layer.weights.shape) * (layer.mask > 0)
    layer.bias = rng.normal(size=4)
    return layer


def dense(layer, events, steps):
    """Both sums of the evidence, (2, classes, steps, height, width), by a dense convolution."""
    height, width = layer.height, layer.width
    film = np.zeros((steps, 2 * height * width))
    film[events] = 1.0
    edge = layer.size // 2
    film = np.pad(film.reshape(steps, 2, height, width), ((layer.delays - 1, 0), (0, 0), (edge, edge), (edge, edge)))
    out = np.zeros((2, layer.n_classes, steps, height, width))
    for d, y, x in np.ndindex(layer.delays, layer.size, layer.size):
        t = layer.delays - 1 - d
        part = film[t : t + steps, :, 2 * edge - y :, 2 * edge - x :][:, :, :height, :width]
        for swapped in range(2):
            for p in range(2):
                out[swapped] += layer.weights[:, p, d, y, x, None, None, None] * part[:, p ^ swapped]
    return out


@pytest.fixture(scope="module")
def glide():
    """Four motions of 0.6 pixels a step, and events of images; the images of both parts differ."""

    def make(samples, seed):
        rng = np.random.default_rng(seed)
        labels, events = rng.permutation(samples) % 4, []
        images = [motion.whitened(motion.dead_leaves(64, largest=16.0, seed=[seed, k])) for k in range(4)]
        for k, label in enumerate(labels):
            velocity = 0.6 * np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])[label]
            path = rng.uniform(0, 64, 2) - velocity * np.arange(31)[:, None]
            events.append(motion.camera(motion.film(images[k % 4], path, 20)))
        return events, labels

    return make(48, 1), make(24, 2)


def test_film_is_a_phase_of_the_spectrum():
    image = motion.whitened(motion.dead_leaves(128, largest=32.0, seed=1))
    path = np.array([(0.0, 0.0), (10.25, 100.5), (-3.7, 200.1)])
    frames = motion.film(image, path, 24)
    f_y, f_x = np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)
    for (y, x), frame in zip(path, frames, strict=True):
        exact = np.fft.irfft2(np.fft.rfft2(image) * np.exp(2j * np.pi * (f_y * y + f_x * x)), s=image.shape)
        error = frame - exact[:24, :24]
        assert np.abs(error).max() < 0.05  # of an SD of 1


def test_images_move_as_their_label_says():
    image = motion.whitened(motion.dead_leaves(64, largest=16.0, seed=1))
    _, labels = motion.moving_images([image], 3, steps=300, size=8, segment=24.0, seed=1)
    changes = np.mean(labels[:, 1:] != labels[:, :-1])
    assert abs(changes - 35 / 36 / 24) < 0.02  # 897 steps: an SD of 0.007
    events, labels = motion.moving_images([image], 36, steps=4, size=16, segment=None, noise=0.0, seed=1)
    assert sorted(labels[:, 0]) == list(range(36)) and np.all(labels == labels[:, :1])
    again, _ = motion.moving_images([image], 36, steps=4, size=16, segment=None, noise=0.0, seed=1, threads=3)
    assert all(
        np.array_equal(a, b) for one, two in zip(events, again, strict=True) for a, b in zip(one, two, strict=True)
    )
    velocity = motion.motions()
    assert np.allclose(np.hypot(*velocity.T), np.repeat(motion.SPEEDS, 12))
    # events of an image that moves along x by whole pixels move with it
    path = np.stack((np.full(6, 5.0), 40.0 - np.arange(6)), axis=1)
    step, address = motion.camera(motion.film(image, path, 16))
    y, x, off = address // 16 % 16, address % 16, address // 256
    first, third = ({*zip(off[k], y[k], x[k] + move, strict=True)} for k, move in ((step == 0, 1), (step == 1, 0)))
    inside = {e for e in first if e[2] < 16}
    assert len(inside & third) > 0.5 * len(inside)  # the rest: the event before lowers the change


def test_camera_follows_its_equation():
    frames = np.random.default_rng(2).normal(size=(9, 3, 4))
    change = np.diff(frames, axis=0)
    sent = np.zeros(change.shape)
    for t in range(8):
        for y in range(3):
            for x in range(4):
                left = change[t, y, x] - (0.8 * change.std() * sent[t - 1, y, x] if t else 0.0)
                sent[t, y, x] = np.sign(left) * (abs(left) > 0.8 * change.std())
    step, address = motion.camera(frames, threshold=0.8)
    expected = np.stack((sent > 0, sent < 0), axis=1).reshape(8, -1)
    assert np.array_equal(np.stack(np.nonzero(expected)), np.stack((step, address)))


def test_scattered_and_gathered_evidence_are_a_convolution():
    layer, events = random_layer(looks=None, share=1.0), random_events(12)
    expected = dense(layer, events, 12).max(axis=0) + layer.bias[:, None, None, None]
    found = layer.evidence(events)
    np.testing.assert_allclose(found, expected.transpose(1, 0, 2, 3), atol=1e-10)
    late = events[0] >= layer.delays - 1
    y, x = np.divmod(events[1][late] % (14 * 17), 17)
    there = found[events[0][late], :, y, x]
    np.testing.assert_allclose(layer.decision_function([events])[0], there.mean(axis=0), atol=1e-10)
    layer.share = 0.1
    n = round(0.1 * len(there))
    best = there[np.argsort(-there.max(axis=1))[:n]]
    np.testing.assert_allclose(layer.decision_function([events])[0], best.mean(axis=0), atol=1e-10)
    few = layer.prune(0.02)  # rows of taps with holes
    there = few.evidence(events)[events[0][late], :, y, x]
    few.share = 1.0
    np.testing.assert_allclose(few.decision_function([events])[0], there.mean(axis=0), atol=1e-10)
    layer, step = few, layer.delays
    layer.share = 0.1
    one = there[events[0][late] == step]
    assert layer.predict_steps([events])[0][step] == one[[np.argmax(one.max(axis=1))]].mean(axis=0).argmax()


def test_gradient_is_that_of_the_loss():
    layer, events, batch = random_layer(), random_events(12), 8
    rng = np.random.default_rng(1)
    late = np.flatnonzero(events[0] >= 5)
    chosen = rng.choice(late, batch)
    t, (y, x) = events[0][chosen], np.divmod(events[1][chosen] % (14 * 17), 17)
    labels = rng.integers(4, size=batch)

    def loss():
        b = dense(layer, events, 12)[:, :, t, y, x].max(axis=0) + layer.bias[:, None]
        return np.mean(np.log(np.exp(b).sum(axis=0)) - b[labels, np.arange(batch)])

    weights = layer._packed(layer._where)
    zeros = [np.zeros_like(a) for a in (weights, weights, layer.bias, layer.bias)]
    net = loops.Net(weights, layer.bias.copy(), *zeros)
    gradient, bias_gradient, losses = np.empty_like(weights), np.empty(4), np.empty((1, batch))
    scratch = loops.Scratch(
        np.empty((batch, 2 * len(weights)), np.int32), np.empty(batch, np.int64), np.empty((batch, 8))
    )
    voxels = loops.Voxels(t, y, x, np.zeros(batch, np.int64))
    loops.train(layer._films("fit", [events])[0], voxels, labels, layer._taps, net, gradient, bias_gradient, scratch,
                losses, 1e-3, 0, np.array([0, len(weights)]), 1, np.zeros(1, np.int64), 0)  # fmt: skip
    assert abs(losses.mean() - loss()) < 1e-12
    h, seen = 1e-5, 0
    for tap in rng.choice(np.flatnonzero(np.abs(gradient).max(axis=1) > 1e-4), 12, replace=False):
        d, row, column = layer._where[tap]
        for p in range(2):
            for c in range(4):
                both = []
                for sign in (1, -1):
                    layer.weights[c, p, d, row, column] += sign * h
                    both.append(loss())
                    layer.weights[c, p, d, row, column] -= sign * h
                slope = (both[0] - both[1]) / (2 * h)
                assert abs(slope - gradient[tap, 4 * p + c]) < 1e-8
                seen += abs(slope) > 1e-4
    assert seen > 20
    for c in range(4):
        layer.bias[c] += h
        up = loss()
        layer.bias[c] -= 2 * h
        assert abs((up - loss()) / (2 * h) - bias_gradient[c]) < 1e-8
        layer.bias[c] += h
    first_step = -1e-3 * gradient / (np.abs(gradient) + 1e-8)  # of Adam
    np.testing.assert_allclose(weights - layer._packed(layer._where), first_step, atol=1e-12)


def test_learns_the_same_with_any_number_of_threads(glide):
    (events, labels), _ = glide
    layers = [
        DelayLayer(4, (20, 20), delays=6, size=5, rates=(1e-2,) * 2, voxels=1024, threads=n).fit(events[:8], labels[:8])
        for n in (1, 3)
    ]
    assert np.array_equal(layers[0].weights, layers[1].weights) and np.array_equal(layers[0].bias, layers[1].bias)
    assert layers[0].losses == layers[1].losses and layers[0].losses[1] < layers[0].losses[0] < np.log(4)
    other = DelayLayer(4, (20, 20), delays=6, size=5, rates=(1e-2,), voxels=1024, seed=1).fit(events[:8], labels[:8])
    assert not np.array_equal(other.weights, layers[0].weights)
    for layer in layers:
        assert np.all(np.abs(layer.weights) <= layer.mask * np.abs(layer.weights).max() * (1 + 1e-12))


def test_learns_prunes_and_needs_its_delays(glide):
    (events, labels), (other, told) = glide
    layer = DelayLayer(4, (20, 20), delays=9, size=9, rates=(5e-3,) * 3, voxels=2560).fit(events, labels)
    assert layer.score(other, told) >= 0.9  # by chance 0.25, SD 0.09
    assert layer.prune(0.05).score(other, told) >= 0.75
    assert layer.prune(0.05).n_synapses == round(0.05 * 4 * 2 * 9 * 81)
    assert layer.shorten(1).score(other, told) < 0.6
    steps = layer.predict_steps(other)
    assert np.mean([np.mean(s[8:] == label) for s, label in zip(steps, told, strict=True)]) > 0.7
    small = layer.prune(0.05)
    rate = 2e-3
    small.calibrate(other[:6], rate)
    found = [small.spikes(sample) for sample in other[:6]]
    assert abs(sum(len(s[0]) for s in found) / (6 * (30 - 8) * 4 * 400) / rate - 1.0) < 0.35  # early steps count not
    right = np.concatenate([s[1] == label for s, label in zip(found, told, strict=False)])
    assert right.mean() > 0.75


def test_a_patch_as_a_network_spikes_alike():
    layer = random_layer()
    layer.threshold = 6.0
    layer, events = layer.prune(0.3), random_events(12)
    net = layer.to_network(events, 9, 1, 4, 5)
    result = snn.Simulation(net, dt=1.0, backend="reference").run(14.0)
    found = np.zeros((14, 4, 4, 5), bool)
    for name in ("straight", "swapped"):
        record = result.spikes[name]
        c, place = np.divmod(record.ids.astype(np.int64), 20)
        found[np.round(record.times).astype(int) - 2, c, place // 5, place % 5] = True
    expected = layer.evidence(events)[:, :, 9:13, 1:6] > 6.0
    assert 50 < expected.sum() < expected.size / 2
    assert np.array_equal(found[:12], expected)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: DelayLayer(1, (4, 4)), "n_classes: must be an integer >= 2"),
        (lambda: DelayLayer(4, 5), "frame: must be (height, width)"),
        (lambda: DelayLayer(4, (4, 4), size=4), "size: must be odd"),
        (lambda: DelayLayer(4, (4, 4), rates=1e-3), "rates: must be > 0"),
        (lambda: DelayLayer(4, (4, 4), centre=np.nan), "centre: must be a finite number"),
        (lambda: DelayLayer(4, (4, 4), threshold=np.inf), "threshold: must be a finite number"),
        (lambda: DelayLayer(4, (4, 4), voxels=100), "multiple of batch"),
        (lambda: DelayLayer(4, (4, 4), rates=()), "rates: must be > 0"),
        (lambda: DelayLayer(4, (4, 4), share=0.0), "share: must be > 0"),
        (lambda: DelayLayer(4, (4, 4), looks=0), "looks: must be an integer >= 1"),
        (lambda: DelayLayer(**SMALL).fit([], []), "at least one sample"),
        (lambda: DelayLayer(**SMALL).fit([random_events(12)], [0, 1]), "must be (samples,) or (samples, steps)"),
        (lambda: DelayLayer(**SMALL).fit([random_events(12)], [4]), "integers from 0 to 3"),
        (lambda: DelayLayer(**SMALL).fit([random_events(12)], [[1, 2]]), "a class for each of 12 steps"),
        (lambda: DelayLayer(**SMALL).fit([random_events(4)], [0]), "events after step 4"),
        (lambda: DelayLayer(**SMALL).score([random_events(12)], [0, 1]), "score.labels: must be (samples,) or"),
        (lambda: DelayLayer(**SMALL).score([random_events(12)], 0), "score.labels: must be (samples,) or"),
        (lambda: DelayLayer(**SMALL).score([random_events(12)], ["a"]), "score.labels: must be real numbers; got list"),
        (lambda: DelayLayer(**SMALL).score([random_events(12)], [4]), "integers from 0 to 3; got int64, 4 to 4"),
        (lambda: DelayLayer(**SMALL).predict([random_events(4)]), "events after step 4"),
        (lambda: DelayLayer(**SMALL).predict([([0], [0.5])]), "must be integers"),
        (lambda: DelayLayer(**SMALL).predict([([0], [999])]), "addresses below"),
        (lambda: DelayLayer(**SMALL).predict([([1, 0], [3, 3])]), "must ascend"),
        (lambda: DelayLayer(**SMALL).predict([([1, 1], [3, 3])]), "no event twice"),
        (lambda: DelayLayer(**SMALL).predict([([1, 1], [3])]), "must be (steps, addresses)"),
        (lambda: DelayLayer(**SMALL).spikes(random_events(8)), "there is no threshold"),
        (lambda: DelayLayer(**SMALL).calibrate([random_events(8)], 0.3), "rate: must be > 0"),
        (lambda: DelayLayer(**SMALL).calibrate([random_events(4)], 0.1), "must go on after step 4"),
        (lambda: DelayLayer(**SMALL).prune(2.0), "share: must be > 0"),
        (lambda: DelayLayer(**SMALL).shorten(7), "at most 6"),
        (lambda: DelayLayer(**SMALL).to_network(random_events(8), 0, 0, 2, 2), "needs a threshold"),
        (lambda: random_layer(threshold=9.0).to_network(random_events(8), 12, 0, 3, 2), "the patch must lie in 14"),
        (lambda: motion.moving_images([], 3), "at least one image"),
        (lambda: motion.moving_images([np.ones(3)], 3), "images[0]: must have shape"),
        (lambda: motion.moving_images([np.eye(8)], 3, segment=0.5), "segment: must be >= 1"),
        (lambda: motion.moving_images([np.eye(8)], 3, noise=-1.0), "noise: must be >= 0"),
        (lambda: motion.moving_images([np.eye(8)], 3, threads=0), "threads: must be an integer >= 1"),
        (lambda: motion.camera(np.ones((1, 3, 3))), "camera.frames: must have shape"),
        (lambda: motion.film(np.eye(8), [[0.0, np.nan]], 4), "film.path: must be finite"),
        (lambda: motion.whitened(np.ones((8, 8))), "must vary"),
        (lambda: motion.dead_leaves(64, largest=40.0), "largest <= size / 2"),
    ],
)
def test_mistakes_are_named(call, text):
    with pytest.raises((ModelError, ShapeError)) as caught:
        call()
    assert text in str(caught.value)


def test_is_public():
    assert reservoir.DelayLayer is DelayLayer and reservoir.motion is motion
