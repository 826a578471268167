"""A classifier goes through its own norm branch, whatever the encoder is set to."""

from __future__ import annotations

import pytest
import torch

from amoc.models.classifier import Classifier
from amoc.models.encoder import Encoder
from amoc.models.heads import linear_head
from amoc.models.norm import DualBatchNorm2d, branch


@pytest.fixture
def encoder() -> Encoder:
    return Encoder("resnet18", 4, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)).double()


@pytest.mark.parametrize("name", ["clean", "adv"])
def test_logits_are_the_head_of_the_features_of_the_branch(encoder, name, generator):
    head = linear_head(encoder.features, 3).double()
    head.weight.data.copy_(torch.randn(3, encoder.features, generator=generator, dtype=torch.float64))
    for norm in (module for module in encoder.modules() if isinstance(module, DualBatchNorm2d)):
        norm.adv.running_mean.add_(0.3)  # so that the branches differ
    classifier, images = (
        Classifier(encoder, head, name).eval(),
        torch.rand(2, 3, 8, 8, generator=generator, dtype=torch.float64),
    )
    with branch(encoder, name):
        features = encoder(images)
    other = "adv" if name == "clean" else "clean"
    with branch(encoder, other):
        assert not torch.allclose(encoder(images), features)
        assert torch.equal(classifier.features(images), features)
        assert torch.equal(classifier(images), features @ head.weight.T + head.bias)
        assert encoder.backbone.bn1.branch == other  # as it was outside


def test_training_moves_the_statistics_of_its_branch_alone(encoder, generator):
    classifier = Classifier(encoder, linear_head(encoder.features, 3).double(), "adv").train()
    classifier(torch.rand(2, 3, 8, 8, generator=generator, dtype=torch.float64))
    norms = [module for module in encoder.modules() if isinstance(module, DualBatchNorm2d)]
    assert {(norm.clean.num_batches_tracked.item(), norm.adv.num_batches_tracked.item()) for norm in norms} == {(0, 1)}
