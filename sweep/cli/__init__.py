"""What is typed: the commands, their options, and how the user's mistakes end.

A command reads its arguments, calls one part below, and prints; nothing is computed here.
"""
