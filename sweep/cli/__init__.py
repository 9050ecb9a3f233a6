"""The command line: the commands, their options, and how the user's mistakes are reported.

A command reads its arguments, calls one of the layers below, and prints; nothing is computed here.
"""
