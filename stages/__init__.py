"""Thin commands, one per kind of artifact."""

import gc
import os
import sys

# OpenMP's threads spin while they wait for each other, by default. On a machine that others use too, one of them is
# often not running: a training step on two busy cores takes 15 times as long as with threads that sleep. Read when
# torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Importing torch and timm makes a million objects and hardly any garbage, but Python would look through all of them for
# it, again and again. A program is called "-m" while Python locates it: only in `python -m stages.…` is it so here.
if sys.argv[:1] == ["-m"]:
    gc.disable()  # until `command.run`
