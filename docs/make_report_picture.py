"""Writes docs/report.png: the top of ``report.html`` for a mistake of docs/causes, as Chromium shows it.

python -m docs.make_report_picture    # half a minute; needs chromium on the PATH
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/report.png"
PROGRAM = "docs.causes.regularizer_per_replica"
WIDTH, HEIGHT = 960, 1335


def main() -> None:
    """Checks the program, which fails, and takes a picture of the page that this leaves."""
    with tempfile.TemporaryDirectory() as folder:
        target = [f"--target={PROGRAM}:wrong", f"--data={PROGRAM}:batches", "--verify=gradients"]
        subprocess.run([sys.executable, "train/verify.py", *target, f"--output_dir={folder}"], cwd=ROOT, check=False)
        browser = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars"]
        options = [f"--window-size={WIDTH},{HEIGHT}", "--blink-settings=preferredColorScheme=1"]
        command = [*browser, *options, f"--screenshot={PICTURE}", f"file://{folder}/report.html"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
