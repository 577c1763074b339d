#!/usr/bin/python3
"""Runs one unittest file and prints `ok NAME`, `FAIL NAME` or `skip NAME why` for each test as it ends."""

import importlib.util
import os
import sys
import unittest


class Lines(unittest.TestResult):
    def addSuccess(self, test):
        print(f"ok {short(test)}", flush=True)

    def addSkip(self, test, reason):
        print(f"skip {short(test)}: {reason}", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.show(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.show(test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.show(subtest, self._exc_info_to_string(err, test))

    def addExpectedFailure(self, test, err):
        print(f"ok {short(test)} (fails as expected)", flush=True)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.show(test, "was expected to fail, and passed")

    @staticmethod
    def show(test, text):
        print(f"FAIL  {short(test)}", flush=True)
        for line in text.rstrip().splitlines()[-30:]:
            print(f"      {line[:400]}", flush=True)


def short(test):
    return test.id() if hasattr(test, "id") else str(test)


def main():
    path = os.path.abspath(sys.argv[1])
    sys.path.insert(0, os.path.dirname(path))
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    if not suite.countTestCases():
        print(f"FAIL  {spec.name}: no tests in it")
        return 1
    result = Lines()
    suite.run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
