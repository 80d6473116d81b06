#!/usr/bin/python3
"""A store that takes a PUT whose signature is right; prints its port.

    s3server.py DIRECTORY

The access key is "key", the secret "secret".  Keeps the objects there, "/" in
their names as "_".  A wrong signature is 403.
"""
import hashlib
import hmac
import http.server
import re
import sys


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(request):
    """As AWS's signature, version 4, has it."""
    found = re.match(r"AWS4-HMAC-SHA256 Credential=key/(\d+)/(\S+)/s3/"
                     r"aws4_request, SignedHeaders=(\S+), Signature=(\w+)$",
                     request.headers["Authorization"])
    day, region, names, given = found.groups()
    fields = "".join(f"{n}:{request.headers[n].strip()}\n"
                     for n in names.split(";"))
    canonical = "\n".join([
        request.command, request.path, "", fields, names,
        request.headers["x-amz-content-sha256"]])
    text = "\n".join([
        "AWS4-HMAC-SHA256", request.headers["x-amz-date"],
        f"{day}/{region}/s3/aws4_request",
        hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4secret"
    for part in day, region, "s3", "aws4_request":
        key = mac(key, part)
    return given, mac(key, text).hex()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        given, right = signature(self)
        if hashlib.sha256(body).hexdigest() != \
                self.headers["x-amz-content-sha256"]:
            given = "another message's"
        if given == right:
            name = self.path.strip("/").replace("/", "_")
            with open(f"{sys.argv[1]}/{name}", "wb") as file:
                file.write(body)
        self.send_response(200 if given == right else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
