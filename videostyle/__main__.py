"""``python -m videostyle`` is the command ``videostyle``."""

import sys

from videostyle.cli import main

sys.exit(main())
