"""``python -m videostyle`` is the command ``videostyle``."""

import sys

from videostyle.cli.main import main

sys.exit(main())
