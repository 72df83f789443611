"""mqtt5-conformance (github.com/LabOverWire/mqtt-lib): its tests against a broker that runs already.

    mqtt5.py PROGRAM PORT WEBSOCKET_PORT

PROGRAM is the suite's runner. `mqtt5.toml` tells it where the broker is and what it has.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import late
from verdicts import Verdicts, run_case, side_by_side

DESCRIPTION = Path(__file__).with_name("mqtt5.toml")
SIDE_BY_SIDE = 4


def reason(told):
    """The line below the name of the test in the runner's list of failures."""
    found = re.search(r"^---- .* ----\n(.*)$", told, re.MULTILINE)
    return found[1] if found else told.splitlines()[-1]


def run_all(command):
    listing = subprocess.run([*command, "--list"], capture_output=True, text=True, check=True)
    cases = [
        line.removesuffix(": test") for line in listing.stdout.splitlines() if line.endswith(": test")
    ]
    verdicts = Verdicts("mqtt5-conformance")

    def work(case):
        # `...::module::name [statement]`, or `...::module::name [statement] [missing: capability]`
        title = case.split("conformance_tests::")[-1].split(" [missing: ")[0]
        if " [missing: " in case:
            verdicts.skip(title)
        else:
            told = run_case([*command, "--exact", case, "--test-threads", "1"])
            verdicts.judge(title, told and reason(told))

    side_by_side(cases, [work] * SIDE_BY_SIDE)
    print(verdicts.summary())
    return verdicts.as_expected()


def main():
    program, port, websocket = sys.argv[1:]
    text = DESCRIPTION.read_text()
    text = text.replace("WEBSOCKET_PORT", websocket)
    text = text.replace("MQTT_PORT", str(late.start(int(port))))
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as description:
        description.write(text)
        description.flush()
        passed = run_all([program, "--sut", description.name])
    sys.exit(0 if passed else 1)


main()
