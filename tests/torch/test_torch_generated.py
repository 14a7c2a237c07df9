"""Words that models of Transformers generate, and the pass that explains them; small nets built from configurations."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import xaicore
import xaicore_torch

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**SMALL, "image_size": 32, "patch_size": 8}
PICTURES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def blip():
    text = {**SMALL, "vocab_size": 40, "encoder_hidden_size": 32, "max_position_embeddings": 32}
    ids = {"bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 2, "pad_token_id": 0}
    config = transformers.BlipConfig(text_config=text | ids, vision_config=VISION, projection_dim=16)
    return transformers.BlipForConditionalGeneration(config), {"pixel_values": PICTURES}


def encoder_decoder():
    encoder = transformers.ViTConfig(**VISION)
    decoder = transformers.GPT2Config(vocab_size=40, n_embd=32, n_layer=2, n_head=2, n_positions=32)
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    model = transformers.VisionEncoderDecoderModel(config)
    for settings in (model.config, model.generation_config):
        settings.decoder_start_token_id, settings.pad_token_id, settings.eos_token_id = 1, 0, 2
    return model, PICTURES


def llava():
    vision = transformers.CLIPVisionConfig(**{**VISION, "num_hidden_layers": 3}, projection_dim=16)
    text = transformers.LlamaConfig(**SMALL, vocab_size=40, num_key_value_heads=2, max_position_embeddings=64)
    config = transformers.LlavaConfig(vision_config=vision, text_config=text, image_token_index=39, image_token_id=39)
    ids = torch.tensor([[1] + [39] * 16 + [5, 7], [1] + [39] * 16 + [9, 3]])
    inputs = {"pixel_values": PICTURES, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return transformers.LlavaForConditionalGeneration(config), inputs


def git():
    settings = {"vocab_size": 40, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.GitConfig(vision_config=VISION, **SMALL, **settings)
    return transformers.GitForCausalLM(config), {"pixel_values": PICTURES}


BUILD = {"blip": blip, "encoder and decoder": encoder_decoder, "llava": llava, "git": git}

LAYERS = {
    "blip": ("vision_model.encoder.layers.1", 1),
    "encoder and decoder": ("encoder.layers.1", 1),
    "llava": ("model.language_model.layers.1.input_layernorm", 1),
    "git": ("git.encoder.layer.0", 1),
}
"""The layer, and the first of the 16 tokens of the picture."""


@pytest.fixture(params=BUILD)
def made(request):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, inputs = BUILD[request.param]()
    with torch.no_grad():
        for one in model.parameters():
            if one.ndim > 1:
                one.mul_(4)  # else all words are as probable
    return request.param, model.eval(), inputs


def first_tensor(output):
    return output if isinstance(output, torch.Tensor) else output[0]


def test_each_generated_word(made, unchanged):
    name, model, inputs = made
    model.train()
    with unchanged(model):
        found = xaicore_torch.generated(model, inputs, max_new_tokens=5)
    again = xaicore_torch.generated(model, inputs, max_new_tokens=5)
    np.testing.assert_array_equal(found.tokens, again.tokens)
    model.eval()
    assert found.tokens.shape == (2, 5)
    layer, first = LAYERS[name]
    layer = layer if layer in dict(model.named_modules()) else layer.replace("encoder.layers", "encoder.layer")
    layer = layer if layer in dict(model.named_modules()) else layer.replace("encoder.", "encoder.encoder.", 1)
    explanation = xaicore.explain(
        model, found.inputs, xaicore.targets.Words(found.tokens, start=found.start), layer=layer
    )
    kept = []
    handle = model.get_submodule(layer).register_forward_hook(lambda m, args, output: kept.append(first_tensor(output)))
    logits = model(**found.inputs).logits
    handle.remove()
    for n in range(2):
        for k in range(5):
            row, token = 5 * n + k, int(found.tokens[n, k])
            if token < 0:
                assert explanation.empty[row]
                continue
            scores = logits[n, found.start + k]
            assert token == scores.argmax()
            (gradient,) = torch.autograd.grad(scores[token], kept, retain_graph=True)
            a, g = (one[n, first : first + 16].T.unflatten(1, (4, 4)) for one in (kept[0], gradient))
            expected = (a * g.mean((1, 2), keepdim=True)).sum(0).relu().detach().numpy()
            np.testing.assert_allclose(explanation.maps[row], expected, rtol=1e-3, atol=1e-5 * expected.max() + 1e-12)
            np.testing.assert_allclose(explanation.scores[row], scores.softmax(0)[token].item(), rtol=1e-4)


def test_the_layer_that_is_found_has_evidence(made):
    _, model, inputs = made
    found = xaicore_torch.generated(model, inputs, max_new_tokens=4)
    explanation = xaicore.explain(model, found.inputs, xaicore.targets.Words(found.tokens, start=found.start))
    assert explanation.maps.shape == (8, 4, 4)
    assert not explanation.empty.all()


def test_what_follows_the_end_is_no_word():
    torch.manual_seed(0)
    model, inputs = llava()
    free = xaicore_torch.generated(model.eval(), inputs, max_new_tokens=5)
    end = int(free.tokens[0, 2])
    ended = xaicore_torch.generated(model, inputs, max_new_tokens=5, eos_token_id=end, pad_token_id=0)
    at = list(free.tokens[0]).index(end) + 1
    assert ended.tokens[0, :at].tolist() == free.tokens[0, :at].tolist()
    assert (ended.tokens[0, at:] == -1).all()


def test_sampled_words(made):
    _, model, inputs = made
    found = xaicore_torch.generated(model, inputs, max_new_tokens=4, do_sample=True)
    logits = model(**found.inputs).logits[:, found.start : found.start + 4]
    assert found.tokens.shape == logits.shape[:2]
    with pytest.raises(xaicore.InputError, match="num_beams=3: expected one sequence per image"):
        xaicore_torch.generated(model, inputs, num_beams=3)


def test_models_that_cannot(made, unchanged):
    name, model, inputs = made
    with pytest.raises(xaicore.InputError, match=r"Linear\): expected a model of Transformers with generate\(\)"):
        xaicore_torch.generated(nn.Linear(3, 3), inputs)
    if name == "blip":
        questions = {**inputs, "input_ids": torch.tensor([[1, 5, 7, 9, 8, 4], [1, 9, 3, 4, 5, 6]])}
        asked = transformers.BlipForQuestionAnswering(model.config).eval()
        with (
            unchanged(asked),
            pytest.raises(xaicore.BackendError, match=r"input_ids \(2, 6\), and generated .* your own"),
        ):
            xaicore_torch.generated(asked, questions, max_new_tokens=3)
        with (
            unchanged(asked),
            pytest.raises(xaicore.BackendError, match=r"takes no .* ValueError.* a module of your own"),
        ):
            xaicore_torch.generated(asked, questions, max_new_tokens=9, min_new_tokens=9)
    if name != "llava":
        return
    steps = []

    def mirror(module, args, kwargs, answer):
        """Predict something else where words are read that were generated before."""
        words = kwargs["input_ids"].shape[1]
        steps.append(words)
        if words > steps[0]:
            answer.logits = answer.logits.flip(2)
        return answer

    model.register_forward_hook(mirror, with_kwargs=True)
    with unchanged(model), pytest.raises(xaicore.BackendError, match="predicts something else in one pass, logits"):
        xaicore_torch.generated(model, inputs, max_new_tokens=3)
    assert len(steps) == 4
