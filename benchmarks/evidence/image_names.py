"""Images that a line of a list names, in one of several ways."""

from collections import Counter
from pathlib import Path

from layout_words import SUFFIXES
from mask_names import MaskPart


class ImageNames:
    """The images of a part, by all ways in which a line may name them."""

    def __init__(self, whole: MaskPart) -> None:
        self.masked = {n for names in whole.names.values() for n in names}
        self.known = self.masked.union(*whole.without.values())
        self._flat = not any('/' in name for name in self.known)
        bases = Counter(name.rpartition('/')[2] for name in self.known)
        self._by_base = {
            base: name
            for name in self.known
            if bases[base := name.rpartition('/')[2]] == 1
        }
        self._folders = {
            name.lower() for path in (whole.images, whole.masks) for name in path.parts
        }
        suffixes = {*whole.names, *whole.without, whole.mask_suffix}
        ends = {suffix[: -len(Path(suffix).suffix)] for suffix in suffixes} - {''}
        self._cuts = [*sorted(suffixes, key=len, reverse=True), *sorted(ends)]

    def find(self, line: str) -> str | None:
        """The image that a line begins with."""
        for text in dict.fromkeys(
            (line, line.split('\t')[0], line.split(',')[0], line.split()[0])
        ):
            path = text.strip(' "\'').replace('\\', '/')
            for form in self._forms(path):
                name = self._name(form)
                if name:
                    return name
        return None

    def _forms(self, path: str) -> list[str]:
        paths = [path]
        if path.lower().endswith(SUFFIXES):
            paths.append(path[: -len(Path(path).suffix)])
        return paths + [
            each[: -len(cut)]
            for each in paths
            for cut in self._cuts
            if each.endswith(cut)
        ]

    def _name(self, path: str) -> str | None:
        names = [name for name in path.split('/') if name not in ('', '.')]
        for i in range(len(names)):
            rest = '/'.join(names[i:])
            # Only the folder of the images may stand before.
            if rest in self.known and (i == 0 or names[i - 1].lower() in self._folders):
                return rest
        if names and (self._flat or len(names) == 1):
            return self._by_base.get(names[-1])
        return None
