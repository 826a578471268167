"""Thin commands, one per kind of artifact."""

import os

# OpenMP's threads spin while they wait for each other, by default. On a machine that others use too, one of them is
# often not running: a training step on two busy cores takes 15 times as long as with threads that sleep. Read when
# torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
