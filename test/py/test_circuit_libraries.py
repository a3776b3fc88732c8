# SPDX-License-Identifier: Apache-2.0
"""A public library imported: what passes is bound by its path, all else is listed with why."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asnet_mlir.cli.main import main
from asnet_mlir.cores import each, ensure_checked, importing, load_core, parse_instance
from asnet_mlir.cores.importing import import_circuits
from asnet_mlir.cores.simulation.simulation import simulate_pairs
from asnet_mlir.errors import InputError, ToolError

# As public libraries have them: another circuit behind the same name of a helper, and port Z.
UNSIGNED = """module helper(input x, input y, output z); assign z = x & y; endmodule
module mul4u_0AA(A, B, O); input [3:0] A; input [3:0] B; output [7:0] O;
  wire low; helper h(A[0], B[1], low);
  assign O = A * B - low;
endmodule
"""
SIGNED = """module helper(input x, input y, output z); assign z = x | y; endmodule
module mul4s_0BB(A, B, Z); input [3:0] A; input [3:0] B; output [7:0] Z;
  wire low; helper h(A[0], B[1], low);
  assign Z = {{4{A[3]}}, A} * {{4{B[3]}}, B} + low;
endmodule
"""
CELLS = """module mul4u_0AA_pdk45(A, B, O); input [3:0] A; input [3:0] B; output [7:0] O;
  AND2X1 u0(.A(A[0]), .B(B[0]), .Y(O[0])); assign O[7:1] = 0;
endmodule
"""
SWAPPED = "int mul4u_0AA(unsigned char A, unsigned char B) { return A * B - (B & (A >> 1) & 1); }\n"
WRONG_SIGN = "short mul4s_0BB(unsigned char A, unsigned char B) { return A * B; }\n"


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the library `library/public` of a folder of all kinds of files."""
    place = tmp_path_factory.mktemp("place")
    source = place / "public"
    (source / "signed").mkdir(parents=True)
    (source / "mul4u_0AA.v").write_text(UNSIGNED)
    (source / "mul4u_0AA.c").write_text(SWAPPED)
    (source / "mul4u_0AA_pdk45.v").write_text(CELLS)
    (source / "signed" / "mul4s_0BB.v").write_text(SIGNED)
    (source / "signed" / "mul4s_0BB.c").write_text(WRONG_SIGN)
    (source / "broken.v").write_text("module broken(input a\n")
    (source / "narrow.v").write_text(
        "module narrow(input [3:0] a, output o); assign o = ^a; endmodule"
    )
    (source / "noise.v").write_text(
        "module noise(input [3:0] A, input [3:0] B, output [7:0] O);"
        " assign O = {A ^ B, ~A} ^ 8'h5a; endmodule\n"
    )
    before = os.getcwd()
    os.chdir(place)
    try:
        found = import_circuits("public", jobs=1)
    finally:
        os.chdir(before)
    (place / "found.json").write_text(json.dumps(found.to_json()))
    (place / "found.txt").write_text(found.summary())
    return place


def test_what_passes_is_kept_and_the_rest_has_its_reason(imported: Path) -> None:
    found = json.loads((imported / "found.json").read_text())
    assert [row["name"] for row in found["kept"]] == ["mul4u_0AA", "mul4s_0BB"]
    why = {row["name"]: row["message"] for row in found["failed"]}
    assert why["mul4u_0AA_pdk45"].startswith("needs the cell AND2X1 of a library; mul4u_0AA.v")
    assert "broken.v:" in why["broken"]
    assert "neither its name nor its function tells what it computes" in why["noise"]
    assert len(why) == 4
    text = (imported / "found.txt").read_text()
    assert "library/public: kept 2 of 6" in text
    assert "1 match with operands swapped" in text and "1 are other functions" in text
    assert text.endswith("like muli=library/public/mul4u_0AA")
    index = json.loads((imported / "library" / "public" / "library.json").read_text())
    member = index["members"]["mul4u_0AA"]
    # A[0] and B[1] are both 1 in a quarter of all pairs.
    assert member["op"] == "muli" and member["metrics"]["MAE"] == 0.25 and not member["signed"]
    assert index["members"]["mul4s_0BB"]["signed"] and len(index["failed"]) == 4


def test_members_are_bound_by_their_paths(imported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(imported)
    a, b = (side.ravel().astype(np.uint8) for side in np.meshgrid(range(16), range(16)))
    unsigned = parse_instance("library/public/mul4u_0AA")
    assert (unsigned.core.op, unsigned.core.ports.result) == ("muli", "O")
    got = simulate_pairs(unsigned, a, b)
    np.testing.assert_array_equal(got, a * b - (a & 1 & b >> 1))
    signed = parse_instance("library/public/mul4s_0BB")
    assert signed.core.signed and signed.core.ports.result == "Z"
    x, y = (np.where(side > 7, side - 16.0, side) for side in (a, b))
    got = simulate_pairs(signed, a, b).view(np.int8)
    np.testing.assert_array_equal(got, x * y + (a & 1 | b >> 1 & 1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("library/public", "is a folder of cores; name one, like library/public/mul4s_0BB"),
        ("library/public/mul4u_0AB", "no such core; did you mean library/public/mul4u_0AA"),
        ("mul4u_0AA", "unknown core 'mul4u_0AA'"),
    ],
)
def test_names_that_are_no_member(
    imported: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(imported)
    with pytest.raises(InputError, match=message):
        load_core(name)


def test_members_are_not_checked_again(imported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(imported)
    monkeypatch.delenv("ASNET_CHECK_VECTORS", raising=False)
    monkeypatch.setattr(sys.modules["asnet_mlir.cores.checks.check"], "_check_all", None)
    ensure_checked([parse_instance("library/public/mul4u_0AA")])


def test_again_is_at_once_and_another_circuit_of_a_name_is_refused(
    imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(imported / "public", tmp_path / "public")
    shutil.copytree(imported / "library", tmp_path / "library")
    monkeypatch.chdir(tmp_path)
    for name in ("broken", "narrow", "noise", "mul4u_0AA_pdk45"):
        (tmp_path / "public" / f"{name}.v").unlink()
    monkeypatch.setattr(each, "_COMMAND", ("false",))  # no worker is needed
    found = import_circuits("public", jobs=1)
    assert [row.core for row in found.kept] == ["mul4u_0AA", "mul4s_0BB"] and not found.failed
    changed = tmp_path / "public" / "mul4u_0AA.v"
    changed.write_text(UNSIGNED.replace("- low", "+ low"))
    found = import_circuits("public", jobs=1)
    assert [row.core for row in found.failed] == ["mul4u_0AA"] and found.members == 2
    assert "is another circuit of this name" in found.failed[0].message
    assert load_core("library/public/mul4u_0AA").sources[0].text == UNSIGNED


def test_a_member_that_was_changed_is_no_core(imported: Path, tmp_path: Path) -> None:
    shutil.copytree(imported / "library" / "public" / "mul4u_0AA", tmp_path / "mul4u_0AA")
    (tmp_path / "mul4u_0AA" / "mul4u_0AA.v").write_text(UNSIGNED.replace("- low", "+ low"))
    with pytest.raises(InputError, match=r"mul4u_0AA\.v is not what was imported \(its hash is"):
        load_core(tmp_path / "mul4u_0AA")


# ---- With a stand-in for the worker.

STAND_IN = """
import json, os, sys, time
for line in sys.stdin:
    file, request = json.loads(line)
    stem = os.path.basename(file)[:-2]
    if stem.endswith("hangs"):
        sys.stdin.read()  # until nobody waits for it any more
    text = open(file).read()
    print(json.dumps(dict(file=file, status="pass", core=stem, op="muli", check={},
          member={"core.toml": "", stem + ".v": text})), flush=True)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two circuits in `circuits`, an empty cache and no real worker."""
    (tmp_path / "circuits" / "deep").mkdir(parents=True)
    for name in ("circuits/mul4u_1.v", "circuits/deep/mul4u_2.v"):
        (tmp_path / name).write_text(f"// {name}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(each, "_COMMAND", (sys.executable, "-c", STAND_IN))
    return tmp_path


def names(found: Any) -> tuple[list[str], list[str]]:
    return [row.core for row in found.kept], [row.core for row in found.failed]


def test_names_that_two_files_have(place: Path) -> None:
    (place / "circuits" / "deep" / "mul4u_1.v").write_text("// another\n")
    (place / "circuits" / "copies").mkdir()
    shutil.copy(place / "circuits" / "mul4u_1.v", place / "circuits" / "copies")
    found = import_circuits("circuits", "mine", library="elsewhere")
    kept, failed = names(found)
    assert found.same == 1 and "1 more files are copies" in found.summary()
    assert kept == ["mul4u_1", "mul4u_2"] and failed == ["mul4u_1"]
    assert (place / "elsewhere/mine/mul4u_1/mul4u_1.v").read_text() == "// circuits/mul4u_1.v\n"


def test_a_second_folder_adds_to_a_library(place: Path) -> None:
    import_circuits("circuits", "mine")
    (place / "more").mkdir()
    (place / "more" / "mul4u_3.v").write_text("// third\n")
    found = import_circuits("more", "mine")
    assert names(found) == (["mul4u_3"], []) and found.members == 3
    assert "kept 1 of 1, 3 members with those of earlier imports" in found.summary()


def test_a_killed_import_goes_on(place: Path) -> None:
    last = place / "circuits" / "deep" / "mul4u_3_hangs.v"
    last.write_text("// at last\n")
    program = (
        "import sys\nfrom asnet_mlir.cores import each\nfrom asnet_mlir.cores.importing import *\n"
        f"each._COMMAND = (sys.executable, '-c', {STAND_IN!r})\n"
        "import_circuits('circuits', jobs=1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 120
    try:
        while not (place / "library/circuits/mul4u_2/mul4u_2.v").exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    last.unlink()
    assert names(import_circuits("circuits")) == (["mul4u_1", "mul4u_2"], [])
    assert sorted(entry.name for entry in (place / "library/circuits").iterdir()) == [
        "library.json",
        "mul4u_1",
        "mul4u_2",
    ]


def test_a_full_disk(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importing.replacement

    def full(path: Path) -> Any:
        if path.name == "mul4u_1":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path)

    monkeypatch.setattr(importing, "replacement", full)
    with pytest.raises(ToolError, match="mul4u_1: can't be written: No space left on device; what"):
        import_circuits("circuits", jobs=1)
    monkeypatch.undo()
    monkeypatch.chdir(place)
    monkeypatch.setenv("ASNET_CACHE_DIR", str(place / "cache"))
    monkeypatch.setattr(each, "_COMMAND", (sys.executable, "-c", STAND_IN))
    assert len(import_circuits("circuits").kept) == 2


def test_folders_that_are_no_libraries(place: Path) -> None:
    (place / "library" / "circuits").mkdir(parents=True)
    (place / "library" / "circuits" / "photo.jpg").touch()
    with pytest.raises(InputError, match="library/circuits: is there and no library"):
        import_circuits("circuits")
    (place / "library" / "circuits" / "library.json").write_text('{"format": 99}')
    with pytest.raises(InputError, match=r"library\.json: not the index of a library of this"):
        import_circuits("circuits")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["empty"], "empty: no Verilog file and no core.toml in this folder"),
        (["missing"], "missing: not there"),
        (["file.v"], "file.v: is no folder"),
        (["circuits", "--name", "a/b"], "'a/b' can't be a library's name"),
        (["circuits", "--op", "mulf"], "imported circuits are of integers: one of"),
        (["circuits", "--library", "circuits"], "is below circuits, which is imported"),
        (["circuits", "--library", "file.v"], "file.v/circuits: can't be written"),
        (["circuits", "--jobs", "0"], "number of jobs must be at least 1"),
    ],
)
def test_bad_arguments(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (place / "empty").mkdir()
    (place / "file.v").touch()
    assert main(["cores", "import", *arguments]) == 2
    assert message in capsys.readouterr().err
