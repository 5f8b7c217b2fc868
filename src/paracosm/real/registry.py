"""Building an environment from its name. No JAX in here: worker processes import this file."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import gymnasium

from paracosm.core import checks
from paracosm.core.extras import needs
from paracosm.real import boundary

_log = logging.getLogger("paracosm.mujoco")


@dataclasses.dataclass(frozen=True)
class Factory:
    """Builds a new copy of a named environment at each call, in this process or in another."""

    env: str
    kwargs: Mapping[str, Any]

    def __call__(self) -> Any:
        """A new `gymnasium.Env`, or the JAX-native `MDP` that the named function returns.

        Raises:
            Missing: a package that the environment needs is not installed.
            BadArgument: the environment does not take these keyword arguments.
        """
        with quiet_gymnasium():
            build = _builder(self.env)
            _silence_mujoco(self.env)
            try:
                return build(**self.kwargs)
            except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
                raise checks.Missing(_describe_missing_package(self.env, str(error))) from error
            except TypeError as error:
                if "argument" not in str(error):
                    raise
                raise checks.BadArgument(
                    f"{self.env} cannot be built with {dict(self.kwargs)}: {error}."
                ) from error


T = TypeVar("T")


def factory_of(env: str, kwargs: Mapping[str, Any] | None = None) -> Factory:
    """A factory of the environment called `env`.

    Args:
        env: a Gymnasium id such as `Pendulum-v1`, or `module:function`; the function is imported
            with the current directory on `sys.path` and returns a `gymnasium.Env` or a JAX-native
            `MDP`. `module:id` names an id that importing the module registers.
        kwargs: keyword arguments of the environment or of the function.

    Raises:
        Missing: no such id, module or function, or a package that it needs is not installed.
    """
    with quiet_gymnasium():
        _builder(env)
    return Factory(env, dict(kwargs or {}))


@contextlib.contextmanager
def quiet_gymnasium() -> Iterator[None]:
    """Silence Gymnasium's warnings about versions and spaces."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*WARN: ")
        yield


def _builder(env: str) -> Callable[..., Any]:
    """The function that builds a named environment.

    Raises:
        Missing: there is none of this name.
    """
    module, colon, name = env.partition(":")
    if not colon:
        return _gymnasium_builder(env)
    if not hasattr(_import_module(module), name) and name in gymnasium.registry:
        return _gymnasium_builder(name)
    return import_function(env)


def import_function(where: str) -> Callable[..., Any]:
    """The function `module:function`, imported with the current directory on `sys.path`.

    Raises:
        Missing: there is no such module, or no such function in it.
    """
    name_of_module, colon, name = where.partition(":")
    if not colon:
        raise checks.Missing(f"{where!r} names no function; write module:function.")
    module = _import_module(name_of_module)
    value = getattr(module, name, None)
    if not callable(value):
        public = [
            key
            for key, member in vars(module).items()
            if callable(member) and not key.startswith("_")
        ]
        raise checks.Missing(
            f"The module {name_of_module!r} has no function {name!r}{_suggest_names(name, public)}."
        )
    return value


def build_named(where: str, kind: type[T], option: str, *arguments: Any) -> T:
    """Call the user's `module:function`; returns what it makes of the arguments.

    Args:
        where: `module:function`; a class is a function too.
        kind: What it must make.
        option: The command line's option that names it, for messages.
        arguments: What the function is called with.

    Raises:
        Missing: there is no such function.
        BadArgument: it fails, or makes something else.
    """
    factory = import_function(where)
    try:
        value = factory(*arguments)
    except checks.ParacosmError:
        raise
    except (Exception, SystemExit) as error:
        message = " ".join(str(error).split())
        raise checks.BadArgument(
            f"building what {option} names by {where} failed with {type(error).__name__}: {message}"
        ) from error
    checks.of_kind(f"what {option} {where} makes", value, kind, f"a {kind.__name__}")
    return value


def _gymnasium_builder(env: str) -> Callable[..., Any]:
    """The function that builds the environment of a Gymnasium id.

    Raises:
        Missing: there is no such id.
    """
    try:
        gymnasium.spec(env)
    except (gymnasium.error.Error, ImportError) as error:
        hint = _suggest_names(env, list(gymnasium.registry))
        own = "" if hint else "; one of your own is named module:function"
        raise checks.Missing(f"There is no Gymnasium environment {env!r}{hint}{own}.") from error
    return functools.partial(gymnasium.make, env, disable_env_checker=True)


def _suggest_names(name: str, names: list[str]) -> str:
    """The `names` that are close to a wrong one, in brackets; empty if none is."""
    close = difflib.get_close_matches(name, names, n=3)
    return f" (close: {', '.join(close)})" if close else ""


def _import_module(module: str) -> Any:
    """Import a module, with the current directory on `sys.path`.

    Raises:
        Missing: it cannot be imported.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(module)
    except (ImportError, ValueError, SyntaxError, TypeError) as error:
        hint = f"; its name is {module.removesuffix('.py')}" if module.endswith(".py") else ""
        if "/" in module:
            hint = "; a module's name is needed, of a file in this folder or on Python's path"
        raise checks.Missing(f"The module {module!r} cannot be imported: {error}{hint}.") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # importing runs the module's code
        raise checks.Missing(
            f"The module {module!r} cannot be imported: it {boundary.describe_exception(error)}."
        ) from error


def _describe_missing_package(env: str, message: str) -> str:
    """The sentence about what an environment lacks, of the exception's message."""
    if "mujoco is not installed" in message.lower():
        return f"{needs(env, 'MuJoCo', 'mujoco')}."
    return f"{env} needs what is not installed: {message.rstrip('.')}."


def _silence_mujoco(env: str) -> None:
    """Send MuJoCo's warnings to logging: left alone, it writes MUJOCO_LOG.TXT into the current
    directory.
    """
    spec = gymnasium.registry.get(env)
    if spec is not None and "mujoco" not in str(spec.entry_point):
        return
    with contextlib.suppress(ImportError):
        mujoco: Any = importlib.import_module("mujoco")
        if mujoco.get_mju_user_warning() is None:
            mujoco.set_mju_user_warning(_on_mujoco_warning)


def _on_mujoco_warning(message: str) -> None:
    """Log a warning of MuJoCo's, unless it is about what is deprecated."""
    if "deprecated" not in message:
        _log.warning(message)
