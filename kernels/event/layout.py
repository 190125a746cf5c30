"""The flat arrays of the event engine, as named tuples.

A thread owns one *block*: a slice of every population, that slice's state and all edges that end in it. P populations,
K inputs, G groups of edges (a projection each), N neurons of a block, B blocks. Times are ms.

Time is cut into *windows* of a little less than the smallest delay: what is emitted in one arrives in a later one.
Window k holds the times t with floor(t / width) = k; this one formula decides everywhere.
"""

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
INBOX_CURRENT = -1 << 62  # in Scratch.inbox_target
LANES = 64  # neurons of one population that are advanced together
LANE_ROW = LANES + 8  # a row in Lanes: lanes are filled up to whole vectors, and rows do not begin 4096 bytes apart
ROW_BITS, EVENT_BITS = 6, 8  # a chunk of the calendar holds 64 rows, or 256 events
NEVER = 2**62  # a window that never comes
BINS = 256
PARTS = BINS  # of a window at most, by which events are written nearly in order of time; Block.bins serves both

TIMER_SLOTS = 256  # timers of so many windows to come are in lists, others in the heap
NOT_LISTED = -2  # Block.timer_before of a neuron that is in no list

# entries of a neuron's record: time that the state is of (its last event or spike); time before which it does not cross
# the threshold, or end of the refractory period while in one; end of the refractory period; injected current; state
LAST, CHECK, UNTIL, STIM, STATE = range(5)
# entries of Block.counts
HEAP, INBOX, PENDING, PHASE, WINDOW, PARITY, DEFERRED, ROUND, TIMERS = range(9)
# what advance() returns
DONE, FULL, GROW_SCRATCH, GROW_INBOX, GROW_QUEUE, GROW_HISTORY, FAILED = range(7)
# kinds of streams
EVENTS, POISSON, SHARED, CURRENT, SOURCE_EVENTS, SOURCE_POISSON, SOURCE_SHARED = range(7)
GROUP, OWN_RATES_GROUP = (
    64,
    16,
)  # neurons that share a Poisson process of their total rate; each of its events picks one


class Net(NamedTuple):
    """What all threads read. Integers are int64."""

    width: float  # of a window, ms
    bits: int  # a target's code is receptor << bits | number of the neuron in the block
    slots: int  # of the calendar, a power of two
    record: int  # float64 numbers a neuron, a multiple of a cache line
    kind: Array  # (P,) number of the model's functions, -1 for spike sources
    n: Array  # (P,)
    gid: Array  # (P,) first global id
    recorded: Array  # (P,) 1 where spikes are recorded
    par: Array  # float64, constants shared by a population
    par_at: Array  # (P,)


class Block(NamedTuple):
    """State and schedule of a block."""

    lo: Array  # (P,) slice
    hi: Array
    first: Array  # (P + 1,) number of the slice's first neuron in the block; sources have none
    population: Array  # (N,) int32
    het_at: Array  # (P,) offset of constants that differ from neuron to neuron, constant j at + j * (hi - lo)
    f: Array  # (N * record,) all that an event changes of a neuron, side by side: LAST, CHECK, .., state variables
    het: Array  # float64
    counted: Array  # (N,) int32, 1 + events in this window; 0: untouched
    end: Array  # (N,) where its next event is written in Scratch
    touched: Array  # (N,) int32, those of population p from first[p] on
    n_touched: Array  # (P,)
    order: Array  # (N,) int32, touched neurons, those with most events first
    bins: Array  # (BINS + 1,) scratch
    key: Array  # heap: windows of timers (items 0 to N - 1) and streams (from N on)
    item: Array  # int32
    place: Array  # int32, place of an item in the heap, -1 if it is not there
    timer: Array  # (N,) window in which the neuron comes up at the latest, from a list or the heap; NEVER if in none
    timer_next: Array  # (N,) int32, neighbours in the list, -1 if there is none
    timer_before: Array  # likewise; NOT_LISTED
    timer_head: Array  # (TIMER_SLOTS,) int32
    deferred: Array  # int32, source streams with spikes of this window after the stop
    counts: Array  # int64
    since: Array  # (1,) what came before this time in the present window is done
    heads: Array  # (B,) scratch


class Queue(NamedTuple):
    """The calendar of a block: by window, lists of chunks of rows (one time, all targets of a spike) and of events.

    Chunk 0 stands for none.
    """

    row_time: Array
    row: Array  # number in Edges.rows
    row_group: Array  # int32
    row_next: Array  # int32, next chunk
    row_head: Array  # (slots,) int32
    row_end: Array  # (slots,) uint64, place of the next entry, 0 if there is none
    row_free: Array  # int32, stack
    row_n_free: Array  # (1,)
    time: Array
    target: Array
    weight: Array
    next: Array
    head: Array
    end: Array
    free: Array
    n_free: Array


class Scratch(NamedTuple):
    """Events of a window, and what inputs bring in it.

    Neurons of a population are taken LANES at a time, in the order of Block.order; event j of the one in lane l is at
    begin + j * LANES + l, so that the lanes read theirs side by side.
    """

    time: Array
    weight: Array
    receptor: Array  # uint8; CURRENT_CODE: the weight is the new injected current
    inbox_time: Array
    inbox_target: Array  # int64: neuron, from bit ``Net.bits`` on 8 bits of the receptor, then the input; currents < 0
    inbox_weight: Array
    inbox_order: Array  # int32, the inbox by part of the window
    gaps: Array  # (GAPS,) scratch of kernels.event.exponential
    mantissa: Array
    bits: Array  # int64, the same memory
    words: Array  # uint64


CURRENT_CODE = 255


class Lanes(NamedTuple):
    """LANES neurons being advanced, in rows of LANE_ROW numbers.

    Few arrays: each time that a vector loop is entered the addresses of all that it uses are loaded and compared.
    """

    x: Array  # rows LAST .. STIM as in a record, from VALUES on state and constants
    number: Array  # int64, number of events
    mark: Array  # uint8, rows: whether the event applies, is not one for the vector loop alone, and the stop is reached
    first: Array  # (1,) place of lane 0 in Block.order


VALUES = 4


class Edges(NamedTuple):
    """Rows by source of the edges that end in a block. Group g is a projection; plastic ones of a source come last."""

    by_source: Array  # (P + 1,) groups of a source population
    at: Array  # (G,) row of its source 0 in ``rows``
    weight: Array  # (G,) where constant
    delay: Array  # (G,) where constant
    weight_shift: Array  # (G,) place of a row's weights relative to its targets; NEVER: constant
    delay_shift: Array
    learner: Array  # (G,) number of the plastic projection, -1: static
    rows: Array
    targets: Array  # uint16 or uint32
    weights: Array  # float32 or float64
    delays: Array  # float64


class Plastic(NamedTuple):
    """A plastic projection in a block: n sources, m targets of the block, S synapses in the order of its rows.

    Of a target's spikes, and of the modulator's events, those from number ``oldest`` on are kept, in turn.
    """

    group: int  # in Edges
    source: int  # populations
    target: int
    longest: float  # delay
    constants: Array  # of the rule, by the order of RuleSpec.shared
    tau_pre: Array  # by presynaptic trace
    tau_post: Array
    tau_between: Array  # of the traces that flow takes
    learning: Array  # (1,) int64: 1 where weights change, else 0
    weights: Array  # (S,)
    variables: Array  # (rows, S), see kernels.spec.synapse_rows
    at: Array  # (S,) time of the last event applied
    key: Array  # (2,) uint64, of random numbers that the rule takes
    pre: Array  # (n, presynaptic traces) just after the source's last spike; where on_pre takes random
    #             numbers, then the number of its spikes so far
    last: Array  # (n,) time of that spike
    seen: Array  # (m,) spikes so far
    oldest: Array  # (m,)
    new: Array  # (m,) scratch
    history: Array  # (m, H) their times, H a power of two
    post: Array  # (m, H, postsynaptic traces) just before each
    signal: int  # population that carries the modulator, -1 if none does
    signal_delay: float
    signal_tau: float  # inf: it stays
    signal_jump: float
    signal_discount: float  # time constant; inf: none
    total: Array  # (S,) discounted integral of the modulator since ``at``, where flow takes one
    reached: Array  # (S,) up to here, an event of the synapse or the modulator
    signal_seen: Array  # (1,) events so far
    signal_oldest: Array  # (1,)
    signal_time: Array  # (M,) a power of two
    signal_value: Array  # (M,) modulator just after each
    short_constants: Array  # of the short-term rule, by the order of ShortTermSpec.shared; where it draws, then the key
    short: Array  # (n, its state variables) just after the source's last spike; where it draws, (n, 1) the number of
    #               the source's spikes so far
    fault: Array  # (2,) time and synapse of the first weight that is no finite number; inf: none


class Entries(NamedTuple):
    """Addresses of a network's own functions, which the loop over windows calls (kernels/entry.py). All int64."""

    process: Array  # by number of the model's functions
    full: Array  # by plastic projection
    learn: Array


LONG_AGO = -(2.0**40)  # time of a spike that has not been


class Inputs(NamedTuple):
    """Inputs of all blocks. Segments of input k are segment[k] .. segment[k + 1] - 1."""

    receptor: Array  # (K,)
    key: Array  # (K, 2) uint64
    weight: Array  # (K,)
    weights: Array  # (K,) offset in values of one weight a neuron, -1 if they are equal
    own_rates: Array  # (K,) 1 where each neuron has a rate of its own, at ``at``
    segment: Array  # (K + 1,)
    start: Array  # (rows,) ms
    rate: Array  # (rows,) 1/ms of one neuron, or a factor of ``rates``
    at: Array  # (rows,) offset in values of a current, or of one rate a neuron
    size: Array  # (rows,) number of its values
    event: Array  # (K + 1,)
    event_time: Array
    event_id: Array
    event_weight: Array
    values: Array


def inbox_input(target: Array, bits: int) -> Array:
    """Numbers of the inputs of entries of Scratch.inbox_target."""
    return (target & ~INBOX_CURRENT) >> (bits + 8)


class Streams(NamedTuple):
    """Inputs of a block that bring one event after another."""

    kind: Array
    input: Array
    population: Array
    first: Array  # first neuron of the population that it serves
    n: Array  # number of neurons
    next: Array  # time of the next event, inf: none
    cursor: Array  # next row of events or of segments
    draws: Array  # uint64, random numbers drawn
    word: Array  # uint64, picks the neuron of the next event


class Sync(NamedTuple):
    """Shared by the threads."""

    arrived: Array  # (1,) barrier
    halt: Array  # (1,) round after which to hand over the record
    next: Array  # (2, B, LINE) next window of a block
    n_spikes: Array  # (2, B, LINE)
    spike_time: Array  # (2, B, capacity)
    spike_id: Array  # (2, B, capacity) global
    spare_time: Array  # (B, capacity) for sorting
    spare_id: Array
    failed: Array  # (B, LINE) float64: kind of failure, population, neuron, time
    wanted: Array  # (B, LINE)
    record_time: Array
    record_id: Array
    record_size: Array


def empty(dtype: Any) -> Array:
    """No elements."""
    return np.empty(0, dtype)
