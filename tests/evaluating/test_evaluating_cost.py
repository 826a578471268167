from __future__ import annotations

import pytest

from amoc.evaluating.cost import passes
from amoc.evaluating.fingerprint import SUITE, images_and_labels, network
from amoc.evaluating.suite import run_suite


def counted(name: str, epsilon: float) -> tuple[float, float]:
    """Images that one attack sends forward and back, and the estimate."""
    model = network().float()
    images, labels = images_and_labels(network())
    labels[2] = model(images[2:3].float()).argmax()
    attack = SUITE[name].model_copy(update={"epsilon": epsilon, "images": None})
    count = [0]

    def note(module, inputs):
        count[0] += len(inputs[0])
        if inputs[0].requires_grad:
            inputs[0].register_hook(lambda gradient: count.__setitem__(0, count[0] + len(gradient)))

    model.register_forward_pre_hook(note)
    run_suite(model, images.float(), labels, {name: attack}, batch_size=12, seed=1)
    return count[0], passes({name: attack}, 12, classes=4)


@pytest.mark.parametrize("name", ["linf_pgd", "l1_slide", "l2_cw", "linf_autoattack"])
def test_estimate_is_what_attacks_take_that_break_nothing(name):
    taken, estimate = counted(name, epsilon=1e-5)
    assert 0.7 * taken < estimate < 1.1 * taken


@pytest.mark.parametrize("name", ["linf_deepfool", "linf_autoattack"])
def test_estimate_is_an_upper_bound(name):
    taken, estimate = counted(name, epsilon=0.1)
    assert taken < estimate


@pytest.mark.parametrize(("classes", "candidates"), [(4, 3), (10, 9), (20, 9)])
def test_deepfool_takes_a_gradient_for_each_other_class_of_ten_at_most(classes, candidates):
    one = SUITE["linf_deepfool"]
    assert passes({"a": one}, 100, classes) == 100 + 100 * 2 * one.steps * candidates


def test_suite_adds_up_and_subsets_count_as_such():
    one = SUITE["linf_pgd"]
    assert passes({}, 100, 10) == 100
    assert passes({"a": one}, 100, 10) == 100 + 100 * 2 * one.steps
    assert passes({"a": one, "b": one.model_copy(update={"images": 7})}, 100, 10) == 100 + 107 * 2 * one.steps
    assert passes({"a": one.model_copy(update={"images": 700})}, 100, 10) == 100 + 100 * 2 * one.steps
