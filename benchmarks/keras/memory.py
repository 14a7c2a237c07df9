"""Peak memory of one call, in MiB above the loaded model: python -m benchmarks.keras.memory NET SUBJECT BATCH."""

from __future__ import annotations

import sys
from functools import partial

from benchmarks.keras.nets import NETS, build, pictures
from benchmarks.keras.subjects import SUBJECTS
from benchmarks.measure import peak_of


def main(net: str, subject: str, batch: int) -> float:
    """Peak memory of one call in MiB, above the loaded model after a first call with one image."""
    run = SUBJECTS[subject](build(net), NETS[net])
    run(pictures(1))
    return peak_of(partial(run, pictures(batch)))


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
