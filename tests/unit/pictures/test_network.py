"""What networks leave behind when they are freed."""

import subprocess
import sys
from textwrap import dedent

from tests.unit.pictures.shared import DETECTOR, needs_models


@needs_models
def test_a_signal_finds_the_process_alive_after_its_networks_were_freed() -> None:
    story = f"""
        import gc, signal
        from pathlib import Path
        from serve.pictures.network import Network
        networks = [Network(Path({str(DETECTOR)!r})) for _ in range(2)]
        while networks:
            networks.pop(0)
            gc.collect()
        signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
        signal.raise_signal(signal.SIGUSR1)
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(story)], capture_output=True, text=True, check=False, timeout=100
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
