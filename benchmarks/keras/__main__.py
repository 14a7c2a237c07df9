"""`python -m benchmarks.keras`: ratios to a bare compiled forward pass, for each framework that Keras runs on.

Each framework has a process of its own, because Keras chooses its framework when it is imported.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from benchmarks.keras.options import environment, parse


def main() -> None:
    """Measure one framework after the other; a failure does not stop the next one."""
    options = parse(__doc__)
    failed = []
    for backend in options.backends:
        if importlib.util.find_spec(backend) is None:
            print(f"{backend}: skipped, not installed (pip install 'xaicore[{backend}]')")
            continue
        command = [sys.executable, "-m", "benchmarks.keras.tables", *sys.argv[1:]]
        if subprocess.run(command, env=environment(backend, options.threads)).returncode:
            failed.append(backend)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
