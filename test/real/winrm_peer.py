# Talks to the test's WinRM listener with pywinrm, one case a line of JSON on stdin, one answer a line on stdout.

import base64
import json
import sys
import warnings

warnings.simplefilter("ignore")

import winrm
from winrm.exceptions import InvalidCredentialsError, WinRMError


def protocol(case):
    return winrm.Protocol(
        endpoint="https://127.0.0.1:%d/wsman" % case["port"],
        transport=case["transport"],
        username=case["user"],
        password=case["password"],
        ca_trust_path=case["ca"],
        server_cert_validation="validate",
        read_timeout_sec=30,
        operation_timeout_sec=20,
        send_cbt=case.get("cbt", True),
    )


def run(case):
    peer = protocol(case)
    shell = peer.open_shell(codepage=65001, idle_timeout="PT60S")
    try:
        command = peer.run_command(shell, case["program"], case["args"], console_mode_stdin=False)
        try:
            stdout, stderr, code = peer.get_command_output(shell, command)
        finally:
            peer.cleanup_command(shell, command)
    finally:
        peer.close_shell(shell)
    encoded = [base64.b64encode(each).decode("ascii") for each in (stdout, stderr)]
    return {"stdout": encoded[0], "stderr": encoded[1], "code": code}


def broken(case):
    """A request for a shell that is not there."""
    peer = protocol(case)
    peer.run_command("11111111-2222-3333-4444-555555555555", "echo", [])
    return {}


for line in sys.stdin:
    case = json.loads(line)
    try:
        answer = {"run": run, "broken": broken}[case["kind"]](case)
    except InvalidCredentialsError as error:
        answer = {"refused": str(error)}
    except WinRMError as error:
        answer = {"fault": str(error)}
    print(json.dumps(answer), flush=True)
