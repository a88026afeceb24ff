"""What is done with one event: an object of the bucket was finished."""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import Any

from plate_trigger.completeness import Plate, TableError, expected_files, first_missing, plate_of
from plate_trigger.settings import Settings, from_environment
from plate_trigger.start import job_id, mark, marker_name, start


class Trigger:
    """Handles events; remembers between them what saves asking Cloud Storage again.

    What it remembers are hints: without them every answer is the same.
    """

    def __init__(self, settings: Settings, client: Any) -> None:
        self.settings = settings
        self.client = client
        #: Folder -> a file that was missing when the plate was last looked at.
        self._missing: dict[str, str] = {}
        self._started: set[str] = set()

    def handle(self, bucket: str, name: str) -> str:
        """Start the plate's scoring if it is complete.

        Returns
        -------
        ``elsewhere``, ``no table``, ``bad table``, ``incomplete``, ``started`` or ``known``.

        Raises
        ------
        google.api_core.exceptions.GoogleAPICallError
            A service refused or did not answer: the event should be delivered again.
        """
        plate = plate_of(bucket, name, self.settings)
        if plate is None:
            return "elsewhere"
        if plate.folder in self._started or self._is_marked(plate):
            self._started.add(plate.folder)
            return "known"
        return self._look(plate)

    def _is_marked(self, plate: Plate) -> bool:
        bucket, name = marker_name(plate, self.settings)
        return bool(self.client.bucket(bucket).blob(name).exists())

    def _look(self, plate: Plate) -> str:
        bucket = self.client.bucket(plate.bucket)
        hint = self._missing.get(plate.folder)
        if hint is not None and not bucket.blob(f"{plate.folder}/{hint}").exists():
            return "incomplete"  # one request instead of the four that list a plate
        table = bucket.get_blob(f"{plate.folder}/{self.settings.table}")
        if table is None:
            return "no table"
        try:
            expected = expected_files(table.download_as_bytes().decode("utf-8"), self.settings)
        except (TableError, UnicodeDecodeError) as error:
            # Delivering the event again would not mend it; uploading the table anew is an event.
            _log("ERROR", f"{plate.uri}/{self.settings.table}: {error}", plate)
            return "bad table"
        missing = first_missing(bucket, plate.folder, expected)
        if missing is not None:
            self._missing[plate.folder] = missing
            return "incomplete"
        is_new = start(plate, self.settings)
        mark(self.client, plate, self.settings, len(expected))
        self._started.add(plate.folder)
        self._missing.pop(plate.folder, None)
        if is_new:
            _log("INFO", f"{plate.uri} is complete, {len(expected)} files: started", plate)
        return "started" if is_new else "known"


@functools.cache
def _trigger() -> Trigger:
    import google.cloud.storage as storage

    return Trigger(from_environment(os.environ), storage.Client())


def on_object(event: Any) -> None:
    """Entry point: a CloudEvent ``google.cloud.storage.object.v1.finalized``."""
    _trigger().handle(str(event.data["bucket"]), str(event.data["name"]))


def _log(severity: str, message: str, plate: Plate) -> None:
    """One JSON line, which Cloud Logging takes for an entry."""
    line = {"severity": severity, "message": message, "plate": plate.uri, "job": job_id(plate)}
    stream = sys.stderr if severity == "ERROR" else sys.stdout
    print(json.dumps(line), file=stream, flush=True)
