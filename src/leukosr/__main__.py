"""`python -m leukosr`: how torchrun and other launchers start the command line."""

from leukosr.cli import main

if __name__ == "__main__":
    main()
