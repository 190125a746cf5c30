"""A spiking reservoir that sets itself up: nothing about it has to be chosen for an input."""

from typing import Any

import numpy as np

import snn
from kernels.errors import ModelError
from reservoir.base import check_readout, is_list, series
from reservoir.checks import generator
from reservoir.spiking import SpikingReservoir, random_network
from snn.units import whole

# Chosen once, on the validation part of a network and series of their own; see docs/balance.md
NEURON = {"tau_m": 20.0, "c_m": 20.0, "e_l": 0.0, "v_th": 1.0, "v_reset": 0.0, "t_ref": 2.0, "tau_syn_ex": 5.0,
          "tau_syn_in": 5.0}  # fmt: skip
BIAS = snn.normal(0.9, 0.2)  # pA; 1 takes a neuron to its threshold
LONGEST = 200.0  # ms
INDEGREE = 100
RECURRENT = 0.2  # pA, mean excitatory weight with INDEGREE inputs
DRIVE = 1.75  # pA, largest weight of an input of variance 1
RATE, SHAPE = 50.0, 8.0  # Hz; of the gamma distribution of target rates
TUNED = 1000  # samples that adaptation sees, twice


class SelfTuningReservoir(SpikingReservoir):
    """Spiking reservoir that tunes itself to its input: heterogeneous delays, inhibition that adapts to rates that
    differ from neuron to neuron, an input scaled by its own mean and variance. Nothing has to be chosen.

    Equations
    ---------
    LIF neurons, a fifth of them inhibitory; delays uniform from 1 to 200 ms, input held for 10 ms. :meth:`tune` shows
    them the beginning of a series, each sample less the mean and over the standard deviation of those up to it, while
    :class:`plasticity.VogelsSprekelerRates` drives neurons to rates from a gamma distribution (mean 50 Hz, shape 8).
    Then mean, standard deviation and weights stay.

    Parameters
    ----------
    n_inputs, n : number of inputs and of neurons
    seed : fixes everything drawn
    readout, threads : as :class:`SpikingReservoir`

    Raises
    ------
    ModelError
        Where it is used before :meth:`tune`, which :meth:`fit` calls, or an input does not vary.

    References
    ----------
    Vogels et al. 2011, doi:10.1126/science.1211095; Srinivasan, Plenz & Girvan 2025, arXiv:2504.12480
    """

    def __init__(
        self, n_inputs: int = 1, n: int = 1000, seed: int = 0, readout: Any = None, threads: int | None = None
    ) -> None:
        owner = "SelfTuningReservoir"
        for name, value, least in (("n_inputs", n_inputs, 1), ("n", n, 50)):
            whole(f"{owner}.{name}", value, least)
        p = min(1.0, INDEGREE / n)
        weight = RECURRENT * INDEGREE / (p * n)
        net = random_network(
            n, snn.LIFExp(**NEURON, i_e=BIAS), snn.pairwise_bernoulli(p), weight, snn.uniform(1.0, LONGEST), seed=seed
        )
        rng = generator(owner, seed)
        w_in = rng.uniform(-DRIVE, DRIVE, (n, n_inputs)) / np.sqrt(n_inputs)
        self.targets = rng.gamma(SHAPE, RATE / SHAPE, n)
        split = net.populations["exc"].n
        super().__init__(net, {"exc": w_in[:split], "inh": w_in[split:]}, dt=1.0, readout=readout, threads=threads)
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None

    def tune(self, u: Any) -> "SelfTuningReservoir":
        """Adapt to the series ``u``, shape (T, n_inputs), or the first of a list; its first 1,000 samples are used.

        The readout forgets what it has learned, which was of the network before.
        """
        owner = "SelfTuningReservoir.tune"
        u = series(f"{owner}.u", u[0] if is_list(f"{owner}.u", u) else u, self.n_inputs)[:TUNED]
        count = np.arange(1, len(u) + 1)[:, None]
        shifted = u - u[0]  # the variance by sums of squares, without loss of digits to a large mean
        mean = np.cumsum(shifted, axis=0) / count
        std = np.sqrt(np.maximum(np.cumsum(shifted**2, axis=0) / count - mean**2, 0.0))
        if not np.all(std[-1] > 0.0):
            raise ModelError(f"{owner}.u: each input must vary; got a constant.")
        seen = np.divide(shifted - mean, std, out=np.zeros_like(u), where=std > 0.0)
        if self.readout is not None:
            check_readout(owner, self.readout)
            self.readout.reset()  # what it has learned is of the network as it was
        self.net = super().adapted(seen, self.targets).net
        self.reset()
        self.mean, self.std = u[0] + mean[-1], std[-1]
        return self

    def fit(self, u: Any, y: Any, washout: int = 0, draw: int = 0) -> "SelfTuningReservoir":
        """As :meth:`Reservoir.fit`, after :meth:`tune` on ``u`` where that was not called before."""
        if self.mean is None:
            self.tune(u)
        super().fit(u, y, washout, draw)
        return self

    def adapted(self, u: Any, target: Any, eta: Any = (0.05, 0.01)) -> SpikingReservoir:
        """See :class:`SpikingReservoir`; ``u`` is scaled as everywhere after :meth:`tune`."""
        return super().adapted(self._seen(u), target, eta)

    def run(self, u: Any) -> np.ndarray:
        """See :class:`Reservoir`."""
        return super().run(self._seen(u))

    def _respond(self, u: Any, draw: tuple[int, int] = (0, 0)) -> Any:
        return super()._respond(self._seen(u), draw)

    def _seen(self, u: Any) -> np.ndarray:
        """The input as the neurons get it."""
        if self.mean is None or self.std is None:
            raise ModelError("SelfTuningReservoir: knows no input yet. Call tune or fit before.")
        return np.asarray((series("SelfTuningReservoir.u", u, self.n_inputs) - self.mean) / self.std)
