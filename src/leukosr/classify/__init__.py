"""Classifiers: recipes are data (conf/classifier), networks torchvision's and timm's (`backbones`)."""
