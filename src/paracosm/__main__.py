"""`python -m paracosm`."""

import sys

from paracosm.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
