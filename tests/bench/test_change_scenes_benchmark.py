"""The benchmark of large scenes runs, on a small one."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"


def test_a_small_scene(tmp_path):
    command = [sys.executable, str(BENCH / "change_scenes.py"), "--quick", "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    found = {each["name"]: each for each in line["results"]}
    assert found["scene_crop_difference"]["value"] < found["scene_crop_difference"]["goal"]
    assert found["scene_peak_mb"]["value"] < found["scene_peak_mb"]["goal"]
    assert not list(tmp_path.iterdir())
