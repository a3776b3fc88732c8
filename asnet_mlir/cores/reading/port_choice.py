# SPDX-License-Identifier: Apache-2.0
"""Which port of a module is which, by what clocks registers, by names and by widths.

A choice is made only where nothing else is possible or where name and width say the same; in every
other case one error says what is in doubt and which `--port` decides it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from asnet_mlir.cores.core import (
    UNIT_OPS,
    Parameter,
    checked_parameter,
)
from asnet_mlir.cores.ports import HANDSHAKE_OUTPUTS, OUTPUT_ROLES, PORT_ROLES, Ports
from asnet_mlir.cores.verilog.interface import ModuleInterface, PortInterface
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.support.formats import FLOAT_FORMATS, FLOAT_OPS

__all__ = ["choose_ports"]

_VALID, _READY = r"t?valid|vld|stb|strobe", r"t?ready|rdy|ack"
_SIDES = r"([iosm]_?|in_|out_|input_|output_|[sm]_axis_|op_|operands?_|req_|resp?_|result_)?"
_ENDS = r"(_[iosm]|_?in|_?out)?"
_PLAIN = (r"([io]_|in_|out_)?", r"(_[io]|_in|_out)?")
_USUAL_NAMES = {
    "clock": (_PLAIN, r"a?cl(oc)?k"),
    "enable": (_PLAIN, r"en|ena|enable|ce|cl(oc)?k_?(en|ena|enable)"),
    "reset": (_PLAIN, r"[as]?(rst|reset)|[as]clr"),
    "reset_low": (_PLAIN, r"[as]?(rst|reset)(_?n|_b|_ni)|n_?[as]?(rst|reset)"),
    "start": (_PLAIN, r"start|go"),
    "done": (_PLAIN, r"done|finish(ed)?|completed?"),
    "busy": (_PLAIN, r"busy"),
    "valid": ((_SIDES, _ENDS), _VALID),
    "ready": ((_SIDES, _ENDS), _READY),
    # What is one bit or a few beside a result, and never the result.
    "flag": (
        _PLAIN,
        r"(exc|inv|zero|nan|inf|neg|pos|sign|carry|over|under|ovf|ovr|unf|udf|err|warn|stat|flag|cond"
        r"|div_?by|dbz|dz|inexact|ine$|qnan|snan|snn|busy|done|valid|ready|idle|lt|gt|eq|ge|le"
        r"|c_?out|co$|cy$|vld|rdy|ack|irq|intr?$|trap|debug|dbg|test|spare|unused|parity|valid"
        r"|denorm|subnorm|round|sticky|guard|ex_|fp_?ex|stall)\w*"
        r"|\w*(flag|flow|carry|valid|error|zero)s?",
    ),
    # What steers a unit, and is never an operand.
    "control": (
        _PLAIN,
        r"mode\w*|sel(ect)?|((fp|fpu|alu|f|arith|math)_?)?op(code|_?sel)?|fn|func(t|tion)?|c_?i(n)?|carry_?in|cin|sub|add_?sub"
        r"|\w*en(able)?|ce|(is_?)?signed|sgn|r(ound(ing)?)?_?m(ode)?|rnd\w*|round\w*|rm|rmode"
        r"|start|go|\w*valid\w*|\w*(stb|strobe|vld)|\w*re(a)?dy\w*|\w*ack|flush|stall|kill|hold|clear"
        r"|clr|[as]?(rst|reset)\w*|n_?(rst|reset)|a?cl(oc)?k\w*|scan\w*|test\w*|approx\w*|level|cfg"
        r"|config\w*|ctrl|control|tag\w*",
    ),
    # A second result of a division, or a part of one.
    "part": (
        _PLAIN,
        r"rem(ainder)?|mod(ulo|ulus)?|rest|(hi(gh)?|lo(w)?|upper|lower|msbs?|lsbs?)(_\w+)?|\w*_(rem|hi|lo)",
    ),
}
_RESULTS = r"result|res|rslt|out|output|data_?out|d_?out|output_z|answer"
# What results are often called, and other outputs as well.
_LETTERS = r"[coryz]"
_RESULTS_OF = {
    "mul": r"p|prod(uct)?|mul(t|tiplication)?",
    "add": r"s|sum|add(ition)?",
    "sub": r"d|diff(erence)?|sub(traction)?",
    "div": r"q|quo(t|tient)?|div(ision)?",
    "max": r"max(imum)?",
    "min": r"min(imum)?",
}
# Names of operands whose order says more than that of their declaration.
_PAIRS = (
    *(("a", "b"), ("x", "y"), ("0", "1"), ("1", "2"), ("n", "d"), ("lhs", "rhs")),
    *(("left", "right"), ("first", "second"), ("dividend", "divisor"), ("num", "den")),
    *(("numerator", "denominator"), ("numer", "denom"), ("minuend", "subtrahend")),
    ("multiplicand", "multiplier"),
)


def _is_usual(name: str, role: str) -> bool:
    """Whether a port has one of the usual names of a role: `clk`, `i_clk`, `clk_i`, `CLK_in`."""
    (before, behind), words = _USUAL_NAMES[role]
    return re.fullmatch(f"{before}({words}){behind}", name.lower()) is not None


def _is_result(name: str, op: str | None) -> bool:
    """Whether a port is called as results of an operation are."""
    words = _RESULTS
    if op is not None:
        words += "|" + _RESULTS_OF[op[:3]]
    before, behind = _PLAIN
    return re.fullmatch(f"{before}({words}){behind}", name.lower()) is not None


def _may_be(name: str, op: str | None) -> bool:
    """Whether a part of a port's name is what results are called, or it begins with a letter."""
    parts = re.sub("^[io]_", "", name.lower()).split("_")
    return any(_is_result(part, op) for part in parts) or bool(re.fullmatch(_LETTERS, parts[0]))


def _is_never(name: str) -> bool:
    """Whether a port is called like a flag, or begins like half a result."""
    first = re.sub("^[io]_", "", name.lower()).split("_")[0]
    return _is_usual(name, "flag") or _is_usual(name, "part") or _is_usual(first, "part")


def _bare(name: str) -> str:
    """Return a name without what says the direction."""
    name = re.sub(r"^([io]_|in_|out_|input_|op_?|operand_?|data_?)(?=.)", "", name.lower())
    return re.sub(r"(?<=.)(_[io]|_in|_out|_?t?data|_op|_operand)$", "", name)


def _in_order(ports: list[PortInterface]) -> list[PortInterface]:
    """Return two operands in the order that their names have, else in that of declaration."""
    if len(ports) == 2:
        # `op_b_i, op_a_i`, `divisor, dividend`; what both names begin with does not matter.
        first, second = (_bare(port.name) for port in ports)
        same = 0
        while same < min(len(first), len(second)) - 1 and first[same] == second[same]:
            same += 1
        for one, other in ((first, second), (first[same:], second[same:])):
            if (other, one) in _PAIRS:
                return ports[::-1]
    return ports


class _Choice:
    """A choice in progress: what has a role, and the ports that have none yet."""

    def __init__(self, module: ModuleInterface, given: Mapping[str, Any], op: str | None) -> None:
        self.where = module.name
        self.op = op
        self.ports = {port.name: port for port in module.ports}
        self.listing = ", ".join(f"{p.direction} {p.name}[{p.width}]" for p in module.ports)
        self.unspecified = _given_unspecified(module, given)
        self.roles, self.constant, self.active = _given_ports(module, given)
        named = [*self.roles.values(), *self.constant]
        for name in named:
            if named.count(name) > 1:
                raise self.error(f"one port is named for two roles: {name}")
        left = [port for port in module.ports if port.name not in named]
        self.inputs = [port for port in left if port.direction == "input"]
        self.outputs = [port for port in left if port.direction == "output"]

    def error(self, text: str, *options: str) -> InputError:
        """Return the error: what is in doubt, and the options that decide it."""
        say = " ".join(f"--port {option}" for option in options)
        how = f"; say it with {say} (ports= in Python)" if say else ""
        return InputError(f"{self.where}: {text}{how} (it has {self.listing})")

    def bits(self, outputs: bool = False) -> list[PortInterface]:
        """Return the ports of one bit that are left."""
        return [port for port in (self.outputs if outputs else self.inputs) if port.width == 1]

    def usual(self, role: str, outputs: bool = False) -> list[PortInterface]:
        """Return those of them that have a usual name of a role."""
        return [port for port in self.bits(outputs) if _is_usual(port.name, role)]

    def take(self, role: str, found: Sequence[PortInterface]) -> bool:
        """Give a role to the only port that could have it."""
        if len(found) > 1:
            names = ", ".join(port.name for port in found)
            raise self.error(f"{names} could each be the {role}", f"{role}=NAME")
        for port in found:
            self.roles[role] = port.name
            (self.outputs if role in OUTPUT_ROLES else self.inputs).remove(port)
        return bool(found)


def choose_ports(
    module: ModuleInterface,
    given: Mapping[str, Any],
    op: str | None = None,
    level: str | None = None,
    format: str = "f32",
) -> list[Ports]:
    """Fill in the roles that `given` leaves out where the module leaves no choice.

    Several candidates are returned, the first to be preferred, where the structure has to decide:
    what is called `valid` passes through a pipeline, or is the handshake of an iterative core.

    Args:
      module: as its parameters make it.
      given: roles, `reset_active`, `constant` and `constant.NAME`, as in `core_from_verilog`.
      op, level, format: what the core shall be; they tell which widths a result has.

    Raises:
      InputError: a role is in doubt, or `given` says what can't be.
      UnsupportedError: an inout port.
    """
    for port in module.ports:
        if port.direction == "inout":
            raise UnsupportedError(f"{module.name}: inout port {port.name} is not supported")
    choice = _Choice(module, given, op)
    roles = choice.roles
    clocks = [port for port in choice.bits() if port.clocks_registers]
    if "clock" not in roles and not choice.take("clock", clocks):
        # The default parameters of a pipeline may be those of no register at all.
        choice.take("clock", choice.usual("clock"))
    is_valid_chain = False
    if "clock" in roles:
        if "enable" not in roles:
            choice.take("enable", choice.usual("enable"))
        if "reset" not in roles:
            choice.take("reset", [*choice.usual("reset_low"), *choice.usual("reset")])
        is_valid_chain = _choose_handshake(choice)
    _check_handshake(choice)
    _choose_operands(choice)
    if "result" not in roles:
        _choose_result(choice, _result_widths(choice, level, format))
    for role, name in roles.items():
        if role not in ("a", "b", "result") and choice.ports[name].width != 1:
            raise InputError(
                f"{module.name}: port {name} has {choice.ports[name].width} bits, a {role} has 1"
            )
    active = choice.active
    if active is None and "reset" in roles:
        active = "low" if _is_usual(roles["reset"], "reset_low") else "high"
    held = tuple(sorted(choice.constant.items()))
    for role, value in choice.unspecified.items():
        if value >> choice.ports[roles[role]].width:
            raise choice.error(f"unspecified.{role} = {value} is no value of {roles[role]}")
    ports = Ports(
        **cast(Any, roles),
        reset_active_low=active == "low",
        constant=held,
        unspecified=tuple(sorted(choice.unspecified.items())),
    )
    if not is_valid_chain:
        return [ports]
    starts = {name: 1 for name in (ports.start, ports.start_b) if name}
    piped = tuple(sorted({**choice.constant, **starts}.items()))
    away: dict[str, Any] = dict.fromkeys(("start", "start_b", *HANDSHAKE_OUTPUTS))
    return [dataclasses.replace(ports, constant=piped, **away), ports]


def _choose_handshake(choice: _Choice) -> bool:
    """Find the roles of a handshake; return whether it may be the valid bits of a pipeline."""
    roles = choice.roles
    is_chain = False
    if not {"start", "done", "busy"} & roles.keys():
        _choose_strobes(choice)
        is_chain = "start" in roles
        starts = [] if is_chain else choice.usual("start")
        valids = [] if is_chain else choice.usual("valid")
        dones, out = choice.usual("done", True), choice.usual("valid", True)
        busy = choice.usual("busy", True)
        if (is_chain or starts or valids) and (dones or out or busy) and "done" not in roles:
            if not is_chain:
                is_chain = not starts
                choice.take("start", starts or valids)
            choice.take("done" if dones or out else "busy", dones or out or busy)
    elif "start" in roles and not {"done", "busy"} & roles.keys():
        found = choice.usual("done", True) or choice.usual("valid", True)
        choice.take("done" if found else "busy", found or choice.usual("busy", True))
    if "start" in roles:
        # `ready` beside `start` may be that of the result; beside `in_valid` it is not.
        if "ready" not in roles and _is_valid(roles["start"]):
            choice.take("ready", choice.usual("ready", True))
        if "ack" not in roles:
            choice.take("ack", choice.usual("ready"))
    return is_chain


def _is_valid(name: str) -> bool:
    return _is_usual(name, "valid") or re.search(f"({_VALID})$", _bare(name)) is not None


def _choose_strobes(choice: _Choice) -> None:
    """Give their roles to ports such as `input_a_stb`, `input_a_ack` beside `input_a`."""

    def beside(data: PortInterface, words: str, outputs: bool) -> PortInterface | None:
        stem = re.sub(r"(?<=.)(_[io]|_in|_out|_?t?data)$", "", data.name.lower())
        for port in choice.bits(outputs):
            if re.fullmatch(f"{re.escape(stem)}_?({words})(_[io]|_in|_out)?", port.name.lower()):
                return port
        return None

    def is_data(port: PortInterface) -> bool:
        return beside(port, _VALID, port.direction == "output") is not None

    operands = [port for port in choice.inputs if is_data(port)]
    if len(operands) != 2 or {"a", "b"} & choice.roles.keys():
        return
    results = [port for port in choice.outputs if is_data(port)]
    first, second = _in_order(operands)
    for data, start, ready in ((first, "start", "ready"), (second, "start_b", "ready_b")):
        for role, words, outputs in ((start, _VALID, False), (ready, _READY, True)):
            port = beside(data, words, outputs)
            choice.take(role, [port] if port else [])
    if len(results) == 1 and "result" not in choice.roles:
        for role, words, outputs in (("done", _VALID, True), ("ack", _READY, False)):
            port = beside(results[0], words, outputs)
            choice.take(role, [port] if port else [])


def _check_handshake(choice: _Choice) -> None:
    names = {role: name for role, name in choice.roles.items() if role not in ("a", "b", "result")}
    problem = Ports("", "", "", **cast(Any, names)).problem()
    if problem is None:
        return
    options = re.findall(r"port (\w+)", problem)
    raise choice.error(problem, *(f"{role}=NAME" for role in options))


def _choose_operands(choice: _Choice) -> None:
    roles, inputs = choice.roles, choice.inputs
    open_roles = [role for role in ("a", "b") if role not in roles]
    steering = [port for port in inputs if _is_usual(port.name, "control")]
    if len(inputs) == len(open_roles) and not steering:
        roles.update(zip(open_roles, (port.name for port in _in_order(inputs)), strict=True))
        inputs.clear()
        return
    names = ", ".join(port.name for port in inputs) or "no input"
    likely = [port for port in inputs if port not in steering]
    if len(likely) > len(open_roles):
        widest = max(port.width for port in likely)
        likely = [port for port in likely if port.width == widest]
    others = [port for port in inputs if port not in likely]
    values = [f"constant.{port.name}=VALUE" for port in others]
    if not open_roles:
        raise choice.error(
            f"input {names} has no role", *(f"constant.{port.name}=VALUE" for port in inputs)
        )
    if len(likely) == len(open_roles):
        pairs = zip(open_roles, _in_order(likely), strict=True)
        options = [f"{role}={port.name}" for role, port in pairs] if not values else []
        what = ", ".join(port.name for port in others)
        raise choice.error(
            f"{len(inputs)} inputs could be {' and '.join(open_roles)}: {names}; {what} needs a "
            "value or a role",
            *values,
            *options,
        )
    raise choice.error(
        f"{len(inputs)} inputs could be {' and '.join(open_roles)}: {names}",
        *(f"{role}=NAME" for role in open_roles),
        *(["constant.NAME=VALUE"] if len(inputs) > len(open_roles) else []),
    )


def _result_widths(choice: _Choice, level: str | None, format: str) -> set[int]:
    """Return the bits that a result can have, as far as the operands' ports tell."""
    op = choice.op
    a, b = (choice.ports[choice.roles[role]].width for role in ("a", "b"))
    if op is None:
        return set()
    if op not in FLOAT_OPS:
        widest = max(a, b)
        known = {"muli": {a + b}, "divi": {a}, "maxi": {widest}, "mini": {widest}}
        return known.get(op, {widest, widest + 1})
    found = set()
    if level != "significand" and a == b == FLOAT_FORMATS[format].width:
        found.add(a)
    if level != "float" and op in UNIT_OPS and a == b:
        found |= {2 * a} if op == "mulf" else {a, a + 1}
    return found


def _choose_result(choice: _Choice, widths: set[int]) -> None:
    """Give its role to the output that has the name and the width of a result."""
    outputs, op = choice.outputs, choice.op
    called = [port for port in outputs if _is_result(port.name, op)]
    never = [port for port in outputs if port not in called and _is_never(port.name)]
    if len(outputs) == 1:
        # The only one; unless its name says that it is none.
        if op is None or outputs[0] not in never:
            choice.take("result", outputs)
            return
        raise choice.error(
            f"its only output {outputs[0].name} is not called like a result",
            f"result={outputs[0].name}",
        )
    wide = max(choice.ports[choice.roles[role]].width for role in ("a", "b")) > 1
    buses = [port for port in outputs if port.width > 1] if wide else outputs
    fitting = [port for port in outputs if port.width in widths]
    found: list[PortInterface] = []
    if len(fitting) == 1:
        found = fitting
    elif fitting:
        if len({port.width for port in fitting}) == 1:
            found = [port for port in fitting if port in called]
    elif len(buses) == 1 and (op is not None or all(p in never for p in outputs if p not in buses)):
        found = buses
    # No name may speak for another one.
    likely = called or [port for port in outputs if port not in never and _may_be(port.name, op)]
    in_doubt = len(found) != 1 or found[0] in never or (bool(likely) and found[0] not in likely)
    if op in ("divi", "divf") and not called:
        # A quotient and a remainder may both have any width.
        in_doubt |= sum(not _is_usual(port.name, "flag") for port in buses) > 1
    if in_doubt:
        names = ", ".join(f"{port.name}[{port.width}]" for port in outputs) or "no output"
        want = f", which has {' or '.join(map(str, sorted(widths)))} bits" if widths else ""
        raise choice.error(
            f"{len(outputs)} outputs could be the result{want}: {names}", "result=NAME"
        )
    choice.take("result", found)


def _given_unspecified(module: ModuleInterface, given: Mapping[str, Any]) -> dict[str, int]:
    """Return the values of operands for which the user leaves results open."""
    found = {}
    for key, value in given.items():
        name, _, role = key.partition(".")
        if name != "unspecified":
            continue
        entries = {role: value} if role else value
        if not isinstance(entries, Mapping) or not entries.keys() <= {"a", "b"}:
            raise InputError(
                f"{module.name}: ports.{key}: give an operand, a or b, and a value: unspecified.b=0"
            )
        for operand, number in entries.items():
            found[operand] = checked_parameter(
                module.name, Parameter(f"unspecified.{operand}", 0, 0), number
            )
    return found


def _given_ports(
    module: ModuleInterface, given: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, int], str | None]:
    """Return what the user says of ports: names by role, constants, and when a reset is active."""
    where = module.name
    directions = {port.name: port.direction for port in module.ports}
    widths = {port.name: port.width for port in module.ports}
    roles: dict[str, str] = {}
    held: dict[str, Any] = {}
    active = None
    for key, value in given.items():
        if key.partition(".")[0] == "unspecified":
            continue
        if key == "constant":
            if not isinstance(value, Mapping):
                raise InputError(f"{where}: ports.constant must be an object of values")
            held.update(value)
        elif key.startswith("constant."):
            held[key.removeprefix("constant.")] = value
        elif key == "reset_active":
            if value not in ("low", "high"):
                raise InputError(f"{where}: reset_active is {value!r}; low or high")
            active = value
        elif key in PORT_ROLES:
            roles[key] = value
        else:
            raise InputError(
                f"{where}: unknown port role '{key}'; one of {', '.join(PORT_ROLES)}, "
                "reset_active, constant.NAME, unspecified.OPERAND"
            )
    for role, name in [*roles.items(), *(("constant", name) for name in held)]:
        if not isinstance(name, str) or name not in directions:
            raise InputError(f"{where}: no port '{name}'; it has {', '.join(directions)}")
        wanted = "output" if role in OUTPUT_ROLES else "input"
        if directions[name] != wanted:
            raise InputError(f"{where}: port {name} is an {directions[name]}, not an {wanted}")
    constant = {}
    for name, value in held.items():
        number = checked_parameter(where, Parameter(f"constant {name}", 0), value)
        if number < 0 or number >> widths[name]:
            raise InputError(
                f"{where}: {number} does not fit into the {widths[name]} bits of {name}"
            )
        constant[name] = number
    if active is not None and "reset" not in roles:
        raise InputError(f"{where}: reset_active is given, but no port for the reset")
    return roles, constant, active
