"""What training all blocks of MiniLM-L6 costs at least: its matrix products alone, at the speed they reach here.

    python benchmarks/floor.py --train banking77/train.csv --test banking77/test.csv --rows 1000

A token costs two operations a weight of the six blocks (384 wide, 1,536 within), forward once and backward twice:
63.7 MFLOP. The speed is that of TensorFlow's products of these very sizes, for as many tokens as a batch has.
"""

from __future__ import annotations

import numpy as np
from common import arguments, in_turns, report, timed, workplace, write_subset
from kft_side import load_rows, tokens

WIDTH, WITHIN, BLOCKS = 384, 1536, 6
SIZES = ((WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, WITHIN), (WITHIN, WIDTH))
TOKEN_FLOP = 3 * 2 * BLOCKS * sum(left * right for left, right in SIZES)
STEPS = 40


def main() -> None:
    """Measures the products in turns; writes GFLOP a CPU second, and the seconds of an epoch at that speed."""
    args = arguments(__doc__.splitlines()[0], rows=1000, repeats=5)
    with workplace() as folder:
        rows = load_rows(write_subset(args.train, args.rows, folder / "train.csv"), args.test)
        lengths = tokens(list(rows.split.train.inputs)).lengths
    import tensorflow as tf

    batch = int(lengths.mean() * 32)
    draw = np.random.default_rng(0)
    weights = [tf.constant(draw.normal(size=size), tf.float32) for size in SIZES]
    inputs = [tf.constant(draw.normal(size=(batch, left)), tf.float32) for left, _ in SIZES]
    slopes = [tf.constant(draw.normal(size=(batch, right)), tf.float32) for _, right in SIZES]

    @tf.function
    def step() -> list[tf.Tensor]:
        """One block, forward and backward: of the input and of the weight."""
        found = []
        for weight, given, slope in zip(weights, inputs, slopes, strict=True):
            found += [given @ weight, tf.matmul(slope, weight, transpose_b=True)]
            found += [tf.matmul(given, slope, transpose_a=True)]
        return found

    step()

    def work() -> dict[str, float]:
        _, seconds = timed(lambda: [step() for _ in range(STEPS)])
        done = STEPS * batch * TOKEN_FLOP / BLOCKS
        return {**seconds, "gflop_a_cpu_second": done / seconds["cpu_s"] / 1e9}

    work()
    found = in_turns({"products": work}, args.repeats)
    speed = float(np.median(found["products"]["gflop_a_cpu_second"]))
    total = int(lengths.sum())
    report(
        "floor",
        found,
        tokens_of_a_batch=batch,
        tokens_of_an_epoch=total,
        mflop_a_token=round(TOKEN_FLOP / 1e6, 1),
        cpu_seconds_of_an_epoch=round(total * TOKEN_FLOP / speed / 1e9, 1),
    )


if __name__ == "__main__":
    main()
