"""The function of README.md in Python: on Lambent's own bootstrap, and on AWS's `awslambdaric`."""

import os

calls = 0


def handler(event, context):
    global calls
    calls += 1
    match event:
        case {"do": "echo", "value": value}:
            return value
        case {"do": "big", "bytes": count}:
            return "x" * count
        case {"do": "context"}:
            return about(context)
        case {"do": "count"}:
            return calls
        case {"do": "log", "lines": lines}:
            for line in lines:
                print(line)
            return None
        case {"do": "fail", "message": message}:
            raise ValueError(message)
        case {"do": "exit", "status": status}:
            os._exit(status)
        case _:
            return event


def about(context):
    client = context.client_context
    return {
        "request": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "name": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "log_group": context.log_group_name,
        "log_stream": context.log_stream_name,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "custom": client.custom if client else None,
    }
