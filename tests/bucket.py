"""A server of this machine that speaks S3, with one bucket, "studies"; nothing enters, options for fsspec leave."""

import logging
from contextlib import contextmanager

import pytest


@contextmanager
def serving():
    """Options of the addresses "s3://studies/...", while the block runs."""
    server = pytest.importorskip("moto.server", reason="needs moto[server]")
    fs = pytest.importorskip("s3fs", reason="needs finerkit[s3]")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line per request
    machine = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    machine.start()
    host, port = machine.get_host_and_port()
    options = {
        "endpoint_url": f"http://{host}:{port}",
        "key": "someone",
        "secret": "a-secret-of-the-tests",
        "client_kwargs": {"region_name": "eu-west-1"},
    }
    fs.S3FileSystem(**options).mkdir("studies")
    try:
        yield options
    finally:
        machine.stop()
