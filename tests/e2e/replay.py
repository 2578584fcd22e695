"""Whole recorded tests, played again, each answer compared with the one that AWS gave.

Unlike `recorded.assert_like`, numbered placeholders are bound: what AWS answered twice, must come twice from us, and where
its revision ids differ, ours must. Differences that are known and meant stand in KNOWN, as data, each with its reason.
"""

import json
import re
from collections import Counter
from contextlib import suppress

from botocore.exceptions import ClientError

import packages
from cloud import ACCOUNT, REGION
from recorded import ANYTHING, PLACEHOLDER, RECORDED_ACCOUNT, snapshot

ECHO = """
import json
def handler(event, context):
    print(json.dumps(event))
    return event
"""
# The recorded functions have their handler in one of two modules.
PACKAGE = packages.package({"index.py": ECHO, "handler.py": ECHO})
OTHER_PACKAGE = packages.package({"index.py": ECHO + "\n# Another one.\n", "handler.py": ECHO})

# Members that answers of ours have on top, or that follow from which interpreters this host has: (path, reason).
OURS = [
    (r"(/Configuration|/\w+\[\d+\]|/CreateFunctionResponse)?/StateReason", "says which interpreter stands in for the runtime"),
]
# (test, step, path, reason), the first three as patterns that must match wholly.
KNOWN = [
    (
        r"TestLambdaVersions::test_publish_with_wrong_revisionid",
        r".*",
        r"(/Configuration)?/(SnapStart|LoggingConfig|RuntimeVersionConfig|Runtime)",
        "recorded before AWS had these members, on a runtime of then",
    ),
    (
        r"TestLambdaVersions::test_publish_with_update",
        r"get_function_.*",
        r"/Configuration/(LastUpdateStatus|State)(Reason|ReasonCode)?",
        "an update is over sooner than the next call comes",
    ),
    (
        r"TestLambdaFunction::test_lambda_code_location_(s3|zipfile)",
        r"get-function-response-updated",
        r"/Configuration/(LastUpdateStatus(Reason|ReasonCode)?|RevisionId)",
        "an update may be over before the next call comes, and has a revision of its own then",
    ),
    (
        r"TestLambdaFunction::test_function_arns",
        r"function_arn_other_account_exc",
        r"/Error/Message",
        "AWS says nothing; ours says what is missing",
    ),
    (
        r"TestLambda(Tags?::test_tag_exceptions.*|Layer::test_layer_(function_)?exceptions)",
        r"invalid_arn_exception|tag_lambda_invalidarn|get_layer_version_by_arn_exc_invalidarn"
        r"|add_layer_arn_without_version_exc",
        r"/Error/Message",
        "the model has another pattern since",
    ),
    (
        r"TestLambdaLayer::test_layer_exceptions",
        r"list_layers_exc_compatibleruntime_invalid",
        r".*",
        "AWS names runtimes that it never offered; ours lists the layers for any, which are none",
    ),
    (
        r"TestLambdaRecursion::test_put_function_recursion_config_invalid_value",
        r"put_recursion_invalid_value_error",
        r"/Error/Message",
        "the values of an enumeration are told in the model's order, and AWS has no rule for its own",
    ),
    (
        r"TestCodeSigningConfig::test_code_signing_not_found_excs",
        r"get_function_csc_fnwithoutcsc",
        r"/(CodeSigningConfigArn|FunctionName)",
        "members that the model requires are there, if empty",
    ),
    (
        r"TestLambdaLayer::test_layer_exceptions",
        r"publish_layer_version_exc_(invalid_runtime_arch|partially_invalid_values)",
        r"/Error/Message",
        "runtimes are judged when the request keeps to the model, so that the two are not told at once",
    ),
    (
        r"TestLambdaRuntimesCommon::test_introspection_invoke.*",
        r"invocation_result_payload.*",
        r"/environment/AWS_ENDPOINT_URL",
        "where this cloud is, for the SDKs",
    ),
    (
        r"TestLambdaRuntimesCommon::test_introspection_invoke.*",
        r"invocation_result_payload.*",
        r"/environment/_?AWS_XRAY_.*",
        "there is no daemon that takes traces",
    ),
    (
        r"TestLambdaRuntimesCommon::test_introspection_invoke.*",
        r"invocation_result_payload.*",
        r"/environment/(PWD|SHLVL|LC_CTYPE)",
        "left behind by the shell and the interpreter that start the runtimes of AWS",
    ),
    (
        r"TestLambdaRuntimesCommon::test_introspection_invoke.*",
        r"invocation_result_payload.*",
        r"/environment/(LANG|PATH|AWS_LAMBDA_RUNTIME_API)",
        "the locale that every host has; a folder without a slash behind it; the environment's own address",
    ),
    (
        r"TestLambdaURL::test_lambda_url_persists_after_alias_delete",
        r"invoke_deleted_alias_url_response_delayed",
        r"/content/Message",
        "a URL goes with its alias, and is told as AWS tells one that never was",
    ),
    (
        r"TestLambdaSizeLimits::test_large_environment_fails_multiple_keys",
        r"failured_create_fn_result_multi_key",
        r"/Error/Message|/message",
        "the variables are shown in the order of their names, not of the request",
    ),
    (
        r"TestIAMServiceRoles::test_service_role_lifecycle\[.*",
        r"describe-response",
        r"/Role/RoleLastUsed/(LastUsedDate|Region)",
        "services had used the role in the recorded account",
    ),
    (
        r"TestLambdaEventSourceMappings::.*|TestDynamoDBEventSourceMapping::.*",
        r"create_(event_source_mapping_)?response|get_response.*|delete_response",
        r"/DestinationConfig/OnFailure/Destination",
        "a bucket stands in for the queue",
    ),
    (
        r"TestLambdaEventSourceMappings::test_create_event_source_validation(_kinesis)?",
        r"invalid_starting_position",
        r"/Error/Message",
        "the values of an enumeration are told in the model's order, and AWS has no rule for its own",
    ),
]

# How each step was answered that was played, by test and step.
ANSWERS = {}
# Tests whose steps were counted, and how many steps they have.
PLAYED = {}


class Replay:
    """One recorded test under way. A step is one answer; it is played by `call`, or brought by `match`."""

    def __init__(self, client, role, unique, test, file):
        self.client, self.role, self.unique = client, role, unique
        self.test, self.steps = test, snapshot(file, test)
        self.bound, self.problems, self.made = {}, [], []
        PLAYED[test] = len(self.steps)

    def call(self, step, operation, **request):
        """Makes a call; compares its answer, be it an error, with the step's unless that is None. Gives the answer."""
        try:
            answer = getattr(self.client, operation)(**request)
        except ClientError as error:
            answer = error.response
        if "Payload" in answer:
            answer["Payload"] = answer["Payload"].read().decode()
        if step is None:
            assert "Error" not in answer, answer
        else:
            self.match(step, answer)
        return answer

    def match(self, step, answer):
        """Compares an answer with the step's."""
        expected = self.steps[step]
        found = list(self._differences(answer, expected, ""))
        reasons = [(path, told, self._reason(step, path)) for path, told in found]
        unknown = [f"{step}{path}: {told}" for path, told, reason in reasons if reason is None]
        self.problems.extend(unknown)
        word = "differ" if unknown else "differ for a known reason" if reasons else "agree"
        ANSWERS[self.test, step] = word

    def function(self, step=None, wrapped=False, wait=True, **settings):
        """Creates a function as most recorded tests do; gives its name."""
        name = settings.pop("FunctionName", None) or self.unique("function")
        defaults = {"Runtime": "python3.12", "Handler": "index.handler", "Role": self.role, "Code": {"ZipFile": PACKAGE}}
        if wrapped:
            defaults.update(Handler="handler.handler", Timeout=30, Environment={"Variables": {}})
        answer = self.client.create_function(FunctionName=name, **{**defaults, **settings})
        self.made.append(name)
        if step:
            both = {"CreateFunctionResponse": answer, "CreateEventSourceMappingResponse": None}
            self.match(step, both if wrapped else answer)
        if wait:
            self.wait("function_active_v2", name)
        return answer["FunctionName"]

    def wait(self, waiter, name, **more):
        waits = {"Delay": 0.02, "MaxAttempts": 1500}
        self.client.get_waiter(waiter).wait(FunctionName=name, WaiterConfig=waits, **more)

    def updated(self, name):
        self.wait("function_updated_v2", name)

    def end(self):
        for name in self.made:
            with suppress(ClientError):
                self.client.delete_function(FunctionName=name)
        assert not self.problems, "\n".join(self.problems)

    def _reason(self, step, path):
        """Why an answer may differ there; None where it must not."""
        for test_pattern, step_pattern, path_pattern, reason in KNOWN:
            patterns = [(test_pattern, self.test), (step_pattern, step), (path_pattern, path)]
            if all(re.fullmatch(pattern, text) for pattern, text in patterns):
                return reason
        return None

    def _differences(self, actual, expected, at):
        if any(re.fullmatch(path, at) for path, _ in OURS):
            return
        if isinstance(expected, dict | list) and isinstance(actual, str):
            with suppress(ValueError):
                actual = json.loads(actual)
        if isinstance(expected, dict):
            if not isinstance(actual, dict):
                yield at, f"{actual!r}; AWS has {expected!r}"
            elif at.endswith("/ResponseMetadata"):
                ours, theirs = actual.get("HTTPStatusCode"), expected.get("HTTPStatusCode")
                if ours != theirs:
                    yield f"{at}/HTTPStatusCode", f"{ours}; AWS has {theirs}"
            else:
                yield from self._members(actual, expected, at)
        elif isinstance(expected, list):
            if not isinstance(actual, list) or len(actual) != len(expected):
                yield at, f"{actual!r}; AWS has {expected!r}"
                return
            for index, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
                yield from self._differences(ours, theirs, f"{at}[{index}]")
        elif not self._is_like(actual, expected):
            yield at, f"{actual!r}; AWS has {expected!r}"

    def _members(self, actual, expected, at):
        for name in sorted(set(actual) | set(expected)):
            path = f"{at}/{name}"
            if name == "ResponseMetadata" and name not in expected:
                continue
            if name not in actual:
                if not any(re.fullmatch(pattern, path) for pattern, _ in OURS):
                    yield path, f"missing; AWS has {expected[name]!r}"
            elif name not in expected:
                if not any(re.fullmatch(pattern, path) for pattern, _ in OURS):
                    yield path, f"{actual[name]!r}; AWS has no such member"
            else:
                yield from self._differences(actual[name], expected[name], path)

    def _is_like(self, actual, expected):
        if not isinstance(expected, str):
            return actual == expected
        if expected in ANYTHING:
            return actual is not None
        if PLACEHOLDER.fullmatch(re.sub(r"<<([^<>]+)>(:\d+)>", r"<\1\2>", expected)):
            return actual is not None and self._bind(expected, actual)
        if not isinstance(actual, str):
            return False
        text = expected.replace(RECORDED_ACCOUNT, ACCOUNT).replace("<partition>", "aws").replace("<region>", REGION)
        # A time at the beginning of a log's line, and a placeholder that was replaced twice.
        text = re.sub(r"(^|\t)date\t", r"\1<date>\t", text)
        text = re.sub(r"<<([^<>]+)>(:\d+)>", r"<\1\2>", text)
        text = re.sub(r"<a:len\((\d+)\)>", lambda length: "a" * int(length[1]), text)
        holes = PLACEHOLDER.findall(text)
        # A path ends with its slash, so that it is told from a name that follows at once.
        groups = ["(/.+/|/)" if re.fullmatch(r"<path(:\d+)?>", hole) else "(.+)" for hole in holes]
        pieces = [re.escape(piece) for piece in PLACEHOLDER.split(text)]
        pattern = pieces[0] + "".join(group + piece for group, piece in zip(groups, pieces[1:], strict=True))
        found = re.fullmatch(pattern, actual, re.DOTALL)
        if not found:
            return False
        return all([self._bind(hole, value) for hole, value in zip(holes, found.groups(), strict=True)])

    def _bind(self, placeholder, value):
        """Whether the placeholder had this value before, too; and, of revisions, no other had it."""
        if not re.search(r":\d+>$", placeholder):
            return True
        if placeholder.startswith("<uuid:") and placeholder not in self.bound and value in self.bound.values():
            return False
        return self.bound.setdefault(placeholder, value) == value


def summary():
    """What was played, for the end of a run."""
    if not PLAYED:
        return []
    steps = sum(PLAYED.values())
    left = steps - len(ANSWERS)
    told = ", ".join(f"{count} {word}" for word, count in sorted(Counter(ANSWERS.values()).items()))
    return [f"recorded answers: {steps} of {len(PLAYED)} tests; {told}; {left} not played"]
