"""A small experiment file over a folder of images, for tests."""

from pathlib import Path

from conftest import ROOT

CONFIGS = ROOT / 'configs'
SETTINGS = dict(
    pretext=str(CONFIGS / 'pretext/simclr_r10_b256-60e_imagefolder-32px.py'),
    bilevel=str(CONFIGS / 'bissl/bissl-simclr_r10_b128-10x4-30t_imagefolder-32px.py'),
    fine_tune=str(CONFIGS / 'fine_tune/r10_32px.py'),
)


def write(folder: Path, **changes) -> str:
    """Write an experiment file.

    Args:
        folder (Path): For the file.
        **changes: Keys in the place of the default ones.

    Returns:
        str: The file.
    """
    values = dict(
        title='a test',
        settings=SETTINGS,
        tasks=['imagefolder-32px'],
        arms=['FT', 'BiSSL+FT'],
        search=dict(settings=3),
        seeds=4,
    )
    values.update(changes)
    path = folder / 'study.py'
    path.write_text('\n'.join(f'{key} = {value!r}' for key, value in values.items()))
    return str(path)
