# SPDX-License-Identifier: ISC
# webserver.py - a small HTTP server for the tests; prints its port.
#
#	webserver.py DIRECTORY
#
# Keeps each request there as N.head and N.body.  The path says what to answer:
# /404 that code, /404/some+text also a field Smtp-Reply; / is 200.

import http.server
import sys
import urllib.parse

directory = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    count = 0

    def do_POST(self):
        Handler.count += 1
        name = '%s/%d.' % (directory, Handler.count)
        with open(name + 'body', 'wb') as file:
            file.write(self.rfile.read(int(self.headers['Content-Length'])))
        with open(name + 'head', 'w', encoding='utf-8') as file:
            file.write(self.requestline + '\n' + str(self.headers))
        code, _, text = self.path[1:].partition('/')
        self.send_response(int(code or 200))
        if text:
            self.send_header('Smtp-Reply', urllib.parse.unquote_plus(text))
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
