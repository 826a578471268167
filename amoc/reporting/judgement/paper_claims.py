"""What the papers claim, and what a small profile must reach to be worth reading: data for `judging.judge`."""

from __future__ import annotations

from amoc.reporting.evidence.corruption_names import WITHOUT_FROST
from amoc.reporting.judgement.inequalities import (
    Quantity,
    above,
    at_least,
    at_most,
    difference,
    flat,
    growing,
    mean_above,
    pronounced,
    ratio,
    under,
)
from amoc.reporting.judgement.judging import Claim, Part

MEASURES = ("stdev_clean", "stdev_pgd20", "adev_clean", "adev_pgd20")  # of a linear evaluation: Tables 3 and 8
PGD20 = ("stdev_pgd20", "adev_pgd20")
CLEAN = ("stdev_clean", "adev_clean")
STRONG = ("linf_autoattack", "linf_pgd20")
DEFENCES = ("pgd_at", "alp", "trades")
TWINS = tuple(f"{defence}_early_stopped" for defence in DEFENCES)
SEED_PAIRS = ("amoc_acl", "amoc_moco", "moco_acl")  # rows of figure3, whose columns are p_<measure>
LARGER = ("eps_10", "eps_12", "eps_14", "eps_16")  # columns of figure5: eighths of the training epsilon
LENGTHS = ("amoc_k1024", "amoc_k4096", "amoc_k16384", "amoc", "amoc_k65536")
HOURS, HOURS_OF_ACL = (Quantity("table4", run, "total_hours") for run in ("amoc", "acl_long"))
EPOCHS, EPOCHS_OF_ACL = (Quantity("table4", run, "epochs") for run in ("amoc", "acl_long"))
SECONDS, *SECONDS_OF_ACL = (Quantity("table4", run, "seconds_per_epoch") for run in ("amoc", "acl_b256", "acl"))
ACL_ROBEV = Quantity("v1_table4", "acl", "robev_pgd20")

CLAIMS = (
    Claim(
        "claim1",
        "At equal batch and epochs AMOC beats ACL",
        "journal, Table 3",
        (
            Part("batch 64: all four measures", above("table3", "amoc_b64", ["acl_b64"], MEASURES)),
            Part("batch 128: all four measures", above("table3", "amoc_b128", ["acl_b128"], MEASURES)),
            Part("batch 256: all four measures", above("table3", "amoc", ["acl_b256"], MEASURES)),
        ),
    ),
    Claim(
        "claim2",
        "AMOC short at batch 64 beats ACL short at 512",
        "journal, Table 3",
        (Part("all four measures", above("table3", "amoc_b64", ["acl"], MEASURES)),),
    ),
    Claim(
        "claim3",
        "ACL grows with batch size; AMOC is flat",
        "journal, Table 3",
        (
            Part(
                "ACL: each larger batch is better, all four measures",
                growing("table3", ("acl_b64", "acl_b128", "acl_b256", "acl"), MEASURES),
            ),
            Part(
                "AMOC: range from 64 to 256 at most 2 points, all four measures",
                flat("table3", ("amoc_b64", "amoc_b128", "amoc"), MEASURES, 2),
            ),
        ),
    ),
    Claim(
        "claim4",
        "MoCo has the best clean accuracy, and no robustness",
        "journal, Table 3",
        (
            Part(
                "short: best clean accuracy",
                above(
                    "table3",
                    "moco",
                    ("acl_b64", "acl_b128", "acl_b256", "acl", "amoc_b64", "amoc_b128", "amoc"),
                    CLEAN,
                ),
            ),
            Part("long: best clean accuracy", above("table3", "moco_long", ("acl_long", "amoc_long"), CLEAN)),
            Part("short: StdEv PGD20 under 1", under("table3", ("moco",), ("stdev_pgd20",), 1)),
            Part("long: StdEv PGD20 under 1", under("table3", ("moco_long",), ("stdev_pgd20",), 1)),
        ),
    ),
    Claim(
        "claim5",
        "Under AdEv, AMOC short is level with ACL long, in a fifth of the hours",
        "journal, Tables 3 and 4",
        (
            Part(
                "AdEv: at most 2 points below ACL long",
                above("table3", "amoc", ["acl_long"], ("adev_clean", "adev_pgd20"), by=-2, equality=True),
            ),
            Part(
                "total hours: 0.15 to 0.25 of ACL long's",
                (ratio(HOURS, HOURS_OF_ACL, 0.15, 0.25),),
                unit="ratio",
                enough=(ratio(EPOCHS_OF_ACL, EPOCHS, 4, 6),),  # else the hours are what the epochs are
            ),
        ),
    ),
    Claim(
        "claim6",
        "MoCo, ACL and AMOC differ significantly over 5 seeds",
        "journal, Figure 3",
        (
            Part(
                "p < 0.05 for each pair and each of four measures",
                under("figure3", SEED_PAIRS, tuple(f"p_{measure}" for measure in MEASURES), 0.05),
                unit="p",
                enough=tuple(
                    at_least(Quantity("figure3", pair, f"n_{measure}"), 5)
                    for pair in SEED_PAIRS
                    for measure in MEASURES
                ),
            ),
        ),
    ),
    Claim(
        "claim7",
        "AMOC and ACL cost about the same per epoch",
        "journal, Table 4",
        (
            Part(
                "seconds per epoch: 0.8 to 1.25 of ACL's at 256 and 512",
                tuple(ratio(SECONDS, of_acl, 0.8, 1.25) for of_acl in SECONDS_OF_ACL),
                unit="ratio",
            ),
        ),
    ),
    Claim(
        "claim8",
        "AMOC is above ACL on every corruption, most on two",
        "journal, Figure 4",
        (
            Part("short: each of the 18 but frost", above("figure4", "amoc", ["acl"], WITHOUT_FROST)),
            Part("long: each of the 18 but frost", above("figure4", "amoc_long", ["acl_long"], WITHOUT_FROST)),
            Part(
                "frost too, short and long, on the published images",
                (
                    *above("figure4", "amoc", ["acl"], ("frost",)),
                    *above("figure4", "amoc_long", ["acl_long"], ("frost",)),
                ),
            ),
            Part(
                "gaussian blur, impulse noise: more than the mean advantage over the 18",
                tuple(
                    pronounced("figure4", upper, lower, corruption, WITHOUT_FROST)
                    for upper, lower in (("amoc", "acl"), ("amoc_long", "acl_long"))
                    for corruption in ("gaussian_blur", "impulse_noise")
                ),
            ),
        ),
    ),
    Claim(
        "claim9",
        "Fine-tuned AMOC beats the supervised defences",
        "journal, Tables 5 and 6",
        (
            Part(
                "CIFAR-10: above PGD-AT, ALP, TRADES in AutoAttack and PGD20",
                above("table5", "amoc_finetuned", DEFENCES, STRONG),
            ),
            Part(
                "CIFAR-10: above their early-stopped twins in both",
                above("table5", "amoc_finetuned", TWINS, STRONG),
            ),
            Part(
                "CIFAR-10: about 1.5 (at least 1) above TRADES: clean, PGD20, AutoAttack",
                above("table5", "amoc_finetuned", ["trades"], ("clean", *STRONG), by=1, equality=True),
            ),
            Part(
                "CIFAR-10: not so in SLIDE, as conceded (less than 1 above TRADES)",
                above("table5", "trades", ["amoc_finetuned"], ("l1_slide",), by=-1),
                conceded=True,
            ),
            Part(
                "CIFAR-100: above PGD-AT, ALP, TRADES in AutoAttack and PGD20",
                above("table6", "amoc_finetuned", DEFENCES, STRONG),
            ),
            Part(
                "CIFAR-100: above their early-stopped twins in both",
                above("table6", "amoc_finetuned", TWINS, STRONG),
            ),
            Part(
                "CIFAR-100: above PGD-AT, ALP, TRADES in clean accuracy too",
                above("table6", "amoc_finetuned", DEFENCES, ("clean",)),
            ),
        ),
    ),
    Claim(
        "claim10",
        "Fine-tuned AMOC holds better as epsilon grows",
        "journal, Figure 5",
        (
            Part(
                "CIFAR-10: above PGD-AT and ALP at 10/8 to 16/8 of the training epsilon",
                above("figure5", "amoc_finetuned", ("pgd_at", "alp"), LARGER),
            ),
            Part(
                "CIFAR-100: the same",
                above("figure5", "amoc_finetuned_cifar100", ("pgd_at_cifar100", "alp_cifar100"), LARGER),
            ),
        ),
    ),
    Claim(
        "claim11",
        "ACA >= ACC > AAA; AAC collapses; CAC, CAA are not robust",
        "journal, Table 8",
        (
            Part("ACA at least ACC, all four measures", above("table8", "aca", ["acc"], MEASURES, equality=True)),
            Part("ACC above AAA, all four measures", above("table8", "acc", ["aaa"], MEASURES)),
            Part("AAC at chance (under 15), all four measures", under("table8", ("aac",), MEASURES, 15)),
            Part("CAC, CAA: StdEv PGD20 under 1", under("table8", ("cac", "caa"), ("stdev_pgd20",), 1)),
        ),
    ),
    Claim(
        "claim12",
        "The bank's length does not matter",
        "journal, Figure 6",
        (Part("range at most 2 points, all four measures", flat("figure6", LENGTHS, MEASURES, 2)),),
    ),
    Claim(
        "claim13",
        "Too small and too large a lambda hurt; too large hurts robustness more",
        "journal, Figure 7",
        (
            Part("0.5 above 0.1, mean of four measures", (mean_above("figure7", "amoc", "amoc_lambda01", MEASURES),)),
            Part("0.5 above 0.9, mean of four measures", (mean_above("figure7", "amoc", "amoc_lambda09", MEASURES),)),
            Part(
                "PGD20 lower at 0.9 than at 0.1, mean of StdEv and AdEv",
                (mean_above("figure7", "amoc_lambda01", "amoc_lambda09", PGD20),),
            ),
        ),
    ),
    Claim(
        "claim14",
        "AMOC's features are more separable than ACL's",
        "journal, Figure 2",
        (
            Part("kNN accuracy, short", above("figure2", "amoc", ["acl"], ("knn",))),
            Part("kNN accuracy, long", above("figure2", "amoc_long", ["acl_long"], ("knn",))),
            Part("silhouette, short", above("figure2", "amoc", ["acl"], ("silhouette",)), unit="silhouette"),
            Part("silhouette, long", above("figure2", "amoc_long", ["acl_long"], ("silhouette",)), unit="silhouette"),
        ),
    ),
    Claim(
        "claim15",
        "AMOC of 200 epochs, fine-tuned, beats ACL of 1000",
        "preprint, Table 5",
        (
            Part(
                "ACA with the frozen bank: clean and PGD20",
                tuple(
                    difference(
                        Quantity("v1_table5", "aca_frozen_finetuned", measure),
                        Quantity("v1_table5", "acl_finetuned_long", measure),
                    )
                    for measure in ("clean", "linf_pgd20")
                ),
            ),
        ),
    ),
    Claim(
        "claim16",
        "AMOC is above adversarial training and TRADES on corruptions",
        "preprint, Figure 2",
        (
            Part(
                "ACA with the frozen bank, fine-tuned: mean over the 18 without frost",
                above("v1_figure2", "aca_frozen_finetuned", ("adv_training", "trades"), ("mean18",)),
            ),
        ),
    ),
    Claim(
        "claim17",
        "AMOC's StdEv PGD20 beats ACL's RobEv PGD20",
        "preprint, Table 4",
        (
            Part(
                "ACC and ACA with the frozen bank",
                tuple(
                    difference(Quantity("v1_table4", variant, "stdev_pgd20"), ACL_ROBEV)
                    for variant in ("acc", "aca_frozen")
                ),
            ),
        ),
    ),
    Claim(
        "claim18",
        "The moving adversarial bank matters",
        "journal, section 4.4",
        (
            Part("ACA over ACC by 0.5, mean of four measures", (mean_above("table8", "aca", "acc", MEASURES, by=0.5),)),
            Part(
                "ACA over ACA with a frozen bank by 0.5, mean of four measures",
                (mean_above("table8", "aca", "aca_frozen", MEASURES, by=0.5),),
            ),
        ),
    ),
)

# Of no paper, and so on no page of claims: whether claim 9 comes out once more. Judged by the table that it reads
AGAIN = (
    Claim(
        "claim9_again",
        "Fine-tuned AMOC beats supervised defences from another seed too",
        "claim 9, repeated here",
        (
            Part("above TRADES in AutoAttack and PGD20", above("table5_seed2", "amoc_finetuned", ["trades"], STRONG)),
            Part("above PGD-AT in PGD20", above("table5_seed2", "amoc_finetuned", ["pgd_at"], ("linf_pgd20",))),
        ),
    ),
)

_FLOORS = {"demo": (90, 10, 40), "small": (60, 5, 20)}  # Standard clean, Standard PGD20, PGD-AT PGD20


def floors(profile: str) -> tuple[Claim, ...]:
    """What a profile must reach on two seeds; below that it is at chance and proves nothing. None for `paper`.

    Networks are read from table5 and encoders from table3, the second seed under `<row>_seed2`.
    """
    if profile not in _FLOORS:
        return ()
    return tuple(floor for seed, suffix in ((1, ""), (2, "_seed2")) for floor in _of_seed(profile, seed, suffix))


def _of_seed(profile: str, seed: int, suffix: str) -> tuple[Claim, ...]:
    clean, broken, robust = _FLOORS[profile]
    standard, pgd_at = f"standard{suffix}", f"pgd_at{suffix}"
    gain = above("table3", f"amoc{suffix}", [f"moco{suffix}"], ("stdev_pgd20",), by=5, equality=True)
    source = f"{profile} profile"
    return (
        Claim(
            f"floor_standard_seed{seed}",
            f"Standard, seed {seed}",
            source,
            (
                Part(f"clean at least {clean}", (at_least(Quantity("table5", standard, "clean"), clean),)),
                Part(f"PGD20 at most {broken}", (at_most(Quantity("table5", standard, "linf_pgd20"), broken),)),
            ),
        ),
        Claim(
            f"floor_pgd_at_seed{seed}",
            f"PGD-AT, seed {seed}",
            source,
            (Part(f"PGD20 at least {robust}", (at_least(Quantity("table5", pgd_at, "linf_pgd20"), robust),)),),
        ),
        Claim(
            f"floor_amoc_seed{seed}",
            f"AMOC, seed {seed}",
            source,
            (Part("StdEv PGD20 at least 5 above MoCo's", gain),),
        ),
    )
