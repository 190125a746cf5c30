"""Results as pandas tables. Needs pandas, which the extra ``analysis`` brings."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from kernels.errors import SimError
from snn.records import SpikeRecord

if TYPE_CHECKING:
    import pandas as pd


def pandas_module(asker: str = "to_pandas") -> ModuleType:
    """pandas, or what to install for ``asker``."""
    try:
        import pandas
    except ImportError as error:
        raise SimError(f"{asker}: pandas is not installed. pip install volley-snn[analysis]") from error
    return pandas


def spikes_to_pandas(spikes: Mapping[str, SpikeRecord]) -> pd.DataFrame:
    """Long table sorted by time: time_ms float64, population (categorical), node_id int64."""
    pandas = pandas_module()
    names = list(spikes)
    records = [spikes[name] for name in names]
    codes = np.repeat(np.arange(len(records)), [len(record) for record in records])
    times = np.concatenate([record.times for record in records]) if records else np.empty(0)
    ids = np.concatenate([record.ids for record in records]) if records else np.empty(0, np.int64)
    order = np.lexsort((ids, codes, times))
    population = pandas.Categorical.from_codes(codes[order], categories=pandas.Index(names, dtype=object))
    frame: pd.DataFrame = pandas.DataFrame(
        {"time_ms": times[order], "population": population, "node_id": ids[order]},
    )
    return frame
