"""What settings there are: an immutable class for each kind, complete and strict. `amoc.params` reads them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
    model_validator,
)  # fmt: skip

from amoc.pretraining.forms import FORMS
from amoc.pretraining.variants import VARIANTS, Branch

# ---------------------------------------------------------------- numbers


def _allowed(sentence: str) -> WrapValidator:
    """Whatever is wrong with a value, the error says what is allowed."""

    def check(value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise ValueError(sentence) from None

    return WrapValidator(check)


def _ratio(value: Any) -> Any:
    """'8/255' -> 0.03137...; anything else is left to the type check."""
    if isinstance(value, str):
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ArithmeticError):
            return value
    return value


def _tuple(value: Any) -> Any:
    """YAML has lists."""
    return tuple(value) if isinstance(value, list) else value


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError
    return pair


def _at_most_1(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[1] > 1:
        raise ValueError
    return pair


Ratio = Annotated[float, BeforeValidator(_ratio)]
Positive = Annotated[Ratio, Field(gt=0, allow_inf_nan=False), _allowed("a number above 0")]
NotNegative = Annotated[Ratio, Field(ge=0, allow_inf_nan=False), _allowed("a number from 0 up")]
Share = Annotated[Ratio, Field(ge=0, le=1), _allowed("a number from 0 to 1")]
Momentum = Annotated[Ratio, Field(ge=0, lt=1), _allowed("a number from 0 to below 1")]
Radius = Annotated[Ratio, Field(gt=0, le=1), _allowed("a number above 0 and up to 1, such as 8/255, in pixel units")]
Step = Annotated[Ratio, Field(gt=0, le=2), _allowed("a number above 0 and up to 2, of epsilon: 2 crosses the ball")]
Whole = Annotated[int, Field(ge=0), _allowed("a whole number from 0 up")]
Count = Annotated[int, Field(ge=1), _allowed("a whole number from 1 up")]
Batch = Annotated[int, Field(ge=2), _allowed("a whole number from 2 up")]
Seed = Annotated[int, Field(ge=0, lt=2**31), _allowed("a whole number from 0 to 2147483647")]
Range = Annotated[
    tuple[Positive, Positive], AfterValidator(_ordered), BeforeValidator(_tuple),
    _allowed("two numbers above 0, the smaller one first"),
]  # fmt: skip
AreaRange = Annotated[
    Range, AfterValidator(_at_most_1), _allowed("two shares of the area, above 0 and up to 1, the smaller one first")
]
Norm = Literal["linf", "l1", "l2"]
Pairing = Literal["norm", "squared"]
Precision = Literal["float32", "bfloat16"]


class Settings(BaseModel):
    """Immutable, complete, strict: an unknown key is an error and 8.0 is not an integer."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    def plain(self) -> dict:
        """As JSON-ready values, with the names that params.yaml uses."""
        return self.model_dump(mode="json", by_alias=True)


# ---------------------------------------------------------------- what the batch goes through


class Jitter(Settings):
    """ColorJitter: factors from U(1 - s, 1 + s), hue shift from U(-hue, hue), the four operations in random order."""

    probability: Share
    brightness: Share
    contrast: Share
    saturation: Share
    hue: Annotated[Ratio, Field(ge=0, le=0.5), _allowed("a number from 0 to 0.5")]


class Blur(Settings):
    """Gaussian blur with sigma (pixels) from U(sigma)."""

    probability: Share
    sigma: Range


class Affine(Settings):
    """Rotation by U(-degrees, degrees), shift by U(-translate, translate) of the size, zoom by U(scale)."""

    degrees: Annotated[Ratio, Field(ge=0, le=180), _allowed("a number from 0 to 180")]
    translate: Share
    scale: Range


class Views(Settings):
    """The random views of contrastive learning; None leaves an operation out."""

    crop_scale: AreaRange | None
    interpolation: Literal["bilinear", "bicubic"]
    jitter: Jitter | None
    grayscale: Share
    blur: Blur | None
    flip: Share
    affine: Affine | None


class Shift(Settings):
    """The classifier's augmentation: reflect-pad, random crop back to size, horizontal flip with this probability."""

    pad: Whole
    flip: Share


class TrainingAttack(Settings):
    """PGD inside training, Linf: steps of relative_step * epsilon. steps = 1 with relative_step 1 is FGSM."""

    steps: Count
    relative_step: Step
    random_start: bool


# ---------------------------------------------------------------- what the profile sets


class Source(NamedTuple):
    """How many images there are to train and to test with, their side in pixels, and classes by data set."""

    train: int
    test: int
    side: int
    classes: dict[str, int]


SOURCES = {
    "digits": Source(train=1437, test=360, side=8, classes={"cifar10": 10, "cifar100": 20}),
    "cifar": Source(train=50000, test=10000, side=32, classes={"cifar10": 10, "cifar100": 100}),
}


class Data(Settings):
    """Which images: scikit-learn's digits or CIFAR; the first `train` and `test` of them, None for all."""

    source: Literal[tuple(SOURCES)]
    train: Count | None
    test: Count | None


PLAIN_RESNETS = r"^resnet(10t|14t|18d?|26[dt]?|34d?|50[cdst]?|101[cds]?|152[cds]?|200d?)$"  # timm's that can be built


class Model(Settings):
    """A timm ResNet with CIFAR stem; `width` channels in the first stage, doubled at each further stage."""

    architecture: Annotated[
        str, Field(pattern=PLAIN_RESNETS), _allowed("a plain ResNet of timm, such as resnet18, resnet34 or resnet50")
    ]
    width: Annotated[int, Field(ge=2, multiple_of=2), _allowed("an even number from 2 up")]


class Epsilon(Settings):
    """Radius of the ball for each norm, in pixel units: images lie in [0, 1]."""

    linf: Radius
    l1: Positive
    l2: Positive


class Engine(Settings):
    """Where and how training runs. Evaluation always counts in float32.

    compile: `encoders` has torch.compile fuse the operations of encoders and views, on any device; `step` records on a
    GPU a step of pre-training up to the gradients, and the attacks of probes and fine-tuning, and replays them. True is
    both on a GPU, where they pay, and neither on a CPU.
    """

    device: Literal["auto", "cpu", "cuda"]
    precision: Precision
    compile: Annotated[bool | Literal["encoders", "step"], _allowed("true, false, encoders or step")]
    threads: Whole  # 0: as many as there are


class Scale(Settings):
    """What short and long mean in epochs, and what batch sizes and bank lengths of the paper are multiplied by."""

    short: Count
    long: Count
    batch_size: Positive
    bank_length: Positive


# ---------------------------------------------------------------- pre-training


class Optimizer(Settings):
    """SGD without Nesterov; the schedule warms up linearly for warmup_epochs, then a cosine to 0, epoch by epoch."""

    lr: Positive
    momentum: Momentum
    weight_decay: NotNegative
    warmup_epochs: Whole


class Lars(Optimizer):
    """LARS; the schedule warms up linearly for warmup_epochs, then a cosine to final_lr, step by step."""

    final_lr: NotNegative
    trust: Positive  # a step is lr times this share of the norm of a layer's weights
    layerwise: Literal["weights", "all"]  # what is scaled and decays: not norms and biases, or everything
    lr_scaling: Literal["linear", "none"]  # whether lr follows the batch size; a run's own does not


class Projector(Settings):
    """Linear(features, hidden), ReLU, Linear(hidden, output)."""

    hidden: Count
    output: Count


class NormedProjector(Projector):
    """So many linear layers, each with dual norm, and a ReLU between: features, hidden, ..., hidden, output."""

    layers: Annotated[int, Field(ge=2), _allowed("a whole number from 2 up")]


class Pretraining(Settings):
    """Resolved settings of one encoder, whatever its method: every number is the one used.

    A method's own class adds `branch`, the norms to evaluate with, and two things that are no settings or computed:
    `attacks`, whether anything is perturbed, and `normalisation`, whether with the data set's mean or ImageNet's.
    """

    method: str
    epochs: Annotated[int, Field(ge=1), _allowed("short, long or a whole number from 1 up")]
    batch_size: Batch
    temperature: Positive
    seed: Seed
    attack: TrainingAttack
    optimizer: Optimizer
    projector: Projector
    views: Views
    model: Model
    epsilon: Radius  # Linf
    # A run may say it, as a switch (reports/switches). Settings that do not say it are recorded without it, as before
    # there was such a setting.
    zero_init_last: Annotated[bool, Field(exclude_if=lambda on: not on)] = False  # residual blocks start as identities

    @model_validator(mode="after")
    def _check_warmup(self) -> Pretraining:
        if self.optimizer.warmup_epochs >= self.epochs:
            warmup = self.optimizer.warmup_epochs
            raise ValueError(f"optimizer.warmup_epochs {warmup} must be smaller than epochs {self.epochs}")
        return self


class AMOCPretraining(Pretraining):
    """Of AMOC and its variants, MoCo among them."""

    normalisation: ClassVar = "dataset"

    method: Literal["amoc"]
    variant: Literal[tuple(VARIANTS)]
    branch: Annotated[Branch, _allowed("auto, clean or adv")]
    bank_length: Count
    lambda_: Annotated[Share, Field(alias="lambda")]
    key_momentum: Share
    bank_adv: Literal["moving", "frozen"]
    enqueue: Literal["after", "before"]
    attack_key: Literal["clean", "noisy"]
    attack_mode: Literal["eval", "train"]

    @property
    def fills_by_query(self) -> bool:
        """ACA, CCA: no perturbed key would fill the adversarial bank; by the key encoder the perturbed query does."""
        variant = VARIANTS[self.variant]
        return variant.bank == "adv" and variant.key == "clean" and self.bank_adv == "moving"

    @property
    def perturbs_query(self) -> bool:
        return VARIANTS[self.variant].query == "adv" or self.fills_by_query

    @property
    def perturbs_key(self) -> bool:
        return VARIANTS[self.variant].key == "adv"

    @property
    def attacks(self) -> bool:
        """Whether anything is perturbed."""
        return self.perturbs_query or self.perturbs_key

    @model_validator(mode="after")
    def _check_branch(self) -> AMOCPretraining:
        if self.branch not in ("clean", VARIANTS[self.variant].branch):
            raise ValueError(f"branch {self.branch} is not trained by variant {self.variant}, it must be clean")
        return self

    @model_validator(mode="after")
    def _check_bank(self) -> AMOCPretraining:
        if self.bank_length <= self.batch_size:  # a last image alone joins a batch
            raise ValueError(f"bank_length {self.bank_length} must be larger than batch_size {self.batch_size}")
        return self


class CheaperAMOCPretraining(AMOCPretraining):
    """Of AMOC with a cheaper attack: AMOC's settings, and these."""

    method: Literal["amoc_cheaper"]
    share: Annotated[Ratio, Field(gt=0, le=1), _allowed("a number above 0 and up to 1")]
    start: Literal["random", "last"]
    replays: Count

    @model_validator(mode="after")
    def _check_cheaper(self) -> CheaperAMOCPretraining:
        if self.variant not in ("aca", "acc"):
            raise ValueError(f"variant {self.variant} does not perturb the query alone, it must be aca or acc")
        found = {
            "share": self.share, "start": self.start, "enqueue": self.enqueue, "attack.steps": self.attack.steps,
            "attack.random_start": str(self.attack.random_start).lower(),
        }  # fmt: skip
        way, needed = f"start {self.start}", {"attack.random_start": "true"} if self.start == "last" else {}
        if self.replays > 1:  # else a batch would enter the banks at each use, or a setting of the attack be ignored
            way = f"replays {self.replays}"
            needed = {"share": 1, "start": "random", "enqueue": "after", "attack.steps": 1,
                      "attack.random_start": "true"}  # fmt: skip
        for key, value in needed.items():
            if found[key] != value:
                raise ValueError(f"{way} needs {key} {value}, it is {found[key]}")
        return self


class ACLPretraining(Pretraining):
    """Of ACL."""

    attacks: ClassVar = True

    method: Literal["acl"]
    form: Literal[tuple(FORMS)]
    branch: Annotated[Branch, _allowed("clean or adv")]
    normalisation: Literal["dataset", "imagenet"]  # whose mean and standard deviation the encoder normalises with
    optimizer: Lars
    projector: NormedProjector

    @model_validator(mode="after")
    def _check(self) -> ACLPretraining:
        if all(self.branch not in pair for pair in FORMS[self.form]):
            raise ValueError(f"branch {self.branch} is not trained by form {self.form}, it must be adv")
        if self.optimizer.final_lr > self.optimizer.lr:
            final, lr = self.optimizer.final_lr, self.optimizer.lr
            raise ValueError(f"optimizer.final_lr {final:g} must be at most optimizer.lr {lr:g}")
        return self


METHODS: dict[str, type[Pretraining]] = {
    "amoc": AMOCPretraining, "amoc_cheaper": CheaperAMOCPretraining, "acl": ACLPretraining
}  # fmt: skip


def lineage(method: str) -> list[str]:
    """The method, after the methods that it extends: it has their settings too."""
    return [name for name, kind in METHODS.items() if issubclass(METHODS[method], kind)]


# ---------------------------------------------------------------- classifying


class Recipe(Settings):
    """Resolved settings of one way to train a classifier."""

    objective: Literal["standard", "pgd_at", "alp", "trades"]
    train: Literal["head", "all"]
    epochs: Count
    milestones: Annotated[tuple[int, ...], BeforeValidator(_tuple), _allowed("a list of whole numbers")]
    batch_size: Batch
    lr: Positive
    momentum: Momentum
    weight_decay: NotNegative
    shift: Shift
    beta: Positive | None
    # of the logits of clean and perturbed images: how far apart they are; for the objective alp alone
    pairing: Annotated[Pairing | None, _allowed("norm or squared"), Field(exclude_if=lambda way: way is None)] = None
    attack: TrainingAttack | None
    epsilon: Radius  # Linf

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        without = {
            "attack": ("standard",), "beta": ("standard", "pgd_at"), "pairing": ("standard", "pgd_at", "trades"),
        }  # fmt: skip
        for key, objectives in without.items():
            if (getattr(self, key) is None) != (self.objective in objectives):
                needed = "be null" if self.objective in objectives else "be given, not null,"
                raise ValueError(f"{key} must {needed} for the objective {self.objective}")
        if any(a >= b for a, b in pairwise((0, *self.milestones, self.epochs + 1))):
            raise ValueError(f"milestones {list(self.milestones)} must grow from 1 to at most epochs {self.epochs}")
        return self


class EarlyStopping(Settings):
    """The twin is the epoch with the best PGD accuracy on `images` held-out training images.

    It is looked at `every` so many epochs.
    """

    images: Count
    every: Count
    steps: Count
    relative_step: Step


class Classifying(Settings):
    """Resolved settings of one whole network: recipe, encoder run that it starts from (None: from scratch), twin."""

    recipe_name: str
    recipe: Recipe
    encoder: str | None
    seed: Seed
    model: Model
    early_stopping: EarlyStopping


# ---------------------------------------------------------------- evaluating


class _Attack(Settings):
    norm: Norm
    epsilon: Positive
    images: Count | None = None  # the first so many test images; None for all


class ProjectedGradient(_Attack):
    """foolbox LinfPGD, L1PGD, L2PGD with random start."""

    kind: Literal["pgd"]
    steps: Count
    relative_step: Step


class Slide(_Attack):
    """foolbox SparseL1DescentAttack (SLIDE): the top 1 % of the gradient."""

    kind: Literal["slide"]
    norm: Literal["l1"]
    steps: Count
    relative_step: Step


class DeepFool(_Attack):
    """foolbox LinfDeepFoolAttack / L2DeepFoolAttack."""

    kind: Literal["deepfool"]
    norm: Literal["linf", "l2"]
    steps: Count
    overshoot: Positive


class CarliniWagner(_Attack):
    """foolbox L2CarliniWagnerAttack."""

    kind: Literal["carlini_wagner"]
    norm: Literal["l2"]
    steps: Count
    lr: Positive
    binary_search_steps: Count
    initial_const: Positive


class AutoAttack(_Attack):
    """pyautoattack, version standard: APGD-CE, APGD-T, FAB-T, Square with so many queries."""

    kind: Literal["autoattack"]
    norm: Literal["linf", "l2"]
    square_queries: Count
    # Of the search alone; what counts is float32 in any case. Settings that do not say it are recorded without it.
    search_precision: Annotated[Precision, Field(exclude_if=lambda precision: precision == "float32")] = "float32"


Attack = ProjectedGradient | Slide | DeepFool | CarliniWagner | AutoAttack
ATTACKS: dict[str, type[Attack]] = {
    "pgd": ProjectedGradient, "slide": Slide, "deepfool": DeepFool, "carlini_wagner": CarliniWagner,
    "autoattack": AutoAttack,
}  # fmt: skip


class Evaluate(Settings):
    """How test images are evaluated: the batch size is part of the result, the seed fixes random starts."""

    batch_size: Count
    seed: Seed


class Embedding(Settings):
    """How features are put into a plane (t-SNE), and how their separability is measured.

    perplexity: of t-SNE. images: test images in the plane, at most; seed: of their choice, and of t-SNE.
    neighbours: training images that vote on a test image's class.
    """

    perplexity: Positive
    images: Batch
    seed: Seed
    neighbours: Count
