"""Runs over a data set that die and are begun again until one comes through: `python dataset_lives.py HOW PHOTOS OUT`.

Prints the exit code of each. HOW is "pictures", where two pictures end the process that reads them; "model", which ends
it for a picture whose first value is 255; "model of the script" and "preparation of the script", which no other process
can have. Each life is a fork of this process, which has imported everything and runs nothing itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
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


class Own(FragileBackend):
    """Of this script."""


def dies(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends the process for a picture whose first value is 255."""
    if picture[0, 0, 0] == 255:
        with open(sys.argv[3] + ".deaths", "a") as file:
            file.write("died\n")
        os._exit(6)
    return preprocess(picture)


def main(how: str, photos: str, out: str) -> None:
    listing = Listing.read(photos)
    if how == "pictures":
        deadly = {3: Deadly(listing.ids[3], "exit"), 13: Deadly(listing.ids[13], "kill")}
        listing = replace(listing, sources=[deadly.get(n, one) for n, one in enumerate(listing.sources)])
    net = fragile(Path(out + ".deaths"), Own if how == "model of the script" else FragileBackend)
    net = net if how.startswith("model") else backend()
    prepare = dies if how == "preparation of the script" else preprocess
    options = {"preprocess": prepare, "backend": net, "layer": "second", "shard_size": 8, "batch_size": 4}
    codes: list[int] = []
    while 0 not in codes and len(codes) < 8:
        codes.append(ended(begin(lambda: xaicore.explain_dataset(object(), listing, out, resume=True, **options))))
    print(*codes)


if __name__ == "__main__":
    main(*sys.argv[1:])
