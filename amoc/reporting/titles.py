"""Every report and what it is called, in the order of the page of all of them: `index`, the one that is not here.

Each is made by the module of its name.
"""

from __future__ import annotations

GROUPS = {  # group -> report -> title
    "Claims": {
        "claims": "Claims of the papers",
        "floors": "Floors of the profile: whether it is above chance",
    },
    "The journal": {
        "table2": "Table 2: attacks",
        "table3": "Table 3: MoCo, ACL and AMOC under the linear protocols",
        "table4": "Table 4: running time",
        "table5": "Table 5: networks under attack",
        "table6": "Table 6: networks under attack, CIFAR-100",
        "table7": "Table 7: variants",
        "table8": "Table 8: variants under the linear protocols",
        "figure2": "Figure 2: features in a plane",
        "figure3": "Figure 3: tests between methods over seeds",
        "figure4": "Figure 4: accuracy on corrupted images",
        "figure5": "Figure 5: accuracy over the radius of the attack",
        "figure6": "Figure 6: length of the banks",
        "figure7": "Figure 7: weight of the clean term",
    },
    "The preprint": {
        "v1_table2": "Preprint, Table 2: attacks",
        "v1_table3": "Preprint, Table 3: networks under attack",
        "v1_table4": "Preprint, Table 4: long pre-training under the linear protocols",
        "v1_table5": "Preprint, Table 5: short and long pre-training, fine-tuned",
        "v1_table6": "Preprint, Table 6: variants under the linear protocols",
        "v1_figure2": "Preprint, Figure 2: networks on corrupted images",
    },
    "Beyond the papers": {
        "table5_seed2": "Table 5 from another seed",
        "corruptions": "Corruptions: what they look like, and what an undefended network makes of them",
        "transfer": "Transfer between CIFAR-10 and CIFAR-100",
        "peers": "Encoders by the peers' protocols",
    },
    # on the page where they were made, but it does not wait for them (dvc.yaml): they are about this code, and in the
    # demo they would have little to say for so many encoders
    "Studies": {
        "switches": "Choices that the papers leave open",
        "fast": "Cheaper attacks in pre-training",
        "precision": "Precision and compilation",
    },
}
TITLES = {name: title for group in GROUPS.values() for name, title in group.items()}
