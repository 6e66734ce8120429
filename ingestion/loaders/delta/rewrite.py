"""Files written anew where rows in them change; those in which none does stay as they are."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pyarrow as pa

from ingestion.loaders.delta.datafile import DataFile, FileWriter
from ingestion.loaders.delta.files import RowGroup, row_groups
from ingestion.loaders.delta.partitions import folder_of, is_name
from ingestion.loaders.delta.place import Place

__all__ = ["Edit", "WorkingSet"]

Edit = Callable[[RowGroup], "pa.Table | None"]
"""The rows that take the place of a row group's; None where they stay as they are."""

_THREADS = 2


class WorkingSet:
    """The files of a table as a commit will leave them."""

    def __init__(
        self,
        place: Place,
        prefix: str,
        columns: pa.Schema,
        partition_by: Sequence[str],
        files: Iterable[DataFile],
    ) -> None:
        self.columns = columns
        self.base = list(files)
        self.paths: list[str] = []  # of all files that were written
        self._live = {file.path: file for file in self.base}
        self._fresh: list[DataFile] = []
        self._place = place
        self._prefix = prefix
        self._partition_by = list(partition_by)
        self._numbers = count()

    @property
    def files(self) -> list[DataFile]:
        """Those that descend from the table's, without what was inserted."""
        return list(self._live.values())

    @property
    def adds(self) -> list[DataFile]:
        """Files that the log does not have yet."""
        return [*(file for file in self._live.values() if file.is_new), *self._fresh]

    @property
    def removes(self) -> list[DataFile]:
        """Files of the table that are to go."""
        return [file for file in self.base if file.path not in self._live]

    def insert(self, files: Iterable[DataFile]) -> None:
        """Have *files* as well; no edit looks at them."""
        self._fresh += files

    def drop(self, files: Iterable[DataFile]) -> None:
        """Have none of *files* any more."""
        for file in files:
            self._replace(file, [])

    def look(self, files: Sequence[DataFile], look: Callable[[RowGroup], None]) -> None:
        """Show *look* each row group; it is called by several threads."""
        self.edit(files, look)

    def edit(self, files: Sequence[DataFile], edit: Edit) -> None:
        """Put what *edit* makes of each row group in its place; it is called by several threads."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="delta-rewrite") as pool:
            tasks = [(file, pool.submit(self._edited, file, edit)) for file in files]
            try:
                for file, task in tasks:
                    news = task.result()
                    if news is not None:
                        self._replace(file, news)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def widen(self) -> None:
        """Write every file anew, in the present columns."""
        self.edit(self.files, lambda group: group.read())

    def _replace(self, file: DataFile, news: Iterable[DataFile]) -> None:
        del self._live[file.path]
        if file.is_new:
            self._place.remove([file.path])
        self._live.update({new.path: new for new in news})

    def _edited(self, file: DataFile, edit: Edit) -> list[DataFile] | None:
        rewriting = _Rewriting(self._open, file)
        try:
            for group in row_groups(self._place, file, self.columns):
                rewriting.take(group, edit(group))
            return rewriting.finish()
        except BaseException:
            rewriting.abort()
            raise

    def _open(self, rows: pa.Table, file: DataFile) -> FileWriter:
        path = f"{self._folder(file)}{self._prefix}-r{next(self._numbers):05d}.zstd.parquet"
        self.paths.append(path)
        return FileWriter(self._place, path, rows, file.partition)

    def _folder(self, file: DataFile) -> str:
        """Where what replaces *file* lies: in the folder of its partition, or where it lay if that has no name."""
        folder = folder_of({name: file.partition[name] for name in self._partition_by})
        return folder if is_name(folder) else file.path[: file.path.rfind("/") + 1]


class _Rewriting:
    """One file: begun only once a row group of it has changed."""

    def __init__(self, begin: Callable[[pa.Table, DataFile], FileWriter], file: DataFile) -> None:
        self._begin = begin
        self._file = file
        self._same: list[RowGroup] = []  # from the start of the file
        self._changed = False
        self._writer: FileWriter | None = None

    def take(self, group: RowGroup, rows: pa.Table | None) -> None:
        """Put *rows* behind the others, or the group's own."""
        if rows is None and not self._changed:
            self._same.append(group)
            return
        self._changed = True
        earlier, self._same = self._same, []
        for same in earlier:
            self._write(same.read())
        self._write(group.read() if rows is None else rows)

    def finish(self) -> list[DataFile] | None:
        """What takes the file's place; None where it stays."""
        if not self._changed:
            return None
        writer, self._writer = self._writer, None
        return [writer.finish()] if writer is not None else []

    def abort(self) -> None:
        """Stop."""
        if self._writer is not None:
            self._writer.abort()

    def _write(self, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        rows = rows.drop_columns(list(self._file.partition))
        if self._writer is None:
            self._writer = self._begin(rows, self._file)
        self._writer.write(rows)
