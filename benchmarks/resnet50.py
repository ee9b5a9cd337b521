"""Training of the classifier from JPEG files, input included."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_tensor

from benchmarks.counting import count_work
from benchmarks.images import image_set, published_params
from benchmarks.measure import Comparison, Options, Row, Work, compare_within
from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.trainer import ClassifierTraining, LabelledImages
from leukosr.config import Classifier
from leukosr.engine.device import choose_device
from leukosr.engine.resume import Resume
from leukosr.images.reading import read_rgb
from leukosr.images.store import ImageStore

BATCH, GOAL = 8, 4


class Files(Dataset[tuple[Tensor, int]]):
    """Decoded when asked for, as every tutorial does it."""

    def __init__(self, files: Sequence[Path], labels: Sequence[int]) -> None:
        self.files, self.labels = files, labels

    def __len__(self) -> int:
        """The number of images."""
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """A contiguous float image in [0, 1] and its class."""
        with Image.open(self.files[index]) as image:
            return to_tensor(image.convert("RGB")), int(self.labels[index])


class PlainTraining:
    """fp32, contiguous, a default DataLoader, Adam."""

    def __init__(
        self, model: nn.Module, files: Sequence[Path], labels: Sequence[int], settings: Classifier, device: torch.device
    ) -> None:
        self.model, self.device = model.to(device), device
        self.loader = DataLoader(Files(files, labels), batch_size=settings.batch, shuffle=True)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)

    def epoch(self) -> float:
        """Train one epoch; the mean loss."""
        self.model.train()
        losses = []
        for images, labels in self.loader:
            loss = F.cross_entropy(self.model(images.to(self.device)), labels.to(self.device))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))


def labels_of(files: Sequence[Path]) -> np.ndarray:
    """Class numbers by the names of the folders that the files lie in."""
    names = [file.parent.name for file in files]
    return np.array([sorted(set(names)).index(name) for name in names], dtype=np.int64)


def run(options: Options) -> list[Row]:
    """One row: images a second. The first epoch, in which ours reads the files into memory, warms up."""
    settings = published_params(f"budget.classify.batch={BATCH}", "classifier.epochs=1").classifier
    found, count, work = compare_trainings(settings, options)
    note = f"{settings.precision}; {count} images, which ours decodes once and keeps in memory"
    name = f"ResNet50 training from JPEG files of 240x320, batch {BATCH}"
    return [found.row("resnet50", name, "images/s", f"ratio >= {GOAL}", note=note, work=work)]


def compare_trainings(settings: Classifier, options: Options) -> tuple[Comparison, int, Work]:
    """Epochs of our training in turns with the plain one's, how many images each has, and the work of one of ours."""
    device, count = choose_device("auto"), options.pick(48, 16)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = image_set(folder / "set", count)
        labels = labels_of(files)
        training = build(settings.model_copy(update={"epochs": 1 + options.rounds}), files, labels, device)
        network = ClassifierNetwork(settings, int(labels.max()) + 1)
        network.load_state_dict(training.model.state_dict())
        reference = PlainTraining(network, files, list(labels), settings, device)

        def train(report: Callable[..., None]) -> None:
            training.run(Resume("none", float("inf"), folder), report)

        found = compare_within(train, reference.epoch, items=count)
        once = build(settings, files, labels, device)
        work = count_work(
            lambda: once.run(Resume("none", float("inf"), folder), lambda *_: None), settings.precision, count
        )
    return found, count, work


def build(settings: Classifier, files: Sequence[Path], labels: np.ndarray, device: torch.device) -> ClassifierTraining:
    """Our training on image files, as the stage `classify` sets it up."""
    images = LabelledImages(ImageStore(files, read_rgb), labels)
    return ClassifierTraining(settings, int(labels.max()) + 1, images, seed=0, device=device)
