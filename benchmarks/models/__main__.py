"""`python -m benchmarks.models [LIBRARY...]`: which layer and grid xaicore finds, compared with plain autograd.

Each library runs in a process of its own; those that are not installed here are left out. Results are kept in
.cache/models, so that libraries which do not install beside each other can run in several environments. docs/models.md
is written from all of them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path

from benchmarks.models.page import page
from benchmarks.models.zoo import LIBRARIES

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / ".cache" / "models"
PAGE = ROOT / "docs" / "models.md"


def main() -> None:
    """Try the libraries, and write the page."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"of {', '.join(LIBRARIES)}; default: all")
    options.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--page", action="store_true", help="write the page from earlier results only")
    chosen = options.parse_args()
    unknown = set(chosen.libraries) - set(LIBRARIES)
    if unknown:
        options.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(LIBRARIES)}")
    if chosen.alone:
        _run(chosen.libraries[0])
        return
    for library in [] if chosen.page else chosen.libraries or LIBRARIES:
        done = subprocess.run([sys.executable, "-m", "benchmarks.models", "--alone", library], cwd=ROOT, check=False)
        if done.returncode:
            print(f"{library}: exit status {done.returncode}; the page has its earlier results")
    results = {name: json.loads(_file(name).read_text()) for name in LIBRARIES if _file(name).exists()}
    PAGE.write_text(page(results), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


def _run(library: str) -> None:
    """One library, in this process."""
    os.environ.update(HF_HUB_OFFLINE="1", TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # enabled by hand, it corrupts memory on some processors
    warnings.simplefilter("ignore")
    try:
        module = importlib.import_module(f"benchmarks.models.{library}")
    except ImportError as exc:
        print(f"{library} is left out: {exc}")
        return
    from benchmarks.models.trial import trials

    rows = []
    for row in trials(library):
        rows.append(row)
        outcome = next((f"{key}: {row[key]}" for key in ("refused", "failed", "not_built") if key in row), None)
        print(f"{library}: {row['name']}: {outcome or _summary(row)}", flush=True)
    versions = {package: metadata.version(package) for package in module.PACKAGES}
    RESULTS.mkdir(parents=True, exist_ok=True)
    _file(library).write_text(json.dumps({"versions": versions, "rows": rows}, indent=1), encoding="utf-8")


def _summary(row: dict) -> str:
    grid = f"{row['axes']} {row['size']} + {row['prefix']}"
    return f"{row['layer']} {row['shape']} {grid}, {row['difference']:.1e}, {row.get('responding')}"


def _file(library: str) -> Path:
    return RESULTS / f"{library}.json"


if __name__ == "__main__":
    main()
