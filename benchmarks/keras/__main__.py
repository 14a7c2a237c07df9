"""`python -m benchmarks.keras`: for each backend that Keras runs on, ratios against a bare compiled forward pass.

Each in a process of its own, since Keras chooses its backend when it is imported.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from benchmarks.keras.options import environment, parse


def main() -> None:
    """One backend after the other; one that fails does not stop the others."""
    options = parse(__doc__)
    failed = []
    for backend in options.backends:
        if importlib.util.find_spec(backend) is None:
            print(f"{backend}: left out, not installed (pip install 'xaicore[{backend}]')")
            continue
        command = [sys.executable, "-m", "benchmarks.keras.tables", *sys.argv[1:]]
        if subprocess.run(command, env=environment(backend, options.threads)).returncode:
            failed.append(backend)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
