"""The runs of a cell: search, final fine-tunings, and a look at the features."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from ...analysis.runs.arms import draw_settings
from ...config import is_type
from ...engine.search_space import search_space
from ...utils.errors import ValueRefusal
from ..definition.arms import Arm
from ..definition.experiment import Experiment
from ..queue.node import Node
from .cell import Source, run_key

#: Points of the search and seeds of the preset 'small'.
SMALL = dict(settings=2, seeds=2)
#: Batches of 256 that statistics are fitted to (B.10.1), and those of 'small'.
BATCHES, SMALL_BATCHES = 100, 2
#: Seeds of the fine-tunings after stage u begin at u times this number, so that they
#: differ in head, order and augmentation, too.
PER_STAGE = 100


def search_of(experiment: Experiment, cfg: Config, arm: Arm) -> tuple[dict, int]:
    """The search of an arm and its number of final runs.

    Args:
        experiment (Experiment): Its ``search`` has the last word but for ``arm``.
        cfg (Config): Fine-tuning config, whose task has a search of its own.
        arm (Arm): See :class:`~.arms.Arm`.

    Raises:
        ValueError: If losses shall be weighed of a task that is no classification, or
            if there are fewer final runs than stages.
    """
    space = search_space(cfg)
    if arm.paper_settings is not None:
        space['settings'] = arm.paper_settings
    space.update(experiment.search)
    if space.get('choice') == 'balance' and not is_type(cfg.model, 'ImageClassifier'):
        raise ValueRefusal(
            f"{experiment.name}: search.choice='balance' needs the validation loss, which "
            f'{cfg.model.type} does not give on validation data. Leave the choice out, or '
            'name tasks of classification alone.'
        )
    if arm.settings is not None:
        space['settings'] = arm.settings
    seeds = experiment.seeds or space['seeds']
    if seeds < experiment.stages and experiment.report['kind'] != 'features':
        raise ValueRefusal(
            f'{experiment.name}: seeds is {seeds}, but each arm has {experiment.stages} '
            'stages, and each of them needs a final run. Write seeds = '
            f'{experiment.stages} or more, or fewer stages.'
        )
    if experiment.preset == 'small':
        space['settings'] = min(space['settings'], SMALL['settings'])
        seeds = min(seeds, max(SMALL['seeds'], experiment.stages))
        if space.get('points'):
            space['points'] = space['points'][: SMALL['settings']]
    return space, seeds


class FineTunings:
    """Makes the nodes of fine-tuning of a cell.

    Args:
        config (str): Digest of the merged config.
        spec (dict): What of it a worker needs, and ``start``.
        space (dict): From :func:`search_of`.
        label (dict): Place of the cell.
    """

    def __init__(self, config: str, spec: dict, space: dict, label: dict) -> None:
        self._spec = dict(spec, metric=space['metric'])
        self._space, self._label = space, label
        self._digest = config
        self._weighs_loss = space.get('choice') == 'balance'

    def search(self, sources: Sequence[Source]) -> list[Node]:
        """Each point, on the first stage or on as many as the search asks for."""
        return [
            self._node(
                'search',
                sources[unit],
                unit,
                dict(point, **self._seed(unit, 0) if unit else {}),
                dict(setting=point, seed=PER_STAGE * unit, search=[]),
                (),
                dict(loss=True) if self._weighs_loss else {},
            )
            for point in points_of(self._space)
            for unit in range(self._space.get('stages', 1))
        ]

    def final(
        self,
        sources: Sequence[Source],
        seeds: int,
        search: Sequence[Node],
        keep: bool = False,
    ) -> list[Node]:
        """The final runs, divided among the stages in order.

        Args:
            sources (Sequence[Source]): The stages.
            seeds (int): Number of runs.
            search (Sequence[Node]): What they choose from.
            keep (bool): Whether they write their backbones. Defaults to False.
        """
        keys = tuple(node.key for node in search)
        extra: dict[str, Any] = dict(keep=True) if keep else {}
        if self._weighs_loss:
            extra['loss_margin'] = self._space['loss_margin']
        units = [i * len(sources) // seeds for i in range(seeds)]
        found = []
        for i, unit in enumerate(units):
            own = self._seed(unit, 1 + i - units.index(unit))
            given = dict(setting=None, search=list(keys), **own)
            found.append(
                self._node('seed', sources[unit], unit, own, given, keys, extra)
            )
        return found

    def _seed(self, unit: int, number: int) -> dict[str, int]:
        return dict(seed=PER_STAGE * unit + number)

    def _node(
        self,
        kind: str,
        source: Source,
        unit: int,
        own: dict,
        given: dict,
        search: tuple[str, ...],
        extra: dict,
    ) -> Node:
        spec = self._spec
        key = run_key(
            kind,
            self._digest,
            spec['metric'],
            spec['start'],
            source.identity(),
            search,
            # What is not asked for does not count.
            {**own, **extra},
        )
        spec = dict(
            spec, source=source.key, file=source.file, unit=unit, **given, **extra
        )
        return Node(key, kind, {**self._label, **own}, (*search, *source.parents), spec)


def points_of(space: Mapping[str, Any]) -> list[dict]:
    """Learning rates and weight decays of the search; the same for all arms."""
    if space.get('points'):
        return [dict(lr=lr, weight_decay=decay) for lr, decay in space['points']]
    drawn = draw_settings(
        space['settings'], space['lr'], space['weight_decay'], 0, space['grid']
    )
    return [dict(lr=point.lr, weight_decay=point.weight_decay) for point in drawn]


def features_node(
    config: str, spec: dict, source: Source, final: Sequence[Node], label: dict
) -> Node:
    """The run that compares a backbone with what fine-tuning made of it.

    Args:
        config (str): Digest of the merged fine-tuning config.
        spec (dict): What of it a worker needs.
        source (Source): The backbone.
        final (Sequence[Node]): Final runs that keep theirs; none for a look at the
            features alone.
        label (dict): Place of the cell.
    """
    tuned = tuple(node.key for node in final)
    batches = BATCHES if spec['small'] is None else SMALL_BATCHES
    parts = (config, source.identity(), tuned, batches)
    spec = dict(
        spec, source=source.key, file=source.file, tuned=list(tuned), batches=batches
    )
    return Node(
        run_key('features', *parts),
        'features',
        dict(label),
        (*tuned, *source.parents),
        spec,
    )
