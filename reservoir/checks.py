"""Random numbers of an argument ``seed``."""

from typing import Any

import numpy as np

from snn.units import whole


def generator(owner: str, seed: Any) -> np.random.Generator:
    """Random numbers of ``seed``, an integer >= 0 or a list of such."""
    for part in seed if isinstance(seed, (list, tuple)) and seed else [seed]:
        whole(f"{owner}.seed", part, 0)
    return np.random.default_rng(seed)
