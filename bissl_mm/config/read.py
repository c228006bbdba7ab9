"""Reads a config from a file and options."""

import os
import os.path as osp
import traceback
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from mmengine.config import Config, config

from ..utils.errors import FileNotFoundRefusal, Refusal, ValueRefusal
from .environment import variables_as_data
from .inherited import inherited_notes, system_notes
from .keys import check_keys_of_files, check_option_keys
from .metric_names import check_metric_names
from .optim_settings import check_optim_wrappers
from .options import merge_options
from .paramwise import check_paramwise
from .renamed import new_command
from .tasks import choose_task, task_in_environment
from .text_form import check_text_form, leave_out_functions
from .type_names import check_scopes, remember
from .values import check_values

#: What mmengine raises for a file that is not a config.
_OF_FILES = (SyntaxError, OSError, KeyError, ImportError, ValueError, RuntimeError)


def read_config(
    path: str, options: Mapping[str, Any] | None = None, task: str | None = None
) -> Config:
    """A config, its bases merged and its options put in.

    Values of environment variables are put in as data, see
    :mod:`~bissl_mm.config.environment`. A key that nothing reads is refused,
    see :mod:`~bissl_mm.config.keys`.

    Args:
        path (str): The file.
        options (dict, optional): Settings by their dotted keys.
        task (str, optional): Name of the downstream task, for configs that
            take one; see :mod:`~bissl_mm.config.tasks`. The config says it
            then as ``task``.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: For a scope that no library has.
        TypeError: For a key that nothing reads.
        ValueError: If the file cannot be read, if a value is of the wrong kind or has
            no form as text, or if the value of an environment variable cannot be
            written where the config uses it.
    """
    if not osp.isfile(path):
        raise FileNotFoundRefusal(
            new_command(path)
            or f'Config {path!r} does not exist (working folder {os.getcwd()!r}). '
            'Correct the path.'
        )
    try:
        task = choose_task(path, task)
        with variables_as_data(), task_in_environment(task):
            cfg = Config.fromfile(path)
    except Refusal:
        raise
    except Exception as error:
        place = _line_of_config(error)
        if place is None and not isinstance(error, _OF_FILES):
            raise
        text = str(error.args[0] if isinstance(error, KeyError) else error)
        text = ' '.join(text.split())
        if isinstance(error, RecursionError):
            text = 'does it inherit from itself?'
        raise ValueRefusal(
            f'Config {path!r} cannot be read: {type(error).__name__}: {text}'
            + (f' ({place})' if place else '')
            + '. Correct the file.'
        ) from error
    leave_out_functions(cfg)
    with task_in_environment(task):
        notes = check_keys_of_files(cfg)
    notes += inherited_notes(cfg)
    if task is not None:
        cfg.task = task
    if options:
        check_option_keys(cfg, options)
        notes += merge_options(cfg, options)
    notes += system_notes(cfg)
    check_text_form(cfg)
    check_scopes(cfg)
    check_paramwise(cfg)
    check_optim_wrappers(cfg)
    check_values(cfg)
    check_metric_names(cfg)
    remember(cfg)
    # An attribute of the object, so that nothing takes it for a setting.
    object.__setattr__(cfg, '_bissl_notes', notes)
    return cfg


def _line_of_config(error: Exception) -> str | None:
    """Where an error arose in the code of a config."""
    frames = traceback.extract_tb(error.__traceback__)
    for caller, frame in reversed(list(pairwise(frames))):
        if (
            caller.filename == config.__file__
            and frame.name == '<module>'
            and frame.filename != caller.filename
        ):
            return f'{frame.filename}, line {frame.lineno}'
    return None


def notes_of(cfg: Config) -> list[str]:
    """Lines about what was noticed while a config was read."""
    return list(vars(cfg).get('_bissl_notes', ()))
