FROM python:3.11-slim

# tini reaps the run processes and passes signals on.
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 ingestion \
    && mkdir -p /app/metadata /warehouse/tablespace/external/hive \
    && chown -R ingestion /app /warehouse

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock

COPY --chown=ingestion . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .

USER ingestion
ENV ICEBERG_WAREHOUSE_LOCATION=/warehouse/tablespace/external/hive \
    UI_HOST=0.0.0.0 \
    PYTHONUNBUFFERED=1
EXPOSE 8000 3000
VOLUME ["/app/config", "/app/metadata", "/warehouse/tablespace/external/hive"]
ENTRYPOINT ["tini", "--"]
CMD ["ingestion", "serve"]
