"""The cuda engine: network and state on the device, a chunk of steps a launch."""

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numba import cuda

from kernels.compiled import CompiledNetwork
from kernels.cuda import learn
from kernels.cuda.arrays import DIGITS, ROOM, Arrays, arrays, chunk_steps, memory_plan, module
from kernels.cuda.connect import Draw
from kernels.cuda.jit import SIMULATED, address, fetch, free_bytes, named_errors, on, release, select, send, stream
from kernels.cuda.layout import N_RECORDED, REACHED, merged
from kernels.errors import BackendUnavailable
from kernels.layout import NEVER

BLOCK = 256  # threads
PIECES = 4  # launches of an advance,
LEAST = 1 if SIMULATED else 200  # but of no fewer steps: one takes about a millisecond of the host
BLOCKS_PER_MULTIPROCESSOR = 2
Method = TypeVar("Method", bound=Callable[..., Any])


def there(method: Method) -> Method:
    """A method that works on the engine's device."""

    @wraps(method)
    def call(self: "Engine", *args: Any, **given: Any) -> Any:
        with on(self.number):
            return method(self, *args, **given)

    return call  # type: ignore[return-value]


class Engine:
    """Advance a compiled network on a CUDA device, or in Numba's simulator of one.

    Parameters
    ----------
    net : CompiledNetwork; edges that are not drawn yet are drawn on the device
    number : of the device
    deterministic : accumulators are integers, so that no result depends on the order of additions
    launch : blocks, threads of a block and threads of a warp; None: chosen
    cooperative : whether one launch advances many steps; None: where the device can
    say : told the memory plan, before memory is taken
    """

    def __init__(
        self, net: CompiledNetwork, number: int = 0, deterministic: bool = False,
        launch: tuple[int, int, int] | None = None, cooperative: bool | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        select(number)
        self.number = number
        self.module, self.deterministic = module(net, deterministic), deterministic
        self.code = self.module.__name__
        self.cached = True  # numba-cuda keeps no kernel on disk that links the runtime; nothing to announce
        self.net, self.tables, self.inputs, self.chunk = net, net.tables, net.inputs, chunk_steps(net)
        host = arrays(net, launch[2] if launch else 4 if SIMULATED else 32, deterministic)
        self.window, self.memory = host.plan.window, memory_plan(net, host)
        _check_memory(self.memory, say)
        with named_errors():
            self.arrays: Arrays = self._sent(host)
        self.samples_at = host.probes.at.tolist()
        self.stream, self.aside = stream(), stream()  # of launches; of what is fetched while they run
        self.last: tuple[Arrays, int, int, int] = self.arrays, 0, 0, 0  # as of :meth:`drain`
        self.stale: set[int] = set()  # plastic projections that may have been changed on the host
        self.cooperative = _cooperative() if cooperative is None else cooperative
        self.threads, self.wanted = launch[1] if launch else 4 if SIMULATED else BLOCK, launch and launch[0]
        self._compile()

    @property
    def modules(self) -> list[ModuleType]:
        """As kernels.cpu.engine."""
        return [self.module]

    def _compile(self) -> None:
        with named_errors():
            self.blocks = 1
            self.advance(0, 0)
        self.blocks = self.wanted or self._blocks()

    @there
    def renew(self, models: bool) -> None:
        """As kernels.cpu.engine; where it raises, nothing has changed."""
        net, x, last = self.net, self.arrays, self.last
        before = self.module, self.arrays, self.tables, self.blocks, self.inputs
        largest = x.plan.unit * 2.0**DIGITS
        if self.deterministic and np.any(np.abs(net.inputs.event_weight) > largest):
            raise BackendUnavailable(
                f'backend="cuda": with deterministic=True this simulation has room for weights up to {largest:g}, by '
                f"the largest that it was compiled with; got {np.abs(net.inputs.event_weight).max():g}. Describe the "
                "network with the largest, or use deterministic=False."
            )
        try:
            with named_errors():
                if net.inputs is not self.inputs:
                    x = x._replace(inputs=send(merged(net.inputs, fetch(x.plan.sources))))
                if models:
                    x = x._replace(tables=send(net.tables), constants=send(net.constants))
                    self.module = module(net, self.deterministic)
            self.arrays, self.tables, self.inputs = x, net.tables, net.inputs
            if models:
                self._compile()
        except BaseException:
            self.module, self.arrays, self.tables, self.blocks, self.inputs = before
            raise
        finally:
            self.last = last  # what was recorded can still be looked at
        if not models:
            for to, array in zip(x.constants, net.constants, strict=True):
                self.put(to, array)

    def _sent(self, host: Arrays) -> Arrays:
        """The arrays on the device, and what is drawn there."""
        net, drawn = self.net, self.net.drawn
        sent: Arrays = send(host._replace(edges=tuple(e for k, e in enumerate(host.edges) if k not in drawn)))
        edges = list(sent.edges)
        for k, what in drawn.items():  # they come last
            edges.append(Draw(net, host.edges[k], net.kinds[k], what).build())
        release()
        net.n_edges += sum(int(edges[k].targets.shape[0]) for k in drawn)
        net.n_edges -= sum(round(d.expected) for what in drawn.values() for d in what)
        sent = sent._replace(edges=tuple(edges)).addressed(net, address)
        return sent._replace(plan=sent.plan._replace(learned=send(sent.plan.learned)))

    def _blocks(self) -> int:
        """Blocks of a launch: a few a multiprocessor; of a cooperative one, no more than can run at once."""
        if SIMULATED:
            return 1
        wanted = BLOCKS_PER_MULTIPROCESSOR * int(cuda.get_current_device().MULTIPROCESSOR_COUNT)
        if not self.cooperative:
            return wanted
        compiled = self.module.advance.overloads.values()  # for other networks with the same code too
        return min(wanted, *(int(kernel.max_cooperative_grid_blocks(self.threads)) for kernel in compiled))

    def arguments(self, start: int, stop: int) -> dict[str, tuple[Any, ...]]:
        """Arguments of the kernels, by name, for a launch from step ``start`` to ``stop``."""
        return self.arrays.arguments(self.net, start, stop)

    @there
    def advance(self, start: int, stop: int) -> tuple[int, list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
        """Run from step ``start`` to at most ``stop``; returns as kernels.cpu.engine does.

        In a few launches, so that what one has recorded is fetched and sorted while the next computes.
        """
        stop = min(stop, start + self.chunk)
        state = self.net.state
        self.put(self.arrays.state.f, state.f)  # the user may have set it
        self.put(self.arrays.state.i, state.i)
        self.net.show(start)
        self.put(self.arrays.state.v, state.v)
        for n in self.stale:
            self._upload(n)
        self.stale.clear()
        piece, at, before, found = max(-(-(stop - start) // PIECES), self.window, LEAST), start, None, []
        while True:
            end = min(at + piece, stop)
            self.put(self.arrays.out.counts, np.zeros(self.arrays.out.counts.size, np.int64))
            self.launch(at, end)
            if before:
                found.append(self.drain(*before))
            counts = fetch(self.arrays.out.counts)  # waits for the launch
            before = self.arrays, at, int(counts[REACHED]), int(counts[N_RECORDED])
            at, self.arrays = before[2], self.arrays.turned()
            if at >= stop:
                break
        found.append(self.drain(*before))
        self.last = before
        if state.f.size:
            state.f[:] = fetch(self.arrays.state.f)[: state.f.size]
        if state.i.size:
            state.i[:] = fetch(self.arrays.state.i)[: state.i.size]
        for n, x in enumerate(self.net.plastic):
            x.fault[:1] = fetch(self.arrays.learned[n].fault)
            if x.fault[0, 0] >= 0:
                self.net.learned[n].weights[:] = fetch(self.arrays.synapses[n].weights)
                if x.variables.size:
                    x.variables[:] = fetch(self.arrays.learned[n].variables)
        spikes, samples = zip(*found, strict=True)
        pairs = [tuple(np.concatenate(x) for x in zip(*each, strict=True)) for each in zip(*spikes, strict=True)]
        return at, pairs, [np.concatenate(x) for x in zip(*samples, strict=True)]

    def launch(self, start: int, stop: int) -> None:
        """Compute steps ``start`` to ``stop``, or as many as the record holds; may return before that is done."""
        if self.cooperative:
            self.module.advance[self.blocks, self.threads, self.stream](*self.arguments(start, stop)["advance"])
        else:
            self._windows(start, stop)

    def drain(
        self, x: Arrays, start: int, reached: int, total: int
    ) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
        """What a launch from ``start`` has recorded in ``x``: spikes of each population, samples of each probe."""
        return self._spikes(x, total, start), self._samples(x, start, reached)

    def _windows(self, start: int, stop: int) -> None:
        """As the kernel ``advance``, a few launches a window."""
        config, kernels, given = (self.blocks, self.threads), self.module, self.arguments(start, stop)
        kernels.begin_launch[config](*given["begin_launch"])
        begin, half = start, 0
        counts = fetch(self.arrays.out.counts)
        while begin < stop and counts[N_RECORDED] <= ROOM:
            end = min(begin + self.window, stop)
            kernels.neurons_launch[config](start, begin, end, half, *given["neurons_launch"][4:])
            for n, (rule, _) in enumerate(self.net.rules):
                x = self.net.plastic[n]
                if learn.moves(rule) and (begin % x.epoch == 0 or begin == x.signal_set[0]):
                    self._sweep(n, begin, 1, 1)
            kernels.deliver_launch[config](begin, end, stop, half, *given["deliver_launch"][4:])
            begin, half = end, 1 - half
            counts = fetch(self.arrays.out.counts)
            for n in range(len(self.net.rules)):
                if counts[learn.due(n)].any():
                    self._sweep(n, begin - 1, 0, 0)
        counts[REACHED] = begin
        self.put(self.arrays.out.counts, counts)

    def _sweep(self, n: int, until: int, settle: int, epoch: int) -> None:
        """Bring the synapses of plastic projection ``n`` up to date, in two launches."""
        config = (self.blocks, self.threads)
        given = self.arguments(0, 0)
        self.module.sweep_launch[config](*given["sweep_launch"][:2], n, until, settle, epoch)
        self.module.swept_launch[config](self.arrays.plan, n, self.arrays.out, until, settle, epoch)

    @there
    def sweep(self, number: int, step: int, settle: bool = False) -> None:
        """As kernels.cpu.engine; then the host may change the projection's arrays, up to the next :meth:`advance`."""
        if number not in self.stale:
            self._sweep(number, step, int(settle), 0)
            edges, plastic = self.net.learned[number], self.net.plastic[number]
            for host, array in ((edges.weights, self.arrays.synapses[number].weights),
                                (plastic.variables, self.arrays.learned[number].variables)):  # fmt: skip
                if host.size:
                    host[...] = fetch(array)
            self.stale.add(number)

    @there
    def values(self, number: int, step: int, which: int = 0) -> np.ndarray:
        """As kernels.cpu.engine."""
        if number in self.stale or self.net.rules[number][0].flow is None:
            self.sweep(number, step)
            host = self.net.plastic[number].variables[which - 1] if which else self.net.learned[number].weights
            return np.array(host)
        x, e = self.arrays.learned[number], self.arrays.synapses[number]
        arrays = [e.weights, x.variables, x.done, x.swept, x.settled]
        saved = [fetch(array) for array in arrays]
        self._sweep(number, step, 1, 0)
        found = fetch(x.variables)[which - 1] if which else fetch(e.weights)
        for array, before in zip(arrays, saved, strict=True):
            self.put(array, before)
        return np.array(found)

    @there
    def short(self, number: int) -> np.ndarray:
        """As kernels.cpu.engine; there is one row a source."""
        return np.asarray(fetch(self.arrays.learned[number].short))

    @there
    def set_short(self, number: int, values: np.ndarray) -> None:
        """Replace what :meth:`short` gives."""
        self.put(self.arrays.learned[number].short, values)

    @there
    def begin_short(self, number: int, step: int) -> None:
        """As kernels.cpu.engine."""
        array = self.arrays.learned[number].last
        last = fetch(array)
        if np.any(last == NEVER):
            self.sweep(number, step, settle=True)
            self.put(array, np.where(last == NEVER, step, last))

    @there
    def set_signal(self, number: int, step: int, value: float | np.ndarray) -> None:
        """As kernels.cpu.engine."""
        host, x = self.net.plastic[number], self.arrays.learned[number]
        if np.ndim(value) or np.any(host.signal_each != 1.0) or self.net.rules[number][0].observer:
            self._sweep(number, step - 1, 0, 0)  # what has been before the step takes the old value
            host.signal_each[1] = fetch(x.signal_each)[1]
            host.signal_each[0] = value if np.ndim(value) else 1.0
            host.signal_set[0] = step
            self.put(x.signal_each, host.signal_each)
            self.put(x.signal_set, host.signal_set)
        now = fetch(x.signal_now)
        now[:, 0] = 1.0 if np.ndim(value) else value
        self.put(x.signal_now, now)

    def _upload(self, n: int) -> None:
        """Take what the host may have changed in plastic projection ``n``."""
        edges, plastic = self.net.learned[n], self.net.plastic[n]
        for name in ("rows", "targets", "weights", "delays"):
            self.put(getattr(self.arrays.synapses[n], name), getattr(edges, name))
        for name in ("variables", "learning"):
            self.put(getattr(self.arrays.learned[n], name), getattr(plastic, name))

    @there
    def put(self, to: Any, array: np.ndarray) -> None:
        """Overwrite a device array."""
        if SIMULATED:
            to[...] = array
        elif array.size:
            to.copy_to_device(np.ascontiguousarray(array))

    def _spikes(self, x: Arrays, total: int, start: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Times in ms and ids of the recorded spikes of each population, by step, then id."""
        tables = self.tables
        steps, ids = (fetch(a, total, self.aside).astype(np.int64) for a in (x.out.record_step, x.out.record_id))
        key = np.sort(steps << 32 | ids)
        times, ids = ((key >> 32) + start + 1) * self.net.dt, key & 0xFFFFFFFF
        spikes = []
        for gid, n in zip(tables.gid, tables.n, strict=True):
            mine = (ids >= gid) & (ids < gid + n)
            spikes.append((times[mine], ids[mine] - gid))
        return spikes

    def _samples(self, x: Arrays, start: int, reached: int) -> list[np.ndarray]:
        """What the probes sampled, shape (times, ids) each."""
        probes, found = self.net.probes, []
        spans = zip(self.samples_at, np.diff(probes.first).tolist(), probes.every.tolist(), strict=True)
        for at, width, every in spans:
            rows = reached // every - start // every
            values = fetch(x.probes.samples[at : at + rows * width], stream=self.aside)
            found.append(values.reshape(rows, width))
        return found


def _check_memory(plan: dict[str, int], say: Callable[[str], None]) -> None:
    """Tell the plan; raise BackendUnavailable unless so many bytes are free."""
    needed = sum(plan.values())
    parts = ", ".join(f"{what} {n / 2**20:,.1f}" for what, n in plan.items())
    free = free_bytes()
    there = "" if free is None else f" of {free / 2**20:,.0f} free"
    say(f"device memory: {needed / 2**20:,.1f} MiB{there}: {parts}")
    if free is not None and needed > free:
        raise BackendUnavailable(
            f'backend="cuda": the network needs {needed:,} bytes of device memory; {free:,} are free ({parts} MiB). '
            'Use a smaller network, constant weights and delays, precision="float32", or backend="cpu".'
        )


def _cooperative() -> bool:
    """Whether the device takes cooperative launches; the simulator does with one block."""
    return True if SIMULATED else bool(cuda.get_current_device().COOPERATIVE_LAUNCH)
