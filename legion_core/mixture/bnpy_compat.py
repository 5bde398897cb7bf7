"""Make the unmodified bnpy 0.1.7 work on today's Python and NumPy, without touching either for anybody else.

bnpy was written for names that NumPy 1.24 to 2.0, Python 3.11 (`inspect.getargspec`) and Python 3.12 (`distutils`)
removed. Inside bnpy's own modules `np` and `inspect` are therefore replaced by copies that still have them.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import sys
import types
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from legion_core.errors import MixtureError

TESTED = "0.1.7"
REMOVED_FROM_NUMPY = {
    **{"float": float, "int": int, "bool": bool, "object": object, "bool8": np.bool_, "float_": np.float64},
    **{"unicode_": np.str_, "string_": np.bytes_, "Inf": np.inf, "product": np.prod, "cumproduct": np.cumprod},
    **{"sometrue": np.any, "alltrue": np.all, "in1d": np.isin, "row_stack": np.vstack, "asfarray": np.asarray},
}


@cache
def load_bnpy() -> Any:
    """The module bnpy, ready for use.

    Raises:
        MixtureError: it is not installed, or something that it needs is not.
    """
    if importlib.util.find_spec("bnpy") is None:
        raise MixtureError(
            f"bnpy is not installed: pip install --no-deps bnpy=={TESTED}, or take the engine 'memoized'"
        )
    for name in ("bnpy", "elapsedtime"):  # it reports every step
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    stand_in = _distutils() if importlib.util.find_spec("distutils") is None else {}
    sys.modules.update(stand_in)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes in its docstrings that Python no longer likes
            bnpy = importlib.import_module("bnpy")
    except ImportError as error:
        raise MixtureError(f"bnpy cannot be imported: {error}") from error
    finally:
        for name in stand_in:
            del sys.modules[name]
    numpy = _copy(np, REMOVED_FROM_NUMPY)
    inspection = _copy(inspect, {"getargspec": lambda function: inspect.getfullargspec(function)[:4]})
    for name, module in tuple(sys.modules.items()):
        if name.split(".")[0] == "bnpy":
            for attribute, value in (("np", numpy), ("inspect", inspection)):
                if attribute in vars(module):
                    setattr(module, attribute, value)
    bnpy.learnalg.ElapsedTimeLogger.configure(None, ["birth", "merge"])
    return bnpy


def _copy(module: types.ModuleType, additions: dict[str, Any]) -> types.ModuleType:
    """A module with the same contents, and `additions` where they are missing."""
    copy = types.ModuleType(module.__name__, module.__doc__)
    vars(copy).update(additions | {name: value for name, value in vars(module).items() if name not in additions})
    return copy


def _distutils() -> dict[str, types.ModuleType]:
    """The one function of distutils that bnpy imports."""
    package, dir_util = types.ModuleType("distutils"), types.ModuleType("distutils.dir_util")
    vars(dir_util)["mkpath"] = lambda path: Path(path).mkdir(parents=True, exist_ok=True)
    vars(package)["dir_util"] = dir_util
    return {"distutils": package, "distutils.dir_util": dir_util}
