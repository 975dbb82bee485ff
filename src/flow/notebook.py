# SPDX-License-Identifier: Apache-2.0
"""Cells of a notebook into stages of a pipeline: what src/flow/notebook.c asks Python for.

Reads {"cells": [{"number", "source", "role", "stage", "metrics"}], "beside": folder of the notebook} on stdin and writes
{"params", "stages", "notices"} or {"error"} on stdout. The code is parsed and never run. Where it can not be known what a
statement does, the answer errs on the side of saving and loading more: a variable is taken from the last stage that may
have changed it, and a name counts as read wherever it may be read.
"""

import ast
import builtins
import json
import os
import re
import resource
import symtable
import sys
import warnings

MAX_MAGICS = 200  # of one cell: each is found by parsing it again
ROOT_MODULES_OF_PATHS = {"Path", "PurePath", "pathlib.Path", "os.path.join", "str"}
PURE_CALLS = {"print", "len", "str", "repr", "int", "float", "bool", "isinstance", "type", "id", "hash", "abs", "round", "display"}
PURE_OVER_ITEMS = {"sum", "min", "max", "any", "all", "sorted", "list", "tuple", "set", "frozenset", "dict", "range", "enumerate",
                   "zip", "reversed"}
PURE_METHODS = {"copy", "index", "count", "join", "format", "lower", "upper", "strip", "split", "startswith", "endswith", "exists",
                "is_file", "is_dir", "mean", "std", "sum", "min", "max", "info", "describe", "item", "tolist", "nunique",
                "value_counts", "corr"}
PARTS_METHODS = {"items", "keys", "values", "get", "head", "tail"}  # what they give may be a part of the object
# Calls that set how the process works, which every stage is a new one of.
SETTING = re.compile(r"^(set($|[_A-Z])\w*|use|rc|enable\w*|disable\w*|filterwarnings|simplefilter|basicConfig|autolog|makedirs|mkdir"
                     r"|register_matplotlib_converters|patch\w*|load_dotenv|manual_seed|seed|seed_everything|seterr)$")
MLFLOW_SETTINGS = {"set_tracking_uri", "set_registry_uri", "set_experiment", "set_workspace", "autolog"}  # the others log
SEEDS = re.compile(r"^(seed|manual_seed|set_seed|seed_everything|set_random_seed)$")
MAKES_TYPES = {"namedtuple", "NamedTuple", "TypedDict", "NewType", "TypeVar", "make_dataclass", "Enum", "IntEnum", "getLogger"}
READERS = {"read_csv", "read_table", "read_parquet", "read_json", "read_excel", "read_feather", "read_pickle", "read_hdf", "read_fwf",
           "read_orc", "read_sas", "read_spss", "read_stata", "read_xml", "scan_csv", "scan_parquet", "loadtxt", "genfromtxt",
           "fromfile", "imread"}
LOADING_MODULES = {"np", "numpy", "joblib", "torch", "onnx"}
WRITERS = {"to_csv", "to_parquet", "to_json", "to_excel", "to_feather", "to_pickle", "to_html", "to_markdown", "write_csv",
           "write_parquet", "savefig", "savetxt", "imwrite", "imsave", "write_image", "write_html", "save_model"}
PATH_WORDS = {"filepath_or_buffer", "path", "fname", "filename", "path_or_buf", "path_or_buffer", "io", "file", "f"}
KEPT_MAGICS = {"time", "prun"}  # what follows them is Python
CELL_MAGICS = {"time", "prun", "capture"}
BUILTINS = set(dir(builtins)) | {"display", "get_ipython", "In", "Out", "_", "__", "___", "__file__", "__name__", "__doc__"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
MUTABLE = (ast.List, ast.Set, ast.Dict)
TRY = tuple(t for t in (ast.Try, getattr(ast, "TryStar", None)) if t)


class Refused(Exception):
    """What the person has to change; cell is its number in the notebook, line one of the cell."""

    def __init__(self, cell, line, text, hint=""):
        super().__init__(text)
        self.cell, self.line, self.text, self.hint = cell, line, text, hint


# ---- magics ----


def leave_out(cell, line, notices, what="left out"):
    notices.append((cell["number"], f"{what}: {line.strip()[:120]}"))


def without_cell_magic(cell, notices):
    """The cell without a first line `%%name`; empty where the rest is no Python."""
    text = cell["source"]
    head = text.lstrip().split("\n", 1)[0]
    if not head.startswith("%%"):
        return text
    name = (head[2:].split() or [""])[0]
    if name in CELL_MAGICS:
        start = text.index("%%")
        return text[:start] + "# " + text[start:]
    if name in ("writefile", "file"):
        raise Refused(cell["number"], 1, f"{head[:80]} writes a file that is code or data of the project",
                      "keep it as a file beside the notebook and import it, or tag the cell `skip`")
    leave_out(cell, head, notices, "a cell that is no Python is left out")
    return ""


def mended(cell, line, notices):
    """A line that the parser does not take, as Python; None where it is no magic."""
    indent, code = line[:len(line) - len(line.lstrip())], line.strip()
    if re.match(r"^[\w\s,.\[\]'\"]+=\s*[!%]", code) and "==" not in code.split("!")[0]:
        raise Refused(cell["number"], 0, f"`{code[:80]}` gives a variable the answer of a shell or of IPython",
                      "write it in Python (subprocess.run), or tag the cell `skip`")
    if code.startswith("%"):
        name, _, rest = code.lstrip("%").partition(" ")
        if name in KEPT_MAGICS and rest:
            return indent + rest
        if name in ("run", "cd", "load", "store"):
            raise Refused(cell["number"], 0, f"`{code[:80]}` changes what the rest of the notebook means",
                          "write it in Python, or tag the cell `skip`")
    elif not code.startswith(("!", "?")) and not code.endswith("?"):
        return None
    leave_out(cell, code, notices)
    return f"{indent}pass  # left out: {code}"


def parsed(cell, notices):
    """(text, tree) of a cell as plain Python. Lines are only looked at where the parser stumbles, so a % inside of a text stays."""
    lines = without_cell_magic(cell, notices).split("\n")
    for _ in range(MAX_MAGICS):
        try:
            text = "\n".join(lines)
            tree = ast.parse(text)
            body = [n for n in tree.body if not (isinstance(n, ast.ImportFrom) and n.module == "__future__")]
            compile(ast.Module(body, []), "cell", "exec")  # finds what is no statement of a script: await, return
            return text, tree
        except SyntaxError as error:
            at = (error.lineno or 1) - 1
            new = mended(cell, lines[at], notices) if at < len(lines) and not lines[at].strip().startswith("pass  #") else None
            if new is None or new == lines[at]:
                raise Refused(cell["number"], at + 1, f"not Python that can be read: {error.msg}",
                              "run the notebook once from top to bottom, or tag the cell `skip`") from error
            lines[at] = new
        except ValueError as error:
            raise Refused(cell["number"], 1, f"not Python that can be read: {error}") from error
    raise Refused(cell["number"], 1, f"more than {MAX_MAGICS} lines that are no Python", "tag the cell `skip`")


# ---- names ----


def names_of(node):
    """Of code with scopes of its own: (global names that it reads where it stands, those that it reads when it is called, those
    that calling it sets by `global`)"""
    now, later, set_ = set(), set(), set()

    def collect(table, top, called):
        if table.get_type() == "function" and table.get_name().strip("<>") not in ("listcomp", "setcomp", "dictcomp", "genexpr"):
            called = True
        for symbol in table.get_symbols():
            # Since Python 3.12 the variables of a comprehension count as the scope's own.
            if symbol.is_referenced() and (symbol.is_global() if not top else not symbol.is_assigned()):
                (later if called else now).add(symbol.get_name())
            if not top and symbol.is_declared_global() and symbol.is_assigned():
                set_.add(symbol.get_name())
        for child in table.get_children():
            collect(child, False, called)

    collect(symtable.symtable(ast.unparse(node), "cell", "exec"), True, False)
    return now, later, set_


class Flow:
    """Which names some statements read before they set them, set for sure, and may set."""

    def __init__(self):
        self.bound, self.maybe = set(), set()
        self.hard, self.soft = {}, set()  # name -> (cell, line); soft: read when a function is called
        self.cell = 0

    def need(self, name, line, soft=False):
        if name not in self.bound:
            self.soft.add(name)
            if not soft:
                self.hard.setdefault(name, (self.cell, line))

    def bind(self, name):
        self.bound.add(name)
        self.maybe.add(name)

    def nested(self, node, own=None):
        now, later, set_ = names_of(node)
        for name in now - {own}:
            self.need(name, getattr(node, "lineno", 0))
        for name in (later | set_) - {own}:
            self.need(name, getattr(node, "lineno", 0), True)
        self.maybe |= set_

    def expression(self, node):
        if node is None:
            return
        if isinstance(node, ast.Lambda):
            self.nested(node)
        elif isinstance(node, COMPREHENSIONS):
            self.comprehension(node)
        elif isinstance(node, ast.NamedExpr):
            self.expression(node.value)
            self.bind(node.target.id)
        elif isinstance(node, ast.Name):
            self.need(node.id, node.lineno)
        else:
            for child in ast.iter_child_nodes(node):
                self.expression(child)

    def comprehension(self, node):
        before = set(self.bound)
        for part in node.generators:
            self.expression(part.iter)
            self.bound |= {n.id for n in ast.walk(part.target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            for test in part.ifs:
                self.expression(test)
        for value in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.expression(value)
        self.bound = before

    def target(self, node):
        if isinstance(node, ast.Name):
            self.bind(node.id)
        elif isinstance(node, (ast.Tuple, ast.List)):
            for item in node.elts:
                self.target(item)
        elif isinstance(node, ast.Starred):
            self.target(node.value)
        else:
            self.expression(node)

    def branch(self, *parts):
        """Run statements on a copy of what is bound; what is bound after them, None where they leave."""
        before = set(self.bound)
        leaves = False
        for part in parts:
            self.block(part)
            leaves = leaves or bool(part) and isinstance(part[-1], (ast.Raise, ast.Continue, ast.Break, ast.Return))
        after, self.bound = self.bound, before
        return None if leaves else after

    def merge(self, *ends):
        ends = [e for e in ends if e is not None]
        if ends:
            self.bound = set.intersection(*ends)

    def block(self, statements):
        for statement in statements:
            self.statement(statement)

    def definition(self, node):
        self.nested(node, node.name)
        self.bind(node.name)

    def loop(self, node):
        if isinstance(node, ast.While):
            self.expression(node.test)
            self.branch(node.body)
        else:
            self.expression(node.iter)
            before = set(self.bound)
            self.target(node.target)
            self.branch(node.body)
            self.bound = before
        self.branch(node.orelse)

    def attempt(self, node):
        ends = [self.branch(node.body, node.orelse)]
        for handler in node.handlers:
            self.expression(handler.type)
            before = set(self.bound)
            if handler.name:
                self.bound.add(handler.name)
            ends.append(self.branch(handler.body))
            self.bound = before
        self.merge(*ends)
        self.block(node.finalbody)

    def match(self, node):
        self.expression(node.subject)
        for case in node.cases:
            before = set(self.bound)
            for part in ast.walk(case.pattern):
                name = getattr(part, "name", None) or getattr(part, "rest", None)
                if isinstance(name, str):
                    self.bind(name)
                elif isinstance(part, ast.Name):
                    self.need(part.id, part.lineno)
            self.expression(case.guard)
            self.branch(case.body)
            self.bound = before

    def assignment(self, node):
        if isinstance(node, ast.AugAssign):
            if isinstance(node.target, ast.Name):
                self.need(node.target.id, node.lineno)
            self.expression(node.value)
            self.target(node.target)
            return
        self.expression(node.value)
        if isinstance(node, ast.AnnAssign):
            self.expression(node.annotation)
        for target in node.targets if isinstance(node, ast.Assign) else [node.target] if node.value else []:
            self.target(target)

    def statement(self, node):
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            self.assignment(node)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            self.definition(node)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                self.bind(alias.asname or alias.name.split(".")[0])
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            self.loop(node)
        elif isinstance(node, ast.If):
            self.expression(node.test)
            self.merge(self.branch(node.body), self.branch(node.orelse))
        elif isinstance(node, TRY):
            self.attempt(node)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                self.expression(item.context_expr)
                if item.optional_vars is not None:
                    self.target(item.optional_vars)
            self.block(node.body)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self.need(target.id, target.lineno)
                    self.bound.discard(target.id)
                    self.maybe.add(target.id)
                else:
                    self.expression(target)
        elif isinstance(node, getattr(ast, "Match", ())):
            self.match(node)
        else:
            for child in ast.iter_child_nodes(node):
                self.expression(child)


# ---- what a statement is ----


def dotted(node):
    """a.b.c as text; calls on the way are passed over: Path("x").mkdir is Path.mkdir. Empty: no such thing."""
    parts = []
    while True:
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, (ast.Call, ast.Subscript)):
            node = node.func if isinstance(node, ast.Call) else node.value
        elif isinstance(node, ast.Name):
            return ".".join([node.id, *reversed(parts)])
        else:
            return ""


def literal(node):
    """(True, value) of what params.yaml can hold: numbers, texts, truth, none, lists and maps of them, a tuple at the outside."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None
    return fits(list(value) if isinstance(value, tuple) else value, 0), value


def fits(value, depth):
    if depth > 20 or isinstance(value, tuple):
        return False
    if isinstance(value, list):
        return all(fits(v, depth + 1) for v in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and k and fits(k, depth) and fits(v, depth + 1) for k, v in value.items())
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    if isinstance(value, float):
        return value - value == 0
    return isinstance(value, str) and not any(0xD800 <= ord(c) <= 0xDFFF for c in value)


class Unit:
    """One statement at the top of a cell."""

    def __init__(self, cell, text, node, place):
        self.cell, self.node, self.place = cell, node, place  # place: where it stands among all of the notebook
        self.stage = cell["index"]
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        lines = text.split("\n")
        while first > 1 and lines[first - 2].startswith("#") and not lines[first - 2].startswith("# %%"):
            first -= 1
        self.text = "\n".join(lines[first - 1:node.end_lineno])
        if text.split("\n")[node.lineno - 1][:node.col_offset].strip() or lines[node.end_lineno - 1].encode()[node.end_col_offset:].strip():
            self.text = ast.unparse(node)  # it shares a line with others
        flow = Flow()
        flow.cell = cell["number"]
        flow.statement(node)
        self.hard, self.soft, self.maybe, self.bound = flow.hard, flow.soft, flow.maybe, flow.bound
        self.kind, self.value = "compute", None
        is_code = isinstance(node, (*FUNCTIONS, ast.ClassDef))
        self.names = flow.bound if is_code else flow.maybe  # what it sets where it stands
        self.remote = flow.maybe - flow.bound if is_code else set()  # what calling it sets, by `global`


def only_code(node):
    """Imports and definitions, also within `try` and `if`."""
    if isinstance(node, (ast.Import, ast.ImportFrom, *FUNCTIONS, ast.ClassDef, ast.Pass, ast.Raise)):
        return True
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return isinstance(node.value, (ast.Lambda, ast.Constant)) or (
            isinstance(node.value, ast.Call) and dotted(node.value.func).split(".")[-1] in MAKES_TYPES)
    if isinstance(node, TRY):
        parts = [*node.body, *node.orelse, *node.finalbody, *(s for h in node.handlers for s in h.body)]
        return all(map(only_code, parts)) and any(isinstance(s, (ast.Import, ast.ImportFrom)) for s in node.body)
    if isinstance(node, ast.If):
        return all(map(only_code, [*node.body, *node.orelse])) and any(
            isinstance(s, (ast.Import, ast.ImportFrom, *FUNCTIONS)) for s in node.body)
    return False


class Notebook:
    def __init__(self, request):
        self.notices = []
        self.beside = request.get("beside") or "."
        self.cells = request["cells"]
        self.stages = []  # names
        self.units = []
        self.skipped = {}  # name -> number of the skipped cell that sets it
        self.texts = {}  # number of the cell -> text
        self.future = []
        self.read_cells()
        self.parents = {}
        for unit in self.units:
            for node in ast.walk(unit.node):
                for child in ast.iter_child_nodes(node):
                    self.parents[child] = node
        self.uses = {}  # name -> nodes that read it
        for unit in self.units:
            for node in ast.walk(unit.node):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    self.uses.setdefault(node.id, []).append((unit, node))
        self.setters = {}
        for unit in self.units:
            for name in unit.names:
                self.setters.setdefault(name, []).append(unit)
        self.imported = {n for u in self.units if isinstance(u.node, (ast.Import, ast.ImportFrom)) for n in u.maybe}
        self.words = {n.attr for u in self.units for n in ast.walk(u.node) if isinstance(n, ast.Attribute)}
        self.constants = {}
        self.classify()

    def notice(self, cell, text):
        self.notices.append((cell, text))

    def read_cells(self):
        index = 0
        for cell in self.cells:
            if cell["role"] == "skip":
                self.read_skipped(cell)
                continue
            if cell["role"] == "stage" and (not self.stages or self.stages[-1] != cell["stage"]):
                self.stages.append(cell["stage"])
                index += 1
            cell["index"] = index
            text, tree = parsed(cell, self.notices)
            self.texts[cell["number"]] = text
            for node in tree.body:
                if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                    self.future += [a.name for a in node.names if a.name not in self.future]
                    lines = self.texts[cell["number"]].split("\n")
                    for i in range(node.lineno - 1, node.end_lineno):
                        lines[i] = ""
                    self.texts[cell["number"]] = "\n".join(lines)
                    continue
                self.units.append(Unit(cell, text, node, len(self.units)))

    def read_skipped(self, cell):
        try:
            for node in parsed(cell, [])[1].body:
                flow = Flow()
                flow.statement(node)
                for name in flow.maybe:
                    self.skipped.setdefault(name, cell["number"])
        except (Refused, RecursionError, MemoryError):
            pass  # what can not be read sets nothing that is known

    # -- kinds of statements --

    def classify(self):
        used = set(self.uses)
        for unit in self.units:
            node = unit.node
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                side_effect = not unit.maybe & used  # nobody names it: it was imported for what importing it does
                unit.kind = "config" if side_effect or "*" in unit.maybe else "code"
            elif only_code(node) and not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)):
                unit.kind = "code"
            elif unit.cell["role"] in ("parameters", "injected") and self.is_parameter(unit):
                unit.kind = "param"
            elif self.is_setting(node):
                unit.kind = "config"
            elif self.is_constant(unit):
                unit.kind = "const"

    def single_target(self, node):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            return node.targets[0].id if isinstance(node.targets[0], ast.Name) else None
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            return node.target.id if isinstance(node.target, ast.Name) else None
        return None

    def is_parameter(self, unit):
        name = self.single_target(unit.node)
        if name is None:
            return False
        good, unit.value = literal(unit.node.value)
        if not good:
            self.notice(unit.cell["number"], f"`{name}` is no plain value: it stays in the code instead of params.yaml")
            return False
        self.constants[name] = unit.value
        return True

    def is_setting(self, node):
        """A call or an assignment that sets how a module works, from values that every stage knows."""
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = dotted(node.value.func)
            word = name.split(".")[-1]
            good = SETTING.match(word) or name in ("sys.path.append", "sys.path.insert")
            if name.startswith("mlflow."):
                good = word in MLFLOW_SETTINGS
            elif word in ("mkdir", "makedirs"):
                good = any(k.arg == "exist_ok" for k in node.value.keywords)  # the others can run only once
            parts = [node.value]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], (ast.Attribute, ast.Subscript)):
            name, good = dotted(node.targets[0]), True
            parts = [node]
        else:
            return False
        root = name.split(".")[0]
        if not good or root not in self.imported:
            return False
        known = self.imported | {n for n in self.constants if self.is_fixed(n)} | BUILTINS
        return all(n.id in known for p in parts for n in ast.walk(p) if isinstance(n, ast.Name))

    def is_fixed(self, name):
        """A parameter or a constant that nothing sets again."""
        return name in self.constants and all(u.kind in ("param", "const") or u.cell["role"] in ("parameters", "injected")
                                              for u in self.setters.get(name, []))

    def is_constant(self, unit):
        name = self.single_target(unit.node)
        if name is None or len(self.setters.get(name, [])) != 1:
            return False
        value = unit.node.value
        for node in ast.walk(value):
            if isinstance(node, ast.Name) and node.id not in self.imported and not self.is_fixed(node.id):
                return False
            if isinstance(node, ast.Call) and dotted(node.func) not in ROOT_MODULES_OF_PATHS:
                return False
            if not isinstance(node, (ast.Constant, ast.Tuple, *MUTABLE, ast.UnaryOp, ast.BinOp, ast.JoinedStr, ast.FormattedValue,
                                     ast.Name, ast.Call, ast.Attribute, ast.operator, ast.unaryop, ast.expr_context)):
                return False
        if any(isinstance(n, MUTABLE) for n in ast.walk(value)) and self.may_change(name, True):
            return False
        self.constants[name] = self.folded(value)
        return True

    # -- may this change what a name stands for? --

    def safe(self, node, items):
        """Is the value at this place only looked at? items: its parts can not change either."""
        parent = self.parents.get(node)
        if isinstance(parent, (ast.BinOp, ast.Compare, ast.UnaryOp, ast.FormattedValue, ast.Assert)):
            return True
        if isinstance(parent, (ast.If, ast.While, ast.IfExp)) and parent.test is node:
            return True
        if isinstance(parent, (ast.For, ast.comprehension)) and parent.iter is node:
            return items
        if isinstance(parent, (ast.keyword, ast.Starred)):
            call = self.parents.get(parent)
            if isinstance(parent, ast.Starred):
                return items
            return parent.arg is None or isinstance(call, ast.Call) and self.pure(call, items)
        if isinstance(parent, ast.Call) and node is not parent.func:
            return self.pure(parent, items)
        if isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Load):
            return parent.slice is node or items or self.safe(parent, items)
        if isinstance(parent, ast.Attribute) and isinstance(parent.ctx, ast.Load):
            call = self.parents.get(parent)
            if isinstance(call, ast.Call) and call.func is parent:
                return parent.attr in PURE_METHODS or parent.attr in PARTS_METHODS and (items or self.safe(call, items))
            return self.safe(parent, items)
        return False

    def pure(self, call, items):
        name = dotted(call.func)
        return name not in self.setters and (name in PURE_CALLS or items and name in PURE_OVER_ITEMS)

    def may_change(self, name, items, stage=None):
        return any(not self.safe(node, items) for unit, node in self.uses.get(name, []) if stage is None or unit.stage == stage)

    # -- files --

    def folded(self, node):
        """The text of a path that is known without running anything; None where it is not."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.Name):
            value = self.constants.get(node.id)
            return value if isinstance(value, str) and len(self.setters.get(node.id, [])) <= 2 else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Div)):
            left, right = self.folded(node.left), self.folded(node.right)
            if left is None or right is None:
                return None
            return left + right if isinstance(node.op, ast.Add) else os.path.join(left, right)
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else
                     self.folded(p.value) if p.conversion == -1 and p.format_spec is None else None for p in node.values]
            return None if None in parts else "".join(parts)
        if isinstance(node, ast.Call) and not node.keywords and dotted(node.func) in ROOT_MODULES_OF_PATHS:
            parts = [self.folded(a) for a in node.args]
            return os.path.join(*parts) if parts and None not in parts else None
        return None

    def path_of(self, call, position):
        for word in call.keywords:
            if word.arg in PATH_WORDS:
                return word.value
        return call.args[position] if len(call.args) > position else None

    def file_call(self, call):
        """("r" or "w", node of the path) of a call that reads or writes a file, else None."""
        name = dotted(call.func)
        root, word = name.split(".")[0], name.split(".")[-1]
        is_method = isinstance(call.func, ast.Attribute)
        if name == "open" or is_method and word == "open" and isinstance(call.func.value, (ast.Call, ast.BinOp, ast.Name)):
            path = self.path_of(call, 0) if name == "open" else call.func.value
            place = 1 if name == "open" else 0
            mode = next((k.value for k in call.keywords if k.arg == "mode"), call.args[place] if len(call.args) > place else None)
            text = mode.value if isinstance(mode, ast.Constant) and isinstance(mode.value, str) else "r"
            if name != "open" and self.folded(path) is None:
                return None  # something else that is opened
            return ("r" if "r" in text and "+" not in text else "a" if "a" in text or "+" in text else "w"), path
        if word in READERS or word == "load" and root in LOADING_MODULES:
            return "r", self.path_of(call, 0)
        if word in ("read_text", "read_bytes") and is_method:
            return "r", call.func.value
        if word in ("write_text", "write_bytes") and is_method:
            return "w", call.func.value
        if name.startswith("mlflow."):
            return None if word != "save_model" else ("w", self.path_of(call, 1))
        if word in ("dump", "save") and root in LOADING_MODULES:
            return "w", self.path_of(call, 0 if root in ("np", "numpy") else 1)
        path = self.path_of(call, 0) if word in WRITERS and is_method else None
        return ("w", path) if path is not None else None

    def files_of(self, unit):
        """[(mode, path or None, line, whether it is within a function)] of one statement."""
        found = []
        for node in ast.walk(unit.node):
            known = self.file_call(node) if isinstance(node, ast.Call) else None
            if known and known[1] is not None:
                inside = isinstance(unit.node, (*FUNCTIONS, ast.ClassDef))
                found.append((known[0], self.folded(known[1]), node.lineno, inside))
        return found


class Plan:
    """Which statements, variables and files each stage has."""

    def __init__(self, notebook):
        self.nb = notebook
        self.n = len(notebook.stages)
        self.extra = [set() for _ in range(self.n + 1)]  # variables that a stage needs to be able to pass them on
        self.body = [[u for u in notebook.units if u.stage == k or k == 1 and u.stage == 0 and u.kind not in ("code", "const", "param")]
                     for k in range(self.n + 1)]
        self.flows = [self.flow(k) for k in range(self.n + 1)]
        self.settings = [u for u in notebook.units if u.kind == "config"]
        self.escaping = self.escapes()
        while self.pass_over():
            pass

    def flow(self, k):
        flow = Flow()
        for unit in self.body[k]:
            flow.cell = unit.cell["number"]
            flow.statement(unit.node)
        return flow

    def escapes(self):
        """Classes, and functions that are handed around: pickles of other things may name them."""
        nb, names = self.nb, set()
        for name, uses in nb.uses.items():
            if any(not (isinstance(nb.parents.get(n), ast.Call) and nb.parents[n].func is n) for _, n in uses):
                names.add(name)
        return [u for u in nb.units if u.kind == "code" and not isinstance(u.node, (ast.Import, ast.ImportFrom))
                and (isinstance(u.node, (ast.ClassDef, ast.Assign)) or u.maybe & names)]

    def site(self, name, k):
        """The last statement before stage k that sets the name, and the stage of the last that may have changed it."""
        last = None
        for unit in self.nb.setters.get(name, []):
            if unit.stage < k and (last is None or unit.place > last.place):
                last = unit
        return last

    def pass_over(self):
        """Work out loads and saves of all stages; True when a stage has to load more than was thought."""
        self.loads = [{} for _ in range(self.n + 1)]
        self.prelude = [set() for _ in range(self.n + 1)]
        self.saves = [set() for _ in range(self.n + 1)]
        holder = {}
        for k in range(1, self.n + 1):
            self.close(k, holder)
            for name in self.changed_in(k):
                holder[name] = k
        more = False
        for k in range(1, self.n + 1):
            for name, stage in self.loads[k].items():
                self.saves[stage].add(name)
        for k in range(1, self.n + 1):
            for name in self.saves[k] - self.flows[k].bound - set(self.loads[k]):
                if name not in self.extra[k] and self.site(name, k):
                    self.extra[k].add(name)
                    more = True
        return more

    def close(self, k, holder):
        """What stage k needs of before: statements that are repeated in it, variables that it loads."""
        nb = self.nb
        todo = [*self.flows[k].soft, *self.extra[k]]
        seen = set()

        def include(unit):
            if unit.place not in self.prelude[k] and unit.stage != k:
                self.prelude[k].add(unit.place)
                todo.extend(unit.soft)

        for unit in self.settings:
            if unit.stage < k and not (k == 1 and unit.stage == 0) and not self.only_for_mlflow(unit, k):
                include(unit)
        while todo or self.loads[k]:
            while todo:
                name = todo.pop()
                if name in seen:
                    continue
                seen.add(name)
                if name in holder:
                    unit = self.site(name, k)
                    if unit is None or unit.stage <= holder[name] and unit.kind != "code":
                        self.loads[k][name] = holder[name]
                        continue
                for unit in nb.setters.get(name, []):
                    if unit.kind == "param" and unit.stage < k:
                        include(unit)
                unit = self.site(name, k)
                if unit is not None and unit.kind != "param" and not (k == 1 and unit.stage == 0 and unit.kind == "compute"):
                    include(unit)
            if not self.loads[k]:
                break
            for unit in self.escaping:
                if unit.stage < k:
                    include(unit)
            if not todo:
                break

    def only_for_mlflow(self, unit, k):
        """mlflow.set_experiment and its like, which cost seconds, in a stage that does not name mlflow."""
        name = dotted(unit.node.value.func) if isinstance(unit.node, ast.Expr) and isinstance(unit.node.value, ast.Call) else ""
        return name.startswith("mlflow.set_") and "mlflow" not in self.flows[k].soft and "autolog" not in self.nb.words

    def changed_in(self, k):
        """Variables that stage k sets or may change: from then on they come from it."""
        nb, names = self.nb, set()
        for unit in self.body[k]:
            names |= unit.maybe if unit.kind == "compute" else unit.remote
        for place in self.prelude[k]:
            names |= nb.units[place].remote
        touched = self.flows[k].soft | set(self.loads[k])
        for place in self.prelude[k]:
            touched |= nb.units[place].soft
        for name in touched:
            unit = self.site(name, k)
            is_variable = name in self.loads[k] or unit is not None and (
                unit.kind == "param" and isinstance(unit.value, (list, dict)))
            items = unit is not None and unit.kind == "param"
            inside = any(nb.units[p].soft & {name} for p in self.prelude[k])
            if is_variable and (nb.may_change(name, items, k) or inside and nb.may_change(name, items)):
                names.add(name)
        return names - nb.imported

    # -- checks --

    def check(self):
        nb = self.nb
        star = any("*" in u.maybe for u in nb.units)
        for k in range(1, self.n + 1):
            for name, (cell, line) in sorted(self.flows[k].hard.items(), key=lambda item: item[1]):
                if name in BUILTINS or star or any(u.cell["number"] <= cell for u in nb.setters.get(name, [])):
                    continue  # set for sure, or by a branch: then the stage fails where the notebook did
                self.undefined(name, nb.stages[k - 1], cell, line)
        for k in range(1, self.n + 1):
            for name in self.loads[k]:
                self.defined_within(name, nb.stages[k - 1])
        if star:
            nb.notice(0, "`from ... import *`: which names it brings is not known; each stage has the line")

    def defined_within(self, name, stage):
        """A function that an `if` or a loop defines can neither be repeated nor, outside of its script, be pickled."""
        for unit in self.nb.setters.get(name, []):
            for node in ast.walk(unit.node) if unit.kind == "compute" else []:
                if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and node.name == name:
                    raise Refused(unit.cell["number"], node.lineno, f"`{name}` is defined within a statement, and stage {stage} needs it",
                                  "define it at the left margin, or in a module beside the notebook")

    def undefined(self, name, stage, cell, line):
        nb = self.nb
        if name in nb.skipped:
            raise Refused(cell, line, f"stage {stage} reads `{name}`, which only cell {nb.skipped[name]} sets, and that is left out",
                          "take its tag away, or give the cell a stage")
        later = nb.setters.get(name)
        if later:
            raise Refused(cell, line, f"stage {stage} reads `{name}`, which only cell {later[0].cell['number']}, further down, sets",
                          "the cells were run out of order: move it up")
        raise Refused(cell, line, f"stage {stage} reads `{name}`, which no cell sets", "restart the kernel and run all cells once")

    # -- files --

    def files(self):
        """Per stage: deps, outs, metrics."""
        nb = self.nb
        reads, writes, self.deps, self.outs, self.metrics = {}, {}, {}, {}, {}
        for k in range(1, self.n + 1):
            reads[k], writes[k] = {}, {}
            for unit in self.of_stage(k):
                for mode, path, line, inside in nb.files_of(unit):
                    self.file(k, unit, mode, path, line, inside, reads[k], writes[k])
        makers = {}
        for k in range(1, self.n + 1):
            for path, cell in writes[k].items():
                if path in makers and makers[path][0] != k:
                    other = makers[path]
                    raise Refused(cell, 0, f"stages {nb.stages[other[0] - 1]} and {nb.stages[k - 1]} both write {path}",
                                  "a file is made by one stage: write two files, or make the two one stage")
                makers[path] = (k, cell)
        for k in range(1, self.n + 1):
            for path, cell in reads[k].items():
                maker = makers.get(path, (0, 0))[0]
                if maker > k:
                    raise Refused(cell, 0, f"stage {nb.stages[k - 1]} reads {path}, which stage {nb.stages[maker - 1]} writes later",
                                  "write another file, or move the cells")
            self.deps[k] = sorted(p for p in reads[k] if p not in writes[k])
            for path in self.deps[k]:
                if path not in makers and not os.path.exists(path):
                    nb.notice(reads[k][path], f"{path} is read, and is not in the project's folder yet")
            later = {p for j in range(k + 1, self.n + 1) for p in reads[j]}
            self.metrics[k] = sorted(p for p in writes[k] if self.is_metrics(p, writes[k][p], later))
            self.outs[k] = sorted(p for p in writes[k] if p not in self.metrics[k])

    def of_stage(self, k):
        return self.body[k] + [self.nb.units[p] for p in sorted(self.prelude[k]) if self.nb.units[p].kind == "code"]

    def is_metrics(self, path, cell, later):
        tagged = any(c["number"] == cell and c.get("metrics") for c in self.nb.cells)
        writes_json = re.search(r"\bjson\s*\.\s*dumps?\b|\bdumps?\s*\(", self.nb.texts[cell]) is not None
        return path.endswith(".json") and (tagged or writes_json and path not in later)

    def file(self, k, unit, mode, path, line, inside, reads, writes):
        cell, verb = unit.cell["number"], "reads" if mode == "r" else "writes"
        if path is None:
            self.nb.notice(cell, f"line {line} {verb} a file whose name is not known here: add it to stage {self.nb.stages[k - 1]} in dvc.yaml")
            return
        if re.match(r"^[A-Za-z][A-Za-z0-9+.-]+:/", path):
            self.nb.notice(cell, f"line {line} {verb} {path[:80]}: not watched, it is no file of the project")
            return
        normal = os.path.normpath(path)
        if os.path.isabs(path) or normal.split(os.sep)[0] == ".." or normal == "." or any(ord(c) < 32 for c in path):
            self.nb.notice(cell, f"line {line} {verb} {path[:80]}: not watched, it is outside of the project")
            return
        if mode == "r":
            reads.setdefault(normal, cell)
        elif mode == "a":
            self.nb.notice(cell, f"line {line} appends to {normal}: not declared, a stage makes its files anew")
        elif inside and sum(unit.place in p for p in self.prelude) + (unit.stage > 0) > 1:
            self.nb.notice(cell, f"line {line} writes {normal} in a function of several stages: not declared")
        else:
            writes.setdefault(normal, cell)

    def modules(self, k):
        """Modules of the project's own folder that the stage imports."""
        found = []
        for unit in self.of_stage(k) + [self.nb.units[p] for p in self.prelude[k]]:
            for node in ast.walk(unit.node):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else (
                    [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else [])
                for name in names:
                    top = name.split(".")[0]
                    for path in (top + ".py", top):
                        where = path if path.endswith(".py") else os.path.join(path, "__init__.py")
                        if os.path.isfile(where):
                            found.append(path)
                            break
                        if os.path.isfile(os.path.join(self.nb.beside, where)):
                            self.nb.notice(unit.cell["number"], f"{path} stands beside the notebook, not in the project: copy it")
        return sorted(set(found))


class Scripts:
    """The text of each stage."""

    def __init__(self, plan):
        self.plan, self.nb = plan, plan.nb
        seeds = [u for u in self.nb.units if any(
            isinstance(n, ast.Call) and SEEDS.match(dotted(n.func).split(".")[-1] or "-") for n in ast.walk(u.node))]
        self.seeded = max(1, min(u.stage for u in seeds)) if seeds else None
        self.params = {}

    def statement(self, unit):
        if unit.kind != "param":
            return unit.text
        name = self.nb.single_target(unit.node)
        call = f'_gyre.parameter("{name}")'
        return f"{name} = {f'tuple({call})' if isinstance(unit.value, tuple) else call}"

    def prelude(self, k):
        """(before the variables are loaded, after it): what the stage repeats of the cells before it."""
        first, then, done, keys = [], [], set(), set()
        loaded = set(self.plan.loads[k])
        places = set(self.plan.prelude[k])
        if k == 1:
            places |= {u.place for u in self.plan.body[1] if u.stage == 0}
        for place in sorted(places):
            unit = self.nb.units[place]
            if unit.kind == "param":
                name = self.nb.single_target(unit.node)
                keys.add(name)
                if name in done:
                    continue
                done.add(name)
            text = self.statement(unit)
            if isinstance(unit.node, (*FUNCTIONS, ast.ClassDef)):
                text = f"\n{text}\n"
            (then if set(unit.hard) & loaded else first).append(text)
        return first, then, sorted(keys)

    def load_lines(self, k):
        lines, by_stage = [], {}
        for name, stage in sorted(self.plan.loads[k].items()):
            by_stage.setdefault(stage, []).append(name)
        for stage, names in sorted(by_stage.items()):
            bound = self.plan.flows[stage].bound.union(self.plan.loads[stage], *(
                self.nb.units[p].bound for p in self.plan.prelude[stage]))
            sure = [n for n in names if n in bound]
            for name in sure:
                lines.append(f'{name} = _gyre.load("{self.nb.stages[stage - 1]}", "{name}")')
            for name in sorted(set(names) - set(sure)):
                lines.append(f'_gyre.load_if_set("{self.nb.stages[stage - 1]}", "{name}", globals())')
        return lines

    def metrics_call(self, cell, k, path):
        names = []
        for unit in self.nb.units:
            if unit.cell is cell and unit.kind in ("compute", "const"):
                for node in ast.walk(unit.node):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in unit.maybe and node.id not in names:
                        names.append(node.id)
        if not names:
            raise Refused(cell["number"], 1, "a cell tagged `metrics` sets no variable and writes no JSON file",
                          'set one: metrics = {"accuracy": accuracy}')
        pairs = ", ".join(f'"{n}": {n}' for n in names)
        self.plan.metrics[k] = sorted({*self.plan.metrics[k], path})
        return f'_gyre.save_metrics("{path}", {{{pairs}}})'

    def body(self, k):
        parts = []
        for cell in self.nb.cells:
            if cell["role"] == "skip" or cell["index"] != k or not self.nb.texts[cell["number"]].strip():
                continue
            parts.append(f"\n# Cell {cell['number']} of the notebook.\n{self.nb.texts[cell['number']].strip(chr(10)).rstrip()}")
            own = [p for p in self.plan.metrics[k] if any(
                f[1] is not None and os.path.normpath(f[1]) == p for u in self.nb.units if u.cell is cell for f in self.nb.files_of(u))]
            if cell.get("metrics") and not own:
                parts.append(self.metrics_call(cell, k, f"metrics/{self.nb.stages[k - 1]}.json"))
        return parts

    def stage(self, k):
        name, plan = self.nb.stages[k - 1], self.plan
        first, then, keys = self.prelude(k)
        for unit in self.nb.units:
            if unit.kind == "param":
                value = unit.value
                self.params[self.nb.single_target(unit.node)] = list(value) if isinstance(value, tuple) else value
        head = [f"from __future__ import {', '.join(self.nb.future)}"] if self.nb.future else []
        head.append("import gyre_notebook as _gyre")
        body = self.body(k)
        code = "\n".join([*first, *then, *body])
        outs = [*plan.outs[k], *plan.metrics[k]]
        if any(os.path.dirname(o) for o in outs) and not re.search(r"\b(mkdir|makedirs)\b", code):
            folders = sorted({os.path.dirname(o) for o in outs if os.path.dirname(o)})
            first.insert(0, f"_gyre.make_folders({', '.join(json.dumps(f, ensure_ascii=False) for f in folders)})")
        if re.search(r"\b(matplotlib|seaborn|pylab)\b", code):
            head.append("_gyre.pictures_to_files()")
        if re.search(r"\bdisplay\s*\(", code) and "display" not in self.nb.setters:
            head.append("display = print")
        if "get_ipython" in code:
            raise Refused(0, 0, f"stage {name} asks for IPython (get_ipython), which a stage has not", "tag that cell `skip`")
        deps = [f"stages/{name}.py", *plan.deps[k], *plan.modules(k),
                *(f"stages/out/{self.nb.stages[s - 1]}/{n}.pkl" for n, s in plan.loads[k].items())]
        saved = [f"stages/out/{name}/{n}.pkl" for n in plan.saves[k]]
        lines = self.load_lines(k)
        if self.seeded is not None and k > self.seeded:
            then.append(f'_gyre.load_random("{self.nb.stages[k - 2]}")')
            deps.append(f"stages/out/{self.nb.stages[k - 2]}/random.state")
        end = [f'_gyre.save("{name}", globals(), {", ".join(json.dumps(n, ensure_ascii=False) for n in sorted(plan.saves[k]))})'] if plan.saves[k] else []
        if self.seeded is not None and self.seeded <= k < plan.n:
            end.append(f'_gyre.save_random("{name}")')
            saved.append(f"stages/out/{name}/random.state")
        blocks = ["\n".join(head), "\n".join(first), "\n".join([*lines, *then]), "\n".join(body), "\n".join(end)]
        text = "\n\n".join(b.strip("\n") for b in blocks if b.strip()) + "\n"
        ast.parse(text)
        return {"name": name, "script": text, "deps": sorted(set(deps)), "params": keys, "outs": sorted({*saved, *plan.outs[k]}),
                "metrics": plan.metrics[k]}


def notices_of_mlflow(notebook):
    for unit in notebook.units:
        for node in ast.walk(unit.node):
            if isinstance(node, ast.Call) and dotted(node.func) == "mlflow.start_run" and isinstance(
                    notebook.parents.get(node), (ast.Expr, ast.Assign)):
                notebook.notice(unit.cell["number"], "mlflow.start_run() without `with`: a run does not outlive its stage")


def answer(request):
    notebook = Notebook(request)
    notices_of_mlflow(notebook)
    plan = Plan(notebook)
    plan.check()
    plan.files()
    scripts = Scripts(plan)
    stages = [scripts.stage(k) for k in range(1, plan.n + 1)]
    unused = sorted(set(scripts.params) - {p for s in stages for p in s["params"]})
    for name in unused:
        notebook.notice(0, f"the parameter `{name}` is used by no stage")
    notices = [{"cell": c, "text": t} for c, t in dict.fromkeys(notebook.notices)]
    return {"params": scripts.params, "stages": stages, "notices": notices}


def main():
    if sys.version_info < (3, 9):
        print(json.dumps({"error": {"cell": 0, "line": 0, "text": "Python 3.9 or newer is needed", "hint": ""}}))
        return
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    sys.setrecursionlimit(4000)
    warnings.simplefilter("ignore")
    try:
        result = answer(json.load(sys.stdin))
    except Refused as refused:
        result = {"error": {"cell": refused.cell, "line": refused.line, "text": refused.text, "hint": refused.hint}}
    except (RecursionError, MemoryError):
        result = {"error": {"cell": 0, "line": 0, "text": "the code is nested too deeply", "hint": "tag that cell `skip`"}}
    sys.stdout.buffer.write(json.dumps(result, ensure_ascii=True, allow_nan=False).encode())


if __name__ == "__main__":
    main()
