"""`GET /api/images/{id}` in Python: boto3 reads the items and signs the URLs. It does not verify the token."""

import base64
import http.client
import json
import os
import time
from datetime import datetime, timezone
from uuid import UUID

import boto3
from boto3.dynamodb.types import TypeDeserializer

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LIFETIME = 900
dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")
read = TypeDeserializer().deserialize


def uuids(image: str) -> tuple[str, str]:
    number = 0
    for letter in image:
        number = number * 32 + ALPHABET.index(letter)
    data = (number >> (5 * len(image) - 256)).to_bytes(32, "big")
    return str(UUID(bytes=data[:16])), str(UUID(bytes=data[16:]))


def when(milliseconds: int) -> str:
    return datetime.fromtimestamp(int(milliseconds) / 1000, timezone.utc).isoformat(timespec="milliseconds")


def signed(bucket: str, key: str, kind: str) -> str:
    parameters = {"Bucket": bucket, "Key": key, "ResponseContentType": kind, "ResponseContentDisposition": "inline"}
    return s3.generate_presigned_url("get_object", parameters, LIFETIME)


def handle(event: dict) -> dict:
    image = event["rawPath"].rsplit("/", 1)[1]
    owner, key = uuids(image)
    token = event["headers"]["authorization"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    keys = [
        (f"USER#{owner}", f"IMAGE#{key}"),
        (f"PROFILE#{owner}", "PROFILE"),
        (f"PROFILE#{owner}", f"SESSION#{claims['origin_jti']}"),
    ]
    keys = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in keys]
    answer = dynamodb.batch_get_item(RequestItems={os.environ["TABLE"]: {"Keys": keys, "ConsistentRead": True}})
    items = [{name: read(value) for name, value in item.items()} for item in answer["Responses"][os.environ["TABLE"]]]
    item = next(item for item in items if item["sk"].startswith("IMAGE#"))
    profile = next(item for item in items if item["sk"] == "PROFILE")
    folder = f"{owner}/{key}"
    thumbnails = [
        {
            "height": int(thumbnail["height"]),
            "width": int(thumbnail["width"]),
            "content_type": item["content_type"],
            "url": signed(
                os.environ["THUMBNAILS_BUCKET"],
                f"thumbnails/{folder}/{item['built_for']}/{int(thumbnail['height'])}.jpg",
                item["content_type"],
            ),
        }
        for thumbnail in item["thumbnails"]
    ]
    view = {
        "id": image,
        "owner": {"id": owner, "name": profile["name"]},
        "title": item["title"],
        "description": item["description"],
        "visibility": item["visibility"],
        "content_type": item["content_type"],
        "size": int(item["size"]),
        "width": int(item["width"]),
        "height": int(item["height"]),
        "sha256": item.get("sha256"),
        "status": item["state"],
        "placeholder": base64.b64encode(bytes(item["placeholder"])).decode(),
        "image_url": signed(os.environ["ORIGINALS_BUCKET"], f"originals/{folder}/original", item["content_type"]),
        "thumbnails": thumbnails,
        "url_expires_at": when((time.time() + LIFETIME) * 1000),
        "created_at": when(item["created_at"]),
        "updated_at": when(item["updated_at"]),
    }
    headers = {"content-type": "application/json", "etag": f'"{int(item["version"])}"'}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(view), "isBase64Encoded": False}


def main() -> None:
    lambda_api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        lambda_api.request("GET", "/2018-06-01/runtime/invocation/next")
        event = lambda_api.getresponse()
        request = event.headers["Lambda-Runtime-Aws-Request-Id"]
        answer = handle(json.loads(event.read()))
        lambda_api.request("POST", f"/2018-06-01/runtime/invocation/{request}/response", json.dumps(answer))
        lambda_api.getresponse().read()


if __name__ == "__main__":
    main()
