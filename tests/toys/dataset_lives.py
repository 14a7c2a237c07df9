"""Runs over a data set that die and are begun again until one comes through: `python dataset_lives.py HOW PHOTOS OUT`.

Prints the exit code of each. HOW is "pictures", where two pictures end the process that reads them; "model", which ends
it for a picture whose first value is 255; "model of the script" and "preparation of the script", which no other process
can have; "elements" and "elements of the script", the pictures of `data_sets`, of which the first and the last end it;
"inputs", those of the model, which ends it for the first one; or "batches", of which the last ends it. Each life is a
fork of this process, which has imported everything and runs nothing itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from data_sets import INPUTS, PICTURES, DeadlyBatches, DeadlyElements, Elements
from picture_sets import Deadly, FragileBackend, backend, fragile, preprocess
from pyarrow import parquet  # noqa: F401 - imported once, for all lives

import xaicore
from xaicore.dataset import run  # noqa: F401
from xaicore.source.listing import Listing


def begin(live: Callable[[], object]) -> int:
    """The process id of a fork that does this."""
    child = os.fork()
    if child:
        return child
    try:
        live()
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def ended(child: int) -> int:
    """The exit code of a fork, once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class OwnElements(DeadlyElements):
    """Of this script."""


class Own(FragileBackend):
    """Of this script."""


def dies(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends the process for a picture whose first value is 255."""
    if picture[0, 0, 0] == 255:
        with open(sys.argv[3] + ".deaths", "a") as file:
            file.write("died\n")
        os._exit(6)
    return preprocess(picture)


def source_of(how: str, photos: str) -> Any:
    """The pictures of the runs."""
    if how == "batches":
        return DeadlyBatches([4, 4, 2])
    if how == "inputs":
        return Elements([np.ones_like(INPUTS[0]), *INPUTS[1:]])
    if how.startswith("elements"):
        return (OwnElements if how == "elements of the script" else DeadlyElements)(PICTURES)
    listing = Listing.read(photos)
    if how != "pictures":
        return listing
    deadly = {3: Deadly(listing.ids[3], "exit"), 13: Deadly(listing.ids[13], "kill")}
    return replace(listing, sources=[deadly.get(n, one) for n, one in enumerate(listing.sources)])


def main(how: str, photos: str, out: str) -> None:
    source = source_of(how, photos)
    net = fragile(Path(out + ".deaths"), Own if how == "model of the script" else FragileBackend)
    net = net if how.startswith(("model", "inputs")) else backend()
    prepare = {"preparation of the script": dies, "inputs": None, "batches": None}.get(how, preprocess)
    options = {"preprocess": prepare, "backend": net, "layer": "second", "shard_size": 8, "batch_size": 4}
    codes: list[int] = []
    while not {0, 1} & {*codes} and len(codes) < 8:
        codes.append(ended(begin(lambda: xaicore.explain_dataset(object(), source, out, resume=True, **options))))
    print(*codes)


if __name__ == "__main__":
    main(*sys.argv[1:])
