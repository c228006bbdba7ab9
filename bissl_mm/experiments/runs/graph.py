"""From an experiment to the graph of its runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmengine.config import Config

from ..definition.arms import Arm
from ..definition.experiment import Experiment, Setting
from ..definition.tasks import Task
from ..queue.node import KINDS, Graph, Node, digest
from .cell import Cell, Source, run_key
from .fine_tunings import FineTunings, features_node, search_of
from .own_config import config_digest, data_left_out, read_own
from .small import is_c4


class Builder:
    """Makes the nodes of an experiment.

    Args:
        experiment (Experiment): Checked.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.nodes: list[Node] = []
        self.cells: list[Cell] = []
        self._configs: dict[str, Config] = {}
        with data_left_out() as folder:
            self._folder = folder
            for setting in experiment.settings:
                self._shallow = self._needs_shallow(setting)
                for task in experiment.tasks:
                    for arm in experiment.arms:
                        if arm.tasks is None or task.name in arm.tasks:
                            self._vary(setting, task, arm)

    def graph(self) -> Graph:
        """All nodes."""
        return Graph(sorted(self.nodes, key=_order))

    def _vary(self, setting: Setting, task: Task, arm: Arm) -> None:
        vary = self.experiment.vary
        is_constant = vary.arms is not None and arm.name not in vary.arms
        for value, given in zip(vary.values, vary.options, strict=True):
            options: Mapping = {} if is_constant else given
            own = replace(
                arm,
                **{
                    level: {**getattr(arm, level), **options.get(level, {})}
                    for level in ('stage', 'pretext', 'fine_tune')
                },
            )
            label = dict(setting=setting.name, task=task.name, arm=arm.name)
            if value is not None:
                label[vary.name] = value
            self._cell(setting, task, own, value, label)

    def _cell(
        self, setting: Setting, task: Task, arm: Arm, value: Any, label: dict
    ) -> None:
        spec = task.of_fine_tuning(setting, arm.fine_tune)
        spec.update(small=self._small())
        cfg = self.config(spec)
        space, seeds = search_of(self.experiment, cfg, arm)
        sources = [
            self._backbone(setting, task, arm, i, label)
            for i in range(self.experiment.stages)
        ]
        config = config_digest(cfg, self._folder)
        kind = self.experiment.report['kind']
        search: list[Node] = []
        final: list[Node] = []
        if kind != 'features':
            tuning = FineTunings(config, dict(spec, start=arm.start), space, label)
            search = tuning.search(sources)
            final = tuning.final(sources, seeds, search, keep=kind == 'alignment')
        shown, first = None, []
        if kind in ('alignment', 'features'):
            # Of several stages the first; theirs are other backbones.
            first = [n for n in final if n.spec['unit'] == 0]
            shown = features_node(config, spec, sources[0], first, label)
        self.nodes += [*search, *final, *([] if shown is None else [shown])]
        self.cells.append(
            Cell(
                setting.name,
                task.name,
                arm.name,
                value,
                space['metric'],
                tuple(node.key for node in search),
                tuple(node.key for node in final),
                shown and shown.key,
                len(first),
            )
        )

    def _backbone(
        self, setting: Setting, task: Task, arm: Arm, unit: int, label: dict
    ) -> Source:
        """The backbone of an arm, from a run of its own where it has one."""
        if arm.source == 'file':
            return Source(file=arm.checkpoint)
        if arm.source == 'random':
            return Source()
        if arm.source == 'pretraining':
            return self._pretraining(setting, task, arm, label)
        start = self._pretraining(setting, task, None, label)
        if arm.source == 'pretrained':
            # Options for pretraining belong to the arm that has them.
            return (
                self._pretraining(setting, task, arm, label) if arm.pretext else start
            )
        if arm.source == 'continued':
            return self._pretraining(setting, task, arm, label, start)
        if arm.pretext:
            start = self._pretraining(
                setting, task, replace(arm, patch=None, source='pretrained'), label
            )
        spec = dict(
            **task.of_stage(setting, arm.stage),
            small=self._small(),
            patch=arm.patched,
            source=start.key,
            file=start.file,
            head=start.head,
            seed=unit,
            processes=self._processes('stage'),
        )
        return self._training('stage', spec, setting, task, start, label)

    def _pretraining(
        self,
        setting: Setting,
        task: Task,
        arm: Arm | None,
        label: dict,
        start: Source | None = None,
    ) -> Source:
        """The shared pretraining (no arm), or one of an arm's own."""
        if arm is None and setting.pretrained is not None:
            return Source(file=setting.pretrained, head=setting.head)
        assert setting.pretext is not None
        own = {} if arm is None else arm.pretext
        patched = arm is not None and arm.patch and arm.source != 'stage'
        spec = dict(
            config=setting.pretext,
            task=None,
            options={**setting.options.get('pretext', {}), **own},
            small=self._small(),
            patch=arm.patched if arm is not None and patched else None,
            source=start and start.key,
            file=start and start.file,
            head=start and start.head,
            seed=0,
            processes=self._processes('pretrain'),
        )
        label = label if patched or own else dict(setting=setting.name)
        return self._training('pretrain', spec, setting, task, start or Source(), label)

    def _training(
        self,
        kind: str,
        spec: dict,
        setting: Setting,
        task: Task,
        start: Source,
        label: dict,
    ) -> Source:
        """A node of pretraining or of a bilevel stage."""
        if spec['patch']:
            spec['task_config'] = dict(task.of_fine_tuning(setting), small=None)
        cfg = self.config(spec)
        config = config_digest(cfg, self._folder)
        key = run_key(kind, config, start.identity(), spec['seed'])
        label = dict(label, stage=spec['seed']) if spec['seed'] else dict(label)
        return Source(self._add(Node(key, kind, label, start.parents, spec)).key)

    def _add(self, node: Node) -> Node:
        self.nodes.append(node)
        return node

    def config(self, spec: Mapping[str, Any]) -> Config:
        """The config of a run; not to be changed."""
        keys = ('config', 'task', 'options', 'small', 'patch', 'task_config', 'head')
        given = {key: spec.get(key) for key in keys}
        text = digest(given)
        if text not in self._configs:
            self._configs[text] = read_own(given)
        return self._configs[text]

    def _processes(self, kind: str) -> int:
        number = self.experiment.processes.get(kind, 1)
        return 1 if self.experiment.preset == 'small' else number

    def _small(self) -> bool | None:
        """Whether the network becomes shallow, and not narrow; None for neither."""
        return self._shallow if self.experiment.preset == 'small' else None

    def _needs_shallow(self, setting: Setting) -> bool:
        """One task with a C4 detector decides for all networks of a setting."""
        if self.experiment.preset != 'small':
            return False
        return any(
            is_c4(self.config(dict(task.of_fine_tuning(setting), small=None)))
            for task in self.experiment.tasks
        )


def _order(node: Node) -> int:
    # Stages that wait for a long pretraining come after it; within a kind the
    # order of the file is kept.
    return KINDS.index(node.kind)
