"""A neuron model's step function, in plain Python and by itself."""

import numpy as np
import pytest

from snn.neurons.base import Values


def constants(model, dt, **params):
    """Parameters and derived constants."""
    values = dict(model(**params).params)
    for constant in model.spec.derived:
        value = constant.compute(Values(values), dt)
        values[constant.name] = int(value) if constant.dtype == "int" else float(value)
    return values


def simulate(model, dt, steps, inputs=None, init=None, **params):
    """State after each step and which steps fired; ``inputs`` holds arrays of arrive_*, i_stim and u."""
    spec = model.spec
    values = constants(model, dt, **params)
    state = {s.name: values[s.init] if isinstance(s.init, str) else s.init for s in spec.state} | (init or {})
    state |= {s.name: int(state[s.name]) for s in spec.state if s.dtype == "int"}
    arrays = {name: np.zeros(steps) for name in spec.arguments if name.startswith("arrive_") or name == "i_stim"}
    arrays |= {name: np.broadcast_to(np.asarray(x, dtype=float), steps) for name, x in (inputs or {}).items()}
    trace = {name: np.empty(steps) for name in state}
    fired = np.zeros(steps, dtype=bool)
    for step in range(steps):
        values |= state | {name: float(array[step]) for name, array in arrays.items()}
        *new, fired[step] = spec.step(*(values[a] for a in spec.arguments))
        state = dict(zip(state, new, strict=True))
        for name in state:
            trace[name][step] = state[name]
    return trace, fired


@pytest.fixture(scope="session", name="constants")
def _constants():
    return constants


@pytest.fixture(scope="session", name="simulate")
def _simulate():
    return simulate
