"""The nuclei of the synthetic leukocytes that have a form of their own: lobed, and folded."""

import math
from dataclasses import dataclass

import numpy as np

from leukosr.data.synthetic.shapes import Field, arc, ellipse, granules, strand, texture, union
from leukosr.data.synthetic.stain import Stain


@dataclass(frozen=True)
class Sheet:
    """What a cell is drawn on: µm coordinates, pixels per µm, the slide's stain and the source's randomness."""

    x: Field
    y: Field
    scale: float
    stain: Stain
    rng: np.random.Generator

    def noise(self, grain: float) -> Field:
        """Smooth noise whose features are about `grain` µm wide."""
        return texture(self.x.shape, max(1.0, grain * self.scale), self.rng)

    def granules(self, diameter: float, spacing: float, fill: float) -> Field:
        """Granules of the given diameter and spacing in µm over the whole sheet."""
        return granules(self.x.shape, self.scale, diameter, spacing, fill, self.rng)

    def warped(self, amount: float, grain: float) -> tuple[Field, Field]:
        """The coordinates moved by up to about `amount` µm, which makes geometric outlines organic."""
        return self.x + amount * self.noise(grain), self.y + amount * self.noise(grain)


def _chain(lengths: np.ndarray, reach: float, rng: np.random.Generator) -> np.ndarray | None:
    """Centres (n, 2) of a winding chain of lobes that neither touch nor leave a circle of radius `reach`."""
    for _ in range(40):
        heading, bend = rng.uniform(0, 2 * np.pi), rng.choice((-1, 1))
        centres = [np.zeros(2)]
        for i in range(1, len(lengths)):
            step = lengths[i - 1] + lengths[i] + rng.uniform(0.0, 0.3)
            centres.append(centres[-1] + step * np.array([np.cos(heading), np.sin(heading)]))
            heading += bend * rng.uniform(0.6, 1.8)
            bend = -bend if rng.random() < 0.25 else bend
        chain = np.array(centres)
        chain -= (chain.max(axis=0) + chain.min(axis=0)) / 2
        apart = np.linalg.norm(chain[:, None] - chain[None], axis=-1) - (lengths[:, None] + lengths[None])
        np.fill_diagonal(apart, 1.0)
        if apart.min() > -0.05 and (np.linalg.norm(chain, axis=1) + 0.9 * lengths).max() < reach:
            return chain
    return None


def _horseshoe(
    lengths: np.ndarray, width: float, reach: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Centres (n, 2) of lobes in a row along a circle inside one of radius `reach`, and its tangents."""
    steps = lengths[:-1] + lengths[1:] + rng.uniform(0.1, 0.5, len(lengths) - 1)
    widest = reach - width
    # The circle must hold the chain and leave its ends apart.
    needed = (steps.sum() + lengths[0] + lengths[-1]) / (2 * np.pi * 0.92)
    bow = min(max(needed, widest * rng.uniform(0.6, 1.0)), widest)
    # A chord is shorter than its arc, so each step gets the angle of its chord.
    angles = np.concatenate([[0.0], np.cumsum(2 * np.arcsin(np.clip(steps / (2 * bow), 0, 0.98)))])
    angles += rng.uniform(0, 2 * np.pi)
    outward = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ring = bow * outward
    ring -= ring.mean(axis=0) * rng.uniform(0.0, min(1.0, (widest - bow) / bow + 0.3))
    return ring, np.stack([-outward[:, 1], outward[:, 0]], axis=1)


def lobed_nucleus(sheet: Sheet, radii: np.ndarray, reach: float, link: float, winding: float) -> Field:
    """Distance field of a nucleus of several lobes in a row, linked by strands `link` µm in radius.

    `winding` is the share of nuclei whose lobes wind through the cell; the others lie in a horseshoe.
    """
    rng = sheet.rng
    stretch = rng.uniform(1.05, 1.5, len(radii))
    centres = _chain(radii * stretch, reach, rng) if rng.random() < winding else None
    if centres is None:
        centres, ways = _horseshoe(radii * stretch, float(radii.max()), reach, rng)
    else:
        ways = np.gradient(centres, axis=0)
    x, y = sheet.warped(0.18, 2.0)
    shape = strand(x, y, [(float(cx), float(cy)) for cx, cy in centres], link)
    for (cx, cy), radius, longer, (wx, wy) in zip(centres, radii, stretch, ways, strict=True):
        turn = float(np.arctan2(wy, wx) + rng.normal(0, 0.25))
        lobe = ellipse(x, y, (float(cx), float(cy)), (float(radius * longer), float(radius)), turn)
        shape = union(shape, lobe, 0.35)
    return shape


def folded_nucleus(sheet: Sheet, radius: float) -> Field:
    """Distance field of a monocyte's nucleus: a horseshoe, a kidney or an irregular fold."""
    rng = sheet.rng
    x, y = sheet.warped(0.28, 2.2)
    form, turn, unit = rng.random(), rng.uniform(0, 2 * np.pi), radius / 7.1
    off = rng.uniform(0.3, 1.1) * unit
    centre = (off * math.cos(turn), off * math.sin(turn))
    if form < 0.4:  # horseshoe, open towards the middle of the cytoplasm
        span, bow = rng.uniform(3.4, 4.4), rng.uniform(3.2, 3.7) * unit
        return strand(x, y, arc(centre, bow, turn - span / 2, span), rng.uniform(1.95, 2.4) * unit)
    if form < 0.75:  # kidney: an ellipse with a notch on its inner side
        body = ellipse(x, y, centre, (rng.uniform(5.4, 6.2) * unit, rng.uniform(4.2, 4.9) * unit), turn + np.pi / 2)
        deep = rng.uniform(2.6, 4.2) * unit
        at = (centre[0] - deep * np.cos(turn), centre[1] - deep * np.sin(turn))
        notch = ellipse(x, y, at, (2.6 * unit, rng.uniform(1.0, 1.8) * unit), turn)
        return -union(-body, notch, 0.9 * unit)
    fold = ellipse(x, y, centre, (4.7 * unit, 3.8 * unit), turn)
    for side in (-1, 1):
        at = (centre[0] + 2.6 * side * unit * np.sin(turn), centre[1] - 2.6 * side * unit * np.cos(turn))
        lobe = ellipse(x, y, at, (rng.uniform(2.4, 3.2) * unit, rng.uniform(1.8, 2.4) * unit), turn + side * 0.5)
        fold = union(fold, lobe, 0.8)
    return fold
