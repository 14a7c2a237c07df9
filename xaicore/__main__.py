"""`python -m xaicore` is the command `xaicore`."""

from xaicore.cli import main

main(prog_name="python -m xaicore")
