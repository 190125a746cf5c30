"""Sums of sparse rows side by side, one a lane of a vector: here the compiler is told what to vectorise.

Left to itself it adds lane after lane: three loads a weight, where here there is little more than one.
"""

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8  # rows that are summed side by side: a row's sum keeps its order, and no addition waits for another
_I32, _I64 = ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


@intrinsic
def add_rows(typing, weights, columns, x, begin, end, sums, at):  # type: ignore[no-untyped-def]
    """sums[at + l] = sum over k from ``begin`` to ``end`` of weights[k, l] x[columns[k, l]], for each lane l.

    float64; columns are unsigned, of 16 or 32 bits. One load brings the columns of four or two lanes.
    """
    bits = columns.dtype.bitwidth

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = [context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 1, 2, 5)]
        vectors = builder.bitcast(data[0], _VECTOR.as_pointer())
        words = builder.bitcast(data[1], _I64.as_pointer())
        values, out = data[2], builder.bitcast(builder.gep(data[3], [args[6]]), _VECTOR.as_pointer())
        total = cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, [0.0] * LANES))
        with cgutils.for_range_slice(builder, args[3], args[4], ir.Constant(_I64, 1), _I64) as (k, _):
            first = builder.mul(k, ir.Constant(_I64, LANES * bits // 64))
            gathered = ir.Constant(_VECTOR, ir.Undefined)
            for lane in range(LANES):
                word, shift = divmod(lane * bits, 64)
                if shift == 0:
                    packed = builder.load(builder.gep(words, [builder.add(first, ir.Constant(_I64, word))]), align=8)
                column = builder.lshr(packed, ir.Constant(_I64, shift))
                column = builder.and_(column, ir.Constant(_I64, 2**bits - 1))
                value = builder.load(builder.gep(values, [column]))
                gathered = builder.insert_element(gathered, value, ir.Constant(_I32, lane))
            product = builder.fmul(builder.load(builder.gep(vectors, [k]), align=8), gathered)
            builder.store(builder.fadd(builder.load(total), product), total)
        builder.store(builder.load(total), out, align=8)
        return context.get_dummy_value()

    i = numba.types.int64
    return numba.types.void(weights, columns, x, i, i, sums, i), generate
