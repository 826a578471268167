"""How separable the classes are in an encoder's features: neighbours, silhouette, and a plane to look at (Figure 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor

from amoc.augment import to_float
from amoc.datasets import Dataset
from amoc.engine.generators import generator
from amoc.models.encoder import Encoder
from amoc.models.norm import branch
from amoc.pretraining.variants import Branch
from amoc.refusal import Refusal
from amoc.settings import Embedding

DIGITS = 2  # decimals of coordinates, of which a figure shows fewer


@dataclass(frozen=True)
class Embedded:
    """What a result file holds of an encoder's features.

    Attributes:
        knn: percent of all test images whose class is that of most of their nearest training images.
        silhouette: of all test images by their classes, in [-1, 1].
        labels: of the test images in the plane, in the order of the test split.
        x, y: where these are in the plane. Only what is near what means something, not where or how large it is.
        status: "nan" if features are NaN or infinite, "collapsed" if they are all the same: there are no numbers then.
    """

    knn: float | None
    silhouette: float | None
    labels: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    status: Literal["ok", "collapsed", "nan"] = "ok"


def embed(
    encoder: Encoder, data: Dataset, settings: Embedding, name: Branch, batch_size: int, device: torch.device
) -> Embedded:  # fmt: skip
    """Features of clean images in eval mode, through the norm branch `name`, each divided by its length.

    On the unit sphere, where they were trained but for the projector: the nearest by distance is the nearest by cosine.

    Args:
        encoder: on the device, in eval mode.
        batch_size: of the forward passes.

    Raises:
        Refusal: the settings ask for more neighbours than there are training images, or a perplexity that is not below
            the number of images drawn.
    """
    drawn, voters = draw(len(data.test.labels), settings), len(data.train.labels)
    if settings.perplexity >= len(drawn):
        given = f"embedding.perplexity is {settings.perplexity:g}"
        raise Refusal(f"{given}, allowed is less than the {len(drawn)} images drawn")
    if settings.neighbours > voters:
        given = f"embedding.neighbours is {settings.neighbours}"
        raise Refusal(f"{given}, allowed is at most {voters}, the training images")
    train, test = (
        features_of(encoder, torch.from_numpy(split.pixels).to(device), name, batch_size).double().cpu().numpy()
        for split in (data.train, data.test)
    )
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        return Embedded(None, None, (), (), (), "nan")
    if (np.ptp(test[drawn], axis=0) <= 1e-6 * np.abs(test).max()).all():
        return Embedded(None, None, (), (), (), "collapsed")
    train, test = units(train), units(test)
    with threadpool_limits(1):  # sums are taken in another order with more, and t-SNE makes much of little
        place = plane(test[drawn], settings.perplexity, settings.seed)
        return Embedded(
            knn=neighbour_accuracy(train, data.train.labels, test, data.test.labels, settings.neighbours),
            silhouette=float(silhouette_score(test, data.test.labels)),
            labels=tuple(data.test.labels[drawn].tolist()),
            x=tuple(place[:, 0].tolist()),
            y=tuple(place[:, 1].tolist()),
        )


def draw(count: int, settings: Embedding) -> np.ndarray:
    """Which of so many test images are put into the plane: by the seed alone, the same for every encoder."""
    order = torch.randperm(count, generator=generator(settings.seed, "embedding"))
    return order[: settings.images].sort().values.numpy()


@torch.no_grad()
def features_of(encoder: Encoder, pixels: Tensor, name: Branch, batch_size: int) -> Tensor:
    """Float32 features (N, D) of uint8 pixels (N, H, W, 3)."""
    with branch(encoder, name):
        return torch.cat([encoder(to_float(batch)) for batch in pixels.split(batch_size)])


def units(features: np.ndarray) -> np.ndarray:
    """(N, D), each divided by its length; one of length 0 stays."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(features.dtype).tiny)


def neighbour_accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, neighbours: int
) -> float:  # fmt: skip
    """Percent of the test features (M, D) whose class has the most votes of the nearest training features (N, D).

    Of equal votes the class of the smaller number has it.
    """
    voters = KNeighborsClassifier(neighbours, algorithm="brute").fit(train, train_labels)
    return 100 * float(voters.score(test, test_labels))


def plane(features: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton, 2008) of features (N, D), started from their two principal components: (N, 2).

    The same for the same features, on the same machine, with one thread.
    """
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features).round(DIGITS)
