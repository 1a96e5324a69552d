# Debian's boto3 against an S3 server: prints one JSON object of what it saw. usage: s3_peer.py ENDPOINT BUCKET
import hashlib
import io
import json
import os
import sys
from datetime import datetime, timedelta, timezone

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, bucket = sys.argv[1:3]
s3 = boto3.client("s3", endpoint_url=endpoint, config=Config(retries={"max_attempts": 1}))
seen = {}


def code(call):
    try:
        call()
        return "done"
    except ClientError as error:
        return f'{error.response["ResponseMetadata"]["HTTPStatusCode"]} {error.response["Error"]["Code"]}'


body = bytes(range(256)) * 100
odd = "odd key/ä+&%= ü(1)*'!~.txt"
s3.put_object(Bucket=bucket, Key=odd, Body=body, Metadata={"who": "boto"}, ContentType="text/plain")
got = s3.get_object(Bucket=bucket, Key=odd)
seen["whole"] = got["Body"].read() == body and got["Metadata"] == {"who": "boto"} and got["ContentType"] == "text/plain"
seen["range"] = s3.get_object(Bucket=bucket, Key=odd, Range="bytes=255-257")["Body"].read().hex()
seen["suffix"] = s3.get_object(Bucket=bucket, Key=odd, Range="bytes=-2")["Body"].read().hex()
seen["beyond"] = code(lambda: s3.get_object(Bucket=bucket, Key=odd, Range="bytes=99999-"))
seen["missing"] = code(lambda: s3.get_object(Bucket=bucket, Key="none"))
seen["missing head"] = code(lambda: s3.head_object(Bucket=bucket, Key="none"))
seen["missing bucket"] = code(lambda: s3.list_objects_v2(Bucket="nowhere"))
seen["acl"] = code(lambda: s3.get_object_acl(Bucket=bucket, Key=odd))
seen["copy"] = code(lambda: s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": odd}))
seen["digest"] = code(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg=="))

large = hashlib.sha256(b"seed").digest() * (400 * 1024)
config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=3)
s3.upload_fileobj(io.BytesIO(large), bucket, "large", Config=config)
seen["multipart"] = s3.get_object(Bucket=bucket, Key="large")["Body"].read() == large
seen["multipart etag"] = s3.head_object(Bucket=bucket, Key="large")["ETag"].strip(chr(34)).rsplit("-", 1)[-1]

for number in range(25):
    s3.put_object(Bucket=bucket, Key=f"list/{number // 10}/{number}", Body=b"")
pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="list/", PaginationConfig={"PageSize": 7})
seen["listed"] = [row["Key"] for page in pages for row in page["Contents"]] == sorted(
    f"list/{number // 10}/{number}" for number in range(25)
)
folders = s3.list_objects_v2(Bucket=bucket, Prefix="list/", Delimiter="/")
seen["folders"] = [row["Prefix"] for row in folders["CommonPrefixes"]]

first = s3.put_object(Bucket=bucket, Key="versions", Body=b"1")["VersionId"]
s3.put_object(Bucket=bucket, Key="versions", Body=b"2")
s3.delete_object(Bucket=bucket, Key="versions")
seen["deleted"] = code(lambda: s3.get_object(Bucket=bucket, Key="versions"))
seen["first"] = s3.get_object(Bucket=bucket, Key="versions", VersionId=first)["Body"].read().decode()
listing = s3.list_object_versions(Bucket=bucket, Prefix="versions")
seen["versions"] = [len(listing["Versions"]), len(listing["DeleteMarkers"])]

until = datetime.now(timezone.utc) + timedelta(days=1)
locked = s3.put_object(
    Bucket=bucket, Key="locked", Body=b"x", ContentMD5="ndTkYSaMgDT1yFZOFVxnpg==",
    ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until,
)["VersionId"]
seen["locked delete"] = code(lambda: s3.delete_object(Bucket=bucket, Key="locked", VersionId=locked))
many = s3.delete_objects(Bucket=bucket, Delete={"Objects": [
    {"Key": "locked", "VersionId": locked}, {"Key": "versions", "VersionId": first},
]})
seen["many"] = [[row["Key"] for row in many["Deleted"]], [row["Code"] for row in many["Errors"]]]


def retain(days):
    retention = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(timezone.utc) + timedelta(days=days)}
    return code(lambda: s3.put_object_retention(Bucket=bucket, Key="locked", Retention=retention))


seen["longer"] = retain(2)
seen["shorter"] = retain(0.5)
wrong = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key="wrong")
seen["signature"] = code(lambda: wrong.list_objects_v2(Bucket=bucket))
print(json.dumps(seen))
