"""Which of the project's files a module needs: its imports, and theirs."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _file(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def _imported(path: Path, inside_functions: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if inside_functions else tree.body
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def closure(*roots: str, inside_functions: bool = True) -> set[str]:
    """Paths, relative to the project, of the modules named and of all that they import; empty __init__ files left out.

    inside_functions: whether to follow the roots' imports inside functions too (those of the others always are).
    """
    seen: set[Path] = set()
    waiting = [(_file(root), inside_functions) for root in roots]
    while waiting:
        path, deep = waiting.pop()
        if path is None or path in seen:
            continue
        seen.add(path)
        ours = (name for name in _imported(path, deep) if name.split(".")[0] in ("amoc", "stages"))
        waiting += [(_file(name), True) for name in ours]
        packages = [parent / "__init__.py" for parent in path.parents if ROOT in parent.parents]
        waiting += [(package, True) for package in packages]
    return {str(path.relative_to(ROOT)) for path in seen if path.stat().st_size}
