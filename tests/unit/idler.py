"""A process for an errand that never answers: see `test_errand.py`."""

import time

from serve.errand import begun

if __name__ == "__main__":
    begun()
    time.sleep(600)
