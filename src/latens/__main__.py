"""`python -m latens`."""

import sys

from latens.cli import main

if __name__ == "__main__":
    sys.exit(main())
