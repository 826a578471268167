"""The plain implementation that the step is compared with: AMOC's journal variant, as one would write it after the
official repository (MTandHJ/amoc) with the usual libraries, and nothing done for speed.

PIL images augmented by torchvision in the workers of a DataLoader; an ordinary ResNet-18 with two batch norms in each
place; foolbox's LinfPGD on query and key together; float32, PyTorch's default memory layout and settings. As there,
- the key, which the perturbation of the query leaves alone, is encoded anew in each step of the attack;
- foolbox's backward pass computes the gradients of all parameters, which are thrown away;
- foolbox tells whether the attack succeeded, a sixth forward pass.
Unlike there, new keys enter the banks after the loss, as in the journal's Algorithm 1 and here by default.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import eagerpy
import foolbox
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from amoc.settings import Pretraining
from amoc.settings import Views as ViewSettings

# ---------------------------------------------------------------- data


class Blur:
    """PIL's Gaussian blur with a radius from U(low, high)."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __call__(self, image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.GaussianBlur(random.uniform(self.low, self.high)))


def augmentation(views: ViewSettings, size: int) -> transforms.Compose:
    """MoCo v2's views of a PIL image, as a tensor."""
    jitter, blur = views.jitter, views.blur
    return transforms.Compose([
        transforms.RandomResizedCrop(size, scale=views.crop_scale),
        transforms.RandomApply(
            [transforms.ColorJitter(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)],
            p=jitter.probability,
        ),
        transforms.RandomGrayscale(views.grayscale),
        transforms.RandomApply([Blur(*blur.sigma)], p=blur.probability),
        transforms.RandomHorizontalFlip(views.flip),
        transforms.ToTensor(),
    ])  # fmt: skip


class Pairs(Dataset):
    """Two random views of each image; pixels are uint8 (N, H, W, 3)."""

    def __init__(self, pixels: np.ndarray, transform: transforms.Compose) -> None:
        self.pixels, self.transform = pixels, transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = Image.fromarray(self.pixels[index])
        return self.transform(image), self.transform(image)


def loader(pixels: np.ndarray, settings: Pretraining, workers: int, pin_memory: bool) -> DataLoader:
    """Shuffled batches of pairs."""
    pairs = Pairs(pixels, augmentation(settings.views, pixels.shape[1]))
    return DataLoader(
        pairs, settings.batch_size, shuffle=True, drop_last=True, num_workers=workers, pin_memory=pin_memory
    )


# ---------------------------------------------------------------- network


class DualBatchNorm(nn.Module):
    """One batch norm for clean images and one for perturbed ones."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.clean = nn.BatchNorm2d(channels)
        self.adv = nn.BatchNorm2d(channels)
        self.adversarial = False

    def forward(self, x: Tensor) -> Tensor:
        return self.adv(x) if self.adversarial else self.clean(x)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = DualBatchNorm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = DualBatchNorm(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), DualBatchNorm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """ResNet-18 for small images: 3x3 stem of stride 1, no max-pooling; (B, 3, H, W) -> (B, 8 * width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = DualBatchNorm(width)
        self.layer1 = nn.Sequential(Block(width, width, 1), Block(width, width, 1))
        self.layer2 = nn.Sequential(Block(width, 2 * width, 2), Block(2 * width, 2 * width, 1))
        self.layer3 = nn.Sequential(Block(2 * width, 4 * width, 2), Block(4 * width, 4 * width, 1))
        self.layer4 = nn.Sequential(Block(4 * width, 8 * width, 2), Block(8 * width, 8 * width, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))


class Network(nn.Module):
    """Images (B, 3, H, W) in [0, 1] -> unit projections (B, D)."""

    def __init__(self, settings: Pretraining, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.normalize = transforms.Normalize(mean, std)
        width, head = settings.model.width, settings.projector
        self.encoder = ResNet18(width)
        self.projector = nn.Sequential(
            nn.Linear(8 * width, head.hidden), nn.ReLU(), nn.Linear(head.hidden, head.output)
        )

    def forward(self, images: Tensor, adversarial: bool = False) -> Tensor:
        for module in self.modules():
            if isinstance(module, DualBatchNorm):
                module.adversarial = adversarial
        return F.normalize(self.projector(self.encoder(self.normalize(images))), dim=1)


# ---------------------------------------------------------------- method


class MoCo(nn.Module):
    """Query network, key network and the two banks. As a module it is what foolbox attacks: pairs -> logits."""

    def __init__(self, settings: Pretraining, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.settings = settings
        self.query, self.key = Network(settings, mean, std), Network(settings, mean, std)
        self.key.load_state_dict(self.query.state_dict())
        for parameter in self.key.parameters():
            parameter.requires_grad = False
        length, dimension = settings.bank_length, settings.projector.output
        self.register_buffer("bank_clean", F.normalize(torch.randn(length, dimension), dim=1))
        self.register_buffer("bank_adv", F.normalize(torch.randn(length, dimension), dim=1))
        self.position = 0  # of both banks: each batch fills as many places in one as in the other

    def logits(self, query: Tensor, key: Tensor, bank: Tensor) -> Tensor:
        """(B, 1 + K): each query's own key first, then all of the bank."""
        positive = (query * key).sum(dim=1, keepdim=True)
        negative = query @ bank.T
        return torch.cat([positive, negative], dim=1) / self.settings.temperature

    def forward(self, pairs: Tensor) -> Tensor:
        """Queries above their keys, (2B, 3, H, W) -> logits (B, 1 + K) of the adversarial term."""
        query, key = pairs.chunk(2)
        encoded_query = self.query(query, adversarial=True)
        with torch.no_grad():
            encoded_key = self.key(key)
        return self.logits(encoded_query, encoded_key, self.bank_adv)

    def loss(self, query: Tensor, key: Tensor, perturbed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, and the keys that are to enter the clean and the adversarial bank."""
        labels = torch.zeros(len(query), dtype=torch.long, device=query.device)
        encoded, encoded_perturbed = self.query(query), self.query(perturbed, adversarial=True)
        with torch.no_grad():
            new_clean = self.key(key)
            new_adv = self.key(perturbed, adversarial=True)
        clean = F.cross_entropy(self.logits(encoded, new_clean, self.bank_clean), labels)
        adversarial = F.cross_entropy(self.logits(encoded_perturbed, new_clean, self.bank_adv), labels)
        weight = self.settings.lambda_
        return weight * clean + (1 - weight) * adversarial, new_clean, new_adv

    @torch.no_grad()
    def update(self, new_clean: Tensor, new_adv: Tensor) -> None:
        """The key network follows the query network, and the new keys replace the oldest."""
        momentum = self.settings.key_momentum
        for key, query in zip(self.key.parameters(), self.query.parameters(), strict=True):
            key.data = momentum * key.data + (1 - momentum) * query.data
        places = torch.arange(self.position, self.position + len(new_clean)) % self.settings.bank_length
        self.bank_clean[places] = new_clean
        self.bank_adv[places] = new_adv
        self.position = int(places[-1]) + 1


class WrongPair(foolbox.criteria.Misclassification):
    """An attack has succeeded on both images of a pair if the query is closest to another key than its own."""

    def __call__(self, perturbed, outputs):
        logits, restore = eagerpy.astensor_(outputs)
        wrong = logits.argmax(axis=-1) != self.labels
        return restore(eagerpy.concatenate([wrong, wrong]))


class Trainer:
    """The model, foolbox's attack and the optimiser: `step` is one step of training."""

    def __init__(
        self, settings: Pretraining, mean: Sequence[float], std: Sequence[float], device: torch.device, lr: float
    ) -> None:
        self.settings, self.device = settings, device
        self.model = MoCo(settings, mean, std).to(device)
        self.model.eval()  # else foolbox warns
        self.attacked = foolbox.PyTorchModel(self.model, bounds=(0, 1), device=device)
        attack, options = settings.attack, settings.optimizer
        self.attack = foolbox.attacks.LinfPGD(
            rel_stepsize=attack.relative_step, steps=attack.steps, random_start=attack.random_start
        )
        self.optimizer = torch.optim.SGD(
            self.model.query.parameters(), lr=lr, momentum=options.momentum, weight_decay=options.weight_decay
        )

    def perturb(self, query: Tensor, key: Tensor) -> Tensor:
        """The perturbed queries."""
        self.model.eval()
        criterion = WrongPair(torch.zeros(len(query), dtype=torch.long, device=query.device))
        _, perturbed, _ = self.attack(
            self.attacked, torch.cat([query, key]), criterion, epsilons=self.settings.epsilon
        )
        self.model.train()
        return perturbed[: len(query)]

    def step(self, query: Tensor, key: Tensor) -> float:
        """Attack, loss, optimiser, key network, banks. Two views of a batch, (B, 3, H, W), from the loader."""
        query, key = query.to(self.device, non_blocking=True), key.to(self.device, non_blocking=True)
        perturbed = self.perturb(query, key)
        loss, new_clean, new_adv = self.model.loss(query, key, perturbed)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.model.update(new_clean, new_adv)
        return loss.item()
