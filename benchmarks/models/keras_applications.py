"""Architectures of keras.applications."""

from __future__ import annotations

import keras

from benchmarks.models.zoo import Architecture

__all__ = ["ARCHITECTURES", "PACKAGES"]

PACKAGES = ("keras", "tensorflow")
PICTURE = (1, 96, 128, 3)
NAMES = (
    "ConvNeXtTiny DenseNet121 EfficientNetB0 EfficientNetV2B0 InceptionResNetV2 InceptionV3 MobileNet MobileNetV2 "
    "MobileNetV3Small NASNetMobile ResNet50 ResNet50V2 VGG16 VGG19 Xception"
)


def _of(name: str) -> Architecture:
    def build():
        make = getattr(keras.applications, name)
        return make(weights=None, input_shape=PICTURE[1:], classes=5, classifier_activation=None)

    return Architecture(name, build, PICTURE)


ARCHITECTURES = [_of(name) for name in NAMES.split()]
