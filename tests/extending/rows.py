"""A tracker: one CSV row for every number."""

import csv

from paracosm.core.tracking import Tracker


class Rows(Tracker):
    """Writes `stage, step, name, number` to a file, a row at a time."""

    def __init__(self, path="numbers.csv"):
        self._file = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115 - until `close`
        self._rows = csv.writer(self._file)
        self._rows.writerow(["stage", "step", "name", "number"])

    def log(self, stage, step, numbers):
        self._rows.writerows([stage, step, name, number] for name, number in numbers.items())
        self._file.flush()

    def close(self):
        self._file.close()
