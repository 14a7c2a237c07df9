"""Words that models of Transformers generate, explained from one pass: maps by plain autograd on the same layer."""

import numpy as np
import pytest
import torch

import xaicore
import xaicore_torch

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**SMALL, "image_size": 32, "patch_size": 8}
TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def encoder_decoder():
    encoder = transformers.ViTConfig(**VISION)
    decoder = transformers.GPT2Config(
        vocab_size=50,
        n_positions=64,
        n_embd=32,
        n_layer=2,
        n_head=2,
        add_cross_attention=True,
        is_decoder=True,
        **TOKENS,
    )
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    model = transformers.VisionEncoderDecoderModel(config=config)
    model.generation_config.update(decoder_start_token_id=1, pad_token_id=0, eos_token_id=2)
    return model, {}


def blip():
    text = transformers.BlipTextConfig(
        vocab_size=60, **SMALL, encoder_hidden_size=32, projection_dim=32, sep_token_id=3, **TOKENS
    )
    vision = transformers.BlipVisionConfig(**VISION, projection_dim=32)
    config = transformers.BlipConfig(text_config=text.to_dict(), vision_config=vision.to_dict())
    return transformers.BlipForConditionalGeneration(config), {}


def llava():
    vision = transformers.CLIPVisionConfig(**{**VISION, "num_hidden_layers": 3})
    text = transformers.LlamaConfig(
        vocab_size=64, **SMALL, num_key_value_heads=2, max_position_embeddings=128, **TOKENS
    )
    config = transformers.LlavaConfig(vision_config=vision, text_config=text, image_token_index=60, image_seq_length=16)
    ids = torch.tensor([[1, *[60] * 16, 5, 6, 7], [1, *[60] * 16, 8, 9, 10]])
    model = transformers.LlavaForConditionalGeneration(config)
    return model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@pytest.mark.parametrize("make", [encoder_decoder, blip, llava])
def test_each_generated_word_has_its_map(unchanged, make):
    torch.manual_seed(0)
    model, prompt = make()
    model.eval()
    x = {"pixel_values": torch.rand(2, 3, 32, 32), **prompt}
    words = xaicore_torch.generated(model, x, max_new_tokens=5)
    with unchanged(model):  # from its second pass on: Transformers' models keep hooks of their own from the first
        again = xaicore_torch.generated(model, x, max_new_tokens=5)
    np.testing.assert_array_equal(again.tokens, words.tokens)
    target = xaicore.targets.Words(words.tokens, words.start)
    explanation = xaicore.explain(model, words.inputs, target, output="logits")
    kept = []
    hook = model.get_submodule(explanation.layer).register_forward_hook(lambda *given: kept.append(given[2]))
    scores = model(**words.inputs).logits
    hook.remove()
    layer = kept[0][0] if isinstance(kept[0], tuple) else getattr(kept[0], "last_hidden_state", kept[0])
    for m, token in enumerate(words.tokens.ravel()):
        n, k = divmod(m, words.tokens.shape[1])
        logit = scores[n, words.start + k, token]
        assert token == scores[n, words.start + k].argmax()  # as it was generated
        (gradient,) = torch.autograd.grad(logit, layer, retain_graph=True)
        activation, slope = layer[n, -16:].detach(), gradient[n, -16:]
        expected = (slope.mean(0) * activation).sum(-1).relu().view(4, 4)
        scale = max(float(expected.max()), 1e-9)
        np.testing.assert_allclose(explanation.maps[m] / scale, expected / scale, atol=1e-4)
    np.testing.assert_allclose(
        explanation.scores,
        [
            float(s)
            for s in scores.softmax(-1).detach()[
                np.repeat([0, 1], words.tokens.shape[1]),
                np.tile(words.start + np.arange(words.tokens.shape[1]), 2),
                words.tokens.ravel(),
            ]
        ],
        rtol=1e-4,
    )


def test_what_follows_the_end_is_no_word():
    model, _ = encoder_decoder()
    model.eval()
    with torch.no_grad():
        model.decoder.lm_head.weight.zero_()
    model.generation_config.update(eos_token_id=0)  # of equal scores, the first token is taken
    words = xaicore_torch.generated(
        model, {"pixel_values": torch.rand(1, 3, 32, 32)}, min_new_tokens=1, max_new_tokens=4
    )
    assert words.tokens.tolist()[0][-1] == 0
    assert (words.tokens >= -1).all()


def test_models_that_do_not_generate_are_refused():
    with pytest.raises(xaicore.InputError, match=r"expected a model of Transformers with generate\(\)"):
        xaicore_torch.generated(torch.nn.Linear(1, 1), {"x": torch.zeros(1, 1)})
