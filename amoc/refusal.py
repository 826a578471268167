"""What the user can mend: bad settings, missing data, a file of another run. One sentence, never a traceback."""


class Refusal(Exception):
    """An error whose message is complete: the key or file, and what is allowed. Commands print it and exit with 2."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is full: PyTorch says so in a RuntimeError."""
    words = ("CUDA out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(said in str(error) for said in words)
