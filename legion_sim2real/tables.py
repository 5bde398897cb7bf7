"""Numbers from CSV files, with errors that name file, line and column."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from legion_core.errors import CalibrationError
from legion_core.spaces import Vector

LABEL = "name"
"""The column, if there is one, that says what a row is called."""


class Table:
    """The rows of a CSV file below its header; blank lines and lines that begin with # are left out.

    `columns` are the names in the header, `labels` (n,) those of the rows, which are their lines where there is no
    column `name`.

    Raises:
        CalibrationError: the file is missing or not text, has no header or no rows, names a column twice, or a row has
            more or fewer values than the header names.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        lines = [(i, line) for i, line in enumerate(self._text().splitlines(), 1) if _counts(line)]
        try:
            rows = [[value.strip() for value in row] for row in csv.reader(line for _, line in lines)]
        except csv.Error as error:
            raise CalibrationError(f"{path}: {error}") from error
        if len(rows) < 2 or len(rows) != len(lines):
            raise CalibrationError(f"{path}: expected a line with the names of the columns and a line for each row")
        self.columns, self._rows = rows[0], rows[1:]
        self._lines = [number for number, _ in lines[1:]]
        twice = sorted({column for column in self.columns if self.columns.count(column) > 1})
        if twice:
            raise CalibrationError(f"{path}, line {lines[0][0]}: column {twice[0]!r} stands there twice")
        for line, row in zip(self._lines, self._rows, strict=True):
            if len(row) != len(self.columns):
                raise CalibrationError(f"{path}, line {line}: {len(row)} values for {len(self.columns)} columns")
        named = LABEL in self.columns
        self.labels = tuple(
            row[self.columns.index(LABEL)] if named else f"line {line}"
            for line, row in zip(self._lines, self._rows, strict=True)
        )

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise CalibrationError(f"cannot read {self.path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CalibrationError(f"{self.path} is not a text file: {error}") from error

    def has(self, columns: Sequence[str]) -> bool:
        """Whether all of the columns are there."""
        return set(columns) <= set(self.columns)

    def numbers(self, columns: Sequence[str], limit: float, unit: str) -> Vector:
        """The values (n, k) of those columns, in their order, none of them beyond +-`limit` of that unit.

        Raises:
            CalibrationError: a column is missing, or a value is not a number within the limit.
        """
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise CalibrationError(
                f"{self.path}: no column {missing[0]!r}; needed: {', '.join(columns)}; found: {', '.join(self.columns)}"
            )
        places = [self.columns.index(column) for column in columns]
        return np.array(
            [
                [self._number(line, row[place], self.columns[place], limit, unit) for place in places]
                for line, row in zip(self._lines, self._rows, strict=True)
            ]
        )

    def _number(self, line: int, text: str, column: str, limit: float, unit: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not abs(value) <= limit:
            raise CalibrationError(
                f"{self.path}, line {line}, column {column}: {text!r}; expected a number from {-limit:g} to {limit:g} "
                f"{unit}".rstrip()
            )
        return value


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
