"""Classifiers. A new one is a file or class in `backbones` and a line here."""

from torch import nn

from leukosr.classify.backbones import ResNet18, ResNet50

BACKBONES: dict[str, type[nn.Module]] = {"resnet50": ResNet50, "resnet18": ResNet18}
