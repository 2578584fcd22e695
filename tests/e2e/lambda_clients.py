"""One way to call Lambda through different official clients: an operation's name and its parameters, as the model has them.

Each client gives back what came as the model names it, with payloads as text, and raises `Refused` where the service did.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from botocore import xform_name
from botocore.exceptions import ClientError

from cloud import ACCOUNT, REGION, ROOT_KEY, ROOT_SECRET

CALL_TIMEOUT_S = 60


class Refused(Exception):
    """An error that the service answered."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Boto3:
    # Event streams are read to their end.
    unable = frozenset()

    def __init__(self, cloud):
        self.client = cloud.client("lambda")

    def call(self, operation, **parameters):
        try:
            answer = getattr(self.client, xform_name(operation))(**parameters)
        except ClientError as error:
            told = error.response["Error"]
            raise Refused(told["Code"], told["Message"]) from error
        if operation == "Invoke":
            answer["Payload"] = answer["Payload"].read().decode()
        if operation == "InvokeWithResponseStream":
            chunks = [event["PayloadChunk"]["Payload"] for event in answer["EventStream"] if "PayloadChunk" in event]
            answer["Payload"] = b"".join(chunks).decode()
        return answer

    def close(self):
        pass


class Cli:
    # The command line has no event streams, and its release not yet all operations.
    unable = frozenset(
        {"InvokeWithResponseStream", "PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy"}
    )

    def __init__(self, cloud):
        self.cloud = cloud

    def call(self, operation, **parameters):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            words = [xform_name(operation, "-")]
            if operation == "InvokeAsync":
                arguments = Path(folder) / "arguments"
                arguments.write_text(parameters.pop("InvokeArgs"))
                words += ["--function-name", parameters["FunctionName"], "--invoke-args", str(arguments)]
            elif operation == "Invoke":
                for name, value in parameters.items():
                    words += [f"--{xform_name(name, '-')}", value]
                words.append(str(out))
            else:
                words += ["--cli-input-json", json.dumps(parameters)]
            told = self.cloud.aws("lambda", *words, timeout_s=CALL_TIMEOUT_S)
            if told.returncode != 0:
                raise refusal_in(told.stderr)
            answer = json.loads(told.stdout or "{}")
            if operation == "Invoke":
                answer["Payload"] = out.read_text()
            return answer

    def close(self):
        pass


def refusal_in(text):
    """As `An error occurred (CODE) when calling the ... operation: MESSAGE`."""
    _, is_there, rest = text.partition("An error occurred (")
    assert is_there, text
    code, _, rest = rest.partition(")")
    return Refused(code, rest.partition(": ")[2].strip())


class JavaScript:
    """The JavaScript SDK v3, in a process that reads a call and writes an answer, line by line."""

    unable = frozenset()

    def __init__(self, cloud):
        installed = os.environ.get("LAMBENT_TEST_JS")
        assert installed, "LAMBENT_TEST_JS must name a folder in which tests/e2e-js/package.json was installed"
        program = Path(__file__).parents[1] / "e2e-js/lambda-calls.mjs"
        settings = {
            "endpoint": cloud.endpoint,
            "region": REGION,
            "credentials": {"accessKeyId": ROOT_KEY, "secretAccessKey": ROOT_SECRET},
            "maxAttempts": 1,
        }
        self.process = subprocess.Popen(
            ["node", str(program), installed, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, operation, **parameters):
        self.process.stdin.write(json.dumps({"operation": operation, "input": parameters}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"node ended while it called {operation}"
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"]["name"], answer["error"]["message"])
        return answer["output"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(CALL_TIMEOUT_S)


def rust_calls(cloud, stage):
    """Runs the program of the Rust SDK, which tells its own story; gives the operations that it called."""
    program = os.environ.get("LAMBENT_TEST_RUST_SDK")
    assert program, "LAMBENT_TEST_RUST_SDK must name the program of tests/clients/rust"
    settings = {
        "ENDPOINT": cloud.endpoint,
        "REGION": REGION,
        "ACCOUNT": ACCOUNT,
        "ACCESS_KEY": ROOT_KEY,
        "SECRET_KEY": ROOT_SECRET,
        "ROLE": stage.role,
        "BUCKET": stage.bucket,
        "STREAM": stage.stream,
        "STEM": stage.unique("rust"),
    }
    told = subprocess.run([program], env=settings, capture_output=True, text=True, timeout=4 * CALL_TIMEOUT_S)
    assert told.returncode == 0, told.stderr
    return set(told.stdout.split())
