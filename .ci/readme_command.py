"""Print the command that README.md shows under a marker, so that what is run here is what a reader runs."""

import re
import sys
from pathlib import Path

readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
found = re.search(rf"<!-- command: {re.escape(sys.argv[1])} -->\s*```sh\n(.*?)\n```", readme, re.DOTALL)
if not found:
    sys.exit(f"README.md shows no command marked {sys.argv[1]!r}")
print(found[1])
