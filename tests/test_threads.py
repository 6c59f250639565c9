"""How threads wait is set before torch is loaded, and never over what the user says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import twofold
from twofold.threads import SETTINGS, wait_briefly


def test_threads_that_wait_sleep_soon():
    environment = {"HOME": "/"}
    wait_briefly(environment)
    assert environment == {"HOME": "/", "GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_user_says_stands(name):
    environment = {name: "7"}
    wait_briefly(environment)
    assert environment == {name: "7"}


def test_the_command_line_says_it_before_torch_is_loaded():
    code = (
        "import os, sys; from twofold.cli import main; assert 'torch' not in sys.modules\n"
        "try: main(['--version'])\n"
        "finally: print(os.environ['GOMP_SPINCOUNT'])"
    )
    clean = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    environment = clean | {"PYTHONPATH": str(Path(twofold.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.split()[-1] == "1000", done.stderr
