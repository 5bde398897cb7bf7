"""The undo journal of a replay: what overwritten rows held at each mark.

A segment `undo-000007.bin` belongs to a mark. It holds, for every row that has been overwritten since then and before
the next mark, its number and its content at the mark. Undoing the segments from the newest down to a mark's restores
the rows of that mark.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from legion_core.errors import ReplayError
from legion_core.spaces import Float32

CLOSED = -1
"""Stands for a row's number at a segment's end; a segment without is the newest one, or was cut short."""

Int64 = npt.NDArray[np.int64]


class Journal:
    """The segments in a folder.

    Args:
        folder: exists.
        capacity: rows of the replay.
        width: numbers in a row.
    """

    def __init__(self, folder: Path, capacity: int, width: int) -> None:
        self._folder = folder
        self._record = np.dtype([("row", "<i8"), ("content", "<f4", (width,))])
        self._number = 0
        """Of the newest mark, 0 before there is one."""
        self._unsaved = np.zeros(capacity, np.bool_)
        """The rows that the newest mark needs and that have not been overwritten since."""

    def begin(self, live: Int64) -> int:
        """Open the segment of a new mark that needs the rows `live`; returns the mark's number.

        Raises:
            ReplayError: the disk is full; the mark before stays the newest.
        """
        if self._number:
            self._append(self._closing())
        number = self._number + 1
        try:
            self._path(number).write_bytes(b"")
        except OSError as error:
            raise ReplayError(f"cannot write {self._path(number)}: {error.strerror}") from error
        self._start(number, live)
        return number

    def keep(self, rows: Int64, content: Float32) -> None:
        """Write down what is about to be overwritten in the matrix `content`.

        Raises:
            ReplayError: the disk is full; nothing is written down then.
        """
        rows = rows[self._unsaved[rows]]
        if not len(rows):
            return
        records = np.empty(len(rows), self._record)
        records["row"], records["content"] = rows, content[rows]
        self._append(records)
        self._unsaved[rows] = False

    def undo(self, number: int, content: Float32) -> None:
        """Bring the rows of the matrix `content` back to what they were at mark `number`.

        Raises:
            ReplayError: a segment is missing or damaged; `content` is as it was.
        """
        numbers = self._numbers()
        newest = max(numbers, default=0)
        if not 0 < number <= newest:
            raise ReplayError(f"{self._path(number)} is missing: no rewinding to mark {number}")
        segments = range(newest, number - 1, -1)
        for k in segments:  # all of them are whole before anything is changed
            self._read(k, closed=k < newest, capacity=len(content))
        for k in segments:
            records = self._read(k, closed=k < newest, capacity=len(content))
            content[records["row"]] = records["content"]

    def restart(self, number: int, live: Int64) -> None:
        """Make mark `number`, to which everything has been undone, the newest one."""
        try:
            # The newest go first: a process killed here leaves segments from which the same mark can be reached again.
            for k in sorted(self._numbers(), reverse=True):
                if k > number:
                    self._path(k).unlink()
            os.truncate(self._path(number), 0)
        except OSError as error:
            raise ReplayError(f"cannot write to {self._folder}: {error.strerror}") from error
        self._start(number, live)

    def drop_before(self, number: int) -> None:
        """Remove the segments of older marks."""
        for k in self._numbers():
            if k < number:
                self._path(k).unlink()

    def _start(self, number: int, live: Int64) -> None:
        self._number = number
        self._unsaved[:] = False
        self._unsaved[live] = True

    def _closing(self) -> npt.NDArray[np.void]:
        record = np.zeros(1, self._record)
        record["row"] = CLOSED
        return record

    def _append(self, records: npt.NDArray[np.void]) -> None:
        path, data = self._path(self._number), memoryview(records.tobytes())
        try:
            with path.open("ab", buffering=0) as stream:
                before = stream.tell()
                try:
                    while data:
                        data = data[stream.write(data) :]
                except OSError:
                    stream.truncate(before)
                    raise
        except OSError as error:
            raise ReplayError(f"cannot write {path}: {error.strerror}") from error

    def _read(self, number: int, closed: bool, capacity: int) -> npt.NDArray[np.void]:
        """The records of a segment; what a killed process wrote of one more is left out."""
        path = self._path(number)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ReplayError(f"cannot read {path}: {error.strerror}") from error
        whole = len(data) // self._record.itemsize * self._record.itemsize
        records: npt.NDArray[np.void] = np.frombuffer(data[:whole], self._record)
        rows: Int64 = records["row"]
        is_closed = len(rows) > 0 and bool(rows[-1] == CLOSED)
        if closed and (len(data) != whole or not is_closed):
            raise ReplayError(f"{path} is cut short; expected a closing record after {len(data)} bytes")
        if ((rows < CLOSED) | (rows >= capacity)).any():
            raise ReplayError(f"{path}: expected the numbers of rows below {capacity}")
        return np.asarray(records[rows != CLOSED])

    def _path(self, number: int) -> Path:
        return self._folder / f"undo-{number:06d}.bin"

    def _numbers(self) -> list[int]:
        numbers = [path.stem.removeprefix("undo-") for path in self._folder.glob("undo-*.bin")]
        return [int(number) for number in numbers if number.isdigit()]
