"""What can go wrong with a training, as a branch of the codec's tree of errors.

    CodecError
    └── TrainingError          exit code 1
        ├── RecipeError            a recipe with an unknown key, or a value that makes no sense
        ├── DataError              pictures that are missing or cannot be read: a folder, a file, a set of digits
        ├── CheckpointError        a checkpoint that is damaged, or is of another network or recipe
        └── Diverged               the loss or its gradient is no longer a number

A message says what is wrong, where, what was expected, what was found.
"""

from __future__ import annotations

from codec.errors import CodecError

__all__ = ["CheckpointError", "DataError", "Diverged", "RecipeError", "TrainingError"]


class TrainingError(CodecError):
    """Root of the branch."""


class RecipeError(TrainingError):
    """A recipe with an unknown key, or a value that makes no sense."""


class DataError(TrainingError):
    """Pictures that are missing or cannot be read: a folder, a file, a set of digits."""


class CheckpointError(TrainingError):
    """A checkpoint that is damaged, or is of another network or recipe."""


class Diverged(TrainingError):
    """The loss or its gradient is no longer a number."""
