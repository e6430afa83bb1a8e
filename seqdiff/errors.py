"""What can go wrong for a user. A message says what was wrong, where, and what to do.

The command line catches `SeqdiffError` in one place, prints its message and exits with `exit_code`.
Broken invariants of our own are `assert`s, never a `SeqdiffError`.
"""


class SeqdiffError(Exception):
    """Something the user can mend. The message is complete: what, where, what to do."""

    exit_code = 1


class DataError(SeqdiffError):
    """A file is damaged, missing, or does not hold what it should."""


class ConfigError(SeqdiffError):
    """A recipe, a setting or a run directory is not what it should be: wrong usage."""

    exit_code = 2


class TrainingError(SeqdiffError):
    """Training cannot go on: diverged, or cannot be resumed."""


class UsageError(SeqdiffError):
    """The command was called with arguments that make no sense together."""

    exit_code = 2
