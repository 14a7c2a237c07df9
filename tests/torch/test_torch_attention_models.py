"""Attention of published models, where their libraries are installed; that of Transformers against its eager form."""

import numpy as np
import pytest
import torch

import xaicore
from xaicore_torch.backend import TorchBackend

ROWS = np.random.default_rng(0).normal(size=(2, 2, 3)).astype(np.float32)
SMALL = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 48}
METHODS = ("rollout", "attention", "legrad", "gradeclip", "chefer")


def transformers_pair(name, config, **options):
    """The model as it is by default, and with attention in the open."""
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, config)
    models = []
    for implementation in (None, "eager"):
        torch.manual_seed(0)
        kind = {} if implementation is None else {"attn_implementation": implementation}
        models.append(getattr(transformers, name)(config(**SMALL, **options, **kind, num_labels=3)).eval())
    models[1].load_state_dict(models[0].state_dict())
    for model in models:
        for parameter in model.parameters():  # classifiers begin with zeros
            if not parameter.any():
                torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    return models


@pytest.mark.parametrize(
    ("name", "config", "options"),
    [
        ("ViTForImageClassification", "ViTConfig", {"image_size": 32, "patch_size": 8}),
        ("DeiTForImageClassification", "DeiTConfig", {"image_size": 32, "patch_size": 8}),
        ("Dinov2ForImageClassification", "Dinov2Config", {"image_size": 32, "patch_size": 8}),
        ("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", {"image_size": 32, "patch_size": 8}),
        (
            "BeitForImageClassification",
            "BeitConfig",
            {"image_size": 32, "patch_size": 8, "use_relative_position_bias": True},
        ),
        ("CLIPForImageClassification", "CLIPConfig", None),
        ("SiglipForImageClassification", "SiglipConfig", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_attention_and_its_gradient_equal_those_of_transformers(name, config, options):
    if options is None:  # the tower's options
        transformers = pytest.importorskip("transformers")
        vision = SMALL | {"image_size": 32, "patch_size": 8}
        text = SMALL | {"projection_dim": 12} if "CLIP" in name else SMALL
        parts = {"vision_config": vision, "text_config": text}
        models = []
        for kind in ({}, {"attn_implementation": "eager"}):
            torch.manual_seed(0)
            models.append(
                getattr(transformers, name)(getattr(transformers, config)(**parts, **kind, num_labels=3)).eval()
            )
        model, eager = models
        eager.load_state_dict(model.state_dict())
    else:
        model, eager = transformers_pair(name, config, **options)
    x = torch.randn(2, 3, 32, 32)
    answer = eager(x, output_attentions=True)
    gradients = [
        torch.stack(column, 1)
        for column in zip(
            *(
                torch.autograd.grad(answer.logits, answer.attentions, torch.from_numpy(ROWS[:, k]), retain_graph=True)
                for k in range(2)
            ),
            strict=True,
        )
    ]
    backend = TorchBackend(model)
    names = [one.name for one in backend.attention(x) if one.reached]
    capture = backend.capture(x, (), lambda outputs, kind: ROWS, attention=dict.fromkeys(names, True))
    with torch.no_grad():
        np.testing.assert_allclose(capture.outputs, model(x).logits.numpy(), atol=1e-6, rtol=1e-6)
    assert len(names) == 3
    for one, weights, gradient in zip(capture.attention.values(), answer.attentions, gradients, strict=True):
        np.testing.assert_allclose(one.weights, weights.detach().numpy(), atol=1e-6)
        scale = max(1.0, float(gradient.abs().max()))
        np.testing.assert_allclose(one.weights_gradients, gradient.numpy(), atol=1e-6 * scale)
    found = xaicore.Explainer(model).compare(x, METHODS, [[0, 1, 2]])
    assert all(one.maps.shape == (6, 4, 4) and not one.empty.all() for one in found.values())


@pytest.mark.parametrize(
    ("library", "name", "size", "blocks", "tokens", "read"),
    [
        ("torchvision", "vit_b_32", 224, 12, 49, (0,)),
        ("timm", "vit_tiny_patch16_224", 224, 12, 196, (0,)),
        ("timm", "vit_small_patch14_reg4_dinov2", 224, 12, 256, (0,)),
        ("timm", "deit_tiny_distilled_patch16_224", 224, 12, 196, (0, 1)),
        ("timm", "beit_base_patch16_224", 224, 12, 196, tuple(range(1, 197))),
        ("timm", "eva02_tiny_patch14_224", 224, 12, 256, tuple(range(1, 257))),
        ("timm", "vit_base_patch16_siglip_224", 224, 13, 196, (0,)),  # the last is attention pooling
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tokens_and_queries_of_published_models(library, name, size, blocks, tokens, read):
    if library == "timm":
        model = pytest.importorskip("timm").create_model(name, num_classes=3, img_size=size).eval()
    else:
        model = pytest.importorskip("torchvision").models.get_model(name, weights=None).eval()
    torch.manual_seed(0)
    for parameter in model.parameters():  # heads begin with zeros
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(1, 3, size, size)
    explainer = xaicore.Explainer(model)
    found = explainer._places.find_attention(x, None)
    assert (len(found.blocks), np.prod(found.grid.size), found.read) == (blocks, tokens, read)
    with torch.no_grad():
        y = model(x)
    capture = explainer.backend.capture(x, (), attention={one.name: False for one in found.blocks})
    np.testing.assert_allclose(capture.outputs, y.numpy(), atol=1e-5 * float(y.abs().max()))
    for one in explainer.compare(x, METHODS, [[0, 1, 2]]).values():
        assert one.maps.shape == (3, *found.grid.size)
        assert not one.empty.all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("swin_tiny_patch4_window7_224", r"has 4 rows of 49 tokens.*within windows.*blocks=2"),
        ("pvt_v2_b0", r"has 196 queries for 49 keys.*blocks=2"),
        ("cait_xxs24_224", r"has 1 queries for 197 keys.*blocks=1"),
        ("xcit_nano_12_p16_224", r"has 1 queries for 197 keys.*blocks=1"),
        ("resnet18", "no attention over the picture was seen"),
        ("convnext_atto", "no attention over the picture was seen"),
    ],
    ids=lambda value: value if "_" in value or value.isalnum() else "",
)
def test_what_is_refused_says_what_works(name, message):
    model = pytest.importorskip("timm").create_model(name, num_classes=3).eval()
    x = torch.randn(1, 3, 224, 224)
    with pytest.raises(xaicore.MethodError, match=message):
        xaicore.explain(model, x, 1, method="chefer")
    blocks = message.rpartition("blocks=")[2]
    if blocks.isdecimal():
        assert xaicore.explain(model, x, 1, method=xaicore.method("legrad", blocks=int(blocks))).maps.any()
