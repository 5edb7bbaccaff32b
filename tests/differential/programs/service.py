# A service with metrics of every type that the Python client library knows. Its argument is the port.
import sys
import threading

from prometheus_client import Counter, Enum, Gauge, Histogram, Info, Summary, start_http_server

requests = Counter("service_requests", "Requests with \\ and \"quotes\"\nin two lines", ["path"])
requests.labels('/u/{id}?q="a,b"').inc(3, exemplar={"trace_id": 'x "} # {'})
requests.labels("C:\\new\\tables\n").inc(0.1)
requests.labels("日本語").inc(1e300)
gauge = Gauge("service_load", "Load", ["kind"], unit="ratio")
for kind, value in {"nan": "nan", "inf": "inf", "minus": "-inf", "tiny": "5e-324", "third": "0.3333333333333333"}.items():
    gauge.labels(kind).set(float(value))
Gauge("service_empty", "").set(-0.0)
latency = Histogram("service_latency_seconds", "Latency", buckets=[0.001, 0.5, 1e9])
latency.observe(0.25, exemplar={"trace_id": "abc"})
latency.observe(1e10)
Summary("service_size_bytes", "Size").observe(1234567890123)
Info("service_build", "Build").info({"version": "1.0\"", "commit": "a\\b"})
Enum("service_state", "State", states=["starting", "running"]).state("running")
Counter("service_untouched_total", "Nothing yet", ["never"])

start_http_server(int(sys.argv[1]), "127.0.0.1")
threading.Event().wait()
