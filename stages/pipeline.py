"""Which stages of dvc.yaml DVC would run, asked through its own Python API; none of them runs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import networkx as nx
import typer
from dvc.dependency import ParamsDependency
from dvc.dvcfile import load_file
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.index import Index
from dvc.repo.reproduce import get_active_graph
from dvc.stage import PipelineStage

from amoc.refusal import Refusal

FILE = "dvc.yaml"
CODE = "code"
CACHED = "cached"
SETTINGS = "settings"


Targets = Annotated[
    list[str] | None, typer.Argument(help="Stages or groups of dvc.yaml, such as reports/table5; by default all.")
]


@dataclass(frozen=True)
class Pending:
    """A stage that is not up to date.

    Attributes:
        why: "never ran"; or what is not as dvc.lock has it: command, settings, code, inputs, outputs; "follows": a
            stage before it runs, and may write something else; "cached": its outputs are only put back.
        outputs: its files, below the project's root.
        after: those of the others that it has to wait for.
    """

    name: str
    command: str
    why: tuple[str, ...]
    outputs: tuple[str, ...]
    after: frozenset[str] = frozenset()


def pending(
    targets: Collection[str], profile: str, foreseen: Mapping[Path, str] | None = None, restore: bool = False
) -> list[Pending]:  # fmt: skip
    """The stages that `dvc repro` with these targets would run, those first that others need.

    A stage of which only code changed is taken to write what it wrote before; those that need it are then left out.
    Fingerprints are made for that (README, "What reruns when").

    Args:
        targets: stages or groups of stages of dvc.yaml; none means all.
        profile: in place of params.yaml's.
        foreseen: path below the project's root -> md5 of what a stage is going to write there. What depends on such a
            file is judged by that, not by the file on the disk.
        restore: whether to list, as "cached", also the stages that will not run because DVC has their outputs in its
            cache, and only puts them back.

    Raises:
        Refusal: this is no project of DVC's, dvc.yaml or dvc.lock cannot be read, it has no such stage, or none that
            makes what another one needs.
    """
    try:
        with Repo() as repo:
            file = load_file(repo, str(Path(repo.root_dir, FILE)))
            file.resolver.context["profile"] = profile  # what the groups' first axis is made of
            stages: list[PipelineStage] = list(file.stages.values())
            # edges lead from a stage to what it needs, and from a frozen one nowhere
            graph = get_active_graph(Index(repo, stages=stages).graph)
            wanted = _wanted(stages, targets)
            needed = wanted.union(*(nx.descendants(graph, stage) for stage in wanted))
            place = {stage: number for number, stage in enumerate(stages)}
            order = nx.lexicographical_topological_sort(graph.subgraph(needed).reverse(), key=place.__getitem__)
            root = Path(repo.root_dir)
            files = {str(root / path): md5 for path, md5 in (foreseen or {}).items()}
            return _stale(list(order), graph, root, files, restore)
    except DvcException as error:
        raise Refusal(f"DVC says: {str(error).partition(chr(10))[0]}") from None


def _wanted(stages: Iterable[PipelineStage], targets: Collection[str]) -> set[PipelineStage]:
    groups: dict[str, set[PipelineStage]] = {}
    for stage in stages:
        groups.setdefault(stage.name.partition("@")[0], set()).add(stage)
    names = groups | {stage.name: {stage} for stage in stages}
    for target in targets:
        if target not in names:
            raise Refusal(f"{FILE} has no stage {target!r}, it has {', '.join(groups)}")
    return set().union(*(names[target] for target in targets or groups))


def _stale(
    order: Iterable[PipelineStage], graph: nx.DiGraph, root: Path, foreseen: Mapping[str, str], restore: bool
) -> list[Pending]:  # fmt: skip
    """Of stages in the order in which they run, those that would; to restore: and those that would be put back."""
    made = {out.fs_path for stage in graph for out in stage.outs}
    # whoever writes such a folder makes none stale that its files, which are known already, do not
    known = {str(folder) for path in foreseen for folder in Path(path).parents}
    found, anew = [], set()  # the stages that will write something else
    for stage in order:
        if stage.frozen:
            continue
        why = _why(stage, made, foreseen)
        if anew.intersection(graph.successors(stage)) and "never ran" not in why:
            why = (*why, "follows")
        if not why and restore and any(out.status() for out in stage.outs):
            why = (CACHED,)
        if why:
            outputs = tuple(Path(out.fs_path).relative_to(root).as_posix() for out in stage.outs)
            after = {before.name for before in nx.descendants(graph, stage)} & {other.name for other in found}
            found.append(Pending(stage.name, stage.cmd, why, outputs, frozenset(after)))
            if why not in ((CODE,), (CACHED,)) and not any(out.fs_path in known for out in stage.outs):
                anew.add(stage)
    return found


def _why(stage: PipelineStage, made: Set[str], foreseen: Mapping[str, str]) -> tuple[str, ...]:
    """What is not as dvc.lock says, of the stage itself."""
    for dependency in stage.deps:
        if not dependency.exists and not _is_made(dependency.fs_path, made):
            raise Refusal(f"{stage.name} needs {dependency}, which is not there, and no stage of {FILE} makes it")
    if not any(out.hash_info for out in stage.outs):
        return ("never ran",)
    changes = ["command"] if stage.changed_stage() else []
    for dependency in stage.deps:
        path = dependency.fs_path
        if path in foreseen:
            changes += [SETTINGS] if foreseen[path] != dependency.hash_info.value else []
        elif not (status := dependency.status()):
            continue
        elif isinstance(dependency, ParamsDependency):
            changes.append(SETTINGS)
        elif not _is_made(path, made):
            changes.append(CODE)
        elif "deleted" not in status.values():  # what is missing, the stage that makes it brings back
            changes.append("inputs")
    # else DVC takes them from its cache, but only where it keeps all of them there: the others it removes first
    kept = stage.already_cached() and all(out.use_cache for out in stage.outs)
    if any(out.status() for out in stage.outs) and not kept:
        changes.append("outputs")
    return tuple(dict.fromkeys(changes))


def _is_made(path: str, made: Set[str]) -> bool:
    return any(path == out or _within(path, out) or _within(out, path) for out in made)


def _within(path: str, folder: str) -> bool:
    """Whether a path lies in a folder: stages make, and depend on, whole folders too."""
    return path.startswith(f"{folder}{os.sep}")
