# SPDX-License-Identifier: Apache-2.0
"""Yosys in processes of its own: jobs, readers, bounds, errors in terms of the sources."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import itertools
import json
import re
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asnet_mlir.cores.sources.source import Source, include_folders
from asnet_mlir.cores.verilog.netlist import Netlist, Reader
from asnet_mlir.errors import AsnetError, InputError, ToolError, UnsupportedError
from asnet_mlir.support import processes
from asnet_mlir.support.cache import code_version, content_hash
from asnet_mlir.support.tools import yosys_program

__all__ = ["INTERFACE_PORT", "Job", "reader_version", "run_jobs", "signed_value", "slang_readers"]

_WORKER = yosys_program(Path(__file__).with_name("read_worker.py"))
_MEMORY_BYTES = 4 << 30
_CPU_SECONDS = 15.0  # for one reader on one core; two readers are tried at most after a blow-up
_MAX_NETLIST_BYTES = 256 << 20


@dataclass(frozen=True)
class Job:
    """What to read, and what to do with it then.

    `top` is None where the whole of the sources is looked at.  `tie` are the inputs of the top
    module that are constants, `keep` the only outputs that anybody looks at.
    """

    sources: tuple[Source, ...]
    includes: tuple[Path, ...]
    body: tuple[str, ...]
    top: str | None = None
    parameters: tuple[tuple[str, int], ...] = ()
    tie: tuple[tuple[str, int], ...] = ()
    keep: tuple[str, ...] = ()
    flatten: bool = True


INTERFACE_PORT = (
    "{place}: port {port} of {module} is an interface; only plain ports are supported: "
    "wrap it in a module that has them"
)


@functools.cache
def reader_version() -> str:
    return content_hash(code_version("cores"), importlib.metadata.version("pyosys"))


def run_jobs(
    jobs: Sequence[Job], readers: Sequence[str] | None = None
) -> list[Netlist | AsnetError]:
    """Run all jobs in as few processes as errors allow, each with the first reader that takes it.

    `.v` files are read as Verilog-2005 first, where `logic` or `bit` are names like any other, then
    as SystemVerilog, then by slang.
    """
    states = []
    for job in jobs:
        old = any(source.path.suffix == ".v" for source in job.sources)
        own = ("verilog", "systemverilog") if old else ("systemverilog",)
        states.append(_State(job, list(readers or (*own, *slang_readers(job)))))
    with tempfile.TemporaryDirectory(prefix="asnet-yosys-") as name:
        folder = Path(name)
        while any(state.result is None for state in states):
            _run_pending(folder, [state for state in states if state.result is None])
    return [state.result for state in states if state.result is not None]


def slang_readers(job: Job) -> tuple[str, ...]:
    """Return slang's languages: a `.v` may be Verilog-2005 only, where `bit` is a name."""
    old = any(source.path.suffix == ".v" for source in job.sources)
    return ("slang", "slang-2005") if old else ("slang",)


@dataclass
class _State:
    """A job on its way: readers still to try, what the others said, and the result."""

    job: Job
    readers: list[str]
    errors: list[tuple[str, AsnetError]] = dataclasses.field(default_factory=list)
    result: Netlist | AsnetError | None = None
    copies: _Copies | None = None

    def fail(self, error: AsnetError) -> None:
        """Note what the current reader said, and go to the next one or give up."""
        self.errors.append((self.readers.pop(0), error))
        if isinstance(error, ToolError):
            # Another way to read it with the same program would blow up again.
            self.readers = [r for r in self.readers if r == "slang" and self.errors[-1][0] != r]
        if self.readers:
            return
        located = [e for reader, e in self.errors if reader == "slang" and _has_line(e)]
        own = [e for reader, e in self.errors if not reader.startswith("slang")]
        blown = [e for e in own if isinstance(e, ToolError)]
        self.result = (located or blown or own[-1:] or [error])[0]


@dataclass(frozen=True)
class _Copies:
    """Sources under names that need no quoting: by language, and the user's names by ours."""

    folder: Path
    includes: tuple[str, ...]
    files: tuple[Path, ...]
    names: Mapping[str, str]


def _run_pending(folder: Path, states: Sequence[_State]) -> None:
    groups: dict[Any, list[_State]] = {}
    for state in states:
        key = (state.job.sources, state.job.includes, state.readers[0])
        groups.setdefault(key, []).append(state)
    run = Path(tempfile.mkdtemp(dir=folder))
    request = []
    order: list[tuple[_State, Path, str]] = []
    for number, ((sources, includes, reader), members) in enumerate(groups.items()):
        copies = _copy_sources(run / f"s{number}", sources, includes)
        name = f"group{number}"
        entries = []
        for state in members:
            state.copies = copies
            output = run / f"{len(order)}.json"
            order.append((state, output, name))
            entries.append({"output": str(output), "script": _script(state.job, copies, reader)})
        read = [] if reader.startswith("slang") else _read_commands(copies, reader)
        blown = any(isinstance(e, ToolError) for state in members for _, e in state.errors)
        seconds = _CPU_SECONDS / 5 if blown else _CPU_SECONDS  # a second look only for the reason
        request.append({"name": name, "read": read, "jobs": entries, "cpu_seconds": seconds})
    (run / "jobs.json").write_text(json.dumps(request))
    where = states[0].job.sources[0].path
    failure: AsnetError | None = None
    log = ""
    try:
        done = processes.run_program(
            _WORKER,
            [run / "jobs.json"],
            purpose=f"reading {where} with Yosys",
            cwd=run,
            # Processor time is bounded for each job; this is for a process that only waits.
            timeout_seconds=60.0 + 60.0 * len(order),
            memory_bytes=_MEMORY_BYTES,
            check=False,
        )
        log = done.stdout + "\n" + done.stderr
    except ToolError as timeout:
        failure, status = timeout, 0
    else:
        status = done.returncode
    for state, output, name in order:
        names = state.copies.names if state.copies else {}
        if not output.is_file():
            # The first job without output is the one that ended the process; the jobs after it are
            # run again.  Where reading ended it, all jobs of the group would fail alike.
            error = failure or _blow_up(state.job, status, log)
            error = error or _map_error(log, state.job.sources, names)
            failed_reading = f"@@read {name}" in log and f"@@job {output}" not in log
            for other, _, group in order:
                if other is state or (failed_reading and group == name):
                    other.fail(error)
            return
        if output.stat().st_size > _MAX_NETLIST_BYTES:
            state.result = UnsupportedError(
                f"{state.job.sources[0].path}: the netlist has more than "
                f"{_MAX_NETLIST_BYTES >> 20} MiB; the core is too large"
            )
            continue
        modules = json.loads(output.read_text())["modules"]
        tops = [n for n, m in modules.items() if int(m["attributes"].get("top", "0"), 2)]
        kind: Reader = "slang" if state.readers[0].startswith("slang") else "yosys"
        said = log.partition(f"@@job {output}")[2].partition("@@job")[0]
        conflicts = re.findall(r"^@@conflict (\S+)", said, re.MULTILINE)
        top = tops[0] if tops else ""
        state.result = Netlist(top, modules, names, kind, tuple(dict.fromkeys(conflicts)))


def _copy_sources(folder: Path, sources: tuple[Source, ...], includes: tuple[Path, ...]) -> _Copies:
    """Write sources under names without spaces."""
    folder.mkdir()
    names: dict[str, str] = {}
    folders = []
    for number, parent in enumerate(include_folders(sources, includes)):
        link = folder / f"include{number}"
        link.symlink_to(parent.resolve())
        folders.append(str(link))
        # Slang names files from where it runs.
        names |= {str(link): str(parent), f"{folder.name}/{link.name}": str(parent)}
    files = []
    for number, source in enumerate(sources):
        path = folder / f"f{number}{'.v' if source.path.suffix == '.v' else '.sv'}"
        path.write_text(source.text, encoding="utf-8")
        files.append(path)
        names |= {str(path): str(source.path), f"{folder.name}/{path.name}": str(source.path)}
    return _Copies(folder, tuple(folders), tuple(files), names)


def _read_commands(copies: _Copies, reader: str) -> list[str]:
    """Return Yosys' commands, one for each run of files of one language."""
    includes = " ".join(f"-I{folder}" for folder in copies.includes)
    commands = []
    for old, files in itertools.groupby(
        copies.files, lambda path: reader == "verilog" and path.suffix == ".v"
    ):
        language = "" if old else "-sv "
        commands.append(f"read_verilog {language}{includes} {' '.join(map(str, files))}")
    return commands


def _script(job: Job, copies: _Copies, reader: str) -> list[Any]:
    ports = {"tie": dict(job.tie), "keep": list(job.keep)}
    body = [ports if step == "@ports" else step for step in job.body]
    if reader.startswith("slang"):
        old = ["--std 1364-2005"] if reader == "slang-2005" else []
        words = ["read_slang", *old, *(f"-I{folder}" for folder in copies.includes)]
        if job.top is not None:
            words += ["--top", job.top]
        if not job.flatten:
            words.append("--keep-hierarchy")
        words += [f"-G {name}={value}" for name, value in job.parameters]
        return [" ".join([*words, *map(str, copies.files)]), *body]
    if job.top is None:
        return body
    # Yosys reads no minus sign here.
    values = "".join(
        f" -chparam {name} {value if value >= 0 else f"32'sh{value & 0xFFFFFFFF:08x}"}"
        for name, value in job.parameters
    )
    return [f"hierarchy -check -top {job.top}{values}", *body]


def _has_line(error: AsnetError) -> bool:
    return bool(re.match(r".*?:\d+: ", str(error)))


def _blow_up(job: Job, status: int, log: str) -> ToolError | None:
    """Return an error for a process that was ended, or ended itself, without a message."""
    where = job.sources[0].path
    if status == -signal.SIGPROF:
        return ToolError(
            f"{where}: reading it with Yosys took longer than {_CPU_SECONDS:g} s of processor time;"
            " a loop, a width or the core itself is too large"
        )
    # What the allocator, Python and the C library say, whichever met the limit.
    if any(text in log for text in ("bad_alloc", "MemoryError", "cannot allocate memory")):
        return ToolError(
            f"{where}: reading it with Yosys took more than {_MEMORY_BYTES >> 30} GiB of memory;"
            " a loop, a width or the core itself is too large"
        )
    if status == -signal.SIGSEGV:
        return ToolError(f"{where}: Yosys crashed on it; is something nested too deeply?")
    return None


def _map_error(log: str, sources: tuple[Source, ...], names: Mapping[str, str]) -> AsnetError:
    """Return the first error of Yosys or slang as one line that names the user's files."""
    lines = [line for line in log.splitlines() if "ERROR" in line]
    if not lines:
        tail = " | ".join(log.strip().splitlines()[-3:])
        return ToolError(f"{sources[0].path}: Yosys ended without a netlist: {tail}")
    text = next((line for line in lines if re.match(r".*?:\d+: ERROR: ", line)), lines[-1])
    for copy, name in names.items():
        text = re.sub(rf"(?<![\w./]){re.escape(copy)}\b", name.replace("\\", r"\\"), text)
    text = re.sub(r"\\(\S+?)(?=['\s]|$)", r"\1", text).replace("`", "'")
    match = re.match(r"(.*?:\d+): ERROR: (.*)", text)
    if match and "user-defined primitive" in match[2]:
        return UnsupportedError(
            f"{match[1]}: user-defined primitives (primitive .. endprimitive) are not supported; "
            "write them as modules"
        )
    port = re.search(r"module '(\S+)' has unconnected interface port '(\S+)'", text)
    if match and port:
        return UnsupportedError(INTERFACE_PORT.format(place=match[1], port=port[2], module=port[1]))
    # What slang would do with an option of its own is no help here.
    text = re.sub(r",? (set|use) '--[^']*' [^;]*$| \[-W[\w-]+\]$", "", text)
    match = re.match(r"(.*?:\d+): ERROR: (.*)", text)
    if match:
        return InputError(f"{match[1]}: {match[2].rstrip('!.')}")
    message = text.split("ERROR:", 1)[1].strip().rstrip("!.")
    return InputError(f"{sources[0].path}: {message}")


def signed_value(bits: str) -> int:
    value = int(bits, 2)
    return value - (1 << len(bits)) if len(bits) == 32 and bits[0] == "1" else value
