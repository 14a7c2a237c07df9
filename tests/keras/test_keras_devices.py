"""A model on the second of two devices: where its weights and its passes lie, and what cannot be moved."""

import json
from functools import cache

import keras
import pytest
from keras import layers
from processes import TOYS, environment, python

import xaicore
from xaicore_keras.backend import KerasBackend

TWO = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"}
"""The environment in which JAX has two devices."""

BACKEND = keras.backend.backend()
compiled = pytest.mark.skipif(BACKEND == "torch", reason="torch has one device without a GPU")


@pytest.fixture(scope="module")
def seen(tmp_path_factory, pytestconfig):
    @cache
    def found():
        folder = tmp_path_factory.mktemp("devices")
        more = ["workers"] if pytestconfig.getoption("--thorough") else []
        done = python(str(TOYS / "keras_devices.py"), str(folder), *more, env=environment(variables=TWO))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return found


@compiled
def test_a_copy_lies_on_the_device_and_the_model_stays(seen):
    found = seen()
    assert found["devices"] == ["cpu:0", "cpu:1"]
    assert found["weights"] == [["cpu:0"], ["cpu:1"]]
    assert found["unchanged"]
    assert found["itself"]


@compiled
def test_passes_lie_where_the_weights_do_and_maps_are_the_same(seen):
    """Of the model, of its copy on the second device, of one that was built there, and for inputs that lie there."""
    found = seen()
    assert found["passes"] == [["cpu:0"], ["cpu:1"], ["cpu:1"], ["cpu:0"]]
    assert found["same"] == [True, True, True]


@compiled
def test_what_cannot_be_moved_is_told_with_what_to_type(seen):
    unbuilt, unknown = seen()["refusals"]
    assert unbuilt.startswith(
        "the model has no weights before its first batch, and Keras would make them on cpu:0: call"
    )
    assert unknown.startswith("Keras cannot copy the model to cpu:1: build it under keras.device('cpu:1'), or register")
    assert "TypeError" in unknown


@compiled
def test_a_worker_per_device_writes_what_one_process_writes(seen, pytestconfig):
    if not pytestconfig.getoption("--thorough"):
        pytest.skip("imports Keras three times")
    assert seen()["rows"]


def test_a_model_where_it_lies_is_itself():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    backend = KerasBackend(model)
    assert backend.on_device(backend.devices()[0]) is model
    with pytest.raises(xaicore.BackendError, match="Keras cannot copy the model to nowhere:0"):
        backend.on_device("nowhere:0")
