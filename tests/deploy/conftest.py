"""What tests of the deployment borrow: the small models of tests/serving."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "serving"))
