import base64
import json
import re

import packages
from conftest import function_arn

NODE = {"Runtime": "nodejs22.x"}


def read(answer):
    return json.loads(answer["Payload"].read() or b"null")


def invoke(awslambda, deploy, code, event=None, module="index.mjs", **settings):
    name = deploy(packages.node(code, module), **{**NODE, **settings})
    return awslambda.invoke(FunctionName=name, LogType="Tail", Payload=json.dumps(event or {}))


def test_an_async_handler(awslambda, deploy):
    answer = invoke(awslambda, deploy, "export const handler = async (event) => ({ got: event })", {"a": "ü🦀"})
    assert "FunctionError" not in answer
    assert read(answer) == {"got": {"a": "ü🦀"}}


def test_common_js_with_a_callback(awslambda, deploy):
    code = """
        exports.handler = (event, context, callback) => {
            setTimeout(() => callback(null, { late: event.n + 1 }), 10)
        }
    """
    assert read(invoke(awslambda, deploy, code, {"n": 1}, "index.cjs")) == {"late": 2}
    assert read(invoke(awslambda, deploy, code, {"n": 2}, "index.js")) == {"late": 3}


def test_a_handler_in_a_folder(awslambda, deploy):
    package = packages.package({"src/app.mjs": "export const go = async () => 'from a folder'"})
    name = deploy(package, Handler="src/app.go", **NODE)
    assert read(awslambda.invoke(FunctionName=name)) == "from a folder"


def test_nothing_returned_is_null(awslambda, deploy):
    answer = invoke(awslambda, deploy, "export const handler = async () => {}")
    assert answer["Payload"].read() == b"null"


def test_the_context(awslambda, deploy):
    code = """
        export const handler = async (event, context) => ({
            ...context, remaining: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID,
            runtime: process.env.AWS_EXECUTION_ENV, cwd: process.cwd(),
        })
    """
    name = deploy(packages.node(code), MemorySize=192, Timeout=8, **NODE)
    client = {"custom": {"name": "Größe 🌍"}}
    encoded = base64.b64encode(json.dumps(client, ensure_ascii=False).encode()).decode()
    answer = awslambda.invoke(FunctionName=name, ClientContext=encoded)
    context = read(answer)
    expected = {
        "callbackWaitsForEmptyEventLoop": True,
        "clientContext": client,
        "functionVersion": "$LATEST",
        "functionName": name,
        "memoryLimitInMB": "192",
        "logGroupName": f"/aws/lambda/{name}",
        "invokedFunctionArn": function_arn(name),
        "awsRequestId": answer["ResponseMetadata"]["RequestId"],
        "cwd": "/var/task",
        "runtime": "AWS_Lambda_nodejs22.x",
    }
    assert {key: context.get(key) for key in expected} == expected
    assert 6000 < context["remaining"] <= 8000
    assert context["trace"].startswith("Root=1-")


def test_errors(awslambda, deploy):
    code = "export const handler = async () => { throw new TypeError('it fails') }"
    answer = invoke(awslambda, deploy, code)
    assert answer["FunctionError"] == "Unhandled"
    problem = read(answer)
    assert (problem["errorType"], problem["errorMessage"]) == ("TypeError", "it fails")
    assert problem["trace"][0] == "TypeError: it fails"
    assert any("/var/task/index.mjs:1" in line for line in problem["trace"])
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert "\tERROR\tInvoke Error \t" in tail


def test_a_callback_error(awslambda, deploy):
    code = "exports.handler = (event, context, callback) => callback(new Error('called back'))"
    problem = read(invoke(awslambda, deploy, code, module="index.js"))
    assert (problem["errorType"], problem["errorMessage"]) == ("Error", "called back")


def test_wrong_handlers(awslambda, deploy):
    missing = read(invoke(awslambda, deploy, "export const other = 1"))
    assert (missing["errorType"], missing["errorMessage"]) == (
        "Runtime.HandlerNotFound",
        "index.handler is undefined or not exported",
    )
    no_module = read(invoke(awslambda, deploy, "export const handler = 1", Handler="nowhere.handler"))
    assert no_module["errorType"] == "Runtime.ImportModuleError"
    assert no_module["errorMessage"].startswith("Error: Cannot find module 'nowhere'")
    syntax = read(invoke(awslambda, deploy, "export const handler = async ( => 1"))
    assert syntax["errorType"] == "Runtime.UserCodeSyntaxError"


def test_an_exception_outside_the_handler(awslambda, deploy):
    code = """
        exports.handler = () => new Promise(() => setTimeout(() => { throw new Error('from a timer') }, 10))
    """
    answer = invoke(awslambda, deploy, code, module="index.js")
    assert answer["FunctionError"] == "Unhandled"
    assert "from a timer" in json.dumps(read(answer))


def test_console_lines_carry_time_request_and_level(awslambda, deploy):
    code = """
        export const handler = async () => {
            console.log('a line', { n: 1 })
            console.error('an error')
            console.warn('two\\nlines')
        }
    """
    answer = invoke(awslambda, deploy, code)
    request = answer["ResponseMetadata"]["RequestId"]
    tail = base64.b64decode(answer["LogResult"]).decode()
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.search(rf"^{time}\t{request}\tINFO\ta line {{ n: 1 }}$", tail, re.MULTILINE), tail
    assert re.search(rf"^{time}\t{request}\tERROR\tan error$", tail, re.MULTILINE)
    assert re.search(rf"^{time}\t{request}\tWARN\ttwo", tail, re.MULTILINE)


def test_the_sdk_is_there_and_signs_as_the_role(awslambda, deploy, s3, bucket):
    code = """
        import { S3Client, PutObjectCommand, GetObjectCommand } from '@aws-sdk/client-s3'
        const s3 = new S3Client({})
        export const handler = async ({ bucket }) => {
            await s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'from-node', Body: 'node was here' }))
            const got = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: 'from-node' }))
            return got.Body.transformToString()
        }
    """
    answer = invoke(awslambda, deploy, code, {"bucket": bucket}, Timeout=20, MemorySize=256)
    assert read(answer) == "node was here"
    assert s3.get_object(Bucket=bucket, Key="from-node")["Body"].read() == b"node was here"
