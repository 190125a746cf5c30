"""``python -m snn``: the command line."""

from snn.cli import main

if __name__ == "__main__":
    main()
