"""Error classes that tell a user's mistake from a bug.

A refusal answers a setting, a file or a run that cannot work. Its message is
all that the user needs. Any other exception is a bug, and its traceback is
needed, too. Each class also derives from the built-in error of its name, so
``except ValueError`` catches a :class:`ValueRefusal`.

Imports the standard library only, because ``hypergradient/`` uses it, too.
"""

import re


class Refusal(Exception):
    """Base class of all errors that the package raises on purpose.

    The message says what is wrong, where, with which value, and what to type.
    """


class ValueRefusal(Refusal, ValueError):
    """A value that cannot work."""


class TypeRefusal(Refusal, TypeError):
    """A setting of the wrong kind, or an unknown setting."""


class KeyRefusal(Refusal, KeyError):
    """A name under which nothing is registered."""

    # A KeyError would show its message in quotes.
    __str__ = Exception.__str__


class RuntimeRefusal(Refusal, RuntimeError):
    """A call at a wrong time or in a wrong way."""


class ImportRefusal(Refusal, ImportError):
    """A library that is missing or too old."""


class FloatingPointRefusal(Refusal, FloatingPointError):
    """A number that is not finite, so the run cannot continue."""


class OSRefusal(Refusal, OSError):
    """A file that cannot be read or written."""


class FileNotFoundRefusal(Refusal, FileNotFoundError):
    """A file or folder that does not exist."""


def refusal_in(error: BaseException) -> Refusal | None:
    """The refusal behind an error: the error itself, or its cause.

    Args:
        error (BaseException): The error that was caught. A library may raise
            its own error ``from`` a refusal.

    Returns:
        Refusal, optional: None for a bug. An error that occurs while a
        refusal is handled (its ``__context__``) counts as a bug.
    """
    seen, caught = set(), error
    while caught is not None and id(caught) not in seen:
        if isinstance(caught, Refusal):
            return caught
        seen.add(id(caught))
        caught = caught.__cause__
    return None


#: What torch's loader puts before a message from a worker process.
_FROM_WORKER = re.compile(
    r'^Caught \w+ in .*\nOriginal Traceback.*\n[\w.]+Refusal: ', re.DOTALL
)


def refusal_text(refusal: Refusal) -> str:
    """The message of a refusal as it was raised.

    Args:
        refusal (Refusal): The refusal. If it comes from a worker process,
            torch's loader has put that process's traceback before it.

    Returns:
        str: The message alone.
    """
    return _FROM_WORKER.sub('', str(refusal)).rstrip('\n')
