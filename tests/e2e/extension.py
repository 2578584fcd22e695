#!/usr/bin/python3
"""An extension: says in the log what it is told, and takes telemetry where it is told to.

Runs inside functions' environments, from a layer; EXTENSION_MODE says what it does wrong.
"""

import http.server
import json
import os
import sys
import threading
import urllib.error
import urllib.request

API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
NAME = os.path.basename(sys.argv[0])
MODE = os.environ.get("EXTENSION_MODE", "")
PORT = 4243


def say(*words):
    print("extension", *words, flush=True)


def call(path, method="GET", body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(API + path, data, headers, method=method)) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as problem:
        return problem.code, problem.headers, problem.read()


def register(name, events):
    return call(
        "/2020-01-01/extension/register", "POST", {"events": events},
        Lambda_Extension_Name=name, Lambda_Extension_Accept_Feature="accountId",
    )  # fmt: skip


class Taker(http.server.BaseHTTPRequestHandler):
    reported = threading.Event()

    def do_POST(self):
        for event in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
            say("took", json.dumps(event))
            if event["type"] == "platform.report":
                self.reported.set()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def subscribe(own):
    server = http.server.ThreadingHTTPServer(("sandbox.localdomain", PORT), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    wish = {
        "schemaVersion": "2022-12-13",
        "types": ["platform", "function", "extension"],
        "buffering": {"timeoutMs": 25},
        "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{PORT}/take"},
    }
    if MODE == "telemetry":
        wish["types"].remove("extension")
    refused, _, why = call("/2022-07-01/telemetry", "PUT", {**wish, "types": []}, Lambda_Extension_Identifier=own)
    say("refused", refused, why.decode())
    status, _, text = call("/2022-07-01/telemetry", "PUT", wish, Lambda_Extension_Identifier=own)
    say("subscribed", status, text.decode())


def main():
    if MODE == "crash":
        sys.exit(3)
    status, headers, body = register(NAME, ["INVOKE", "SHUTDOWN"])
    own = headers["Lambda-Extension-Identifier"]
    say("registered", json.dumps(json.loads(body), sort_keys=True), "_HANDLER" in os.environ)
    if MODE == "twice":
        say("again", *(part for part in register(NAME, ["INVOKE"]) if not hasattr(part, "items")))
    if MODE == "init-error":
        call(
            "/2020-01-01/extension/init/error", "POST", {"errorMessage": "no luck", "errorType": "Own.Reason"},
            Lambda_Extension_Identifier=own, Lambda_Extension_Function_Error_Type="Own.Reason",
        )  # fmt: skip
        sys.exit(1)
    if MODE == "telemetry":
        subscribe(own)
    say("unknown", call("/2020-01-01/extension/event/next", Lambda_Extension_Identifier="nobody")[0])
    while True:
        _, headers, body = call("/2020-01-01/extension/event/next", Lambda_Extension_Identifier=own)
        event = json.loads(body)
        say("event", json.dumps(event, sort_keys=True))
        if event["eventType"] == "SHUTDOWN":
            if MODE == "telemetry":
                Taker.reported.wait(1.5)
            os._exit(0)


main()
