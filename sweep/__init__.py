"""Turns a study file into a finished report: search, retraining, tables and figures.

The folders sweep/, models/ and data/ are installed as one package, `aesweep`: three top-level packages with names as
common as these would shadow the user's own modules, or be shadowed by them.
"""

import os

# An editable installation consists of links to the modules of a checkout. The folder that they lead to is searched too,
# so that a module that was added after the installation is found.
__path__.insert(0, os.path.dirname(os.path.realpath(__file__)))

if __name__ == "sweep":
    # The package was imported by its folder's name, from a checkout on the path. `sweep` and `aesweep` are then made
    # the same modules, even if nothing is installed.
    import importlib.machinery
    import importlib.util
    import sys
    from pathlib import Path

    _CHECKOUT = Path(__file__).resolve().parent.parent
    _FOLDERS = {"aesweep": "sweep", "aesweep.models": "models", "aesweep.data": "data"}

    class _Checkout:
        """Finds the package's three folders in the checkout, and modules imported by the folder's name as aliases."""

        def find_spec(self, name, path=None, target=None):
            if name in _FOLDERS:
                return importlib.util.spec_from_file_location(name, _CHECKOUT / _FOLDERS[name] / "__init__.py")
            if name.startswith("sweep."):
                own = importlib.util.find_spec(f"ae{name}")
                return own and _Alias(own).spec(name)
            return None

    class _Alias:
        """Loads a module that is imported by the folder's name as an alias of the module of `aesweep`."""

        def __init__(self, own):
            self._own = own

        def spec(self, name):
            is_package = self._own.submodule_search_locations is not None
            return importlib.machinery.ModuleSpec(name, self, origin=self._own.origin, is_package=is_package)

        def create_module(self, spec):
            return importlib.import_module(self._own.name)

        def exec_module(self, module):
            module.__spec__ = self._own  # the import system has just put the alias there

        def get_code(self, name):
            return self._own.loader.get_code(self._own.name)  # for `python -m sweep.cli.commands`

    sys.meta_path.insert(0, _Checkout())
    sys.modules["sweep"] = importlib.import_module("aesweep")
