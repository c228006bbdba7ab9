"""The splits of the data as their loaders will see them.

A part is one split: pretext, train, val or test.
"""

import copy
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mmengine.config import Config

from ...config.explain import explained
from ...registry import DATASETS
from ...utils.errors import ImportRefusal, Refusal, ValueRefusal

#: Keys under which a config has the loader of each split.
PLACES = dict(
    pretext='train_cfg.pretext_dataloader',
    train='train_dataloader',
    val='val_dataloader',
    test='test_dataloader',
)
#: Number of samples per split whose file headers are read; a seeded choice if
#: there are more.
MAX_HEADERS = 20000
#: Number of samples per split whose pixels are read.
MAX_PIXELS = 64
#: Wrappers that repeat samples of a dataset.
_REPEATING = ('RepeatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset')


@dataclass
class PartLook:
    """One split: its config, its dataset and the findings.

    Args:
        name (str): ``'pretext'``, ``'train'``, ``'val'`` or ``'test'``.
        loader (dict): The dataloader's config.
        everything (bool): Whether to check all samples instead of a seeded
            choice.
    """

    name: str
    loader: dict
    everything: bool = False
    #: Title -> number in the table, for example ``{'images': 24}``.
    facts: dict[str, Any] = field(default_factory=dict)
    #: Class name -> counts by title, for example ``{'boxes': 31}``.
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    #: Lines about what libraries will leave out, with the reasons.
    left_out: list[str] = field(default_factory=list)
    #: The built dataset; None before :meth:`build`.
    dataset: Any = None

    @property
    def key(self) -> str:
        """The dotted key of the dataset in the config."""
        return f'{PLACES[self.name]}.dataset'

    @property
    def cfg(self) -> dict:
        """The dataset's config."""
        return self.loader['dataset']

    def leaf_cfgs(self) -> Iterator[tuple[str, dict]]:
        """Dotted keys and configs of the datasets that read files.

        These are the ones inside wrappers such as ``ConcatDataset``.
        """
        return _leaves(self.cfg, self.key)

    def build(self) -> None:
        """Build the dataset as its loader will.

        Raises:
            ValueError: With the library's message, if it cannot be built.
        """
        try:
            # Some components remove keys from the settings they get.
            dataset = (
                DATASETS.build(copy.deepcopy(self.cfg))
                if isinstance(self.cfg, dict)
                else self.cfg
            )
            if hasattr(dataset, 'keep_nothing'):
                # Damaged files are reported one by one.
                dataset.keep_nothing()
            if hasattr(dataset, 'full_init'):
                dataset.full_init()
        except Refusal:
            raise
        except Exception as error:
            raise _cannot_read(self, error) from error
        self.dataset = dataset

    def leaves(self) -> list[Any]:
        """The datasets inside wrappers that repeat or join them."""
        return list(_built_leaves(self.dataset))

    @property
    def classes_declared(self) -> list[str]:
        """Names of the classes in the order of their numbers; may be empty."""
        meta = getattr(self.dataset, 'metainfo', None) or {}
        return [str(name) for name in meta.get('classes') or ()]

    @cached_property
    def whole(self) -> Any:
        """The dataset without wrappers that only repeat samples."""
        dataset = self.dataset
        while type(dataset).__name__ in _REPEATING or (
            hasattr(dataset, 'dataset') and not hasattr(dataset, 'get_data_info')
        ):
            dataset = dataset.dataset
        return dataset

    @cached_property
    def indices(self) -> list[int]:
        """The samples of ``whole`` that are checked.

        These are all samples, or a seeded choice of ``MAX_HEADERS``.
        """
        number = len(self.whole)
        if self.everything or number <= MAX_HEADERS:
            return list(range(number))
        return sorted(random.Random(0).sample(range(number), MAX_HEADERS))

    @cached_property
    def infos(self) -> list[dict]:
        """Raw information about the samples in ``indices``.

        It comes from ``get_data_info`` and is empty if the dataset has none.
        """
        if not hasattr(self.whole, 'get_data_info'):
            return []
        return [self.whole.get_data_info(i) for i in self.indices]

    @cached_property
    def sampled(self) -> list[int]:
        """Positions in ``infos`` of the samples whose pixels are read.

        These are all samples, or a seeded choice of ``MAX_PIXELS``.
        """
        number = len(self.infos)
        if self.everything or number <= MAX_PIXELS:
            return list(range(number))
        return sorted(random.Random(1).sample(range(number), MAX_PIXELS))

    def transforms(self, ending: str = '') -> list[dict]:
        """Configs of the pipelines' transforms whose type ends in ``ending``.

        Datasets inside wrappers are included.
        """
        found = []
        for cfg in [self.cfg, *(leaf for _, leaf in self.leaf_cfgs())]:
            if isinstance(cfg, dict):
                found += [
                    t
                    for t in cfg.get('pipeline') or ()
                    if isinstance(t, dict) and type_name(t).endswith(ending)
                ]
        return found


def _cannot_read(part: PartLook, error: Exception) -> Refusal:
    """The error for a dataset that cannot be built."""
    if isinstance(error, ImportError):
        # For example ftfy, which mmseg imports and does not ask for.
        return ImportRefusal(
            f'{part.key}: {type_name(part.cfg)} cannot be imported '
            f'({type(error).__name__}: {error}). Install what is missing.'
        )
    return explained(error) or ValueRefusal(
        f'{part.key}: {type_name(part.cfg)} cannot read its data '
        f'({type(error).__name__}: {error}). Correct the files or the '
        'settings of this data set.'
    )


def parts_of(
    cfg: Config, names: Iterable[str], everything: bool = False
) -> dict[str, PartLook]:
    """The splits that a config has; their datasets are not built yet."""
    found = {}
    for name in names:
        loader: Any = cfg
        for key in PLACES[name].split('.'):
            loader = (loader or {}).get(key)
        if loader and loader.get('dataset') is not None:
            found[name] = PartLook(name, loader, everything)
    return found


def type_name(cfg: Any) -> str:
    """Name of a component's class; new-style configs have the class itself."""
    kind = cfg.get('type') if isinstance(cfg, dict) else type(cfg)
    return getattr(kind, '__name__', str(kind).rpartition('.')[2])


def head_classes(cfg: Config) -> int | None:
    """Number of classes of a classifier's head; None if it has none."""
    model = cfg.get('model') or {}
    head = (model.get('downstream') or model).get('head') or {}
    number = head.get('num_classes') if isinstance(head, dict) else None
    return number if isinstance(number, int) else None


def _leaves(cfg: Any, key: str) -> Iterator[tuple[str, dict]]:
    if not isinstance(cfg, dict):
        return
    inner = (
        [(f'{key}.dataset', cfg['dataset'])]
        if 'dataset' in cfg
        else [
            (f'{key}.datasets.{i}', each)
            for i, each in enumerate(cfg.get('datasets') or ())
        ]
    )
    if not inner:
        yield key, cfg
    for inner_key, inner_cfg in inner:
        if '_scope_' in cfg and isinstance(inner_cfg, dict):
            # mmengine's registry passes the scope on in the same way.
            inner_cfg = {'_scope_': cfg['_scope_'], **inner_cfg}
        yield from _leaves(inner_cfg, inner_key)


def _built_leaves(dataset: Any) -> Iterator[Any]:
    if hasattr(dataset, 'datasets'):
        for inner in dataset.datasets:
            yield from _built_leaves(inner)
    elif hasattr(dataset, 'dataset'):
        yield from _built_leaves(dataset.dataset)
    else:
        yield dataset
