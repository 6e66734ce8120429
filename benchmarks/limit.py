"""What Arrow alone needs for CSV to Parquet with types given: the limit that the pipeline is measured against.

python benchmarks/limit.py events.csv events.parquet
"""

import json
import sys
import time

import pyarrow.csv
import pyarrow.parquet
from gen_events import SCHEMA

started = time.perf_counter()
source, target = sys.argv[1:]
reader = pyarrow.csv.open_csv(
    source,
    read_options=pyarrow.csv.ReadOptions(block_size=16 << 20),
    parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
    convert_options=pyarrow.csv.ConvertOptions(
        column_types=SCHEMA, strings_can_be_null=True, quoted_strings_can_be_null=False
    ),
)
rows = 0
with pyarrow.parquet.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
    for batch in reader:
        writer.write_batch(batch)
        rows += batch.num_rows
print(json.dumps({"rows_loaded": rows, "duration_seconds": time.perf_counter() - started}))
