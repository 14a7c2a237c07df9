"""Files of weights, and of whole models: what is loaded, what is refused, and what to type instead."""

import os
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from xaicore import InputError, find_model

NET = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))

def preprocess(picture):
    return picture[:4, :4].transpose(2, 0, 1) / 255
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    return tmp_path


def net():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))


def saved(held, name="best.pt"):
    torch.save(held, name)
    return name


def has_weights_of(found, other):
    theirs = other.state_dict()
    assert found.model.state_dict().keys() == theirs.keys()
    return all(torch.equal(value, theirs[name]) for name, value in found.model.state_dict().items())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}},
        lambda state: {"model_state_dict": state},
        lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {"state_dict": {f"model._orig_mod.{name}": value for name, value in state.items()}},
    ],
    ids=["bare", "state_dict", "model_state_dict", "DataParallel", "Lightning, compiled"],
)
def test_weights_of_a_checkpoint(wrap):
    trained = net()
    found = find_model("net.py:build", weights=saved(wrap(trained.state_dict())))
    assert has_weights_of(found, trained)
    assert (found.title, found.is_pretrained) == ("net.py:build, weights best.pt", True)
    assert found.preprocess.__name__ == "preprocess"


def test_weights_in_safetensors():
    safetensors = pytest.importorskip("safetensors.torch")
    trained = net()
    safetensors.save_file(trained.state_dict(), "best.safetensors")
    assert has_weights_of(find_model("net.py:build", weights="best.safetensors"), trained)
    with pytest.raises(InputError, match=r"^spec='best\.safetensors' holds weights alone \(4 tensors: "):
        find_model("best.safetensors")
    Path("bad.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"^weights='bad\.safetensors' is no safetensors file: SafetensorError: "):
        find_model("net.py:build", weights="bad.safetensors")


def test_weights_that_do_not_fit():
    state = net().state_dict()
    state["3.weight"] = torch.zeros(5, 16)
    state["head.weight"] = state.pop("0.weight")
    with pytest.raises(InputError) as refused:
        find_model("net.py:build", weights=saved(state))
    assert str(refused.value) == (
        "weights='best.pt' does not fit Sequential: missing in the file: 0.weight; not in the model: head.weight; of "
        "another shape: 3.weight 5x16 instead of 2x16"
    )


def test_counters_of_batch_normalisation_may_be_missing():
    Path("norm.py").write_text("from torch import nn\nbuild = lambda: nn.BatchNorm2d(3)\n")
    state = {name: value + 0.5 for name, value in nn.BatchNorm2d(3).state_dict().items() if "num_batches" not in name}
    found = find_model("norm.py:build", weights=saved(state))
    assert torch.equal(found.model.running_mean, torch.full((3,), 0.5))


@pytest.mark.parametrize(
    ("held", "seen"),
    [({"epoch": 3, "loss": 0.1}, "found epoch, loss"), ([1, 2], "found list"), ({}, "found an empty dict")],
)
def test_files_without_weights(held, seen):
    message = "weights='best.pt' holds no weights of a model: expected {name: tensor}, perhaps under 'state_dict', "
    with pytest.raises(InputError, match=f"^{re.escape(message)}.*{seen}$"):
        find_model("net.py:build", weights=saved(held))


def test_files_that_are_none():
    Path("best.pt").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"^weights='best\.pt' is no file that torch\.load or safetensors reads$"):
        find_model("net.py:build", weights="best.pt")
    with pytest.raises(InputError, match=r"^weights='gone\.pt': no such file \(in "):
        find_model("net.py:build", weights="gone.pt")


def test_weights_alone_say_which_code_to_add():
    with pytest.raises(InputError) as refused:
        find_model(saved(net().state_dict()))
    assert str(refused.value) == (
        "spec='best.pt' holds weights alone (4 tensors: 0.weight, 0.bias, 3.weight, ...), not how the model computes: "
        "pass the code that builds it, spec='net.py:build' and weights='best.pt', or a library's model, such as "
        "spec='torchvision/resnet50' and weights='best.pt'"
    )
    with pytest.raises(InputError, match=r"^spec='best\.pt' and weights='best\.pt' are two files: name the code that"):
        find_model("best.pt", weights="best.pt")


class Trap:
    """What a hostile file does as it is read."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_a_pickled_model_is_read_where_it_is_trusted():
    trained = net().train()
    for name in (saved(trained), saved({"epoch": 1, "model": trained}, "last.pt")):
        message = (
            f"^spec='{re.escape(name)}' holds more than weights, and reading it runs code .* add trust=True; safer"
        )
        with pytest.raises(InputError, match=message):
            find_model(name)
        found = find_model(name, trust=True)
        assert has_weights_of(found, trained)
        assert (found.title, found.is_pretrained) == (f"Sequential of {name}", None)
    assert has_weights_of(find_model("net.py:build", weights="best.pt", trust=True), trained)
    both = saved({"criterion": nn.CrossEntropyLoss(), "model": trained}, "both.pt")
    assert has_weights_of(find_model(both, trust=True), trained)
    with pytest.raises(InputError, match=r"^spec='best\.pt' is a file of a trained model: weights='none' is for"):
        find_model("best.pt", weights="none", trust=True)


def test_code_in_a_file_does_not_run_unless_it_is_trusted():
    for arguments in ({"spec": saved(Trap())}, {"spec": "net.py:build", "weights": "best.pt"}):
        with pytest.raises(InputError, match="holds more than weights, and reading it runs code that is in the file"):
            find_model(**arguments)
    assert not Path("sprung").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:'torch.load' received a zip file:UserWarning")
@pytest.mark.parametrize("trust", [False, True])
def test_torchscript_is_refused(trust):
    torch.jit.save(torch.jit.script(net()), "best.pt")
    with pytest.raises(
        InputError, match=r"^spec='best\.pt' is TorchScript, whose layers cannot be observed: save the st"
    ):
        find_model("best.pt", trust=trust)
