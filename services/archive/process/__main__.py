"""The program. Isolated (`python -I`), it finds the rest of Firsthand by its own place."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[4]))

from firsthand.services.archive.process.child import main  # found only now

main()
