"""How long a step of AMOC and the attacks on test images take, beside plain implementations. Nothing imports this."""

import os

if "OMP_WAIT_POLICY" not in os.environ:  # as the stages run, see stages/__init__.py
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
