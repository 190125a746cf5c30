"""A binary heap of windows by item, in a block: an item is in it at most once. Ties: the smaller item first.

Inlined: a call would copy all words of the block, and its caller would load them beforehand even where it makes none.
"""

import numpy as np

from kernels.event.layout import HEAP
from kernels.jit import inlined

_ONE, _TWO = np.uint64(1), np.uint64(2)


@inlined
def sift_up(block, i):  # type: ignore[no-untyped-def]
    """Move the entry at place ``i`` towards the top."""
    key, item = block.key[i], block.item[i]
    at = np.uint64(i)
    while at > np.uint64(0):
        parent = (at - _ONE) // _TWO
        if block.key[parent] < key or (block.key[parent] == key and block.item[parent] < item):
            break
        block.key[at], block.item[at] = block.key[parent], block.item[parent]
        block.place[np.uint64(block.item[at])] = at
        at = parent
    block.key[at], block.item[at] = key, item
    block.place[np.uint64(item)] = at


@inlined
def sift_down(block, i):  # type: ignore[no-untyped-def]
    """Move the entry at place ``i`` towards the bottom."""
    n = np.uint64(block.counts[HEAP])
    key, item = block.key[i], block.item[i]
    at = np.uint64(i)
    while True:
        child = _TWO * at + _ONE
        if child >= n:
            break
        other = child + _ONE
        if other < n and (
            block.key[other] < block.key[child]
            or (block.key[other] == block.key[child] and block.item[other] < block.item[child])
        ):
            child = other
        if key < block.key[child] or (key == block.key[child] and item < block.item[child]):
            break
        block.key[at], block.item[at] = block.key[child], block.item[child]
        block.place[np.uint64(block.item[at])] = at
        at = child
    block.key[at], block.item[at] = key, item
    block.place[np.uint64(item)] = at


@inlined
def put(block, item, key):  # type: ignore[no-untyped-def]
    """Let ``item`` come up in window ``key`` at the latest."""
    at = np.int64(block.place[np.uint64(item)])
    if at < 0:
        at = block.counts[HEAP]
        block.counts[HEAP] = at + 1
    elif block.key[np.uint64(at)] <= key:
        return
    block.key[np.uint64(at)], block.item[np.uint64(at)] = key, item
    sift_up(block, at)


@inlined
def pop(block):  # type: ignore[no-untyped-def]
    """Take away the first item."""
    block.place[np.uint64(block.item[0])] = -1
    n = block.counts[HEAP] - 1
    block.counts[HEAP] = n
    if n > 0:
        block.key[0], block.item[0] = block.key[n], block.item[n]
        sift_down(block, 0)
