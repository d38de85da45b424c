"""``python -m affectflow``: the same as the command ``affectflow``."""

from .workflows.cli import main

if __name__ == "__main__":
    main(prog_name="affectflow")
