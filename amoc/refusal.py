"""What the user can mend: bad settings, missing data, a file of another run. One sentence, never a traceback."""


class Refusal(Exception):
    """An error whose message is complete: the key or file, and what is allowed. Commands print it and exit with 2."""
