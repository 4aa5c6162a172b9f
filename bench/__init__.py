"""What `make bench` measures: this shop over HTTP, beside a bare echo on the same server."""
