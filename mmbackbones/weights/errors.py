"""What reading weights can fail with."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or does not fit; the backbone is left as it was."""
