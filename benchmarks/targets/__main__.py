"""`python -m benchmarks.targets [LIBRARY...]`: targets on published architectures, compared with plain autograd.

Each library runs in a process of its own; one that is not installed is left out, as keras-hub may be beside torch.
docs/targets/table.md is written from the results of all of them, which are kept in .cache/targets.
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

from benchmarks.targets.page import LIBRARIES, page

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / ".cache" / "targets"
PAGE = ROOT / "docs" / "targets" / "table.md"


def main() -> None:
    """Try the libraries, and write the page."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"of {', '.join(LIBRARIES)}; default: all")
    options.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    unknown = set(chosen.libraries) - set(LIBRARIES)
    if unknown:
        options.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(LIBRARIES)}")
    if chosen.alone:
        _run(chosen.libraries[0])
        return
    for library in chosen.libraries or LIBRARIES:
        done = subprocess.run([sys.executable, "-m", "benchmarks.targets", "--alone", library], cwd=ROOT, check=False)
        if done.returncode:
            print(f"{library}: exit status {done.returncode}; the page has its earlier results")
    results = {name: json.loads(_file(name).read_text()) for name in LIBRARIES if _file(name).exists()}
    PAGE.write_text(page(results), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


def _run(library: str) -> None:
    """One library, in this process."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    warnings.simplefilter("ignore")
    try:
        module = importlib.import_module(f"benchmarks.targets.{library}")
    except ImportError as exc:
        print(f"{library} is left out: {exc}")
        return
    tried = getattr(module, "tried", None) or importlib.import_module("benchmarks.targets.case").tried
    rows = []
    for case in module.CASES:
        row = tried(case)
        rows.append(row)
        outcome = next((f"{key}: {row[key]}" for key in ("refused", "failed", "not_built") if key in row), None)
        shown = outcome or f"{row['layer']}, {row['grid']}, {row['difference']:.0e}"
        print(f"{library}: {row['name']}, {row['target']}: {shown}", flush=True)
    versions = {package: metadata.version(package).partition("+")[0] for package in module.PACKAGES}
    RESULTS.mkdir(parents=True, exist_ok=True)
    _file(library).write_text(json.dumps({"versions": versions, "rows": rows}, indent=1), encoding="utf-8")


def _file(library: str) -> Path:
    return RESULTS / f"{library}.json"


if __name__ == "__main__":
    main()
