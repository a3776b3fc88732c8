# SPDX-License-Identifier: Apache-2.0
"""Many cores at once, each by itself: a folder of circuits checked or characterized, as one table.

Every file goes to one of several workers, processes of their own: what ends one is that file's
error.  A row that is done is kept in the cache, so that the same command goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

from asnet_mlir.cores.checks.c_model import check_c_model
from asnet_mlir.cores.checks.check import DEFAULT_VECTORS, check
from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.members import member_files, with_operation
from asnet_mlir.cores.metrics.characterize import characterize, compared
from asnet_mlir.cores.reading.from_verilog import core_from_verilog
from asnet_mlir.cores.reading.library import load_core, parse_instance
from asnet_mlir.cores.reading.table import core_from_table, is_table
from asnet_mlir.cores.simulation.simulation import port_widths
from asnet_mlir.cores.sources.source import Source, dependencies, include_folders
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.support.cache import cached_text, code_version, content_hash

__all__ = ["Request", "Row", "find", "run", "table", "to_csv"]

_COMMAND = (sys.executable, "-P", "-c", "from asnet_mlir.cores import each; each.serve()")
_VERILOG = (".v", ".sv")
_MANIFEST = "core.toml"
#: No core takes this long unless something hangs that has no bound of its own.
_SECONDS = 3600.0
_ENDING_SECONDS = 5.0
#: Pairs of an integer core in a table: all of 12 x 12 bits, of more a sample unless told otherwise.
_MOST_PAIRS = 1 << 24
_MESSAGE_WIDTH = 120
_METRICS = (
    *("EP", "MAE", "WCE", "MSE", "bias", "MRE", "WCRE"),
    *("relative_bias", "mean_ulp", "max_ulp"),
)
_TEXT_COLUMNS = ("file", "core", "op", "status", "strategy", "message")


@dataclass(frozen=True)
class Request:
    """What is to be done with every file.

    Attributes:
      verb: "check", "characterize", which checks as well, or "import", which characterizes the file
        as a member of a library of integer circuits, and tries the C model of its name beside it.
      op, parameters, description: as for `core_from_verilog`; a parameter goes to every core.
      vectors: of the check; by default its own number.
      distribution, samples, threads: as for `characterize`, but that by default integer cores of
        more than 24 operand bits are characterized by a sample of 2^24 pairs.
    """

    verb: Literal["check", "characterize", "import"]
    op: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    strategy: str | None = None
    vectors: int | None = None
    distribution: str | None = None
    samples: int | str | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Row:
    """What was found of one file.

    Attributes:
      status: "pass", "fail" (the check found something) or "error" (no check was possible).
      op: what it is compared with, inferred where none was given (the reports say how).
      message: the first failure, or the error; of what passed, its warnings.
      check, characterization: the reports as JSON values; None where there is none.
      member: what "import" makes of it: texts by the names of files.
      c_model: the report on its C model as JSON values, or `message` where it can't be called.
    """

    file: str
    status: Literal["pass", "fail", "error"]
    core: str = ""
    op: str | None = None
    message: str = ""
    check: dict[str, Any] | None = None
    characterization: dict[str, Any] | None = None
    member: dict[str, str] | None = None
    c_model: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON values; without what only "import" has where there is none."""
        only = ("member", "c_model")
        return {k: v for k, v in asdict(self).items() if k not in only or v is not None}

    def cells(self) -> dict[str, Any]:
        """Return the row by the table's columns."""
        check = self.check or {}
        figures = self.characterization or {}
        cells = {
            "file": self.file,
            "core": self.core,
            "op": self.op,
            "signed": figures.get("signed", check.get("signed")),
            "status": self.status,
            "strategy": figures.get("strategy", check.get("strategy")),
            "vectors": check.get("vectors"),
            "latency": check.get("latency_cycles"),
        }
        if self.characterization is not None:
            cells |= {"pairs": figures["vectors"], "exhaustive": figures["exhaustive"]}
            metrics, percent = figures["metrics"], figures["percent"]
            cells |= {name: metrics[name] for name in _METRICS if name in metrics}
            cells |= {f"{name} %": percent[name] for name in _METRICS if name in percent}
        return {**cells, "message": self.message}


def find(names: Sequence[str]) -> list[str]:
    """Return the files that arguments name, each a core by itself.

    Of a folder these are the Verilog files below it, but a folder with `core.toml` is that core.

    Raises:
      InputError: a folder without any, or a file that is named twice.
    """
    found: list[str] = []
    for name in names:
        if not Path(name).is_dir():
            found.append(name)
            continue
        before = len(found)
        for folder, folders, files in os.walk(name):
            folders.sort()
            if _MANIFEST in files:
                folders.clear()
                found.append(os.path.join(folder, _MANIFEST))
            else:
                chosen = sorted(file for file in files if Path(file).suffix in _VERILOG)
                found += [os.path.join(folder, file) for file in chosen]
        if len(found) == before:
            raise InputError(f"{name}: no Verilog file and no {_MANIFEST} in this folder")
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{twice}: is named twice")
    return found


def run(
    files: Sequence[str],
    request: Request,
    *,
    jobs: int | None = None,
    progress: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Check or characterize files, each as a core by itself; return their rows in the same order.

    Args:
      jobs: workers side by side; by default as many as this process has processors.
      progress: is told each row when it is there.

    Raises:
      InputError: `jobs` is less than 1.
    """
    processors = len(os.sched_getaffinity(0))
    if jobs is None:
        jobs = processors
    if jobs < 1:
        raise InputError(f"the number of jobs must be at least 1, not {jobs}")
    jobs = min(jobs, len(files))
    if request.threads is None:
        request = replace(request, threads=max(1, processors // max(jobs, 1)))
    idle = deque(_Worker() for _ in range(jobs))
    workers = list(idle)

    def one(file: str) -> Row:
        worker = idle.popleft()
        try:
            return _kept(file, request, lambda: worker.call(file, request))
        finally:
            idle.append(worker)

    rows: dict[str, Row] = {}
    pool = ThreadPoolExecutor(max(jobs, 1))
    try:
        futures = {pool.submit(one, file): file for file in files}
        for future in as_completed(futures):
            row = rows[futures[future]] = future.result()
            if progress is not None:
                progress(row)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.stop()
    return [rows[file] for file in files]


class _NotKept(Exception):
    """Carries a row that is not kept: what could not be tried is tried again next time."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row


def _kept(file: str, request: Request, make: Callable[[], Row]) -> Row:
    """Return the row of a file, from the cache where it was made of the same texts before."""
    key = _key(file, request)
    if key is None:
        return make()

    def text() -> str:
        row = make()
        if row.status == "error":
            raise _NotKept(row)
        return json.dumps(row.to_json())

    try:
        entry = json.loads(cached_text("each", key, text))
    except _NotKept as error:
        return error.row
    return Row(**{**entry, "file": file})


def _key(file: str, request: Request) -> str | None:
    """Return what a Verilog file's row depends on; None for other files and what can't be read."""
    path = Path(file)
    if path.suffix not in _VERILOG:
        return None
    try:
        source = Source(path, path.read_text(encoding="utf-8", errors="replace"))
        includes = [Path(folder) for folder in request.description.get("includes", ())]
        texts = dependencies([source], include_folders([source], includes))
    except (OSError, AsnetError):
        return None
    if request.verb == "import" and (model := _c_model_of(path)) is not None:
        with contextlib.suppress(OSError):
            texts.append(model.read_text(encoding="utf-8", errors="replace"))
    described = asdict(replace(request, threads=None))
    version = code_version("cores", "lowering", "_mlir_libs")
    return content_hash(version, json.dumps(described, default=str), path.name, source.text, *texts)


class _Worker:
    """A process that does one file after the other; it is started when there is something to do."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def call(self, file: str, request: Request) -> Row:
        """Return the row of a file; where the process ends instead, that is the error."""
        with self._lock:
            if self._stopped:
                return Row(file, "error", message="interrupted")
            process = self._process or self._start()
        timer = threading.Timer(_SECONDS, self._kill)
        timer.start()
        answer = ""
        try:
            assert process.stdin is not None and process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps([file, asdict(request)], default=str) + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
        finally:
            expired = timer.finished.is_set()
            timer.cancel()
        if answer:
            return Row(**json.loads(answer))
        status = process.wait()
        with self._lock:
            self._process = None
        if expired:
            message = f"took longer than {_SECONDS:.0f} s"
        else:
            how = f"signal {-status}" if status < 0 else f"status {status}"
            message = f"the process that looked at it ended ({how}){self._said()}"
        return Row(file, "error", message=message)

    def stop(self) -> None:
        """End the process, and what it runs."""
        with self._lock:
            self._stopped = True
            process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(
                signal.SIGINT
            )  # its tools are in sessions of their own: it ends them
        try:
            process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[str]:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # Ctrl-C is this process's affair
        )
        return self._process

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _said(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()[-2:]
        return ": " + " | ".join(lines) if lines else ""


def serve() -> None:
    """Answer requests on standard input, a line each, until it ends: the worker's side."""
    # A command in the background ignores the signal, and would hand that down.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            file, request = json.loads(line)
            answers.write(json.dumps(look_at(file, Request(**request)).to_json()) + "\n")
            answers.flush()


def look_at(file: str, request: Request) -> Row:
    """Return the row of one file, made in this process."""
    row = Row(file, "error", core=Path(file).stem if request.verb == "import" else "")
    try:
        if request.verb == "import":
            row, instance = _member(row, request)
        elif Path(file).suffix in _VERILOG:
            core = core_from_verilog(
                [file], op=request.op, parameters=request.parameters, **request.description
            )
            instance = core.instance()
        elif is_table(file):
            core = core_from_table(file, request.op, request.parameters, **request.description)
            instance = core.instance()
        else:
            instance = parse_instance(file, op=request.op)
            instance = instance.core.instance({**dict(instance.parameters), **request.parameters})
        row = replace(row, core=instance.label, op=instance.core.op)
        strategy: Any = request.strategy
        vectors = DEFAULT_VECTORS if request.vectors is None else request.vectors
        (report,) = check([instance], random_vectors=vectors, seed=request.seed, strategy=strategy)
        row = replace(row, op=report.op, check=report.to_json())
        if not report.passed:
            return replace(row, status="fail", message=report.failures[0])
        if request.verb == "import":
            row = replace(row, c_model=_c_model_report(instance, Path(file)))
        if request.verb != "check":
            samples = request.samples
            if samples is None and request.distribution in (None, "uniform"):
                samples = _sample(instance)
            how: Any = {"distribution": request.distribution, "samples": samples}
            found = characterize(
                compared(instance, report),
                **how,
                seed=request.seed,
                strategy=strategy,
                threads=request.threads,
                checked=True,
            )
            row = replace(row, op=found.op, characterization=found.to_json())
        return replace(row, status="pass", message="; ".join(report.warnings))
    except AsnetError as error:
        return replace(row, message=" ".join(str(error).split()))
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        return replace(row, message=f"internal error: {type(error).__name__}: {text}")


def _member(row: Row, request: Request) -> tuple[Row, Instance]:
    """Return the row of a file as a member of a library, and the core as it is read from that."""
    core = core_from_verilog([row.file], op=request.op, **request.description)
    files = member_files(with_operation(core), Path(row.file).stem)
    with tempfile.TemporaryDirectory(prefix="asnet-member-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        return replace(row, member=files), load_core(folder).instance()


def _c_model_of(verilog: Path) -> Path | None:
    """Return the C file beside a Verilog file that has its name."""
    path = verilog.with_suffix(".c")
    return path if path.is_file() else None


def _c_model_report(instance: Instance, verilog: Path) -> dict[str, Any] | None:
    path = _c_model_of(verilog)
    if path is None:
        return None
    try:
        return check_c_model(instance, path).to_json()
    except AsnetError as error:
        return {"message": " ".join(str(error).split())}


def _sample(instance: Instance) -> int | None:
    """Return how many pairs stand for all of a core that has too many for a folder of its kind."""
    if instance.core.is_float:
        return None
    widths = port_widths([instance])[0]
    return _MOST_PAIRS if 1 << (widths.a + widths.b) > _MOST_PAIRS else None


def _columns(rows: Sequence[Row]) -> list[str]:
    """Return the columns that any row has, `message` last."""
    names = dict.fromkeys(name for row in rows for name in row.cells() if name != "message")
    return [*names, "message"]


def to_csv(rows: Sequence[Row]) -> str:
    """Return the table as CSV with a header; what a row lacks is empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _columns(rows), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.cells() for row in rows)
    return stream.getvalue()


def table(rows: Sequence[Row]) -> str:
    """Return the table as text for people, and a line that counts."""
    shown = ["file", "op", "status", "strategy", "vectors", "latency", "pairs"]
    shown += ["EP %", "MAE", "MAE %", "WCE", "MRE %", "WCRE %", "message"]
    cells = [row.cells() for row in rows]
    for line in cells:
        if line.get("exhaustive"):
            line["pairs"] = "all"
    columns = [name for name in shown if any(line.get(name) not in (None, "") for line in cells)]
    lines = [columns, *([_shown(name, line.get(name)) for name in columns] for line in cells)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    texts = [
        "  ".join(
            text.ljust(width) if name in _TEXT_COLUMNS else text.rjust(width)
            for name, text, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]
    by = {status: sum(row.status == status for row in rows) for status in ("pass", "fail", "error")}
    texts.append(f"{len(rows)} cores: {by['pass']} pass, {by['fail']} fail, {by['error']} errors")
    return "\n".join(texts)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    # The last column may be long: the whole of it is in the JSON and in the CSV.
    if name == "message" and len(text) > _MESSAGE_WIDTH:
        return text[: _MESSAGE_WIDTH - 2] + ".."
    return text
