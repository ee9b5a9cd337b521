"""Training of one classifier with one seed, and its predictions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leukosr.classify import BACKBONES
from leukosr.config import Classify
from leukosr.data.augment import augment
from leukosr.engine.averaging import average_of
from leukosr.engine.device import Compiling, autocast, compiled, place, to_batch
from leukosr.engine.prefetch import prefetched
from leukosr.engine.processes import ALONE, Processes
from leukosr.engine.resume import Resume
from leukosr.engine.seeding import Root, run_number, stream_rng, stream_seed
from leukosr.errors import Diverged
from leukosr.images.store import ImageStore


@dataclass(frozen=True)
class LabelledImages:
    """Images of one size and their class numbers."""

    images: ImageStore
    labels: np.ndarray

    def batch(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """uint8 N x H x W x 3 and int64 N; N may be 0."""
        if not indices:
            return np.empty((0, *self.images[0].shape), np.uint8), self.labels[:0]
        return np.stack([self.images[i] for i in indices]), self.labels[list(indices)]


@dataclass
class History:
    """What one training measured: a row an epoch."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


def training_label(seed: Root, name: str, member: int = 0) -> str:
    """What a training is called; the first member of an ensemble as the whole, or the only, classifier."""
    parts = [f"seed-{run_number(seed)}", name, f"member-{member + 1}" if member else ""]
    return "-".join(part for part in parts if part)


class ClassifierTraining:
    """One classifier, one seed. Initial weights and image order come from the seed's own streams.

    They are the same in every arm, so that arms are compared in pairs. `name` tells trainings of one seed apart
    (folds), `member`, from 0, those of an ensemble.
    """

    def __init__(
        self,
        settings: Classify,
        num_classes: int,
        train: LabelledImages,
        *,
        seed: Root,
        device: torch.device,
        name: str = "",
        member: int = 0,
        compiling: Compiling = "never",
        processes: Processes = ALONE,
    ) -> None:
        processes.check_batch("classify.batch", settings.batch)
        self.settings, self.train, self.seed, self.device, self.processes = settings, train, seed, device, processes
        self.label = training_label(seed, name, member)
        self.own = ("member", member) if member else ()  # what its streams are called beside the seed
        self.compiling: Compiling = compiling
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(seed, "init", *self.own))
            self.model: nn.Module = BACKBONES[settings.backbone](num_classes, weights=settings.weights)
        place(processes.synchronised(self.model), device, settings.channels_last)
        self.network: nn.Module = self.model  # whose backward pass reaches the weights
        self.optimizer = _optimizer(self.model, settings)
        self.averaged = average_of(self.model, settings.ema) if settings.ema else None
        self.history = History()

    def run(self, resume: Resume, report: Callable[[dict[str, Any]], None]) -> None:
        """Train to the end; `report(row)` hears of every epoch. Continues from `resume` where that has a state."""
        state = self.processes.from_first(resume.load(self.label) if self.processes.first else None)
        if state is not None:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.averaged is not None:
                self.averaged.load_state_dict(state["averaged"])
            self.history = History(**state["history"])
            for row in self.history.rows:
                report(row)
        steps = len(self._batches(1)) * self.settings.epochs
        self.network = compiled(self.processes.parallel(self.model), self.device, self.compiling, steps)
        for epoch in range(len(self.history.rows) + 1, self.settings.epochs + 1):
            row = self._epoch(epoch)
            self.history.rows.append(row)
            if self.processes.first and resume.due():
                resume.save(self.label, self._state())
            report(row)

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
        total_loss, correct, seen = 0.0, 0, 0
        batches = self._batches(epoch)
        own = prefetched(partial(self._images, epoch, batches), range(len(batches)))
        for number, (images, labels) in enumerate(own):
            size = len(batches[number])
            self._set_learning_rate((epoch - 1) * len(batches) + number, len(batches) * self.settings.epochs)
            target = torch.from_numpy(labels).to(self.device)
            with autocast(self.device, self.settings.precision):
                logits = self.network(to_batch(images, self.device, self.settings.channels_last)).float()
                loss = self._loss(logits, target, size)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.averaged is not None:
                self.averaged.update_parameters(self.model)
            total_loss += float(loss.detach()) * size
            correct += int((logits.argmax(1) == target).sum())
            seen += size
        loss_sum, hits = self.processes.sum(total_loss / self.processes.count, correct)
        self.history.seconds += time.perf_counter() - started
        if not np.isfinite(loss_sum):
            raise Diverged(
                f"classify: the loss is not finite in epoch {epoch} of seed {self.seed}: lower "
                "classify.learning_rate, or set classify.precision to fp32"
            )
        return {
            "seed": run_number(self.seed),
            "epoch": epoch,
            "loss": loss_sum / seen,
            "accuracy": hits / seen,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": round(time.perf_counter() - started, 3),
        }

    def _images(self, epoch: int, batches: list[list[int]], number: int) -> tuple[np.ndarray, np.ndarray]:
        """This process's part of a batch, augmented as it would be if one process had all of it."""
        strength, share = self.settings.augmentation, self.processes.share(len(batches[number]))
        if strength == 0:
            return self.train.batch(batches[number][share])
        images, labels = self.train.batch(batches[number])
        changed = augment(images, strength, stream_rng(self.seed, "augment", "classify", *self.own, epoch, number))
        return changed[share], labels[share]

    def _set_learning_rate(self, step: int, steps: int) -> None:
        settings = self.settings
        warm_up = round(settings.warm_up * steps)
        rate = settings.learning_rate
        if step < warm_up:
            rate *= (step + 1) / warm_up
        elif settings.decay == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _loss(self, logits: Tensor, target: Tensor, size: int) -> Tensor:
        """Cross-entropy of this process's part of a batch of `size`; its mean over processes is that of the batch."""
        if self.processes.count == 1:
            return F.cross_entropy(logits, target)
        # parts may be unequal or empty, so each counts by its images
        return F.cross_entropy(logits, target, reduction="sum") * (self.processes.count / size)


def _optimizer(model: nn.Module, settings: Classify) -> torch.optim.Optimizer:
    """Adam as published, AdamW where weights are to decay."""
    if settings.weight_decay:
        return torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
    return torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)


@torch.inference_mode()
def predict(
    model: nn.Module, images: ImageStore, settings: Classify, device: torch.device, batch: int = 16
) -> np.ndarray:
    """Class probabilities of images of one size: float64 N x classes, rows summing to 1."""
    model.eval()
    rows = []
    for start in range(0, len(images), batch):
        group = np.stack([images[i] for i in range(start, min(start + batch, len(images)))])
        with autocast(device, settings.precision):
            logits = model(to_batch(group, device, settings.channels_last))
        rows.append(torch.softmax(logits.double(), 1).cpu().numpy())
    return np.concatenate(rows)
