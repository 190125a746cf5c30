"""The column of Maass, Natschlaeger & Markram (2002): the network of the first liquid state machine."""

import numpy as np

import plasticity
import snn
from kernels.errors import ModelError, ShapeError
from reservoir.checks import generator
from snn.units import bounded

# Source and target; share C of the probability, mean weight [pA], U, tau_rec and tau_fac [ms], delay [ms].
SYNAPSES = {
    ("exc", "exc"): (0.3, 30_000.0, 0.5, 1100.0, 50.0, 1.5),
    ("exc", "inh"): (0.2, 60_000.0, 0.05, 125.0, 1200.0, 0.8),
    ("inh", "exc"): (0.4, -19_000.0, 0.25, 700.0, 20.0, 0.8),
    ("inh", "inh"): (0.1, -19_000.0, 0.32, 144.0, 60.0, 0.8),
}
INPUT = {"exc": 18_000.0, "inh": 9_000.0}  # pA, weight of an input spike
NEURON = {"tau_m": 30.0, "c_m": 30_000.0, "e_l": 0.0, "v_th": 15.0, "v_reset": 13.5, "i_e": 13_500.0,
          "tau_syn_ex": 3.0, "tau_syn_in": 6.0}  # fmt: skip
T_REF = {"exc": 3.0, "inh": 2.0}  # ms


def maass_column(
    shape: tuple[int, ...] = (3, 3, 15), length: float = 2.0, excitatory: float = 0.8, scale: float = 1.0,
    seed: int = 0,
) -> snn.Network:  # fmt: skip
    """A column of neurons on a grid with dynamic synapses, populations "exc" and "inh".

    Equations
    ---------
    Neurons a and b of a grid of distance 1 are connected with probability C exp(-(D(a, b) / length)^2); C, and the
    means of weight A, U, tau_rec, tau_fac and the delay depend on the kinds of a and b (``SYNAPSES``). LIF neurons
    (:class:`snn.LIFExp`) of 30 ms and 1 MOhm, 1.5 mV from reset to threshold, a constant current that takes them to
    their reset, initial v uniform between the two. Short-term plasticity: :class:`plasticity.TsodyksMarkram`. Weights
    follow a gamma distribution of shape 1 (exponential).

    U, tau_rec and tau_fac of each synapse are normal with a standard deviation of half the mean; what is no positive
    number, or U above 1, becomes the mean.

    Parameters
    ----------
    shape : of the grid; the number of neurons is its product
    length : lambda, in units of the grid, > 0
    excitatory : share of the neurons, > 0 and < 1; which ones is drawn
    scale : factor of all recurrent weights, >= 0; 0: no recurrent projections
    seed : fixes everything drawn

    Returns
    -------
    An ordinary network, with positions. Weights of input spikes are in ``reservoir.column.INPUT``; a column of them for
    each channel is ``w_in`` of :class:`reservoir.SpikingReservoir` with an encoder.

    References
    ----------
    Maass, Natschlaeger & Markram 2002, doi:10.1162/089976602760407955

    Examples
    --------
    >>> net = maass_column(seed=1)
    >>> net.populations["exc"].n, net.populations["inh"].n
    (108, 27)
    """
    owner = "maass_column"
    sides = np.asarray(shape)
    if sides.ndim != 1 or not sides.size or sides.dtype.kind not in "iu" or sides.min() < 1:
        raise ShapeError(f"{owner}.shape: must be lengths of a grid, integers >= 1; got {shape!r}.")
    length = bounded(f"{owner}.length", length, 0.0, open_low=True)
    scale, excitatory = bounded(f"{owner}.scale", scale, 0.0), bounded(f"{owner}.excitatory", excitatory, 0.0, 1.0)
    rng = generator(owner, seed)
    grid = np.stack(np.meshgrid(*(np.arange(k) for k in sides), indexing="ij"), axis=-1).reshape(-1, sides.size)
    n_exc = round(excitatory * len(grid))
    if not 0 < n_exc < len(grid):
        raise ModelError(f"{owner}.excitatory: must leave neurons of both kinds; got {excitatory!r} of {len(grid)}.")
    place = rng.permutation(len(grid))
    where = {"exc": grid[np.sort(place[:n_exc])].astype(float), "inh": grid[np.sort(place[n_exc:])].astype(float)}
    net = snn.Network(seed=seed)
    for kind, at in where.items():
        model = snn.LIFExp(**NEURON, t_ref=T_REF[kind])
        net.population(kind, len(at), model, init={"v": snn.uniform(13.5, 15.0)}, positions=at)
    for (source, target), (share, weight, u_se, tau_rec, tau_fac, delay) in SYNAPSES.items():
        distance = np.linalg.norm(where[source][:, None] - where[target], axis=2)
        chosen = rng.random(distance.shape) < share * np.exp(-((distance / length) ** 2))
        if source == target:
            np.fill_diagonal(chosen, False)
        sources, targets = np.nonzero(chosen)
        weights = scale * weight * rng.standard_exponential(len(sources))
        drawn = {
            name: np.where((x > 0.0) & (x <= most), x, mean)
            for name, mean, most in (("u_se", u_se, 1.0), ("tau_rec", tau_rec, np.inf), ("tau_fac", tau_fac, np.inf))
            for x in [rng.normal(mean, 0.5 * mean, len(sources))]
        }
        if scale > 0 and len(sources):
            rule = plasticity.TsodyksMarkram(**drawn)
            net.connect(
                source, target, snn.from_arrays(sources, targets), weight=weights, delay=delay, short_term=rule
            )  # fmt: skip
    return net
