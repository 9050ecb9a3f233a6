"""From a study file to a finished report: search, retraining, tables and figures.

The folders sweep/, models/ and data/ are installed as one package, `aesweep`: three names as common as theirs would
take the place of modules of the user's own, and be replaced by them.
"""

import os

# What is installed from a checkout are links to its modules. One that was added since is found where the links lead.
__path__.insert(0, os.path.dirname(os.path.realpath(__file__)))

if __name__ == "sweep":
    # Imported by the folder's name, from a checkout on the path: `sweep` and `aesweep` are then the same modules, also
    # where nothing is installed.
    import importlib.machinery
    import importlib.util
    import sys
    from pathlib import Path

    _CHECKOUT = Path(__file__).resolve().parent.parent
    _FOLDERS = {"aesweep": "sweep", "aesweep.models": "models", "aesweep.data": "data"}

    class _Checkout:
        """Finds the package's three folders."""

        def find_spec(self, name, path=None, target=None):
            if name in _FOLDERS:
                return importlib.util.spec_from_file_location(name, _CHECKOUT / _FOLDERS[name] / "__init__.py")
            if name.startswith("sweep."):
                own = importlib.util.find_spec(f"ae{name}")
                return own and _Alias(own).spec(name)
            return None

    class _Alias:
        """Loads a module by the folder's name: the one that the package's name stands for."""

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
