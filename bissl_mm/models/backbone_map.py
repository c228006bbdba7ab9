"""Pair the tensors of the lower backbone with those of the upper one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ..utils.check import check_in, check_keys
from ..utils.errors import TypeRefusal, ValueRefusal

Pair = tuple[str, str]

#: Up to this many names without a partner are listed. Two networks with more differ in
#: whole layers.
_FEW = 6


@dataclass(frozen=True)
class BackbonePairs:
    """Pairs of tensor names in two given models, the lower name first.

    Attributes:
        params (list[tuple[str, str]]): Trained parameter pairs, in the order
            of the lower model.
        fixed_params (list[tuple[str, str]]): Pairs that are not trained.
        buffers (list[tuple[str, str]]): Buffer pairs (running statistics).
    """

    params: list[Pair]
    fixed_params: list[Pair]
    buffers: list[Pair]

    @property
    def all(self) -> list[Pair]:
        """All pairs."""
        return self.params + self.fixed_params + self.buffers


@check_keys
class BackboneMap:
    """Pairs the backbone tensors of a pretext and a downstream model.

    A rule ``(lower, upper)`` says that the module ``lower`` of the pretext
    model and the module ``upper`` of the downstream model have the same tensors
    under the same names. For each name the first rule that fits it applies. The
    default fits classification and segmentation. mmdet's C4 detectors have the
    last stage in the head::

        dict(rules=[('backbone.layer4', 'roi_head.shared_head.layer4'),
                    ('backbone', 'backbone')])

    Args:
        rules (Sequence[tuple[str, str]]): Pairs of module names. Defaults to
            ``[('backbone', 'backbone')]``.
        unmapped_lower (Sequence[str]): Names (or beginnings of names) of
            pretext tensors under a rule that have no upper partner. They belong
            to the pretext head. Defaults to none.
        unmapped_upper (Sequence[str]): The same for the downstream model.
        frozen (str): What to do with pairs of which only one side is trained
            (``requires_grad``). ``'error'`` refuses and names them, ``'train'``
            trains both sides, ``'fix'`` fixes both. Pairs that are fixed on
            both sides stay fixed. Defaults to ``'error'``.

    Raises:
        TypeError: If a list of names is a string.
        ValueError: In :meth:`resolve`, if a tensor has no partner, if its
            partner has another shape, or if ``frozen='error'`` meets a pair of
            which one side is trained.
    """

    def __init__(
        self,
        rules: Sequence[tuple[str, str]] = (('backbone', 'backbone'),),
        unmapped_lower: Sequence[str] = (),
        unmapped_upper: Sequence[str] = (),
        frozen: str = 'error',
    ) -> None:
        for rule in rules:
            if len(rule) != 2 or not all(isinstance(r, str) for r in rule):
                raise ValueRefusal(
                    f'BackboneMap: rule {rule!r} is not a pair of module '
                    "names (pretext, downstream), such as ('backbone', "
                    "'backbone')."
                )
        check_in('BackboneMap', 'frozen', frozen, ('error', 'train', 'fix'))
        self.rules = [
            (lower.rstrip('.') + '.', upper.rstrip('.') + '.') for lower, upper in rules
        ]
        self.unmapped_lower = _names('unmapped_lower', unmapped_lower)
        self.unmapped_upper = _names('unmapped_upper', unmapped_upper)
        self.frozen = frozen
        #: All lower backbone names begin with this.
        self.lower_root = min((lower for lower, _ in self.rules), key=len)
        strangers = [
            lower for lower, _ in self.rules if not lower.startswith(self.lower_root)
        ]
        if strangers:
            raise ValueRefusal(
                f'BackboneMap: the pretext modules {strangers} of the rules '
                f"do not lie within '{self.lower_root[:-1]}'. The rules must "
                'name one backbone and parts of it.'
            )

    def resolve(self, pretext: nn.Module, downstream: nn.Module) -> BackbonePairs:
        """Pair the tensors of two models; see the class for the errors.

        With ``frozen='train'`` or ``'fix'`` this changes ``requires_grad`` of
        pairs of which one side is trained.
        """
        lower_params = dict(pretext.named_parameters())
        upper_params = dict(downstream.named_parameters())
        if not any(map(self._partner, lower_params)):
            raise ValueRefusal(
                f'BackboneMap: no parameter of {type(pretext).__name__} lies '
                f'under {[lower for lower, _ in self.rules]}. Name the '
                "backbone modules in 'rules'."
            )
        params = self._pair('parameters', lower_params, upper_params)
        buffers = self._pair(
            'buffers', dict(pretext.named_buffers()), dict(downstream.named_buffers())
        )
        self._settle_frozen(params, lower_params, upper_params)
        trained = [p for p in params if lower_params[p[0]].requires_grad]
        fixed = [p for p in params if not lower_params[p[0]].requires_grad]
        if not trained:
            raise ValueRefusal(
                f'BackboneMap: all {len(params)} backbone parameters are '
                'frozen (requires_grad=False), so there is nothing to train. '
                'Set frozen_stages=-1 in both backbones.'
            )
        return BackbonePairs(trained, fixed, buffers)

    def _pair(
        self, kind: str, lower: Mapping[str, Tensor], upper: Mapping[str, Tensor]
    ) -> list[Pair]:
        pairs, taken, orphans = [], set(), []
        for name, tensor in lower.items():
            partner = self._partner(name)
            if partner is None or name.startswith(self.unmapped_lower):
                continue
            if partner not in upper:
                orphans.append(name)
                continue
            if upper[partner].shape != tensor.shape:
                raise ValueRefusal(
                    f"BackboneMap: pretext '{name}' has shape "
                    f'{tuple(tensor.shape)}, but its downstream partner '
                    f"'{partner}' has {tuple(upper[partner].shape)}. Give "
                    'both backbones the same depth, width and input '
                    'channels.'
                )
            if partner in taken:
                raise ValueRefusal(
                    f"BackboneMap: downstream '{partner}' is the partner of "
                    f"two pretext tensors, the second being '{name}'. Make "
                    "the 'rules' lead to different names."
                )
            pairs.append((name, partner))
            taken.add(partner)
        strangers = [
            name
            for name in upper
            if name not in taken
            and name.startswith(tuple(u for _, u in self.rules))
            and not name.startswith(self.unmapped_upper)
        ]
        hint = _stem_hint(orphans, strangers)
        _report_orphans(
            kind, 'pretext', 'downstream', orphans, len(lower), 'unmapped_lower', hint
        )
        _report_orphans(
            kind, 'downstream', 'pretext', strangers, len(upper), 'unmapped_upper', hint
        )
        return pairs

    def partner_of(self, name: str) -> str | None:
        """The downstream name for a pretext name of the backbone; None for
        others."""
        return None if name.startswith(self.unmapped_lower) else self._partner(name)

    def _partner(self, name: str):
        for lower, upper in self.rules:
            if name.startswith(lower):
                return upper + name[len(lower) :]
        return None

    def _settle_frozen(
        self,
        pairs: list[Pair],
        lower: Mapping[str, Tensor],
        upper: Mapping[str, Tensor],
    ) -> None:
        mixed = [
            (a, b) for a, b in pairs if lower[a].requires_grad != upper[b].requires_grad
        ]
        if not mixed:
            return
        if self.frozen == 'error':
            trained = lower[mixed[0][0]].requires_grad
            side = 'downstream' if trained else 'pretext'
            # There may be others that are frozen in the other model only.
            names = [p[trained] for p in mixed if lower[p[0]].requires_grad == trained]
            raise ValueRefusal(
                f'BackboneMap: {len(names)} of {len(pairs)} parameters are '
                f'frozen in the {side} model only ({_first(names)}). Set '
                f'frozen_stages=-1 (and trainable norms) in the {side} '
                "backbone, or choose frozen='train' (train both sides) or "
                "frozen='fix' (fix both sides) in backbone_map."
            )
        for a, b in mixed:
            lower[a].requires_grad_(self.frozen == 'train')
            upper[b].requires_grad_(self.frozen == 'train')


def _names(setting: str, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise TypeRefusal(
            f'BackboneMap: {setting} must be a list of names, '
            f'but is the string {names!r}. Write [{names!r}].'
        )
    return tuple(names)


def _first(names: Sequence[str]) -> str:
    """The first names, three at most; a message has their number already."""
    return 'first: ' + ', '.join(f"'{name}'" for name in names[:3])


def _stem_hint(orphans: Sequence[str], strangers: Sequence[str]) -> str:
    """What to do about deep stems; other networks have layers called stem, too."""
    with_stem = [
        any(re.search(r'\bstem\.\d', n) for n in x) for x in (orphans, strangers)
    ]
    if all(with_stem):
        return (
            ' The layers of a deep stem (ResNetV1c) have other names in mmpretrain '
            "than in mmseg and mmdet: use one library's class in both models, for "
            "example type='mmseg.ResNetV1c' in the pretext model, too."
        )
    if any(with_stem):
        return (
            ' A deep stem (ResNetV1c) has no counterpart in ResNet: '
            "use type='ResNet' in both models."
        )
    return ''


def _report_orphans(
    kind: str,
    here: str,
    there: str,
    names: list[str],
    total: int,
    setting: str,
    hint: str,
) -> None:
    if not names:
        return
    few = f' (model.backbone_map=dict({setting}={names}))' if len(names) <= _FEW else ''
    raise ValueRefusal(
        f'BackboneMap: {len(names)} of {total} {here} {kind} have no {there} '
        f'partner ({_first(names)}).{hint} Give both backbones the same '
        f"type and depth, correct 'rules', or list the names in "
        f"'{setting}'{few}."
    )
