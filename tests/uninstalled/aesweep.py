"""Stands for the package in a checkout where it is not installed, for whoever has this folder on the path.

The folders sweep/, models/ and data/ are the package; importing `sweep` from the checkout makes `aesweep` known, in the
place of this module.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))
del sys.modules[__name__]
import sweep  # noqa: E402, F401
