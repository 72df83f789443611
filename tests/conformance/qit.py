"""qpid-interop-test (github.com/apache/qpid-interop-test): its matrices against a broker that runs.

    qit.py FOLDER PORT

FOLDER is a built copy of the suite. Every client of it sends to every other; a case is a pair of them
and what was sent.
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from verdicts import Verdicts

LIMIT = 1200  # seconds for one matrix
SIDE_BY_SIDE = "2"  # more, and Java clients do not start within the time they are given
MODULES = ("test_amqp_headers", "test_jms_unified", "test_large_content")
# What wants brokers that announce other sizes of frames, and bodies of 10 MB.
LEFT_OUT = ["-m", "not large_content", "-k", "not smallframe and not largeframe"]


def cases(report):
    """Of a JUnit report: name, failure or nothing, the reason of what was skipped or nothing."""
    for case in ElementTree.parse(report).iter("testcase"):
        # qit.SENDER.RECEIVER TYPE, or module.Class test[parameters]
        name = f"{case.get('classname').removeprefix('tests.')}::{case.get('name')}"
        failure = case.find("failure")
        failure = case.find("error") if failure is None else failure
        skipped = case.find("skipped")
        yield (
            name,
            None if failure is None else " ".join((failure.get("message") or "failed").split())[:300],
            None if skipped is None else " ".join((skipped.get("message") or "skipped").split()),
        )


def matrices(folder, port, report):
    python = folder / ".venv/bin/python"
    types = [str(folder / ".venv/bin/qit"), "test", "amqp-types", "--broker", f"amqp://127.0.0.1:{port}"]
    yield "types", [*types, "--workers", SIDE_BY_SIDE, "--junit-xml", report]
    for module in MODULES:
        command = [str(python), "-m", "pytest", f"tests/{module}.py", *LEFT_OUT]
        yield module, [*command, "-n", SIDE_BY_SIDE, f"--junit-xml={report}"]


def main():
    folder, port = Path(sys.argv[1]), sys.argv[2]
    environment = {**os.environ, "QIT_BROKER_URL": f"127.0.0.1:{port}"}
    verdicts = Verdicts("qpid-interop-test")
    with tempfile.TemporaryDirectory() as scratch:
        report = f"{scratch}/report.xml"
        for name, command in matrices(folder, port, report):
            Path(report).unlink(missing_ok=True)
            done = subprocess.run(
                command, cwd=folder, env=environment, timeout=LIMIT, capture_output=True, text=True
            )
            if not Path(report).exists():
                verdicts.judge(name, f"no report: {(done.stderr or done.stdout)[-300:]}")
                continue
            for case, failure, skipped in cases(report):
                if skipped is None:
                    verdicts.judge(case, failure)
                else:
                    verdicts.skip(case, skipped)
    print(verdicts.summary())
    sys.exit(0 if verdicts.as_expected() else 1)


main()
