# SPDX-License-Identifier: Apache-2.0
"""What the stages of an imported notebook share: parameters, variables from stage to stage, metrics.

Put here by `gyre flow import`; importing the notebook again replaces it.
"""

import os
import sys

# A stage stands in this folder, but the notebook saw the modules of the project's folder; and a stage called like a
# package must not stand in for it.
sys.path[0] = os.getcwd()

import json  # noqa: E402
import pickle  # noqa: E402
import re  # noqa: E402

OUT = os.path.join("stages", "out")
_parameters = None
_metrics = {}


class Unset:
    """Stands in a file for a variable that the stage did not set."""


def parameter(name):
    """The value of params.yaml."""
    global _parameters
    if _parameters is None:
        try:
            import yaml
        except ImportError:
            sys.exit("the stages read params.yaml with PyYAML: python3 -m pip install pyyaml")

        class Loader(yaml.SafeLoader):
            """As YAML 1.2, and everybody else, has it: 1e-4 is a number."""

        Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9]*(\.[0-9]*)?[eE][-+]?[0-9]+$"),
                                     list("-+0123456789"))
        with open("params.yaml", encoding="utf-8") as file:
            _parameters = yaml.load(file, Loader) or {}
    if name not in _parameters:
        sys.exit(f"params.yaml has no `{name}`")
    return _parameters[name]


def _path(stage, file):
    return os.path.join(OUT, stage, file)


def _dumped(stage, name, value):
    try:
        return pickle.dumps(value, protocol=4)
    except Exception as error:  # whatever an object's own code raises
        try:
            import cloudpickle
            return cloudpickle.dumps(value, protocol=4)
        except Exception:
            sys.exit(f"the variable `{name}` of stage {stage} can not be saved for the stages after it ({error}): make it in the "
                     "stages that use it, or make them one stage")


def save(stage, variables, *names):
    """Keep variables for later stages."""
    os.makedirs(_path(stage, ""), exist_ok=True)
    seen = {}
    for name in names:
        value = variables.get(name, Unset())
        if not isinstance(value, (type(None), bool, int, float, str, bytes, tuple, type, Unset)) and id(value) in seen:
            print(f"note: `{name}` and `{seen[id(value)]}` are one object here and two in later stages", file=sys.stderr)
        seen[id(value)] = name
        with open(_path(stage, name + ".pkl"), "wb") as file:
            file.write(_dumped(stage, name, value))


def load(stage, name):
    """A variable that an earlier stage kept."""
    with open(_path(stage, name + ".pkl"), "rb") as file:
        value = pickle.load(file)
    if isinstance(value, Unset):
        raise NameError(f"name '{name}' is not defined: stage {stage} did not set it")
    return value


def load_if_set(stage, name, variables):
    """The same for one that the stage may not have set."""
    try:
        variables[name] = load(stage, name)
    except NameError:
        pass


def _numbers(value):
    """A number, or a dict of them; None for anything else."""
    if isinstance(value, dict):
        found = {str(k): _numbers(v) for k, v in value.items()}
        return {k: v for k, v in found.items() if v is not None} or None
    if isinstance(value, (bool, int, float)):
        return value
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        try:
            return _numbers(value.item())
        except (TypeError, ValueError):
            return None
    return None


def save_metrics(path, values):
    """What a cell tagged `metrics` set: its dicts of numbers where it has some, else its numbers."""
    found = {name: _numbers(value) for name, value in values.items()}
    dicts = [v for name, v in found.items() if isinstance(v, dict)]
    for part in dicts or [{k: v for k, v in found.items() if v is not None}]:
        _metrics.update(part)
    if not _metrics:
        sys.exit(f"the cell tagged `metrics` sets no number ({', '.join(values)})")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(_metrics, file, indent=2, sort_keys=True)
        file.write("\n")


def make_folders(*folders):
    for folder in folders:
        os.makedirs(folder, exist_ok=True)


def pictures_to_files():
    """A pipeline has no screen."""
    os.environ.setdefault("MPLBACKEND", "Agg")


def save_random(stage):
    """The state of the generators that the notebook seeds: the next stage draws on from here, as the next cell did."""
    import random
    state = {"random": random.getstate()}
    if "numpy" in sys.modules:
        state["numpy"] = sys.modules["numpy"].random.get_state()
    if "torch" in sys.modules:
        state["torch"] = sys.modules["torch"].get_rng_state()
    os.makedirs(_path(stage, ""), exist_ok=True)
    with open(_path(stage, "random.state"), "wb") as file:
        pickle.dump(state, file, protocol=4)


def load_random(stage):
    import random
    with open(_path(stage, "random.state"), "rb") as file:
        state = pickle.load(file)
    random.setstate(state["random"])
    if "numpy" in state:
        import numpy
        numpy.random.set_state(state["numpy"])
    if "torch" in state:
        import torch
        torch.set_rng_state(state["torch"])
