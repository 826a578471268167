"""How long a step of AMOC and the attacks on test images take, beside plain implementations. Nothing imports this."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the stages run, see stages/__init__.py
