"""Runs a Python function: asks which one, loads its handler, then takes events from the Lambda Runtime API and answers them.

Source: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes" and "Python handler".
The API is spoken over one raw connection, and the answer to an event travels together with the request for the next.
"""

import _socket
import json
import logging
import os
import sys
import time

API = "/2018-06-01/runtime"
# The platform's side of the API, on the environment's own loopback.
API_ADDRESS = "127.0.0.1:9001"
# What names a program that is to start the runtime in its place.
EXEC_WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
# Where the function's own code is, unless it is told otherwise: that of a container image lies where the image says.
TASK_ROOT = "/var/task"
# Where packages are that came with the runtime, and not with the function.
RUNTIME_PACKAGES = "/var/runtime"
# Of those, what a zygote loaded before there was a function: modules, and the packages that they are of.
modules_ahead = frozenset()
packages_ahead = frozenset()
# A frame on the log descriptor: mark, length, microseconds; then a message that may span lines.
FRAME_MARK = b"\xa5\x5a\x00\x03"
NO_BREAK_SPACE = "\xa0"
# AWS's names of levels.
LOG_LEVELS = {
    "TRACE": logging.NOTSET,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
}
READ_SIZE = 65536


class Fault(Exception):
    """A failure that has a type of its own in Lambda's error object."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = list(trace)


class Connection:
    """The Runtime API, one request or two at a time."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.host = host
        self.socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self.socket.connect((host, int(port)))
        self.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.rest = b""
        self.next_request = f"GET {API}/invocation/next HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

    def post(self, path, body, then_next, headers=""):
        head = (
            f"POST {API}{path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
            f"{headers}Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        self.socket.sendall(b"".join((head, body, self.next_request if then_next else b"")))
        self.read_response()

    def ask(self, path):
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())

    def ask_next(self):
        self.socket.sendall(self.next_request)

    def read_response(self):
        """(status, headers with lower-case names, body)"""
        data = self.rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self.receive()
        lines = data[:end].decode().split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        start = end + 4
        stop = start + int(headers.get("content-length", 0))
        if len(data) < stop:
            parts = [data]
            missing = stop - len(data)
            while missing > 0:
                part = self.receive()
                parts.append(part)
                missing -= len(part)
            data = b"".join(parts)
        self.rest = data[stop:]
        return int(lines[0].split(" ", 2)[1]), headers, data[start:stop]

    def receive(self):
        part = self.socket.recv(READ_SIZE)
        if not part:
            # The platform has gone away or has no more work for this environment.
            os._exit(0)
        return part


class ClientContext:
    """context.client_context; `client`, `custom` and `env` as the caller sent them."""

    def __init__(self, values):
        self.client = Client(values["client"]) if values.get("client") else None
        self.custom = values.get("custom")
        self.env = values.get("env")


class Client:
    """context.client_context.client"""

    FIELDS = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")

    def __init__(self, values):
        for field in self.FIELDS:
            setattr(self, field, values.get(field))


class Identity:
    """context.identity"""

    def __init__(self, values):
        self.cognito_identity_id = values.get("cognitoIdentityId")
        self.cognito_identity_pool_id = values.get("cognitoIdentityPoolId")


class Context:
    """The second argument of a handler."""

    @classmethod
    def set_up(cls):
        """What is the same for all events of this environment."""
        cls.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        cls.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        cls.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        cls.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        cls.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")

    def __init__(self, headers):
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", 0))
        client = headers.get("lambda-runtime-client-context")
        self.client_context = ClientContext(json.loads(client)) if client else None
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self.identity = Identity(json.loads(headers.get("lambda-runtime-cognito-identity") or "{}"))

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        shown = ", ".join(
            f"{name}={getattr(self, name)}"
            for name in (
                "aws_request_id",
                "log_group_name",
                "log_stream_name",
                "function_name",
                "memory_limit_in_mb",
                "function_version",
                "invoked_function_arn",
                "client_context",
                "identity",
                "tenant_id",
            )
        )
        return f"LambdaContext([{shown}])"


class LogHandler(logging.Handler):
    """The root logger's handler: one frame for each record."""

    request_id = ""
    # Whether each record is a JSON object, as LoggingConfig's LogFormat says.
    is_json = False
    # The descriptor for framed messages.
    fd = None

    def emit(self, record):
        record.aws_request_id = LogHandler.request_id
        try:
            write_log(json_of(record) if LogHandler.is_json else self.format(record))
        except Exception:
            self.handleError(record)


def json_of(record):
    """A record in the form of AWS's structured logs."""
    values = {
        "timestamp": timestamp(record.created),
        "level": record.levelname,
        "message": record.getMessage(),
        "logger": record.name,
    }
    if record.exc_info and record.exc_info[1] is not None:
        import traceback

        kind, error, trace = record.exc_info
        frames = traceback.extract_tb(trace)
        values["stackTrace"] = [line.rstrip("\n") for line in traceback.format_list(frames)]
        values["errorType"] = kind.__name__
        values["errorMessage"] = str(error)
        if frames:
            last = frames[-1]
            values["location"] = f"{last.filename}:{last.name}:{last.lineno}"
    values["requestId"] = LogHandler.request_id
    # What the function gave along as `extra`.
    values.update((name, value) for name, value in record.__dict__.items() if name not in USUAL_FIELDS)
    return json.dumps(values, ensure_ascii=False, default=str) + "\n"


# What every record has.
USUAL_FIELDS = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "aws_request_id"}


def timestamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def write_log(message):
    """One log event, even when the message has several lines; in order with what was printed before."""
    sys.stdout.flush()
    sys.stderr.flush()
    data = message.encode("utf-8", "backslashreplace")
    if LogHandler.fd is None:
        data = data.replace(b"\n", b"\r") + b"\n"
        fd = 1
    else:
        now = int(time.time() * 1_000_000)
        data = b"".join((FRAME_MARK, len(data).to_bytes(4, "big"), now.to_bytes(8, "big"), data))
        fd = LogHandler.fd
    while data:
        data = data[os.write(fd, data) :]


def set_up_logging():
    formatter = logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = LogHandler()
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)


def task_root():
    return os.environ.get("LAMBDA_TASK_ROOT", TASK_ROOT)


def set_up_paths():
    """Gives the folders of the function's own modules."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = os.path.dirname(os.path.abspath(__file__))
    # Layers are made for the runtime's name, for which another version may stand in.
    named = os.environ.get("AWS_EXECUTION_ENV", "").replace("AWS_Lambda_", "")
    versions = dict.fromkeys((version, named if named.startswith("python3.") else version))
    layers = [*(f"/opt/python/lib/{version}/site-packages" for version in versions), "/opt/python"]
    first = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path and path not in sys.path]
    root = task_root()
    sys.path[:] = [root, *layers, *first, *(path for path in sys.path if path != own), f"{own}/packages"]
    # What was known of these folders was known before the function was there. (The others are as they were.)
    for place in (root, *layers):
        sys.path_importer_cache.pop(place, None)
    return root, *layers


def note_modules_ahead():
    """Remembers what is loaded ahead of functions. Before the fork, as a look at every module takes a child milliseconds and
    megabytes of memory that it shares until then."""
    global modules_ahead, packages_ahead
    modules_ahead = frozenset(name for name, module in sys.modules.items() if is_of_runtime(module))
    packages_ahead = frozenset(name.partition(".")[0] for name in modules_ahead)


def prefer_own_packages(places):
    """Forgets packages that were loaded ahead of the function where it brings its own."""
    brought = {entry.partition(".")[0] for place in places for entry in entries(place)}
    if packages_ahead.isdisjoint(brought):
        return
    # All of them, since they refer to each other.
    for name in modules_ahead:
        sys.modules.pop(name, None)


def is_of_runtime(module):
    return (getattr(module, "__file__", None) or "").startswith(f"{RUNTIME_PACKAGES}/")


def entries(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def set_up_builtins():
    """`exit` and `quit`, which Python's site module would make; it is left out because the host's packages would come with it."""
    import _sitebuiltins
    import builtins

    end_of_file = "Ctrl-D (i.e. EOF)"
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, end_of_file))
    builtins.help = _sitebuiltins._Helper()


def load_handler(name):
    from importlib import import_module

    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault(
            "Runtime.MalformedHandlerName",
            f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)",
        )
    for part in module_name.split("/")[-1].split("."):
        if part in sys.builtin_module_names:
            raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {part} as a handler module")
    try:
        module = import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}")
    except SyntaxError as error:
        place = f'  File "{error.filename}" Line {error.lineno}\n    {error.text or ""}'
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", [place])
    handler = getattr(module, function_name, None)
    if handler is None:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'")
    return handler


def stack_of(error):
    """Frames of foreign code: the first is this file's."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[1:]
    if frames and frames[0].filename == __file__:
        frames = frames[1:]
    return [
        f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n'
        + (f"    {frame.line}\n" if frame.line else "")
        for frame in frames
    ]


def describe(error):
    """(type, message, stack)"""
    if isinstance(error, Fault):
        return error.kind, error.message, error.trace
    return type(error).__name__, str(error), stack_of(error)


def report(error, request_id):
    """Logs an error and gives its error object as JSON."""
    kind, message, stack = describe(error)
    if kind == type(error).__name__ or stack:
        lines = "".join(stack).rstrip("\n").split("\n") if stack else []
    else:
        lines = []
    shown = []
    for line in lines:
        text = line.lstrip(" ")
        shown.append(NO_BREAK_SPACE * (len(line) - len(text)) + text)
    values = {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": stack}
    if LogHandler.is_json:
        said = {"timestamp": timestamp(time.time()), "level": "ERROR", **values}
        write_log(json.dumps(said, ensure_ascii=False) + "\n")
    else:
        write_log("\n".join([f"[ERROR] {kind}: {message}", "Traceback (most recent call last):", *shown]))
    return kind, json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace")


def to_number(value):
    """Decimal, as DynamoDB gives it, is the one type beyond JSON's own that results may hold."""
    from decimal import Decimal

    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def answer(handler, event, context):
    """(path, body, extra headers) of the POST that ends an invocation."""
    base = f"/invocation/{context.aws_request_id}"
    try:
        try:
            event = json.loads(event)
        except ValueError as error:
            raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}")
        result = handler(event, context)
        if isinstance(result, bytes):
            # AWS's own client takes them for what they are, too.
            return f"{base}/response", result, ""
        try:
            return f"{base}/response", json.dumps(result, ensure_ascii=False, default=to_number).encode(), ""
        except (TypeError, ValueError, RecursionError) as error:
            raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}")
    except Exception as error:
        kind, body = report(error, context.aws_request_id)
        return f"{base}/error", body, f"Lambda-Runtime-Function-Error-Type: {header_safe(kind)}\r\n"


def header_safe(text):
    return "".join(char for char in text if " " <= char <= "~")


def set_up():
    """What can be done before the function is known."""
    sys.stdout.reconfigure(line_buffering=True)
    set_up_builtins()
    set_up_logging()


def take_function(connection):
    """Waits until this environment has a function, and becomes it as far as variables go."""
    connection.ask(f"{API}/function")
    status, _, body = connection.read_response()
    if status != 200:
        # The platform has no function for this environment any more.
        os._exit(0)
    # A wrapper started this with the function's variables, as it wants them.
    if EXEC_WRAPPER not in os.environ:
        os.environ.clear()
        os.environ.update(json.loads(body)["env"])
    if "TZ" in os.environ:
        time.tzset()
    fd = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    LogHandler.fd = None if fd is None else int(fd)
    LogHandler.is_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"
    level = LOG_LEVELS.get(os.environ.get("AWS_LAMBDA_LOG_LEVEL"))
    if LogHandler.is_json and level is not None:
        logging.getLogger().setLevel(level)
    os.chdir(task_root())
    Context.set_up()
    prefer_own_packages(set_up_paths())


def restored(connection, snapshot):
    """Becomes the snapshot of a function that has loaded. Comes back in environments that are forked from it, with a
    connection to the Runtime API of their own."""
    try:
        snapshot.run_before_hooks()
    except BaseException as error:
        fail(connection, "/init/error", error, 64, "Runtime.BeforeSnapshotError")
    reason = snapshot.find_obstacle(connection.socket.fileno())
    if reason is not None:
        fail(connection, "/init/error", Fault("Lambent.NoSnapshot", reason), 0)
    connection.ask(f"{API}/restore/next")
    snapshot.fork_for_ever(connection.socket.fileno())
    connection = Connection(API_ADDRESS)
    connection.ask(f"{API}/function")
    _, _, body = connection.read_response()
    # Over what the function may have set itself.
    os.environ.update(json.loads(body)["env"])
    os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    Context.set_up()
    try:
        snapshot.run_after_hooks()
    except BaseException as error:
        fail(connection, "/restore/error", error, 65, "Runtime.AfterRestoreError")
    return connection


def fail(connection, path, error, code, kind=None):
    """Tells of an error outside of calls, and ends; `kind` is said instead of the error's own type."""
    own, body = report(error, "")
    header = f"Lambda-Runtime-Function-Error-Type: {header_safe(kind or own)}\r\n"
    connection.post(path, body, then_next=False, headers=header)
    sys.exit(code)


def main(snapshot=None):
    """Runs the function; with a snapshot, in environments that are forked when it has loaded."""
    connection = Connection(API_ADDRESS)
    take_function(connection)
    try:
        handler = load_handler(os.environ["_HANDLER"])
    except Exception as error:
        fail(connection, "/init/error", error, 1)
    if snapshot is not None:
        connection = restored(connection, snapshot)
    connection.ask_next()
    while True:
        _, headers, event = connection.read_response()
        trace = headers.get("lambda-runtime-trace-id")
        if trace:
            os.environ["_X_AMZN_TRACE_ID"] = trace
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        context = Context(headers)
        LogHandler.request_id = context.aws_request_id
        path, body, extra = answer(handler, event, context)
        sys.stdout.flush()
        sys.stderr.flush()
        connection.post(path, body, then_next=True, headers=extra)


if __name__ == "__main__":
    set_up()
    main()
