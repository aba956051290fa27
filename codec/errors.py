"""Everything that can go wrong with a stream, a model or an input, as one tree.

    CodecError                        exit code
    ├── NotOurFormat                      3    the bytes are not an Engram file
    ├── UnsupportedVersion                3    an Engram file that this version cannot read
    ├── CorruptStream                     3    the bytes break a rule of SPEC.md
    │   ├── TruncatedStream               3    the file ends too early
    │   ├── ChecksumMismatch              3    a checksum does not fit its bytes
    │   └── Desync                        3    all checksums fit, but the decoded pixels are not the encoder's
    ├── LimitExceeded                     4    the stream asks for more than the limits allow
    ├── ModelError                        5    a model file that cannot be used
    │   ├── ModelNotFound                 5    the model that is asked for is not here
    │   └── ModelMismatch                 5    a model was given, but the stream needs another one
    └── EncodeError                       1    the input cannot be encoded or written as asked
        ├── UnsupportedInput              1    pixels or a file of a kind that the codec does not take
        └── TargetUnreachable             1    no quality gives the rate or the PSNR that is asked for

Untrusted bytes raise nothing outside this tree. A message says what is wrong, where, what was expected, what was found.
Failures of the machine (a missing file, a full disk) are `OSError`; wrong use by a program is `ValueError`.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ChecksumMismatch",
    "CodecError",
    "CorruptStream",
    "Desync",
    "EncodeError",
    "LimitExceeded",
    "ModelError",
    "ModelMismatch",
    "ModelNotFound",
    "NotOurFormat",
    "TargetUnreachable",
    "TruncatedStream",
    "UnsupportedInput",
    "UnsupportedVersion",
]


class CodecError(Exception):
    """Root of the tree; `exit_code` is what the command line returns."""

    exit_code: ClassVar[int] = 1


class NotOurFormat(CodecError):
    """The bytes do not begin with the magic of an Engram file."""

    exit_code = 3


class UnsupportedVersion(CodecError):
    """A version, kind or critical chunk that this version of the codec does not know."""

    exit_code = 3


class CorruptStream(CodecError):
    """The bytes break a rule of SPEC.md."""

    exit_code = 3


class TruncatedStream(CorruptStream):
    """The file ends before its last chunk does."""


class ChecksumMismatch(CorruptStream):
    """A header or chunk does not have the checksum that is written after it."""


class Desync(CorruptStream):
    """The file is whole, but decoding it did not give the pixels that the encoder saw."""


class LimitExceeded(CodecError):
    """A size in the stream is beyond `Limits`; raised before anything of that size is allocated."""

    exit_code = 4


class ModelError(CodecError):
    """A model file breaks a rule: of SPEC.md, of the exactness bound, or of its self-test."""

    exit_code = 5


class ModelNotFound(ModelError):
    """No model of that name, path or id."""


class ModelMismatch(ModelError):
    """The stream names another model than the one that was given."""


class EncodeError(CodecError):
    """The input cannot be encoded, or the output cannot be written, as asked."""


class UnsupportedInput(EncodeError):
    """An input of a kind that the codec does not take; the message says what to do."""


class TargetUnreachable(EncodeError):
    """No quality of this model reaches the rate or the PSNR that is asked for."""
