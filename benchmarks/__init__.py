"""How long a step of AMOC takes, beside a plain implementation of the same. Nothing else imports this."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the stages run, see stages/__init__.py
