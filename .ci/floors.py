"""Prints the oldest versions that pyproject.toml allows; `make floors` installs them."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
tools = [line for line in extras["dev"] if line.startswith(("pytest", "hypothesis"))]
for line in [*project["dependencies"], *extras["examples"], *tools]:
    found = re.match(r"([\w.-]+)>=([\d.]+)", line)
    if found is None:
        sys.exit(f"{line} has no floor: write NAME>=VERSION")
    print(f"{found[1]}=={found[2]}.*")
