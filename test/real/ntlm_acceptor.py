# Accepts logins with gss-ntlmssp (MIT GSSAPI mechanism): messages of NTLM in base64, one a line, after a line that says
# how: {"binding": base64 or null}. Answers a line each: {"token": …} or {"user": …} or {"refused": …}.

import base64
import json
import sys

import gssapi
from gssapi.raw import ChannelBindings

NTLM = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")

for line in sys.stdin:
    how = json.loads(line)
    bindings = None
    if how["binding"] is not None:
        bindings = ChannelBindings(application_data=base64.b64decode(how["binding"]))
    credentials = gssapi.Credentials(usage="accept", mechs=[NTLM])
    context = gssapi.SecurityContext(creds=credentials, usage="accept", channel_bindings=bindings)
    try:
        challenge = context.step(base64.b64decode(how["negotiate"]))
        print(json.dumps({"token": base64.b64encode(challenge).decode("ascii")}), flush=True)
        context.step(base64.b64decode(sys.stdin.readline()))
        print(json.dumps({"user": str(context.initiator_name), "complete": context.complete}), flush=True)
    except gssapi.exceptions.GSSError as error:
        print(json.dumps({"refused": error.gen_message()}), flush=True)
