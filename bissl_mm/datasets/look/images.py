"""Checks whether the image files of every split can be read and look right."""

import os
import os.path as osp
from collections import Counter
from typing import Any

from ...config import is_type
from .findings import Look
from .headers import Header, read_header
from .parts import PartLook
from .pixels import decoded, pixels_of, tell_dark, tell_depth
from .unread import is_local

#: Formats with known last bytes, by which files that are cut off are found.
_ENDS = dict(JPEG=b'\xff\xd9', PNG=b'IEND\xaeB`\x82')
#: Maximal number of files that are decoded because of their last bytes.
_MAX_DOUBTFUL = 256


def check_images(look: Look) -> None:
    """Report files that cannot be read, and pixels that are probably wrong.

    These are constant, dark or transparent images, and images of more than 8
    bits with a small range of values.
    """
    for part in look:
        loader = _loader(part)
        if loader is None:
            continue
        given = [info.get('img_path') for info in part.infos]
        paths = [path for path in given if is_local(path)]
        if not paths or len(paths) < len(given):
            continue
        bad = _check_files(look, part, paths, loader)
        _check_pixels(
            look,
            part,
            [
                path
                for path in dict.fromkeys(paths[i] for i in part.sampled)
                if path not in bad
            ],
            loader,
        )


def check_orientation(look: Look) -> None:
    """Report images with an EXIF rotation that are loaded in different ways.

    If one split loads them turned and another as they are stored, the two
    levels, or training and evaluation, see them differently.
    """
    turned = {}
    for part in look:
        loader = _loader(part)
        if loader is not None:
            paths = [p for info in part.infos if is_local(p := info.get('img_path'))]
            headers = [h for h in map(read_header, paths) if h.orientation > 1]
            if headers:
                part.facts['with an EXIF rotation'] = len(headers)
                turned[part.name] = (part, any(h.is_turned(*loader) for h in headers))
    if len({turns for _, turns in turned.values()}) > 1:
        texts = [
            f'{"turned" if turns else "as stored"} in {part.key}'
            for part, turns in turned.values()
        ]
        look.warn(
            'Images with an EXIF rotation are loaded '
            f'{", ".join(texts)}. Give LoadImageFromFile the same '
            'color_type and imdecode_backend everywhere.'
        )


def _loader(part: PartLook) -> tuple[str, str] | None:
    """``color_type`` and ``imdecode_backend`` with which images are loaded.

    None if not mmcv's transform loads them from files.
    """
    found = [
        t
        for t in part.transforms('LoadImageFromFile')
        if is_type(t, 'LoadImageFromFile')
    ]
    if not found or any(
        t.get('backend_args') or t.get('file_client_args') for t in found
    ):
        return None
    return (
        found[0].get('color_type', 'color'),
        found[0].get('imdecode_backend', 'cv2'),
    )


def _check_files(
    look: Look, part: PartLook, paths: list[str], loader: tuple[str, str]
) -> set:
    faults: dict = {}
    sizes, modes, doubtful = set(), Counter(), 0
    for path in dict.fromkeys(paths):
        header = read_header(path)
        fault = ''
        if header.error:
            fault = _fault(path, header, loader)
        elif doubtful < _MAX_DOUBTFUL and _is_doubtful(path, header):
            doubtful += 1
            fault = _decode_fault(path, loader)
        if fault:
            faults[path] = fault
        elif not header.error:
            sizes.add(header.size)
            modes[header.mode] += 1
    if sizes:
        part.facts['sizes'] = _range_of(sizes)
        part.facts['modes'] = ', '.join(
            f'{mode} {n}' for mode, n in modes.most_common(4)
        )
    if len(part.infos) < len(part.whole):
        part.facts['headers read of'] = len(part.infos)
    if len(part.sampled) < len(part.infos):
        part.facts['pixels read of'] = len(part.sampled)
    if faults:
        path = next(iter(faults))
        more = f' (and {len(faults) - 1} more)' if len(faults) > 1 else ''
        look.tell_damaged(
            part.key,
            len(faults),
            len(paths),
            f'{part.key}: image {path!r}{more} {faults[path]}. Replace it, '
            'or remove it from the data.',
        )
    return set(faults)


def _fault(path: str, header: Header, loader: tuple[str, str]) -> str:
    if not osp.isfile(path):
        return 'does not exist'
    if not os.access(path, os.R_OK):
        return 'cannot be read, for want of permissions'
    if osp.getsize(path) == 0:
        return 'is empty'
    fault = _decode_fault(path, loader)
    return f'is not a readable image ({header.error})' if fault else ''


def _decode_fault(path: str, loader: tuple[str, str]) -> str:
    if decoded(path, *loader) is None:
        return 'is damaged or cut off: its pixels cannot be decoded'
    return ''


def _is_doubtful(path: str, header: Header) -> bool:
    """Whether the file does not end as its format should."""
    end = _ENDS.get(header.kind)
    if end is None:
        return False
    with open(path, 'rb') as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 64))
        return not file.read().rstrip(b'\0').endswith(end)


def _range_of(sizes: Any) -> str:
    widths, heights = zip(*sizes, strict=True)
    low, high = (min(widths), min(heights)), (max(widths), max(heights))
    text = f'{low[0]} x {low[1]}'
    return text if low == high else f'{text} to {high[0]} x {high[1]}'


def _check_pixels(
    look: Look, part: PartLook, paths: list[str], loader: tuple[str, str]
) -> None:
    found, bad = [], []
    for path in paths:
        image = decoded(path, *loader)
        if image is None:
            bad.append(path)
        else:
            found.append(pixels_of(path, image))
    if bad:
        header = read_header(bad[0])
        more = f' (and {len(bad) - 1} more)' if len(bad) > 1 else ''
        look.tell_damaged(
            part.key,
            len(bad),
            len(paths),
            f'{part.key}: imdecode_backend={loader[1]!r} cannot decode the '
            f'pixels of image {bad[0]!r}{more} of mode {header.mode!r}. '
            f'{_other_mode(header)}',
        )
    tell_depth(look, part, [p for p in found if p.stored], loader[1])
    tell_dark(look, part, [p for p in found if not p.stored])
    constant = [p for p in found if p.low == p.high]
    if constant and not any(p.stored for p in constant):
        first = constant[0]
        look.warn(
            f'{part.key}: {len(constant)} of {len(found)} images whose '
            f'pixels were read have the same value everywhere (first: '
            f'{first.path!r}, value {first.low}). Remove them if they are '
            'damaged.'
        )
    alpha = [p.path for p in found if p.alpha]
    if alpha:
        look.warn(
            f'{part.key}: {len(alpha)} of {len(found)} images whose pixels '
            f'were read have transparent pixels (first: {alpha[0]!r}). '
            'Transparency is dropped, so the model sees whatever colour is '
            'stored there. Save the images on a background.'
        )


def _other_mode(header: Header) -> str:
    if header.mode in ('F', 'I'):
        return 'Save the images with whole numbers of 8 bits per channel.'
    return 'Replace it, or save it in another format.'
