"""The flat arrays that engines work on, as named tuples.

Neurons are split into *blocks*: a block holds a contiguous slice of every population, owns that slice's state, its part
of the ring buffer and all edges that end in it. Threads own blocks, so nothing is shared but spike lists.

``F`` is float64 or float32 (the precision); B blocks, P populations, K inputs, G edge groups.
"""

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
LINE = 16  # elements: slices begin at multiples of this, so that two threads never write to one cache line


EXCHANGE = -2  # what ``advance`` returns instead of a step
CHUNK_BITS = 8  # a chunk of a queue holds 256 events


def zeros(n: int, dtype: Any) -> Array:
    """``n`` zeros that share no cache line with anything else."""
    size = np.dtype(dtype).itemsize
    whole = np.zeros(n * size + 128, np.uint8)
    return whole[-whole.ctypes.data % 64 :][: n * size].view(dtype)


def aligned(array: Array) -> Array:
    """A copy that begins at the beginning of a cache line."""
    copy = zeros(array.size, array.dtype)
    copy[:] = array.ravel()
    return copy.reshape(array.shape)


def padded(n: Any) -> Any:
    """``n`` rounded up to a multiple of LINE."""
    return -(-n // LINE) * LINE


class Tables(NamedTuple):
    """Where everything lies. Integers are int64."""

    window: int  # steps between exchanges of spikes
    ring_mask: int  # slots of the ring buffer - 1, slots are a power of two
    queue_mask: int  # slots of the queues - 1, -1 if there are none
    dt: float
    kind: Array  # (P,) number of the update kernel, -1 for a population of spike sources
    n: Array  # (P,)
    gid: Array  # (P,) first global id
    pad: Array  # (P,) n rounded up to LINE: arrays of one value a neuron are this long
    at: Array  # (P,) offset in the array of one value for every neuron
    state_f: Array  # (P,) offset of float state, variable k at + k * pad
    state_i: Array
    par_f: Array  # (P,) offset of constants shared by the population
    par_i: Array
    het_f: Array  # (P,) offset of constants that differ from neuron to neuron, constant k at + k * pad
    het_i: Array
    receptors: Array  # (P,)
    current: Array  # (P,) 1 where a current input exists
    draws: Array  # (P,) how many uniform random numbers a neuron takes in a step
    uniform: Array  # (P,) offset of the words that they are made of, draw k at + k * 4 * pad
    key: Array  # (P, 2) uint64, key of those words
    lo: Array  # (B, P) slice of a block
    hi: Array
    v: Array  # (P,) offset in State.f of the membrane potential that junctions see, -1 where there are none
    acc: Array  # (B, P) offset of receptor 0 in a slot of the block's ring, receptor c at + c * (hi - lo)
    stride: Array  # (B,) length of a slot
    ring: Array  # (B,) offset of the block's ring
    spikes: Array  # (B, P) offset in the spike buffer
    spike_capacity: int  # most spikes of a window
    recorded: Array  # (P,) 1 where spikes are recorded
    first_block: Array  # (threads + 1,) blocks of a thread; those of this process, of all B
    shared: int  # 1 where other processes hold the other blocks: spikes are exchanged with them once a window


class Places(NamedTuple):
    """The part of Tables that delivering and recording read. Compiled calls pass every array by value, word by word
    (seven words and more), so functions called in each step take few of them."""

    ring_mask: int
    queue_mask: int
    first_block: Array
    gid: Array
    recorded: Array
    lo: Array
    stride: Array
    ring: Array
    spikes: Array


class State(NamedTuple):
    """What changes."""

    f: Array  # F
    i: Array  # int32
    ring: Array  # F
    current: Array  # F, one value a neuron
    words: Array  # uint32, random words of inputs and models
    noise: Array  # float64, state of coloured-noise inputs
    v: Array  # F, (2, one value a neuron) potentials at the begin of even and of odd steps; empty without junctions


class Constants(NamedTuple):
    """Constants of the models."""

    par_f: Array  # F
    par_i: Array  # int32
    het_f: Array  # F
    het_i: Array  # int32


class Inputs(NamedTuple):
    """Inputs by population: those of p are first[p] .. first[p + 1] - 1; source[p] drives a source population."""

    first: Array  # (P + 1,)
    source: Array  # (P,) input that drives a source population, -1 elsewhere
    kind: Array  # (K,)
    receptor: Array  # (K,) -1 for a current
    key: Array  # (K, 2) uint64
    words: Array  # (K,) offset of 4 * n random words
    weight: Array  # (K,) F
    weights: Array  # (K,) offset in values of one weight a neuron, -1 if they are equal
    segment: Array  # (K + 1,) rows of start, at, low, size
    start: Array  # (rows,) first step of a segment
    at: Array  # (rows,) offset in thresholds (Poisson, shared) or values (others)
    low: Array  # (rows,) count below the first threshold
    size: Array  # (rows,) number of thresholds; or of values
    thresholds: Array  # uint32
    values: Array  # float64
    event_first: Array  # (K + 1,)
    event_step: Array  # int64, ascending inside an input; of junctions the neuron
    event_id: Array  # int32; of junctions the neuron on the other side
    event_weight: Array  # F; of junctions the conductance
    noise: Array  # (K,) offset in State.noise; of junctions, of the other side's potentials in a row of State.v


class Edges(NamedTuple):
    """Edges of one storage kind in groups; a group has one source population, and one weight or delay if constant.

    The row of (group g, block b, source i) is rows[at[g] + b * (n_source + 1) + i] up to the next entry.
    """

    by_source: Array  # (P + 1,) groups of a population
    at: Array  # (G,)
    n_source: Array  # (G,)
    weight: Array  # (G,) F
    delay: Array  # (G,) steps
    rows: Array  # int64
    targets: (
        Array  # uint16 or uint32: receptor * (hi - lo) + acc offset + neuron, inside a block's slot; none of a matrix
    )
    weights: Array  # float32 or float64, empty if constant
    delays: Array  # uint8 or uint16, empty if constant
    bits: Array  # uint32, 32 accumulators a word; empty but for groups of bits, whose rows hold what repeats a bit
    bits_at: Array  # (G, B) first word; row i is words[g, b] long and begins i times that further on
    words: Array  # (G, B)
    base: Array  # (G, B) accumulator of a row's first bit, or of a matrix's first column
    span: Array  # (G, B) accumulators from there on
    number: Array  # (B, longest row * 32) uint16, spikes of a step to each of them; zeros between steps


class Convolutions(NamedTuple):
    """Edges of the storage kind "kc": convolutions of images, whose weights are stored once for all places.

    A population's neurons are its channels one after another, each of ``pixels``. The weights of a convolution are
    [source channel, place in the kernel, channel of the target's group], so that what a spike adds to a pixel of the
    target lies together; it is summed by (pixel, channel) and added to the ring, channel by channel, after each step.
    """

    by_source: Array  # (P + 1,) convolutions of a population
    delay: Array  # (G,) steps
    pixels: Array  # (G, 2) of a channel of the source, of the target
    group: Array  # (G, 2) channels of a group: of the source, of the target
    at: Array  # (G,) pixel i of the source reaches rows[at + i] up to the next entry of
    rows: Array  # int64
    to: Array  # int32, pixel of the target
    place: Array  # int32, place in the kernel
    places: Array  # (G,) how many different ones
    first: Array  # (G,) first of
    weights: Array  # float32 or float64
    base: Array  # (G, B) accumulator of a block's first target
    lo: Array  # (G, B) number of that target in its population
    span: Array  # (G, B) targets of the block
    sums: Array  # (B, most sums of a block) F; zeros between steps


class Entries(NamedTuple):
    """Addresses of a network's own functions, which the loop over steps calls (kernels/entry.py). All int64."""

    update: Array  # by number of the update kernel
    deliver: Array  # by storage kind of edges, 0 where events are queued; empty if all are
    enqueue: Array  # (storage kinds,) where events are queued, else 0; empty if none are
    needed: Array  # likewise, chunks_needed
    visit: Array  # by plastic projection
    learn: Array  # by plastic projection
    watch: Array  # (plastic projections,) 0 where nothing is observed; empty if nothing is anywhere


class Queue(NamedTuple):
    """Events under way to the blocks of one thread, by slot: lists of chunks. Chunk 0 stands for none."""

    targets: Array  # uint16 or uint32
    weights: Array  # float32 where all weights are float32 numbers, else float64
    following: Array  # (chunks,) int32, next chunk of the list
    head: Array  # (B, slots) int32, first chunk
    position: Array  # (B, slots) uint64, place of the next event; 0 if the slot is empty
    free: Array  # (chunks,) int32, stack of free chunks
    n_free: Array  # (1,) int64


class Plastic(NamedTuple):
    """State of a plastic projection; its edges are an Edges of one group.

    It is that of this process's B blocks and n targets, whose numbers here count from its first ones. A row's number is
    block * n_source + source. All of it is float64. Of a target's spikes the last H are kept, in turn, and the newest
    few once more by age; of postsynaptic traces the last S steps; of a modulator the last two epochs. H, S and an epoch
    are powers of two. Steps are those at the synapse: its source's spikes arrive ``axonal`` steps late.
    """

    source: int  # populations
    target: int
    first: int  # first neuron of the target population that this process holds
    n: int  # how many it holds
    longest: int  # largest delay in steps
    lag: int  # steps after which the first synapse may see a spike of its target: the smallest dendritic delay
    axonal: int  # axonal part of all delays
    slots: int  # S
    dt: float
    origin: Array  # (B,) number of a block's first target less its accumulator
    constants: Array  # of the rule, by the order of RuleSpec.shared
    decay: Array  # (presynaptic traces, then those between, L) factor after k steps; 0 from L - 1 on. Where L would
    #               be large, (traces * 3 * 2^14,): after k, k 2^14 and k 2^28 steps, see kernels.rule_text.decayed
    factor: Array  # (postsynaptic traces,) factor of a step
    learning: Array  # (1,) int64: 1 where weights change, else 0
    settled: Array  # (B,) step up to which all synapses were last settled
    key: Array  # (2,) uint64, of random numbers that the rule takes
    pre: Array  # (rows, presynaptic traces) just after the source's last spike; where on_pre takes random
    #             numbers, then the number of its spikes so far
    last: Array  # (rows,) step of that spike
    done: Array  # (rows,) events up to this step have been applied
    variables: Array  # (rows, synapses) as of a synapse's last event, see kernels.spec.synapse_rows
    fired: Array  # (B, W) uint32, spikes of the targets that no synapse sees yet, in turn; W a power of two
    fired_end: Array  # (B, A) uint64, how many there were up to and including a step, A a power of two
    seen: Array  # (n,) postsynaptic spikes that some synapse may have seen
    swept: Array  # (n,) of these, before the last sweep
    recent: Array  # (RECENT + 1, n) steps of the newest by age, NEVER where there is none
    history: Array  # (n, H) steps of the last spikes
    post: Array  # (n, H, traces that on_post takes) just before each
    trace: Array  # (postsynaptic traces * S * n,) at a step, without a spike of that very step
    lists: Array  # (B, RECENT, PIECE) uint16, of the piece at work: 1 where the newest spike is to be replayed; k > 0:
    #               those with k + 1 spikes to replay
    work: Array  # (B, numbers of a synapse, PIECE) what the passes note of the piece at work; then, of a short-term
    #              rule, the factors and random numbers
    ends: Array  # (B, RECENT) uint64, their numbers
    signal: int  # population that carries the modulator, -1 if none does
    signal_delay: int  # steps
    signal_factor: float  # of the modulator in a step
    signal_jump: float
    signal_gain: float  # integral over a step of a modulator that is 1 at its beginning
    epoch: int  # steps
    signal_growth: Array  # (epoch,) 1 / discount after k steps
    signal_jumps: Array  # (B, J) int64, jumps at a step; J a power of two
    signal_now: Array  # (B, 2) at the next step: modulator but for jumps, sum
    signal_value: Array  # (B, 2 epochs) modulator at a step
    signal_sum: Array  # (B, 2 epochs) discounted integral from the beginning of the epoch
    signal_each: Array  # (2, n) factor of the modulator for each target: of its value, of its integral
    signal_set: Array  # (2,) int64, step at which it was last set in a way that settles all synapses; 1 where targets
    #                    have values of their own since
    reads: Array  # (variables read,) where those of the first target begin in State.f
    observed: Array  # (variables, n) the observer's, as of the last step
    late: Array  # (steps of delay, variables, n) the same in the last steps, in turn
    span: int  # steps of observation that are kept, a power of two
    values: Array  # (signals that on_pre or on_post takes * span * n,) at a step
    sums: Array  # (integrals * span * n,) discounted integral from the beginning of the step's epoch to its end
    sums_epoch: Array  # (integrals,) int64, steps, a power of two
    sums_growth: Array  # (integrals, longest of these) 1 / discount after k steps
    sums_across: Array  # (integrals,) discount of such an epoch
    waiting: Array  # (B, W) uint32, spikes of the source on their way along the axon, in turn; W a power of two
    waiting_end: Array  # (B, A) uint64, how many there were up to and including a step, A a power of two
    short_constants: Array  # of the short-term rule, by the order of ShortTermSpec.shared; where it draws, then the key
    short: Array  # (rows, its state variables) just after the source's last spike; where it draws, (rows, 1) the number
    #               of the source's spikes so far
    rewired: Array  # (1,) int64: 1 where the edges are no longer those that were drawn
    fault: Array  # (B, 2) step and synapse of the first weight that is no finite number; -1 if there is none


NEVER = -(2**40)  # step of a spike that has not been
PIECE = 1024  # synapses of a row at work together


class Probes(NamedTuple):
    """State samplers."""

    population: Array  # (Q,)
    offset: Array  # (Q,) first element of the variable in State.f or State.i
    is_int: Array  # (Q,)
    every: Array  # (Q,) steps
    first: Array  # (Q + 1,) in ids
    ids: Array  # int64, ascending inside a probe
    at: Array  # (Q,) offset of the probe's samples in the buffer
    samples: Array  # float64 buffer


class Sync(NamedTuple):
    """Shared by the threads of a run."""

    arrived: Array  # (1,) int64, barrier counter
    stop: Array  # (1,) int64, step at which thread 0 wants to stop
    resume: Array  # int64 (threads, LINE): begin, number of the window to deliver, and chunks wanted
    spikes: Array  # uint32, local ids, two buffers in turn
    counts: Array  # int64 (2, B, at least P, window), spikes up to and including a step of the window
    flags: Array  # uint8 (threads, longest slice rounded up to record.GROUP)
    record: Array  # uint32, global ids in order of time
    record_count: Array  # int64 (steps of a chunk,)
    record_size: Array  # int64 (1,)
