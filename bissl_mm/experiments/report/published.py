"""The papers' numbers, from ``published.yaml``."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ...utils.check import check_known_keys

FILE = Path(__file__).with_name('published.yaml')


@dataclass(frozen=True)
class Published:
    """The numbers of one table.

    Attributes:
        source (str): Which table of which text; '' for none.
        none (str): Why there are no numbers; '' if there are.
        results, top5 (dict): By setting, arm, task and, where something
            varies, value: mean and deviation, percent.
        parameters, features (dict): Cosines times 100, likewise.
        hours (dict): By stage, lowest and highest device hours of a run.
    """

    source: str = ''
    none: str = ''
    results: dict[str, Any] | None = None
    top5: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None
    features: dict[str, Any] | None = None
    hours: dict[str, Any] | None = None

    def of(
        self,
        setting: str,
        arm: str,
        task: str,
        value: Any = None,
        measure: str = 'results',
    ) -> tuple[float, float] | None:
        """Mean and deviation of a cell; None if the paper has none.

        Args:
            setting (str): Its key here; '' for the only one.
            arm (str): Its key here.
            task (str): The downstream task.
            value: Of what varies. Defaults to None.
            measure (str): One of the attributes above. Defaults to
                ``'results'``, the main metric.
        """
        found: Any = getattr(self, measure) or {}
        for key in (setting, arm, task):
            if not isinstance(found, dict):
                return None
            found = found.get(key)
        if isinstance(found, dict):
            found = found.get(str(value))
        return None if found is None else (float(found[0]), float(found[1]))


def published(name: str | None) -> Published:
    """The numbers of a table.

    Args:
        name (str, optional): Its key in the file. None: a study of one's own.

    Raises:
        TypeError: For an unknown name.
    """
    if name is None:
        return Published()
    tables = _tables()
    check_known_keys('report.published', [name], tables)
    return Published(**tables[name])


@cache
def _tables() -> dict[str, dict]:
    return yaml.safe_load(FILE.read_text(encoding='utf-8'))
