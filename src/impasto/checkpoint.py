"""The state of a run on disk, from which it goes on to the last bit, whatever ends it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from impasto.errors import InputError
from impasto.kept_pairs import drop_other_pairs, keep_pairs, read_pairs, write_tensors
from impasto.objective import Evaluation
from impasto.optimize import Step
from impasto.record import Record
from impasto.result import Collected
from impasto.safe_file import opened
from impasto.steps import State

__all__ = ["FORMAT", "Checkpoint", "Outline", "read_checkpoint", "read_outline", "write_checkpoint"]

FORMAT = 3
"""Raised when what an earlier impasto wrote cannot be read any more."""

KEY = "impasto checkpoint"

APART = 1 << 28
"""Bytes of a history above which it would take too long to write all of it every time."""

APART_KEY = "beside"
"""What stands in the file for a history that is in a folder beside it."""


@dataclass(frozen=True)
class Checkpoint:
    """A run that can go on: ``record`` with each choice resolved, ``state`` after a step, what was ``collected`` until
    then, and in ``job``, in JSON's types, what the program that wrote it needs to know besides."""

    record: Record
    state: State
    collected: Collected
    job: Mapping[str, Any]


@dataclass(frozen=True)
class Outline:
    """Evaluations ``done`` of those ``planned``, and the ``output`` that the run is to write."""

    done: int
    planned: int
    output: str


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` in place of the one before, which stays until all of this one is on the disk.

    The file is one of safetensors: tensors by name, and the rest as JSON beside them; nothing in it can be executed. A
    history of ``APART`` bytes or more is in a folder beside it, of which only what is new has to be written.
    Raises OSError if it cannot be written; the one before is then still there. Two may not write to one ``path``
    at once.
    """
    state, tensors = checkpoint.state, _Tensors()
    names, solver = _apart(state.solver)
    about = {
        "format": FORMAT,
        "record": checkpoint.record.model_dump(mode="json"),
        "job": checkpoint.job,
        "done": len(checkpoint.collected.history),
        "history": tensors.named("history", _as_bytes(checkpoint.collected.history)),
        "step": _described(state.step, "step", tensors),
        "best": _described(state.best, "best", tensors),
        "solver": tensors.named("solver", solver),
    }
    try:
        if names:
            keep_pairs(path, names, state.solver["pairs"]["rows"])
        write_tensors(path, tensors.by_name, {KEY: json.dumps(about)})
    except OSError:
        if (before := _names_in(path)) is not None:  # what was written of this one would only take up the disk
            drop_other_pairs(path, before)
        raise
    drop_other_pairs(path, names)


def _names_in(path: Path) -> Collection[str] | None:
    """The pairs that the checkpoint at ``path`` refers to, none if there is none; None if that cannot be told."""
    try:
        return list(_read(path, with_tensors=False)[0]["solver"]["pairs"]["names"]) if path.exists() else ()
    except (OSError, InputError, LookupError, TypeError):
        return None


def _apart(solver: Mapping[str, Any]) -> tuple[Sequence[str], Mapping[str, Any]]:
    """The names of pairs that are to be kept apart, and the state of the solver without them."""
    pairs = solver.get("pairs", {})
    rows = pairs.get("rows")
    if rows is None or rows.nbytes < APART:
        return (), solver
    return pairs["names"], {**solver, "pairs": {**pairs, "rows": APART_KEY}}


def _together(path: Path, about: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of the solver, with the pairs that are kept apart in as much room as it goes on to need."""
    solver: Mapping[str, Any] = about["solver"]
    pairs = solver.get("pairs", {})
    if pairs.get("rows") != APART_KEY:
        return solver
    record = _record(about)
    level = record.plan()[about["step"]["level"]]
    room = min(level.history or record.style.history, level.iterations)
    return {**solver, "pairs": {**pairs, "rows": read_pairs(path, pairs["names"], room)}}


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what ``write_checkpoint`` wrote; raise InputError if that is not what ``path`` is."""
    about, tensors = _read(path)
    try:
        about["solver"] = _together(path, about)
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"The checkpoint '{path}' has lost its history: {error}.") from None
    with _telling_of_damage(path):
        return _checked(about, tensors)


def read_outline(path: Path) -> Outline:
    """Read what can be said of a checkpoint in a line, without its tensors; raise InputError if ``path`` is none."""
    about, _ = _read(path, with_tensors=False)
    with _telling_of_damage(path):
        planned = sum(level.iterations for level in _record(about).levels)
        return Outline(int(about["done"]), planned, about["job"]["output"])


def _read(path: Path, *, with_tensors: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with opened(path) as file:
            about = json.loads((file.metadata() or {}).get(KEY, "null"))
            if not isinstance(about, dict):
                raise ValueError("it is another file of safetensors")
            tensors = {name: file.get_tensor(name) for name in file.keys()} if with_tensors else {}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise InputError(f"'{path}' is no checkpoint of impasto: {error}.") from None
    if about.get("format") != FORMAT:
        raise InputError(f"The checkpoint '{path}' was written by another version of impasto: go on with that one.")
    return about, tensors


@contextmanager
def _telling_of_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"The checkpoint '{path}' is damaged ({type(error).__name__}): it cannot be used.") from None


def _record(about: Mapping[str, Any]) -> Record:
    return Record.model_validate_json(json.dumps(about["record"]))


def _checked(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Checkpoint:
    """What the file says, if it is of one piece."""
    record = _record(about)
    level = record.plan()[about["step"]["level"]]
    step, best = (_restored(about[name], tensors, level.margin) for name in ("step", "best"))
    shape = (1, 3, *level.canvas)
    if not 1 <= step.index <= step.of == level.iterations or step.level < 0:
        raise ValueError("it stands outside of its run")
    if {step.pixels.shape, best.pixels.shape} != {shape} or (
        step.index < step.of and step.evaluation.gradient.shape != shape
    ):
        raise ValueError("pictures of another size")
    history = json.loads(_with_tensors(about["history"], tensors).numpy().tobytes())
    history = [{**entry, "size": tuple(entry["size"])} for entry in history]
    for entry in history:
        if not 0 <= int(entry["level"]) < len(record.levels) or int(entry["tile"]) < 0:
            raise ValueError("a step of no level")
        float(entry["loss"])
    if not isinstance(about["job"], dict):
        raise TypeError("no job")
    solver = _with_tensors(about["solver"], tensors)
    return Checkpoint(record, State(step, best, solver), Collected(history, best), about["job"])


def _as_bytes(history: Sequence[Mapping[str, Any]]) -> Tensor:
    """Its JSON: the text beside the tensors may not become so long."""
    return torch.frombuffer(bytearray(json.dumps(history).encode()), dtype=torch.uint8)


def _described(step: Step, name: str, tensors: _Tensors) -> dict[str, Any]:
    """A step in JSON's types, with names in place of tensors."""
    evaluation = step.evaluation
    return {
        "index": step.index,
        "of": step.of,
        "level": step.level,
        "network": step.network,
        "tile": step.tile,
        "terms": step.terms,
        **tensors.named(name, {"pixels": step.pixels, "loss": evaluation.loss, "gradient": evaluation.gradient}),
    }


def _restored(about: Mapping[str, Any], tensors: Mapping[str, Tensor], margin: int) -> Step:
    pixels, loss, gradient = (_with_tensors(about[name], tensors) for name in ("pixels", "loss", "gradient"))
    terms = {name: torch.tensor(value, dtype=torch.float64) for name, value in about["terms"].items()}
    if not all(isinstance(value, Tensor) for value in (pixels, loss, gradient)) or not isinstance(about["index"], int):
        raise TypeError("a step of other types")
    evaluation = Evaluation(loss, gradient, terms)
    kept = {name: about[name] for name in ("index", "of", "level", "network", "tile")}
    return Step(pixels, evaluation, margin=margin, **kept)


class _Tensors:
    """Tensors by name, each of them once: the best step is often the last one."""

    def __init__(self) -> None:
        self.by_name: dict[str, Tensor] = {}
        self._names: dict[tuple[int, torch.Size], str] = {}

    def named(self, name: str, value: Any) -> Any:
        """``value`` with {"tensor": name} in place of each tensor in it."""
        if isinstance(value, Tensor):
            return {"tensor": self._name(name, value)}
        if isinstance(value, Mapping):
            return {key: self.named(f"{name}.{key}", item) for key, item in value.items()}
        return value

    def _name(self, name: str, tensor: Tensor) -> str:
        place = tensor.data_ptr(), tensor.shape
        if not tensor.numel() or place not in self._names:
            self.by_name[name] = tensor.detach().contiguous()
            self._names[place] = name
            return name
        return self._names[place]


def _with_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"tensor"}:
            return tensors[value["tensor"]]
        return {key: _with_tensors(item, tensors) for key, item in value.items()}
    return value
