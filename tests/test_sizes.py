"""Files and functions of the package stay short enough to read."""

import ast

import pytest
from conftest import ROOT

#: Lines of a file; lines of a function without its docstring.
FILE, FUNCTION = 300, 50


def lengths(tree: ast.AST) -> dict[str, int]:
    """Lines of each function by name and place, without its docstring."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            told = ast.get_docstring(node) is not None
            docs = first.end_lineno - first.lineno + 1 if told else 0
            length = node.end_lineno - node.lineno + 1 - docs
            found[f'{node.name}, line {node.lineno}'] = length
    return found


@pytest.mark.parametrize('folder', ['bissl_mm', 'tools'])
def test_files_and_functions_are_short(folder):
    long = {}
    for path in sorted((ROOT / folder).rglob('*.py')):
        text, name = path.read_text(), str(path.relative_to(ROOT))
        parts = {name: len(text.splitlines())}
        long.update({k: n for k, n in parts.items() if n > FILE})
        parts = {f'{name}: {k}': n for k, n in lengths(ast.parse(text)).items()}
        long.update({k: n for k, n in parts.items() if n > FUNCTION})
    assert not long
