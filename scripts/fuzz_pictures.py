"""Damage real pictures in the ways that files get damaged, and see that each is read, or refused with a sentence.

python scripts/fuzz_pictures.py [FOLDER] [--count 2000] [--seed 0] [--jobs 1] [--only NUMBER]

The pictures of FOLDER, or those of the demo, are saved in every format that can be read. Copies are cut short, flipped
bit by bit, given the header of another format, parts too few or too many, and absurd lengths. Each goes through what
a run does with an input, in a process apart, within 5 s and 1 GB, and must leave no file. What is neither read nor
refused by an ImpastoError is a failure, and so is what was refused because of an error that was raised in a line of
impasto's own: it is printed, the file is kept in fuzz_failures, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from operator import itemgetter
from pathlib import Path
from typing import Any

from fuzz_mutations import mutant
from fuzz_seeds import Seed, make_seeds
from PIL import Image

import impasto
from impasto.errors import ImpastoError
from impasto.image.formats import FORMATS

SECONDS = 5.0
BYTES = 1_000_000_000

LARGEST_ENCODED = 300_000
"""Pixels; what is small is written again as well. Above, the time would go into the compression of AVIF."""

FAILURES = Path("fuzz_failures")


@dataclass
class Tally:
    """What came of the mutants, and the most that one of them took, in seconds and bytes, with its number."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, 0)
    largest: tuple[int, int] = (0, 0)

    def __add__(self, other: Tally) -> Tally:
        first = itemgetter(0)  # of equal ones, the one that was there
        slowest, largest = max(self.slowest, other.slowest, key=first), max(self.largest, other.largest, key=first)
        return Tally(self.outcomes + other.outcomes, slowest, largest)


def visit(path: Path, format: str) -> None:
    """Do with a file what a run does with an input: ask for its size, read it, look for settings; write it again."""
    from impasto.image.files import picture_size
    from impasto.image.read import read_picture
    from impasto.image.write import encode
    from impasto.record import read_record

    size = picture_size(path)
    try:
        read_record(path)
    except ImpastoError as error:
        check_message(error, path)
    picture = read_picture(path)
    check(picture.size == size, f"announced {size}, but has {picture.size}")
    check(bool(((picture.pixels >= 0) & (picture.pixels <= 1)).all()), "has values out of range")
    if size[0] * size[1] <= LARGEST_ENCODED and max(size) <= FORMATS[format].longest_side:
        again = read_picture(encode(picture, FORMATS[format]))
        check(again.size == size, f"of {size} became {again.size} as {format}")


def check(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"The picture {what}.")


def check_message(error: ImpastoError, path: Path) -> None:
    text = str(error)
    check(path.name in text and "\n" not in text and text.isprintable() and len(text) < 600, f"was refused by {text!r}")


def work(pipe: Connection, folder: Path) -> None:
    """Visit the files that come through ``pipe``, and answer with the outcome, seconds, and bytes above the start."""
    import torch

    os.chdir(folder)
    tempfile.tempdir = str(folder)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
    Image.new("RGB", (8, 8)).save("first.png")
    visit(Path("first.png"), "avif")
    Path("first.png").unlink()
    before = most_bytes()
    pipe.send("ready")
    while True:
        path, format = pipe.recv()
        began = time.perf_counter()
        outcome = outcome_of(path, format)
        left = sorted(entry.name for entry in folder.iterdir() if entry != path)
        outcome = f"left {left} behind" if left else outcome
        pipe.send((outcome, time.perf_counter() - began, most_bytes() - before))


def outcome_of(path: Path, format: str) -> str:
    """ "read", "refused", or what went wrong."""
    try:
        visit(path, format)
    except ImpastoError as error:
        try:
            check_message(error, path)
        except AssertionError as wrong:
            return str(wrong)
        return own_error(error) or "refused"
    except BaseException:
        return traceback.format_exc()
    return "read"


def own_error(error: ImpastoError) -> str:
    """The traceback of what ``error`` was made of, if a line of impasto raised it and not one of a decoder."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    if isinstance(cause, ImpastoError | ImportError | MemoryError):
        return ""
    frames = traceback.extract_tb(cause.__traceback__)
    is_own = bool(frames) and Path(frames[-1].filename).is_relative_to(Path(impasto.__file__).parent)
    return "".join(traceback.format_exception(cause)) if is_own else ""


def most_bytes() -> int:
    """The most memory that this process has had."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


class Worker:
    """A process that visits files; started again after it crashed, hung or took too much memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: Any = None

    def visit(self, data: bytes, format: str) -> tuple[str, float, int]:
        if self.process is None:
            self.start()
        path = self.folder / "mutant"
        path.write_bytes(data)
        try:
            self.pipe.send((path, format))
            if not self.pipe.poll(SECONDS):
                return self.end(f"took more than {SECONDS:g} s"), SECONDS, 0
            outcome, seconds, memory = self.pipe.recv()
        except (EOFError, OSError):
            return self.end("crashed"), 0.0, 0
        if memory > BYTES:
            outcome = self.end(f"took {memory / 1e6:,.0f} MB")
        return outcome, seconds, memory

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, self.folder), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()

    def end(self, why: str) -> str:
        self.process.kill()
        self.process.join()
        code, self.process = self.process.exitcode, None
        for path in self.folder.iterdir():
            path.unlink()
        return f"{why} (exit code {code})" if why == "crashed" else why


def run_share(seeds: list[Seed], seed: int, numbers: range) -> Tally:
    """Visit the mutants of these numbers, one after the other."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Path(folder).resolve())
        for number in numbers:
            name, data = mutant(seeds, seed, number)
            outcome, seconds, memory = worker.visit(data, list(FORMATS)[number % len(FORMATS)])
            count = Counter([outcome if outcome in ("read", "refused") else "failed"])
            tally += Tally(count, (seconds, number), (memory, number))
            if outcome not in ("read", "refused"):
                tell(number, seed, name, data, outcome)
        if worker.process is not None:
            worker.end("")
    return tally


def tell(number: int, seed: int, name: str, data: bytes, outcome: str) -> None:
    FAILURES.mkdir(exist_ok=True)
    path = FAILURES / f"{seed}-{number}"
    path.write_bytes(data)
    print(f"--seed {seed} --only {number} ({name}), kept as {path}:\n    {outcome.strip()}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    demo = Path(impasto.__file__).parent / "demo"
    parser.add_argument("folder", type=Path, nargs="?", default=demo, help="of pictures (default: the demo's)")
    parser.add_argument("--count", type=int, default=2000, help="how many mutants (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides all mutants (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--only", type=int, help="visit the mutant of this number alone")
    options = parser.parse_args()
    numbers = range(options.count) if options.only is None else range(options.only, options.only + 1)
    seeds, began = make_seeds(options.folder), time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        shares = [numbers[job :: options.jobs] for job in range(options.jobs)]
        tally = sum(pool.map(partial(run_share, seeds, options.seed), shares), Tally())
    return report(tally, len(seeds), time.monotonic() - began)


def report(tally: Tally, seeds: int, seconds: float) -> int:
    read, refused, failed = (tally.outcomes[name] for name in ("read", "refused", "failed"))
    print(f"{read} of the mutants of {seeds} files were read and {refused} refused, in {seconds:.0f} s;")
    (slowest, slow), (largest, large) = tally.slowest, tally.largest
    print(f"the slowest, number {slow}, took {slowest:.1f} s, and the largest, {large}, {largest / 1e6:.0f} MB.")
    print(f"{read + refused} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
