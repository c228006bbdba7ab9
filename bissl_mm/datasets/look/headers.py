"""Reads the headers of image files, without their pixels."""

import io
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import mmcv
from PIL import Image

#: The EXIF tag of the orientation.
_ORIENTATION = 0x0112
#: What a viewer does for each orientation.
TURNS = {
    2: 'mirrored',
    3: 'turned by 180 degrees',
    4: 'mirrored upside down',
    5: 'mirrored and turned by 90 degrees',
    6: 'turned by 90 degrees',
    7: 'mirrored and turned by 270 degrees',
    8: 'turned by 270 degrees',
}


@dataclass(frozen=True)
class Header:
    """The header of an image file.

    Args:
        size (tuple[int, int]): Width and height of the stored pixels.
        mode (str): Pillow's mode, for example ``'RGB'`` or ``'I;16'``.
        kind (str): Pillow's name of the format, for example ``'JPEG'``.
        coding (str): How Pillow unpacks the pixels, for example ``'L;2'`` for
            pixels of two bits; may be empty.
        orientation (int): EXIF orientation, 1 to 8; 1 is upright.
        error (str): Why the header cannot be read; empty if it can.
    """

    size: tuple[int, int] = (0, 0)
    mode: str = ''
    kind: str = ''
    coding: str = ''
    orientation: int = 1
    error: str = ''

    def decoded_size(
        self, flag: str = 'color', backend: str | None = None
    ) -> tuple[int, int]:
        """Width and height after mmcv's decoder.

        Args:
            flag (str): ``color_type`` of the loading transform.
            backend (str, optional): Its ``imdecode_backend``.
        """
        if self.orientation >= 5 and _swaps_size(self.kind, flag, backend):
            return self.size[1], self.size[0]
        return self.size

    def is_turned(self, flag: str = 'color', backend: str | None = None) -> bool:
        """Whether mmcv's decoder turns the stored pixels."""
        return self.orientation > 1 and _turns(self.kind, flag, backend)


@lru_cache(maxsize=1 << 16)
def read_header(path: str) -> Header:
    """The header of a local image file; never raises."""
    try:
        with Image.open(path) as image:
            return Header(
                image.size,
                image.mode,
                image.format or '',
                _coding(image),
                _orientation(image),
            )
    except Exception as error:
        # A decoder may raise any error on damaged bytes.
        return Header(error=f'{type(error).__name__}: {error}')


def is_cut_off(path: str) -> bool:
    """Whether a local file ends before its image does.

    For a PNG only the end of the file is read. The pixels are read if its last
    chunk is not found, or if the header of the file cannot be read.
    """
    header = read_header(path)
    try:
        if not header.error and header.kind != 'PNG':
            return False
        with open(path, 'rb') as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - 1024, 0))
            if not header.error and b'IEND' in file.read():
                return False
        with Image.open(path) as image:
            image.load()
        return False
    except Exception:
        # Whatever a decoder raises on damaged bytes.
        return True


def describe(size: tuple[int, int]) -> str:
    """A size as ``'96 x 64'``, width first."""
    return f'{size[0]} x {size[1]}'


def _coding(image: Any) -> str:
    tiles = getattr(image, 'tile', None) or [('', (), 0, '')]
    args = tiles[0][3]
    coding = args[0] if isinstance(args, tuple) and args else args
    return coding if isinstance(coding, str) else ''


def _orientation(image: Any) -> int:
    # If a PNG's header has no EXIF data, Pillow reads all pixels to find them.
    if image.format == 'PNG' and 'exif' not in image.info:
        return 1
    try:
        orientation = int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1
    return orientation if orientation in TURNS else 1


@cache
def _trial(kind: str, flag: str, backend: str | None) -> tuple[bool, bool]:
    """Whether the decoder turns this format, and whether the header's size is.

    Libraries differ, so a small file is written and read.
    """
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    file = io.BytesIO()
    try:
        Image.new('RGB', (16, 8)).save(
            file, 'JPEG' if kind == 'MPO' else kind, exif=exif
        )
        with Image.open(io.BytesIO(file.getvalue())) as image:
            header_turned = image.size == (8, 16)
        decoded = mmcv.imfrombytes(file.getvalue(), flag=flag, backend=backend)
    except Exception:
        # The format cannot be written, or it has no EXIF data.
        return False, False
    return decoded.shape[:2] == (16, 8), header_turned


def _turns(kind: str, flag: str, backend: str | None) -> bool:
    return _trial(kind, flag, backend)[0]


def _swaps_size(kind: str, flag: str, backend: str | None) -> bool:
    turned, header_turned = _trial(kind, flag, backend)
    return turned != header_turned
