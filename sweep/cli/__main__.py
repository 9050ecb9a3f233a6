"""Entry point of the installed command and of `python -m aesweep.cli`: fixes the search path before it imports more."""

from __future__ import annotations

from aesweep.process.search_path import own_modules_first


def main() -> None:
    own_modules_first()
    from aesweep.process.environment import leave_out_libraries, start_without_optimization

    start_without_optimization()
    from aesweep.process.signals import Interruption

    with Interruption():
        from aesweep.process.standard_streams import take_streams

        take_streams()
        leave_out_libraries()
        from aesweep.cli.commands import main

        main()


if __name__ == "__main__":
    main()
