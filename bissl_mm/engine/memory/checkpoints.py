"""The checkpoints that a stage starts from."""

from pathlib import Path

from ...models.bissl_model import BiSSLModel
from ...models.weights.pretext_heads import load_pretext_head
from ...models.weights.pretrained import load_pretrained
from ...utils.checkpoint_sources import as_text, is_address


def unread_checkpoints(model: BiSSLModel) -> list[str]:
    """Load the pretrained files that are here, as the stage does, and name the others.

    Nothing is fetched from an address.

    Args:
        model (BiSSLModel): Its pretext model changes.

    Returns:
        list[str]: A sentence for each file that was not read.

    Raises:
        ValueError: If a file does not fit the network, or is damaged.
    """
    notes = []
    for key in ('pretrained', 'pretrained_head'):
        path = getattr(model, key)
        if path is None:
            continue
        if is_address(path) or not Path(as_text(path)).expanduser().is_file():
            reason = 'is an address' if is_address(path) else 'is not there'
            notes.append(
                f'Not read: model.{key}={as_text(path)!r} {reason}, so that it is not '
                'known whether it fits the network.'
            )
        elif key == 'pretrained':
            load_pretrained(model.pretext, path, model.pretrained_names)
        else:
            load_pretext_head(model.pretext, path)
    return notes
