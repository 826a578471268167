"""How other repositories name an encoder's tensors: a layout is a value, a function from our key to theirs.

Nothing here is a pattern: with the keys of our encoder, a layout says which keys its file has, all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from amoc.pretraining.variants import Branch

Keys = frozenset[str]
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
COUNTER = ".num_batches_tracked"  # of a norm: since PyTorch 0.4.1, and without effect on what this project computes


class Normalisation(NamedTuple):
    """Mean and standard deviation of each channel, of pixels in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Layout:
    """One way to write an encoder.

    Attributes:
        name: our key -> theirs. A layout with a single norm has one key for two of ours.
        branch: the norm branch that its repository evaluates with.
        normalisation: what its repository subtracts and divides by outside the network, by data set.
        buffers: the keys of mean and standard deviation, float (3,), where the network normalises itself.
        heads: what stands on the encoder and is dropped. A file has all keys of exactly one of them.
        prefix: of the encoder's keys.
        dropped: prefixes under which all of the above stands in the file once more.
    """

    name: Callable[[str], str]
    branch: Branch
    normalisation: Mapping[str, Normalisation] = field(default_factory=dict)
    buffers: tuple[str, ...] = ()
    heads: tuple[tuple[str, ...], ...] = ((),)
    prefix: str = ""
    dropped: tuple[str, ...] = ()

    def key(self, ours: str) -> str:
        """Where the tensor that we call so stands in the file."""
        return self.prefix + self.name(ours)

    def files(self, ours: Collection[str]) -> list[Keys]:
        """The sets of keys that a file of this layout may have, given all of ours."""
        kinds = [{*map(self.name, ours), *self.buffers, *head} for head in self.heads]
        whole = [{prefix + key for prefix in (self.prefix, *self.dropped) for key in kind} for kind in kinds]
        return [Keys(keys) for kind in whole for keys in (kind, {key for key in kind if not key.endswith(COUNTER)})]

    def difference(self, found: Keys, ours: Collection[str]) -> tuple[Keys, Keys]:
        """What a file with the keys `found` lacks, and what it has too much, compared with the nearest of `files`."""
        nearest = min(self.files(ours), key=lambda keys: len(keys ^ found))
        return nearest - found, found - nearest


def _official(ours: str) -> str:
    return ours.replace(".clean.", ".bn_clean.").replace(".adv.", ".bn_adv.")


def _wrapped(ours: str) -> str:
    return f"arch.{_official(ours)}"


def _listed(ours: str) -> str:
    shortcut = ours.replace(".downsample.0.", ".downsample.conv.").replace(".downsample.1.", ".downsample.bn.")
    return shortcut.replace(".clean.", ".bn_list.0.").replace(".adv.", ".bn_list.1.")


def _single(ours: str) -> str:
    return ours.replace(".clean.", ".").replace(".adv.", ".")


def _listed_projector(*without_bias: str) -> tuple[str, ...]:
    """The first linear layer has a bias, the others do not; after each come two norms."""
    linear = ["fc.fc1.weight", "fc.fc1.bias", *(f"fc.fc{layer}.weight" for layer in without_bias)]
    norms = [f"fc.bn{layer}.bn_list.{number}.{part}" for layer in "1" + "".join(without_bias) for number in (0, 1)
             for part in NORM]  # fmt: skip
    return (*linear, *norms)


_LINEAR = ("fc.weight", "fc.bias")
_BUFFERS = ("normalize.mean", "normalize.std")
_OFFICIAL = {
    "cifar10": Normalisation((0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2617)),
    "cifar100": Normalisation((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}

AMOC = Layout(_official, "adv", normalisation=_OFFICIAL)
"""`paras.pt` of the official AMOC's pre-training: the query encoder alone (MTandHJ/amoc, src/base.py, `Coach.save`).

Names from models/resnet.py and models/base.py: torchvision's, each norm split into `bn_clean` and `bn_adv`. No
convolution has a bias. Images are normalised outside (src/config.py, by data set). Its evaluations take `bn_adv`, but
`bn_clean` for the variants whose query is clean (README), which the file does not say.
"""

AMOC_CLASSIFIER = Layout(_wrapped, "adv", normalisation=_OFFICIAL, heads=(("fc.fc.weight", "fc.fc.bias"),))
"""`paras.pt` of the official AMOC's linear evaluation and fine-tuning (src/base.py, `LinearCoach.save`).

Names from models/components.py: the encoder is `arch` there, the classifier `fc.fc`. The rest is as in `AMOC`.
"""

ACL = Layout(
    _listed, "adv", buffers=_BUFFERS,
    heads=(_listed_projector("2", "3"), _listed_projector("2"), _LINEAR),
)  # fmt: skip
"""ACL(DS) (VITA-Group/Adversarial-Contrastive-Learning, train_simCLR.py), under `state_dict`.

Names from models/resnet_multi_bn.py: each norm is a list `bn_list`, in the order of `bn_names`: 0 is `normal` (clean),
1 is `pgd` (adversarial). A shortcut's parts are `downsample.conv` and `downsample.bn`. The projector `fc` has three
layers, or two with --twoLayerProj, with norms of its own. The network normalises itself, with ImageNet's mean and
standard deviation, which are buffers `normalize` (utils.py). Fine-tuning takes 1 (readme.md, --bnNameCnt 1).

DynACL's `model_encoder_k.pt` (PKU-ML/DYNACL) has the same names with the same meaning. Where its LPAFT_AFF.py has
trained on, a linear classifier stands in the projector's place.
"""

DYNACL = Layout(
    _listed, "adv", buffers=_BUFFERS, heads=ACL.heads[:2], prefix="encoder_k.", dropped=("encoder_q.",)
)  # fmt: skip
"""DynACL's `model.pt` (PKU-ML/DYNACL, train_DynACL.py), under `state_dict`: two encoders with ACL's names.

Names from models/resnet_multi_bn.py, `resnet18_momentum`: `encoder_q` is trained, `encoder_k` is its moving average.
The latter is what the repository evaluates (`forward` without `swap`), and what is taken here.
"""

ACL_SINGLE = Layout(_single, "adv", buffers=_BUFFERS, heads=(_LINEAR,))
"""What ACL (train_trades.py) and DynACL++ (LPAFT.py) fine-tune, under `state_dict`: one norm, which both branches get.

Names from models/resnet.py of both repositories: torchvision's, with a linear classifier and the buffers `normalize`
of `ACL`. The norm began as one of the two, which the file does not tell; as a rule the adversarial one.
"""

PLAIN = Layout(_single, "clean", heads=((), _LINEAR))
"""A ResNet as torchvision and timm 1.0 name it, with their classifier or without: one norm, which both branches get.

The file does not say how images were normalised, so one has to be told. That its stem is the one for small images
shows in the shape of `conv1.weight` (3x3); that no pooling follows the stem has to be known.
"""

LAYOUTS = {
    "amoc": AMOC, "amoc_classifier": AMOC_CLASSIFIER, "acl": ACL, "dynacl": DYNACL, "acl_single": ACL_SINGLE,
    "plain": PLAIN,
}  # fmt: skip
