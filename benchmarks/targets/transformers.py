"""Transformers: detectors, captioners, questions, segmentation, likeness; small, from configurations."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import transformers as hf

import xaicore
import xaicore_torch
from benchmarks.targets.case import Case

__all__ = ["CASES", "PACKAGES"]

PACKAGES = ("torch", "transformers")

SMALL = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**SMALL, "image_size": 32, "patch_size": 8}
DETECTOR = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "num_queries": 12,  # as many as an encoder's tokens, 3 x 4: no map may be made of them
    "num_labels": 5,
}
RESNET = {"embedding_size": 16, "hidden_sizes": [16, 24, 32, 40], "depths": [1, 1, 1, 1], "layer_type": "basic"}
WORDS = 40


def _spread(model: torch.nn.Module) -> torch.nn.Module:
    """Larger weights: from small ones, all words and all boxes are as probable."""
    with torch.no_grad():
        for one in model.parameters():
            if one.ndim > 1:
                one.mul_(3) if one.any() else torch.nn.init.normal_(one, std=0.1)
    return model


def _picture(size: tuple[int, int] = (32, 32)) -> torch.Tensor:
    return torch.rand(2, 3, *size)


# Boxes.


def _detr(kind: str) -> tuple[torch.nn.Module, Any]:
    backbone = hf.ResNetConfig(**RESNET, out_features=["stage2", "stage3", "stage4"])
    if kind in ("Detr", "ConditionalDetr"):
        backbone = hf.ResNetConfig(**RESNET, out_features=["stage4"])
    config = getattr(hf, f"{kind}Config")(**DETECTOR, backbone_config=backbone)
    return _spread(getattr(hf, f"{kind}ForObjectDetection")(config)), {"pixel_values": _picture((96, 128))}


def _rt_detr() -> tuple[torch.nn.Module, Any]:
    backbone = hf.RTDetrResNetConfig(**RESNET, out_features=["stage2", "stage3", "stage4"])
    settings = {
        **{"encoder_hidden_dim": 32, "encoder_in_channels": [24, 32, 40], "feat_strides": [8, 16, 32]},
        **{"decoder_in_channels": [32, 32, 32], "anchor_image_size": None, "hidden_expansion": 0.5},
    }
    config = hf.RTDetrConfig(**{**DETECTOR, **settings}, backbone_config=backbone)
    return _spread(hf.RTDetrForObjectDetection(config)), {"pixel_values": _picture((96, 128))}


def _yolos() -> tuple[torch.nn.Module, Any]:
    config = hf.YolosConfig(**{**VISION, "image_size": [32, 48]}, num_detection_tokens=6, num_labels=5)
    return _spread(hf.YolosForObjectDetection(config)), _picture((32, 48))


def _best(has_sigmoid: bool, model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    def score(answer: Any, n: int, k: int) -> torch.Tensor:
        logits = answer.logits[n]
        p = logits.sigmoid() if has_sigmoid else logits.softmax(-1)[:, :-1]
        q = p.max(-1).values.argsort(descending=True)[k]
        return logits[q, p[q].argmax()]

    return x, xaicore.targets.Boxes(3), score


# Words.


def _blip() -> tuple[torch.nn.Module, Any]:
    ids = {"bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 2, "pad_token_id": 0}
    text = {**SMALL, **ids, "vocab_size": WORDS, "encoder_hidden_size": 32, "max_position_embeddings": 32}
    config = hf.BlipConfig(text_config=text, vision_config=VISION, projection_dim=16)
    return _spread(hf.BlipForConditionalGeneration(config)), {"pixel_values": _picture()}


def _encoder_decoder(encoder: Any) -> tuple[torch.nn.Module, Any]:
    decoder = hf.GPT2Config(vocab_size=WORDS, n_embd=32, n_layer=2, n_head=2, n_positions=32)
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    model = hf.VisionEncoderDecoderModel(config)
    for settings in (model.config, model.generation_config):
        settings.decoder_start_token_id, settings.pad_token_id, settings.eos_token_id = 1, 0, 2
    return _spread(model), {"pixel_values": _picture()}


def _swin() -> Any:
    return hf.SwinConfig(image_size=32, patch_size=2, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4)


def _llava() -> tuple[torch.nn.Module, Any]:
    vision = hf.CLIPVisionConfig(**{**VISION, "num_hidden_layers": 3}, projection_dim=16)
    text = hf.LlamaConfig(**SMALL, vocab_size=WORDS, num_key_value_heads=2, max_position_embeddings=64)
    config = hf.LlavaConfig(vision_config=vision, text_config=text, image_token_index=39, image_token_id=39)
    ids = torch.tensor([[1, *[39] * 16, 5, 7, 9], [1, *[39] * 16, 9, 3, 4]])
    inputs = {"pixel_values": _picture(), "input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return _spread(hf.LlavaForConditionalGeneration(config)), inputs


def _git() -> tuple[torch.nn.Module, Any]:
    settings = {"vocab_size": WORDS, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
    config = hf.GitConfig(vision_config=VISION, **SMALL, **settings)
    return _spread(hf.GitForCausalLM(config)), {"pixel_values": _picture()}


def _words(model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    found = xaicore_torch.generated(model, x, max_new_tokens=4)

    def score(answer: Any, n: int, k: int) -> torch.Tensor:
        token = int(found.tokens[n, k])
        return answer.logits[n, found.start + k, token] * (token >= 0)  # nothing behind the end

    return found.inputs, xaicore.targets.Words(found.tokens, start=found.start), score


# Questions, regions, likeness.


def _vilt() -> tuple[torch.nn.Module, Any]:
    config = hf.ViltConfig(**VISION, vocab_size=WORDS, max_position_embeddings=16, num_labels=7)
    ids = torch.tensor([[1, 5, 7, 9, 2], [1, 9, 3, 4, 2]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": _picture()}
    return _spread(hf.ViltForQuestionAnswering(config)), inputs


class Answering(torch.nn.Module):
    """BLIP's answer to a question with the logits of its words, which the model itself keeps."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, pixel_values: torch.Tensor, input_ids: torch.Tensor, decoder_input_ids: torch.Tensor
    ) -> torch.Tensor:
        seen = self.model.vision_model(pixel_values=pixel_values).last_hidden_state
        asked = self.model.text_encoder(input_ids=input_ids, encoder_hidden_states=seen).last_hidden_state
        logits: torch.Tensor = self.model.text_decoder(input_ids=decoder_input_ids, encoder_hidden_states=asked).logits
        return logits


def _blip_answers() -> tuple[torch.nn.Module, Any]:
    model, inputs = _blip()
    questions = torch.tensor([[1, 5, 7, 9, 2], [1, 9, 3, 4, 2]])
    model = _spread(hf.BlipForQuestionAnswering(model.config)).eval()
    found = model.generate(**inputs, input_ids=questions, attention_mask=torch.ones_like(questions), max_new_tokens=4)
    return Answering(model), {**inputs, "input_ids": questions, "decoder_input_ids": found[:, :-1]}


def _answered(model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    def score(answer: torch.Tensor, n: int, k: int) -> torch.Tensor:
        return answer[n, k].max()

    return x, xaicore.targets.Words(), score


def _sam() -> tuple[torch.nn.Module, Any]:
    layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 32, "hidden_size": 32}
    windows = {"output_channels": 32, "num_pos_feats": 16, "window_size": 4, "global_attn_indexes": [1]}
    config = hf.SamConfig(
        vision_config={**layers, **windows, "image_size": 64, "patch_size": 8},
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 8, "mask_input_channels": 4},
        mask_decoder_config={**layers, "iou_head_hidden_dim": 32},
    )
    points = {"input_points": torch.tensor([[[[20.0, 30.0]]], [[[40.0, 10.0]]]]), "multimask_output": False}
    labels = {"input_labels": torch.ones(2, 1, 1, dtype=torch.long)}
    return _spread(hf.SamModel(config)), {"pixel_values": _picture((64, 64)), **points, **labels}


def _mask(model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    target = xaicore.targets.Region(1, where=(16, 8, 48, 40))  # every second pixel has a score
    return x, target, lambda answer, n, k: answer.pred_masks[n, 0, 0, 4:20, 8:24].mean()


def _classes(model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    return x, xaicore.targets.Classes([[1, 4]]), lambda answer, n, k: answer.logits[n, (1, 4)[k]]


def _segformer() -> tuple[torch.nn.Module, Any]:
    sizes = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "decoder_hidden_size": 32, "num_labels": 5}
    config = hf.SegformerConfig(**sizes, num_attention_heads=[1, 2, 2, 4])
    return _spread(hf.SegformerForSemanticSegmentation(config)), _picture((64, 96))


def _region(model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    target = xaicore.targets.Region(2, where=(16, 8, 48, 40))  # every fourth pixel has a score
    return x, target, lambda answer, n, k: answer.logits[n, 2, 2:10, 4:12].mean()


def _two_towers(kind: str) -> tuple[torch.nn.Module, Any]:
    text = {**SMALL, "vocab_size": WORDS, "max_position_embeddings": 16, "eos_token_id": 2}
    config = getattr(hf, f"{kind}Config")(text_config=text, vision_config=VISION)
    inputs = {"input_ids": torch.tensor([[1, 5, 7, 2], [1, 9, 3, 2]]), "pixel_values": torch.rand(4, 3, 32, 32)}
    return _spread(getattr(hf, f"{kind}Model")(config)), inputs


def _logit(model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    return x, xaicore.targets.Value(1), lambda answer, n, k: answer.logits_per_image[n, 1]


def _cosine(model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    with torch.no_grad():
        text = model(**x).text_embeds[1]

    def score(answer: Any, n: int, k: int) -> torch.Tensor:
        return torch.nn.functional.cosine_similarity(answer.image_embeds[n], text, 0)

    return x, xaicore.targets.Similarity(text.numpy()), score


def _dino() -> tuple[torch.nn.Module, Any]:
    return _spread(hf.Dinov2Model(hf.Dinov2Config(**VISION))), _picture()


def _patch(model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    with torch.no_grad():
        vector = model(x).last_hidden_state[0, 6]

    def score(answer: Any, n: int, k: int) -> torch.Tensor:
        return torch.nn.functional.cosine_similarity(answer.last_hidden_state[n, 9], vector, 0)

    return x, xaicore.targets.Similarity(vector.numpy(), position=9), score


VIT = partial(hf.ViTConfig, **VISION)

CASES = [
    *(Case(kind, "`Boxes(3)`", partial(_detr, kind), partial(_best, False)) for kind in ("Detr",)),
    Case("ConditionalDetr", "`Boxes(3)`", partial(_detr, "ConditionalDetr"), partial(_best, True)),
    Case("DeformableDetr", "`Boxes(3)`", partial(_detr, "DeformableDetr"), partial(_best, True)),
    Case("RTDetr", "`Boxes(3)`", _rt_detr, partial(_best, True), {"layer": "model.backbone.model.encoder.stages.3"}),
    Case("Yolos", "`Boxes(3)`", _yolos, partial(_best, False)),
    Case("Blip", "`Words`, generated", _blip, _words),
    Case("VisionEncoderDecoder (ViT, GPT-2)", "`Words`, generated", lambda: _encoder_decoder(VIT()), _words),
    Case("VisionEncoderDecoder (Swin, GPT-2)", "`Words`, generated", lambda: _encoder_decoder(_swin()), _words),
    Case("Llava", "`Words`, generated", _llava, _words),
    Case("Git", "`Words`, generated", _git, _words),
    Case("Vilt", "answers to a question", _vilt, _classes),
    Case("BlipForQuestionAnswering, its decoder", "`Words` of the answer", _blip_answers, _answered),
    Case(
        "Sam, a point given",
        "`Region(1, box)`",
        _sam,
        _mask,
        {"layer": "vision_encoder.neck", "output": lambda answer: answer.pred_masks[:, 0], "output_axes": "nchw"},
    ),
    Case(
        "Segformer",
        "`Region(2, box)`",
        _segformer,
        _region,
        {"layer": "segformer.stages.3.layer_norm"},
    ),
    *(
        Case(kind, "`Value` of picture and text", partial(_two_towers, kind), _logit, {"output": "logits_per_image"})
        for kind in ("CLIP", "Siglip")
    ),
    *(
        Case(kind, "`Similarity` to a text", partial(_two_towers, kind), _cosine, {"output": "image_embeds"})
        for kind in ("CLIP", "Siglip")
    ),
    Case("Dinov2", "`Similarity` of a patch", _dino, _patch, {"output": "last_hidden_state"}),
]
