"""Settings in words: what a row, a heading or a footnote calls an attack, an encoder or a profile."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from textwrap import fill
from typing import Any

from amoc.params import Params

NORMS = {"linf": "Linf", "l1": "L1", "l2": "L2"}
OBJECTIVES = {"standard": "Standard", "pgd_at": "PGD-AT", "alp": "ALP", "trades": "TRADES"}
DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
RECIPES = {"stdev": "StdEv", "adev": "AdEv", "robev": "RobEv", "slf": "SLF", "alf": "ALF", "aff": "AFF"}
HEADINGS = {  # clean, or an attack of a suite -> its column in the tables of accuracies
    "clean": "Clean",
    "linf_pgd20": "PGD20",
    "linf_pgd20_peers": "PGD20p",
    "linf_deepfool": "DeepFool",
    "linf_autoattack": "AA",
    "l1_pgd50": "L1-PGD",
    "l1_slide": "SLIDE",
    "l2_pgd50": "L2-PGD",
    "l2_pgd50_v1": "L2-PGD",
    "l2_cw": "C&W",
    "l2_autoattack": "AA-L2",
}
ATTACKS = {
    "pgd": "PGD",
    "slide": "SLIDE",
    "deepfool": "DeepFool",
    "carlini_wagner": "C&W",
    "autoattack": "AutoAttack",
}

EVIDENCE = {  # by the source of the images: what a report's numbers are good for
    "digits": "It shows that the pipeline works; neither numbers nor orderings are evidence.",
    "cifar": "Read orderings, not numbers, and those only where another seed would keep them.",
}
BATCHES = (64, 128, 256, 512)  # of the papers
_WIDTH = 120  # of running text


def radius(epsilon: float) -> str:
    """0.0313... -> '8/255', 0.15 -> '0.15', 12.0 -> '12'."""
    levels = round(epsilon * 255)
    short = round(epsilon, 3) == epsilon
    return f"{epsilon:g}" if short or not 0 < levels == round(epsilon * 255, 9) else f"{levels}/255"


def attack(settings: Mapping[str, Any]) -> str:
    """One line from the plain settings of an attack: 'PGD, Linf 8/255, 20 steps of 0.1 epsilon'."""
    kind = settings["kind"]
    if kind in ("pgd", "slide"):
        how = f"{settings['steps']} steps of {settings['relative_step']:g} epsilon"
    elif kind == "deepfool":
        how = f"{settings['steps']} steps, overshoot {settings['overshoot']:g}"
    elif kind == "carlini_wagner":
        how = (
            f"{settings['binary_search_steps']} x {settings['steps']} steps, learning rate {settings['lr']:g}, "
            f"initial constant {settings['initial_const']:g}"
        )
    elif kind == "autoattack":
        how = f"standard version, {settings['square_queries']} Square queries"
        if settings.get("search_precision", "float32") != "float32":
            how += f", search in {settings['search_precision']}"
    else:
        raise ValueError(f"there are no words for attacks of the kind {kind}")
    subset = f", the first {settings['images']} test images" if settings.get("images") else ""
    return f"{ATTACKS[kind]}, {NORMS[settings['norm']]} {radius(settings['epsilon'])}, {how}{subset}"


def encoder(settings: Mapping[str, Any]) -> str:
    """The method's name: AMOC is the variant ACA with its moving bank, MoCo is CCC, the others say their letters.

    ACL is its dual stream; the other forms say their name. What a cheaper attack saves is not in the name.
    """
    if settings["method"] == "acl":
        form = settings.get("form", "ds")
        return "ACL" if form == "ds" else f"ACL-{form.upper()}"
    variant, frozen = settings.get("variant"), settings.get("bank_adv") == "frozen"
    if settings["method"] not in ("amoc", "amoc_cheaper") or variant is None:
        return settings["method"].upper()
    if variant == "ccc":
        return "MoCo"
    if variant == "aca" and not frozen:
        return "AMOC"
    return f"AMOC-{variant.upper()}{' frozen bank' if frozen and variant[2] == 'a' else ''}"


def trained(name: str, settings: Mapping[str, Any], *more: str) -> str:
    """'AMOC (40 ep, b64)': an encoder, by epochs and batch size of its pre-training and whatever is to be added."""
    size = (f"{settings['epochs']} ep", f"b{settings['batch_size']}", *more)
    return f"{name} ({', '.join(size)})"


def measure(key: str) -> str:
    """A column of a table of encoders: 'adev_pgd20' -> 'AdEv PGD20'."""
    recipe, _, attack = key.partition("_")
    short = {"clean": "clean", "autoattack": "AA", "pgd20_peers": "PGD20p"}
    return f"{RECIPES.get(recipe, recipe)} {short.get(attack, attack.upper())}"


def images(params: Params, profile: str, *datasets: str) -> str:
    """What a profile's images stand in for: 'scikit-learn digits stand in for CIFAR-10'."""
    data, titles = params.data(profile), {dataset: DATASETS[dataset] for dataset in datasets}
    if data.source == "digits":
        digits = {"cifar10": "scikit-learn digits", "cifar100": "scikit-learn digits, upright or turned,"}
        return " and ".join(f"{digits[dataset]} stand in for {title}" for dataset, title in titles.items())
    if (data.train, data.test) == (None, None):
        return " and ".join(titles.values())
    used = f"{data.train or 'all'} training, {data.test or 'all'} test images"
    return f"{used} stand in for all of {' and of '.join(titles.values())}"


def stands_in(params: Params, profile: str, *datasets: str, networks: Collection[str] | None = None) -> str:
    """The first lines of a report: what a profile's images, network, attack and epochs stand in for.

    datasets: all that the report shows.
    networks: the whole networks that it shows, None for all of the data sets; encoders among them change nothing.
    """
    shown = images(params, profile, *datasets)
    if profile == "paper":
        return f"> **paper**: {shown} and the papers' settings."
    model, full = params.model(profile), params.model("paper")
    settings = {
        "network": (model.architecture, full.architecture),
        "width": (model.width, full.width),
        "epsilon": (radius(params.epsilon(profile).linf), radius(params.epsilon("paper").linf)),
        "pre-training epochs": (params.scale(profile).short, params.scale("paper").short),
    }
    if "amoc" in params.runs(datasets[0]):
        ours, papers = (params.pretraining(each, datasets[0], "amoc") for each in (profile, "paper"))
        settings["AMOC's batch size"] = (ours.batch_size, papers.batch_size)
        settings["bank length"] = (ours.bank_length, papers.bank_length)
    trained = [
        (dataset, name)
        for dataset in datasets
        for name in params.networks(dataset)
        if networks is None or name in networks
    ]
    if trained:
        settings["training epochs"] = (_epochs(params, profile, trained), _epochs(params, "paper", trained))
    changes = [f"{what} {ours} instead of {papers}" for what, (ours, papers) in settings.items() if ours != papers]
    told = (
        f"**{profile}**: {shown}. {EVIDENCE[params.data(profile).source]} Changed: {', '.join(changes)}, and more: "
        f"see `profiles.{profile}` in params.yaml."
    )
    return fill(told, _WIDTH, initial_indent="> ", subsequent_indent="> ", break_on_hyphens=False)


def _epochs(params: Params, profile: str, networks: Iterable[tuple[str, str]]) -> str:
    """'20-30': fewest to most of networks, each with its data set."""
    epochs = {params.classifying(profile, dataset, name).recipe.epochs for dataset, name in networks}
    return "-".join(map(str, sorted({min(epochs), max(epochs)})))


def sizes(params: Params, profile: str) -> str | None:
    """What the papers' batch sizes and epochs, which claims are stated in, are in a profile where they are others."""
    scale, papers = params.scale(profile), params.scale("paper")
    if scale == papers:
        return None
    batches = ", ".join(f"{size} becomes {round(size * scale.batch_size)}" for size in BATCHES)
    return paragraphs(
        f"Claims name batch sizes and epochs as the papers do. Here the papers' batch size {batches}; their "
        f"{papers.short} epochs become {scale.short}, and {papers.long} become {scale.long}."
    )


def paragraphs(*sentences: str) -> str:
    """Running text of a page, each on lines of its own."""
    return "\n\n".join(fill(sentence, _WIDTH) for sentence in sentences) + "\n"
