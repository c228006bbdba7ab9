"""Why a run is on the CPU of a machine that has GPUs."""

import os
import shutil
import subprocess

import torch

#: Where NVIDIA's driver lists its GPUs under Linux, one folder each.
FOLDER = '/proc/driver/nvidia/gpus'


def unused_gpus_note(folder: str = FOLDER) -> str | None:
    """A warning that the machine has NVIDIA GPUs and torch sees none of them.

    torch says why in a warning that few see, for example that the driver is too
    old, and the run goes on slowly.

    Args:
        folder (str): Where the driver lists the GPUs. Where this is missing
            (Windows), ``nvidia-smi`` is asked.

    Returns:
        str, optional: One sentence on the cause and one on what to do. None if
        torch sees a GPU, if there is none, or if ``CUDA_VISIBLE_DEVICES`` hides
        them.
    """
    if torch.cuda.is_available():
        return None
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    if visible is not None and not visible.replace('-1', '').strip(', '):
        return None
    number = _count(folder)
    if not number:
        return None
    reason, remedy = _cause()
    return (
        f'This machine has {number} NVIDIA GPU(s), but the run is on the CPU: '
        f'{reason}. {remedy}; or set CUDA_VISIBLE_DEVICES=-1 if the CPU is meant.'
    )


def _count(folder: str) -> int:
    try:
        return len(os.listdir(folder))
    except OSError:
        program = shutil.which('nvidia-smi')
    if program is None:
        return 0
    try:
        found = subprocess.run(
            [program, '-L'], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith('GPU ') for line in found.stdout.splitlines())


def _cause() -> tuple[str, str]:
    """What torch says, and what to do about it."""
    version = torch.__version__
    if torch.version.cuda is None:
        return (
            f'torch {version} was built without CUDA',
            'Install a build of torch with CUDA, see https://pytorch.org',
        )
    try:
        torch.cuda.init()
        said = 'it sees no GPU'
    except (RuntimeError, AssertionError) as error:
        said = str(error).split('. ')[0].splitlines()[0].rstrip('.')
    reason = f'torch {version}, built for CUDA {torch.version.cuda}, says: {said}'
    if 'too old' in said:
        remedy = (
            f'Update the driver to one for CUDA {torch.version.cuda}, or install a '
            "build of torch for the driver's CUDA"
        )
    else:
        remedy = (
            'Ask the batch system or container for a GPU (--gres=gpu:1, --gpus '
            "all), and see that nvidia-smi and CUDA_VISIBLE_DEVICES ('"
            f"{os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}') name one"
        )
    return reason, remedy
