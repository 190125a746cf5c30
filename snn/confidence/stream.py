"""The agent on one running inference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from kernels import decide
from kernels.errors import ModelError, ShapeError
from snn.confidence.checks import count

if TYPE_CHECKING:
    from snn.confidence.agent import EarlyExit

REASONS = ("", "confident", "hopeless", "budget", "cap")  # by their numbers in kernels/decide.py


class Stream:
    """One inference whose outputs come step by step: O(classes) a step, nothing is allocated.

    ``t``, ``label``, ``score``, ``reason`` (of `REASONS`; "" before the stop) and, for a gate, ``p_change``: the
    probability, as learned, that its target does not hold.
    """

    def __init__(self, agent: EarlyExit, n_classes: int, t_max: int, first_step: int = 1) -> None:
        self.agent = agent
        n_classes, first_step = count("stream.n_classes", n_classes, 2), count("stream.first_step", first_step)
        self._rule = agent.rule(count("stream.t_max", t_max), n_classes, first_step)
        self._total = np.zeros(n_classes)
        self._memory = np.zeros(decide.memory_size(self._rule, n_classes))
        self.reset()

    def reset(self) -> None:
        """Begin anew, with the next sample."""
        self.t, self._reason = 0, decide.GO_ON
        self._total[:] = 0.0
        self._memory[:] = 0.0

    @property
    def label(self) -> int:
        """Class that leads."""
        return int(self._memory[decide.LABEL])

    @property
    def score(self) -> float:
        """Score of the last step; -infinite where the agent was not asked."""
        return float(self._memory[decide.SCORE])

    @property
    def reason(self) -> str:
        """Why it stopped."""
        return REASONS[self._reason]

    @property
    def p_change(self) -> float:
        """Probability that the target of the gate does not hold."""
        if self._rule.score != decide.GATE:
            raise ModelError(f'Stream.p_change: belongs to the score "gate"; got "{self.agent.score}".')
        return 1.0 / (1.0 + math.exp(min(self.score, 700.0)))

    def update(self, outputs: ArrayLike) -> bool:
        """Add one step's outputs, (C,), and say whether to stop.

        Raises
        ------
        ModelError
            After the stop (call :meth:`reset`), and for outputs that are not finite.
        """
        if self._reason != decide.GO_ON:
            raise ModelError(
                f"Stream.update: stopped at step {self.t} ({self.reason}). Call reset for the next sample."
            )
        if np.shape(outputs) != self._total.shape:
            raise ShapeError(f"Stream.update: must be {self._total.shape}; got {np.shape(outputs)}.")
        try:
            np.add(self._total, outputs, out=self._total)
        except TypeError:
            raise ModelError(f"Stream.update: outputs must be real numbers; got {outputs!r}.") from None
        if not math.isfinite(self._total.sum()):
            raise ModelError("Stream.update: outputs must be finite. The stream is void; call reset.")
        self._reason = int(decide.decide(self._rule, self._memory, self._total, self.t))
        self.t += 1
        if self._reason == decide.GO_ON and self.t == self._rule.budget:
            self._reason = decide.CAP if self.t == self._rule.bars.size else decide.BUDGET
        return self._reason != decide.GO_ON
