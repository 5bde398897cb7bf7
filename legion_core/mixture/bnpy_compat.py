"""Make the unmodified bnpy 0.1.7 work on today's Python and NumPy, without changing either for anybody else.

bnpy uses names that NumPy 1.24 to 2.0, Python 3.11 (`inspect.getargspec`) and Python 3.12 (`distutils`,
`imp`, `configparser.SafeConfigParser`) removed. What it needs while it is imported is there only for that moment;
afterwards `np`, `inspect` and `configparser` inside bnpy's own modules are copies that still have the names.
"""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import inspect
import logging
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
    """The module bnpy, ready for use and silent.

    Raises:
        MixtureError: it is not installed, or something that it needs is not.
    """
    if importlib.util.find_spec("bnpy") is None:
        raise MixtureError(
            f"bnpy is not installed: pip install --no-deps bnpy=={TESTED}, or take the engine 'memoized'"
        )
    for name in ("bnpy", "elapsedtime"):  # they report every step
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    try:
        with warnings.catch_warnings(), _names_for_import():
            warnings.simplefilter("ignore")  # escapes in its docstrings that Python no longer likes
            bnpy = importlib.import_module("bnpy")
    except ImportError as error:
        raise MixtureError(f"bnpy cannot be imported: {error}") from error
    copies = {
        "np": _copy(np, REMOVED_FROM_NUMPY),
        "inspect": _copy(inspect, {"getargspec": lambda function: inspect.getfullargspec(function)[:4]}),
        "configparser": _copy(configparser, {"SafeConfigParser": configparser.ConfigParser}),
    }
    for name, module in tuple(sys.modules.items()):
        if name.split(".")[0] == "bnpy":
            vars(module).update({key: copy for key, copy in copies.items() if key in vars(module)})
    bnpy.learnalg.ElapsedTimeLogger.configure(None, ["birth", "merge"])
    return bnpy


def _copy(module: types.ModuleType, additions: dict[str, Any]) -> types.ModuleType:
    """A module with the same contents, and `additions` where these are missing."""
    copy = types.ModuleType(module.__name__, module.__doc__)
    vars(copy).update(additions | vars(module))
    return copy


@contextmanager
def _names_for_import() -> Iterator[None]:
    """The removed names that bnpy wants while it is imported, and nobody has afterwards."""
    package, dir_util, imp = (types.ModuleType(name) for name in ("distutils", "distutils.dir_util", "imp"))
    vars(dir_util)["mkpath"] = lambda path: Path(path).mkdir(parents=True, exist_ok=True)
    modules = {} if importlib.util.find_spec("distutils") else {"distutils": package, "distutils.dir_util": dir_util}
    if importlib.util.find_spec("imp") is None:  # for pictures that are not drawn here
        modules["imp"] = imp
    parser_is_gone = not hasattr(configparser, "SafeConfigParser")
    sys.modules.update(modules)
    if parser_is_gone:
        vars(configparser)["SafeConfigParser"] = configparser.ConfigParser
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
        if parser_is_gone:
            del vars(configparser)["SafeConfigParser"]
