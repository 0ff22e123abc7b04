from __future__ import annotations

import doctest
import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import impasto

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(impasto.__path__, "impasto.")
    if not any(part.startswith("_") for part in module.name.split("."))
)
PACKAGES = {module.name for module in pkgutil.walk_packages(impasto.__path__, "impasto.") if module.ispkg}
WITHOUT_TORCH = ["errors", "networks", "spec", "presets"]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_modules_are_found() -> None:
    assert {"impasto.stylize", "impasto.image.read", "impasto.solvers"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_module_lists_its_names_and_has_them(name: str) -> None:
    module = import_module(name)
    assert module.__doc__
    if name in PACKAGES and not hasattr(module, "__all__"):
        return
    assert len(module.__all__) == len(set(module.__all__))
    assert [listed for listed in module.__all__ if not hasattr(module, listed)] == []


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_lists_is_described(name: str) -> None:
    module = import_module(name)
    for listed in getattr(module, "__all__", ()):
        value = getattr(module, listed)
        if getattr(value, "__module__", None) == name and callable(value):
            assert value.__doc__, listed


@pytest.mark.parametrize("name", ["impasto", *MODULES])
def test_every_doctest_runs(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0


def test_impasto_has_at_most_twenty_names() -> None:
    assert len(impasto.__all__) == len(set(impasto.__all__)) <= 20
    assert dir(impasto) == sorted(impasto.__all__)


def test_each_name_of_impasto_is_that_of_its_home_whatever_was_imported_before() -> None:
    # In a process of its own, since a module may have the name of a function in it.
    code = """
import impasto.stylize, types
from impasto import *
import impasto
values = {name: (globals()[name], getattr(impasto, name)) for name in impasto.__all__}
print([name for name, (one, other) in values.items() if one is not other or isinstance(one, types.ModuleType)])
"""
    assert run(code) == "[]"


def test_names_may_be_imported_in_any_order() -> None:
    assert run("from impasto import iterate, stylize; print(callable(iterate), callable(stylize))") == "True True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'stylise'"):
        impasto.stylise  # noqa: B018


def test_importing_and_looking_at_the_names_does_not_import_torch() -> None:
    heavy = "sorted({'torch', 'numpy', 'matplotlib'} & set(sys.modules))"
    code = f"import sys, impasto; dir(impasto); print({heavy})"
    assert run(code) == "[]"


def test_options_networks_and_presets_do_not_import_torch() -> None:
    modules = ", ".join(f"impasto.{name}" for name in WITHOUT_TORCH)
    assert run(f"import sys, {modules}; impasto.PRESETS, impasto.StyleSpec; print('torch' in sys.modules)") == "False"


def test_importing_everything_changes_no_setting_and_makes_no_file() -> None:
    code = """
import os, pathlib, tempfile, torch, warnings
folder = tempfile.mkdtemp()
os.environ.update(IMPASTO_CACHE=folder + "/cache", HOME=folder, XDG_CACHE_HOME=folder)
def settings():
    return (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), torch.initial_seed(),
            torch.backends.cudnn.benchmark, torch.cuda.is_initialized())
before = settings()
import impasto, impasto.stylize, impasto.weights
print(settings() == before, list(pathlib.Path(folder).iterdir()))
"""
    assert run(code) == "True []"
