"""One Keras backend per process: `KERAS_BACKEND=jax python -m pytest tests/keras`.

TensorFlow enables oneDNN on some processors only. The tests enable it on all; TF_ENABLE_ONEDNN_OPTS=0 runs those
that do not depend on it.
"""

import atexit
import collections
import os
import shutil
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import pytest
from garbage import pytest_collection_finish, pytest_runtest_setup  # noqa: F401
from keras.src.backend.common import global_state
from keras_state import fingerprint
from processes import environment, python

from xaicore.testing.state import guard

BACKEND = keras.backend.backend()

# One thread, as several of these processes run beside each other; OMP_NUM_THREADS chooses another number.
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))

# XLA compiles every net here to run once or twice: optimising the code would take most of the time.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"

if BACKEND == "tensorflow":
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
elif BACKEND == "jax":
    import jax

    # Half of the programs have been compiled before, for another test's model: they are kept in a folder.
    compiled = tempfile.mkdtemp(prefix="xaicore-jax-")
    atexit.register(shutil.rmtree, compiled, ignore_errors=True)
    jax.config.update("jax_compilation_cache_dir", compiled)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

    # The other code generator takes half as long. A release of XLA that does not know the flag ends the process.
    other = f"{os.environ['XLA_FLAGS']} --xla_cpu_use_fusion_emitters=false"
    if python("-c", "import jax; jax.devices()", env=environment(variables={"XLA_FLAGS": other})).returncode == 0:
        os.environ["XLA_FLAGS"] = other
elif BACKEND == "torch":
    import torch

    torch.set_num_threads(THREADS)

COMPILED = BACKEND in ("tensorflow", "jax")
LONG = {
    *("attention", "attention_parity", "biases", "clips", "ensemble", "input_methods"),
    *("passes", "powers", "powers_door", "powers_second"),
}
"""Modules of tests each of which compiles passes of its own. On torch, where nothing is compiled, all of them run."""

ON_TORCH = {"kit", "forward"}
"""Modules that stand for no others: the passes that they compile are those of other modules, or none."""

SHARE = 8

IN_TURN = {"callback", "links", "parity", "values"}
"""Modules whose tests compile less. Of a test with parameters, each set but the first runs on TensorFlow or on JAX."""

BY_TURNS = {"boxes", "demo", "layers", "meaning", "models", "parts", "surgery", "targets"}
"""Modules about what Keras knows, and the framework behind it does not: every fourth test runs on TensorFlow, another
on JAX, and all on torch."""


def pytest_collection_modifyitems(config, items):
    """Where passes are compiled, some tests stand for the others. On torch, all run."""
    if not COMPILED or config.getoption("--thorough") or len({item.path for item in items}) < 2:
        return
    tests, sets = collections.Counter(), collections.Counter()
    left_out = []
    for item in items:
        module, test = item.path.stem.removeprefix("test_keras_"), (item.path, item.originalname)
        tests[module] += 1
        sets[test] += 1
        is_long = module in LONG and tests[module] % SHARE != 1
        is_elsewhere = module in IN_TURN and sets[test] > 1 and sets[test] % 2 == (BACKEND == "jax")
        is_elsewhere |= module in BY_TURNS and tests[module] % 4 != (3 if BACKEND == "jax" else 1)
        if is_long or is_elsewhere or module in ON_TORCH:
            left_out.append(item)
    config.hook.pytest_deselected(items=left_out)
    gone = set(map(id, left_out))
    items[:] = [item for item in items if id(item) not in gone]


def pytest_report_header():
    return f"keras {keras.__version__} on {BACKEND}"


@pytest.fixture(autouse=True)
def fresh_names_and_seeds():
    """Layers are called conv2d, conv2d_1, ... in every test, whichever ran before."""
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int))
    keras.utils.set_random_seed(0)


@pytest.fixture
def unchanged():
    """`with unchanged(model): ...` fails when anything of the model or of the process is different afterwards."""
    return guard(fingerprint)
