"""Training of one classifier with one seed, and its predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.history import History
from leukosr.classify.settings import Classifier
from leukosr.data.augment import augment
from leukosr.engine.averaging import average_of
from leukosr.engine.batch_norm import check_synchronised
from leukosr.engine.device import Compiling, autocast, compiled, place, to_batch
from leukosr.engine.prefetch import prefetched
from leukosr.engine.processes import ALONE, Processes
from leukosr.engine.resume import Resume, cleared_if_diverged
from leukosr.engine.seeding import Root, run_number, stream_rng, stream_seed
from leukosr.engine.weights import finite
from leukosr.errors import Diverged
from leukosr.images.store import Examples
from leukosr.settings import Precision


@dataclass(frozen=True)
class LabelledImages:
    """Images of one size, or what a frozen backbone makes of images, and their class numbers."""

    images: Examples
    labels: np.ndarray

    def batch(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """uint8 N x H x W x 3, or float32 N x features, and int64 N; N may be 0."""
        return self.images.take(indices or [0])[: len(indices)], self.labels[list(indices)]


def training_label(seed: Root, name: str, member: int = 0) -> str:
    """What a training is called; the first member of an ensemble as the whole, or the only, classifier."""
    parts = [f"seed-{run_number(seed)}", name, f"member-{member + 1}" if member else ""]
    return "-".join(part for part in parts if part)


class ClassifierTraining:
    """One classifier, one seed. Initial weights and image order come from the seed's own streams.

    They are the same in every experiment, so that experiments are compared in pairs. `name` tells trainings of one seed
    apart (folds), `member`, from 0, those of an ensemble. The loss on `validation` rules stopping, plateaus and the
    kept epoch, where the settings ask for these.
    """

    def __init__(
        self,
        settings: Classifier,
        num_classes: int,
        train: LabelledImages,
        *,
        seed: Root,
        device: torch.device,
        validation: LabelledImages | None = None,
        name: str = "",
        member: int = 0,
        compiling: Compiling = "never",
        processes: Processes = ALONE,
    ) -> None:
        processes.check_batch("classifier.batch", settings.batch)
        self.settings, self.train, self.seed, self.device, self.processes = settings, train, seed, device, processes
        self.validation = validation
        self.label = training_label(seed, name, member)
        self.own = ("member", member) if member else ()  # what its streams are called beside the seed
        self.compiling: Compiling = compiling
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(seed, "init", *self.own))
            self.model: nn.Module = ClassifierNetwork(
                settings, num_classes, settings.weights, settings.frozen, settings.head_start
            )
        place(processes.synchronised(self.model), device, settings.trains_channels_last(device.type))
        if processes.count > 1 and settings.norm_layers != "frozen_batch":  # which follows no batch
            remedy = "set runtime.devices to 1, or classifier.norm_layers to frozen_batch or group"
            check_synchronised(self.model, settings.backbone, remedy)
        self.network: nn.Module = self.model  # whose backward pass reaches the weights
        self.optimizer = _optimizer(self.model, settings)
        self.averaged = average_of(self.model, settings.ema) if settings.ema else None
        self.history = History()
        self.best: dict[str, Tensor] | None = None  # the weights of the epoch that is kept

    def run(self, resume: Resume, report: Callable[[dict[str, Any]], None]) -> None:
        """Train to the end; `report(row)` hears of every epoch. Continues from `resume` where that has a state.

        Raises Diverged where loss, weights or output are not finite; `resume` is then empty, other classifiers' states
        included.
        """
        with cleared_if_diverged([resume]):
            self._run(resume, report)

    def _run(self, resume: Resume, report: Callable[[dict[str, Any]], None]) -> None:
        state = self.processes.from_first(resume.load(self.label) if self.processes.first else None)
        if state is not None:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.averaged is not None:
                self.averaged.load_state_dict(state["averaged"])
            self.history, self.best = History(**state["history"]), state["best"]
            for row in self.history.rows:
                report(row)
        steps = len(self._batches(1)) * self.settings.epochs
        compiling: Compiling = "never" if self.settings.on_features else self.compiling  # a head is quick as it is
        self.network = compiled(self.processes.parallel(self.model), self.device, compiling, steps)
        for epoch in range(len(self.history.rows) + 1, self.settings.epochs + 1):
            if self.settings.patience is not None and self.history.waited()[0] >= self.settings.patience:
                break
            with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                torch.manual_seed(stream_seed(self.seed, "order", "dropout", *self.own, epoch, self.processes.rank))
                row = self._epoch(epoch)
            self.history.rows.append(row)
            if self.settings.keep == "best" and self.history.waited()[0] == 0:
                self.best = {name: tensor.clone() for name, tensor in self.result.state_dict().items()}
            if self.processes.first and resume.due():
                resume.save(self.label, self._state())
            report(row)
        if self.best is not None:
            self.result.load_state_dict(self.best)

    @property
    def result(self) -> nn.Module:
        """The network that is tested and kept: the moving average of the weights where there is one."""
        return self.averaged.module if self.averaged is not None else self.model

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else None,
            "history": vars(self.history),
            "best": self.best,
        }

    def _batches(self, epoch: int) -> list[list[int]]:
        order = stream_rng(self.seed, "order", *self.own, epoch).permutation(len(self.train.labels)).tolist()
        size = self.settings.batch
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        # batch norm cannot train on one image alone: it joins the batch before it
        if len(batches) > 1 and len(batches[-1]) == 1:
            alone = batches.pop()
            batches[-1] += alone
        return batches

    def _epoch(self, epoch: int) -> dict[str, Any]:
        self.model.train()
        started = time.perf_counter()
        total_loss = torch.zeros((), dtype=torch.float64, device=self.device)  # read once: reading waits for the device
        correct, seen = torch.zeros((), dtype=torch.int64, device=self.device), 0
        batches, plateaus = self._batches(epoch), 0
        if self.settings.schedule == "plateau":
            plateau = self.settings.plateau
            plateaus = self.history.waited(plateau.patience, plateau.monitor)[1]
        ahead = map if self.settings.on_features else prefetched  # features lie ready
        own = ahead(partial(self._images, epoch, batches), range(len(batches)))
        for number, (images, labels) in enumerate(own):
            size = len(batches[number])
            step, steps = (epoch - 1) * len(batches) + number, len(batches) * self.settings.epochs
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.rate_at(step, steps, plateaus)
            target = torch.from_numpy(labels).to(self.device)
            with autocast(self.device, self.settings.precision):
                logits = self.network(_shown(images, self.settings, self.device)).float()
                loss = self._loss(logits, target, size)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.averaged is not None:
                self.averaged.update_parameters(self.model)
            total_loss += loss.detach().double() * size
            correct += (logits.argmax(1) == target).sum()
            seen += size
        loss_sum, hits = self.processes.sum(float(total_loss) / self.processes.count, int(correct))
        self.history.seconds += time.perf_counter() - started
        # the last step's weights are in no loss
        broken = "the loss is" if not np.isfinite(loss_sum) else "weights are" if not finite(self.model) else None
        if broken:
            other = "" if self.settings.precision == "fp32" else ", or set classifier.precision to fp32"
            raise Diverged(
                f"classify: {broken} not finite in epoch {epoch} of seed {run_number(self.seed)}: lower "
                f"classifier.learning_rate{other}"
            )
        return {
            "seed": run_number(self.seed),
            "epoch": epoch,
            "loss": loss_sum / seen,
            "accuracy": hits / seen,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **self._validated(),
            "seconds": round(time.perf_counter() - started, 3),
        }

    def _validated(self) -> dict[str, float]:
        """Loss and accuracy on the validation part, as the first process finds them; nothing where there is none."""
        if self.validation is None:
            return {}
        found: dict[str, float] = {}
        if self.processes.first:
            probabilities = predict(self.result, self.validation.images, self.settings, self.device)
            labels = self.validation.labels
            right = probabilities[np.arange(len(labels)), labels]
            found["val_loss"] = float(-np.log(np.maximum(right, np.finfo(float).tiny)).mean())
            found["val_accuracy"] = float((probabilities.argmax(1) == labels).mean())
        return self.processes.from_first(found)

    def _images(self, epoch: int, batches: list[list[int]], number: int) -> tuple[np.ndarray, np.ndarray]:
        """This process's part of a batch, augmented as it would be if one process had all of it."""
        changes, share = self.settings.augmentations, self.processes.share(len(batches[number]))
        if not changes:
            return self.train.batch(batches[number][share])
        images, labels = self.train.batch(batches[number])
        changed = augment(images, changes, stream_rng(self.seed, "augment", "classify", *self.own, epoch, number))
        return changed[share], labels[share]

    def _loss(self, logits: Tensor, target: Tensor, size: int) -> Tensor:
        """Cross-entropy of this process's part of a batch of `size`; its mean over processes is that of the batch."""
        if self.processes.count == 1:
            return F.cross_entropy(logits, target)
        # parts may be unequal or empty, so each counts by its images
        return F.cross_entropy(logits, target, reduction="sum") * (self.processes.count / size)


def _optimizer(model: nn.Module, settings: Classifier) -> torch.optim.Optimizer:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(trained, lr=rate, momentum=settings.momentum, weight_decay=decay, fused=True)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(trained, lr=rate, weight_decay=decay, fused=True)
    return torch.optim.Adam(trained, lr=rate, fused=True)


def _shown(batch: np.ndarray, settings: Classifier, device: torch.device) -> Tensor:
    """A batch as a network takes it: images in [0, 1], or features as they are."""
    if batch.ndim == 2:
        return torch.from_numpy(batch).to(device)
    return to_batch(batch, device, settings.trains_channels_last(device.type))


def probabilities_of(logits: Tensor, precision: Precision) -> np.ndarray:
    """Softmax of N x classes, float64, rows summing to 1.

    Raises Diverged where a logit is not finite: the first class would be named, whatever the image.
    """
    if not logits.isfinite().all():
        other = "" if precision == "fp32" else "; or set precision to fp32"
        raise Diverged(
            f"the classifier gives values that are not finite in {precision}: its weights are damaged or have "
            f"diverged, use others{other}"
        )
    return np.asarray(torch.softmax(logits.double(), 1).cpu().numpy())


@torch.inference_mode()
def predict(
    model: nn.Module, images: Examples, settings: Classifier, device: torch.device, batch: int = 16
) -> np.ndarray:
    """Class probabilities of images of one size, or of features: float64 N x classes, rows summing to 1.

    Raises Diverged as `probabilities_of` does.
    """
    model.eval()
    rows = []
    for start in range(0, len(images), batch):
        group = images.take(range(start, min(start + batch, len(images))))
        with autocast(device, settings.precision):
            logits = model(_shown(group, settings, device))
        rows.append(probabilities_of(logits, settings.precision))
    return np.concatenate(rows)
