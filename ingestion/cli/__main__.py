"""``python -m ingestion.cli``: the command line where the package is not installed."""

import sys

from ingestion.cli import main

sys.exit(main())
