"""What the package refuses, told apart from its bugs.

A refusal is the answer to a setting, a file or a run that cannot work: its
message is all that the user needs. Any other exception is a bug, of which
the traceback is needed too. Each class is also the built-in one of its name,
so ``except ValueError`` holds for a :class:`ValueRefusal`.

Standard library only: the hypergradient core uses them too.
"""

import re


class Refusal(Exception):
    """Base of everything that the package refuses on purpose.

    The message says what, where, the value and what to type.
    """


class ValueRefusal(Refusal, ValueError):
    """A value that cannot work."""


class TypeRefusal(Refusal, TypeError):
    """A setting of another kind than is needed, or one that is unknown."""


class KeyRefusal(Refusal, KeyError):
    """A name that nothing is registered under."""

    # A KeyError shows the representation of its message, with quotes.
    __str__ = Exception.__str__


class RuntimeRefusal(Refusal, RuntimeError):
    """A call at a time or in a way that cannot work."""


class ImportRefusal(Refusal, ImportError):
    """A library that is missing or too old."""


class FloatingPointRefusal(Refusal, FloatingPointError):
    """A number that is not finite: nothing can go on from it."""


class OSRefusal(Refusal, OSError):
    """A file that cannot be read or written."""


class FileNotFoundRefusal(Refusal, FileNotFoundError):
    """A file or folder that does not exist."""


def refusal_in(error: BaseException) -> Refusal | None:
    """The refusal that an error is, or that it was raised from.

    Args:
        error (BaseException): What was caught. Libraries may raise an error
            of their own ``from`` a refusal.

    Returns:
        Refusal, optional: None for a bug. An error that occurs while a
        refusal is handled (its ``__context__``) is a bug.
    """
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Refusal):
            return error
        seen.add(id(error))
        error = error.__cause__
    return None


#: What torch's loader puts before one from a worker process.
_FROM_WORKER = re.compile(
    r'^Caught \w+ in .*\nOriginal Traceback.*\n[\w.]+Refusal: ', re.DOTALL
)


def refusal_text(refusal: Refusal) -> str:
    """The message of a refusal as it was raised.

    Args:
        refusal (Refusal): Perhaps raised again by torch's loader, which puts
            the traceback of its worker process before it.

    Returns:
        str: The message alone.
    """
    return _FROM_WORKER.sub('', str(refusal)).rstrip('\n')
