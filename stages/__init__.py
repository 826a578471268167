"""Thin commands, one per kind of artifact."""

import gc
import os
import sys

# OpenMP's threads wait for each other after every operation. By default they spin, for so long that on a machine which
# others use too a step takes up to four times as long as it must; if they sleep at once they have to be woken for each
# operation, and even on an idle machine a step of `small` takes half as long again. So they spin for some 0.2 ms, then
# sleep: benchmarks/waiting.py compares. GNU's OpenMP, which PyTorch has on Linux, reads it when torch is loaded.
SPINS = "20000"
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)

# Importing torch and timm makes a million objects and hardly any garbage, but Python would look through all of them for
# it, again and again. A program is called "-m" while Python locates it: only in `python -m stages.…` is it so here.
if sys.argv[:1] == ["-m"]:
    gc.disable()  # until `command.run`
