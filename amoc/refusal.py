"""What the user can mend: bad settings, missing data, a file of another run. Reported as one sentence, never as a traceback."""


class Refusal(Exception):
    """An error whose message is complete: it names the key or file and what is allowed. Commands print it and exit with status 2."""
