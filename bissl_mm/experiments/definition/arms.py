"""The arms of the papers' comparisons, each defined once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...utils.check import check_known_keys, check_mapping, check_positive_int
from ...utils.errors import TypeRefusal, ValueRefusal
from . import patches
from .patches import Patch

#: Where an arm's backbone comes from.
SOURCES = ('pretrained', 'stage', 'pretraining', 'continued', 'random', 'file')


@dataclass(frozen=True)
class Arm:
    """What makes a backbone and how it is fine-tuned.

    Attributes:
        name (str): For the report.
        source (str): ``'pretrained'``: the pretraining that all arms share;
            ``'stage'``: a bilevel stage from it; ``'pretraining'``: a
            pretraining of its own; ``'continued'``: one that starts from the
            shared one; ``'random'``: none; ``'file'``: ``checkpoint``.
        patch (Callable, optional): Changes the config of that source.
        start (str, optional): One of :data:`~.starts.STARTS`.
        settings (int, optional): Points of the search, of an experiment file.
        paper_settings (int, optional): Those of the paper (B.9, arXiv:2410.02387),
            where a file gives none.
        stage, pretext, fine_tune (dict): Options by dotted key, of an
            experiment file.
        checkpoint (str, optional): A backbone file.
        published (str): Key of its numbers in ``published.yaml``.
        tasks (Sequence[str], optional): Some of the experiment's. None: all.
    """

    name: str
    source: str
    patch: Patch | None = None
    start: str | None = None
    settings: int | None = None
    paper_settings: int | None = None
    stage: Mapping[str, Any] = field(default_factory=dict)
    pretext: Mapping[str, Any] = field(default_factory=dict)
    fine_tune: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    published: str = ''
    tasks: Sequence[str] | None = None

    @property
    def patched(self) -> str | None:
        """The name in :data:`ARMS` of an arm with the same patch."""
        if self.patch is None:
            return None
        return next(name for name, arm in ARMS.items() if arm.patch is self.patch)


_ARMS = (
    Arm('FT', 'pretrained', published='ft'),
    Arm('BiSSL+FT', 'stage', published='bissl_ft'),
    Arm('Training twice', 'stage', patches.training_twice),
    Arm('Random initialization', 'random', paper_settings=25, published='random_init'),
    Arm(
        'Linear probing',
        'pretrained',
        start='linear_probing',
        paper_settings=25,
        published='linear_probe',
    ),
    Arm(
        'Zero head',
        'pretrained',
        start='zero_head',
        paper_settings=25,
        published='zero_head_init',
    ),
    Arm(
        'NoisyTune',
        'pretrained',
        start='noisy_tune',
        paper_settings=50,
        published='noisytune',
    ),
    Arm(
        'Data mix',
        'continued',
        patches.data_mix,
        paper_settings=25,
        published='pretraining_on_data_mix',
    ),
    Arm(
        'Weighted sum',
        'stage',
        patches.weighted_sum,
        paper_settings=50,
        published='pretext_downstream_sum',
    ),
    Arm(
        'IJ discarded',
        'stage',
        patches.ij_discarded,
        paper_settings=50,
        published='ij_discarded',
    ),
    Arm('Further pretraining', 'stage', patches.further_pretraining),
    Arm(
        'Longer pretraining',
        'pretraining',
        patches.longer_pretraining,
        published='longer',
    ),
)
#: By name.
ARMS: dict[str, Arm] = {arm.name: arm for arm in _ARMS}
_OWN_KEYS = (
    'like',
    'checkpoint',
    'stage',
    'pretext',
    'fine_tune',
    'settings',
    'published',
    'tasks',
)


def read_arms(given: Any, where: str) -> list[Arm]:
    """The arms of an experiment file.

    Args:
        given (list or dict): Names of :data:`ARMS`, or a dict: name -> dict with
            ``like`` (name of an arm to start from), ``checkpoint`` (a backbone
            file), options for the configs by dotted key (``stage``,
            ``pretext``, ``fine_tune``), ``settings`` (points of the search),
            ``published`` (key of its numbers), and ``tasks`` (some of the
            experiment's).
        where (str): The file, for messages.

    Raises:
        TypeError: For an unknown arm or key, or options that are no dict.
        ValueError: For no arm, a number of points below 1, an arm that has neither
            ``like`` nor a checkpoint, or one that has options for a config that none of
            its runs has.
    """
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Mapping):
        given = {name: dict(like=name) for name in _names(given, where)}
    arms = [_own_arm(name, own, where) for name, own in given.items()]
    if not arms:
        raise ValueRefusal(
            f"{where}: arms is empty. Name some, for example ['FT', 'BiSSL+FT']."
        )
    return arms


def _names(given: Any, where: str) -> list[str]:
    if not isinstance(given, (list, tuple)) or not all(
        isinstance(name, str) for name in given
    ):
        raise TypeRefusal(
            f'{where}: arms must be a list of names or a dict, but is {given!r}. '
            f'Names: {", ".join(ARMS)}.'
        )
    return list(given)


def _own_arm(name: str, own: Any, where: str) -> Arm:
    place = f'{where}: arms[{name!r}]'
    own = check_mapping(place, own, _OWN_KEYS)
    own = {key: value for key, value in own.items() if value is not None}
    if 'settings' in own:
        check_positive_int(place, 'settings', own['settings'])
    for level in ('stage', 'pretext', 'fine_tune'):
        if not isinstance(own.get(level, {}), Mapping):
            raise TypeRefusal(
                f'{place}: {level} must be a dict of options, but is {own[level]!r}. '
                "Write {'optim_wrapper.regularizer.weight': 1.0} with your own keys."
            )
    like = own.pop('like', None)
    if like is None and own.get('checkpoint') is None:
        if name not in ARMS:
            raise ValueRefusal(
                f'{place} has no checkpoint and is like no other arm. Write '
                'checkpoint=FILE, or like=NAME with one of ' + ', '.join(ARMS) + '.'
            )
        like = name
    if like is None:
        arm = Arm(name, 'file', **own)
    else:
        check_known_keys(f'{where}: arms', [like], ARMS)
        if own.get('checkpoint') is not None:
            # Fine-tuned in that arm's way, from this file.
            own.update(source='file', patch=None)
        arm = replace(ARMS[like], name=name, **own)
    _check_read(place, arm)
    return arm


def _check_read(place: str, arm: Arm) -> None:
    """Refuse options for a config that none of the arm's runs has."""
    unread = dict(random=('stage', 'pretext'), file=('stage', 'pretext'))
    for level in unread.get(arm.source, ('stage',) * (arm.source != 'stage')):
        if getattr(arm, level):
            what = 'bilevel stage' if level == 'stage' else 'pretraining'
            raise ValueRefusal(
                f'{place}: {level} has no effect, because the arm has no {what}. Leave '
                f"it out, or write like='BiSSL+FT' and no checkpoint."
            )
