"""The interoperability suite of Eclipse Paho (github.com/eclipse/paho.mqtt.testing).

    paho.py CHECKOUT PORT...              every test of both versions
    paho.py CHECKOUT PORT VERSION TEST    one test, in this process

Tests share client ids and topics, so a broker can have one of them at a time: each port leads to a
broker of its own, and as many tests run side by side.
"""

import importlib
import os
import re
import sys
import unittest
from pathlib import Path

from verdicts import Verdicts, run_case, side_by_side

HOST = "127.0.0.1"
MODULES = {"3.1.1": "client_test", "5.0": "client_test5"}


def load(checkout, version, port):
    """A module of the suite with the globals that its own `__main__` sets."""
    sys.path.insert(0, str(checkout / "interoperability"))
    module = importlib.import_module(MODULES[version])
    module.host, module.port = HOST, port
    module.topics = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
    module.wildtopics = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
    module.nosubscribe_topics = ("test/nosubscribe",)
    module.topic_prefix = "client_test5/"
    return module


def names(module):
    """Its tests, and the one that unittest does not find by its name."""
    return [name for name in dir(module.Test) if name.startswith("test") or name == "will_message_test"]


def run_one(checkout, port, version, name):
    module = load(checkout, version, port)
    test = getattr(module.Test, name)

    # Some tests only return whether they passed, which unittest does not look at.
    def judged(case):
        case.assertIsNot(test(case), False)

    module.Test.judged = judged
    suite = unittest.TestSuite([module.Test("judged")])
    passed = unittest.TextTestRunner(verbosity=0).run(suite).wasSuccessful()
    sys.stdout.flush()
    os._exit(0 if passed else 1)  # the suite leaves threads that wait for packets


def reason(told):
    """The line of an exception, which comes last in its traceback."""
    lines = [line for line in told.splitlines() if re.match(r"\w+(Error|Exception)\b", line)]
    return (lines or told.splitlines())[-1]


def run_all(checkout, ports):
    verdicts = {version: Verdicts(f"paho {version}") for version in MODULES}
    cases = [
        (version, name) for version in MODULES for name in names(load(checkout, version, ports[0]))
    ]

    def worker(port):
        def work(case):
            version, name = case
            told = run_case([sys.executable, __file__, str(checkout), port, version, name])
            verdicts[version].judge(name, told and reason(told))

        return work

    side_by_side(cases, [worker(port) for port in ports])
    for verdict in verdicts.values():
        print(verdict.summary())
    return all(verdict.as_expected() for verdict in verdicts.values())


def main():
    checkout, *rest = sys.argv[1:]
    checkout = Path(checkout).resolve()
    if len(rest) == 3 and rest[1] in MODULES:
        run_one(checkout, int(rest[0]), rest[1], rest[2])
    sys.exit(0 if run_all(checkout, rest) else 1)


main()
