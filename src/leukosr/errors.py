"""The one exception that a user is meant to read."""


class LeukoError(Exception):
    """A mistake in the input, the configuration or the environment that the user can mend.

    The message is one sentence (or a few short ones) that names the file or the key, says what was found,
    what was expected and what to do. The command line prints it without a traceback and exits with 1.
    """


class Diverged(LeukoError):
    """A network whose loss, weights or output are not finite: the same settings and seeds would end the same way."""
