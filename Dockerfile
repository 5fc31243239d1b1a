FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=5000 \
    DATA_DIR=/data

RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin afterwrite \
    && install --directory --owner afterwrite /data

WORKDIR /app

# Before the sources, to keep the package layer cached when only they change.
COPY requirements.txt requirements-postgres.txt requirements-stack.txt ./
RUN python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --requirement requirements-stack.txt

COPY . .
RUN python -m compileall -q .

USER afterwrite
VOLUME /data
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "devkit.health"]

# Creates the schema, loads the sample catalogue if there are no products, then executes app.py.
CMD ["python", "-m", "devkit.serve"]
